"""The pages of the API reference, docs/reference/*.md: which modules are public, by room.

A page names modules; mkdocstrings writes what is in them from their docstrings. docs/site_hooks.py adds the pages to the
site, and lays the folders out as they are installed, as subpackages of splat, for mkdocstrings to find.
"""

import ast
import shutil
from pathlib import Path

from imports import FOLDERS

ROOT = Path(__file__).resolve().parent.parent

PAGES: dict[str, tuple[str, str, str]] = {
    "functions": ("Load, save, train, evaluate, compress", "splat", "plugins opening errors"),
    "scenes": ("Scenes and cameras", "splat", "gaussians cameras spherical_harmonics"),
    "rendering": ("Rendering", "splat", "render result settings contribution device image_metrics"),
    "runs": ("Runs, callbacks and options", "splat", "run callbacks options.flags options.markers options.parse"),
    "geometry": (
        "Geometry",
        "splat.geometry",
        "quaternions similarity alignment viewpoints orbit camera_path normals morton",
    ),
    "io": ("Files of the core", "splat.io", "ply images video camera_path_file checkpoint_file atomic_file parsing"),
    "reference-renderer": ("The reference renderer", "splat.reference", "projection render"),
    "rasterizer": (
        "Rasterizer",
        "splat.cuda_rasterizer",
        "autograd native ops.forward ops.backward ops.backward_adam ops.adam ops.contribution ops.loss ops.schema",
    ),
    "captures": (
        "Captures",
        "splat.datasets",
        "capture load split readers.colmap readers.transforms_json images.decode images.cache images.companions "
        "images.lens sfm.reconstruct sfm.video_frames sample.sample_capture",
    ),
    "formats": (
        "File formats",
        "splat.compression.formats",
        "registry quantizers sog.reader sog.writer splatz.container splatz.options spz compressed_ply splat ksplat "
        "gltf.reader gltf.writer verify",
    ),
    "simplify": (
        "Pruning and coding",
        "splat.compression",
        "simplify.importance simplify.prune coding.kmeans coding.entropy",
    ),
    "training": (
        "Training",
        "splat.training",
        "train evaluation config trainer optimizer schedules checkpoint open_run init.initialize",
    ),
    "densification": ("Densification", "splat.training.densify", "base choose growing budget classic absgrad mcmc"),
    "losses": ("Losses", "splat.training.losses", "objective target geometry grid_smoothness"),
    "per-photo": (
        "What differs from photo to photo",
        "splat.training.per_image",
        "model exposure bilateral_grid poses sky",
    ),
    "evaluation": ("Evaluation", "splat.training.evaluate", "views measure_run metrics report"),
    "compression": (
        "Compression on photos",
        "splat.training.compress",
        "compress_scene settings search finetune judge report",
    ),
    "surfaces": ("Meshes and retouching", "splat.training", "mesh retouch"),
    "viewer": ("Viewer", "splat.viewer", "app context live slots opening draw.modes draw.look share.page share.fit"),
}
"""Page -> its title, a package, and the package's modules that it shows."""


def file_of(module: str) -> Path:
    """The source of a module, or of a package."""
    parts = module.split(".")[1:]
    path = ROOT.joinpath(*(parts if parts and parts[0] in FOLDERS else ["splat", *parts]))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def modules_of(name: str) -> list[str]:
    """The modules of a page, those that there are."""
    _, package, modules = PAGES[name]
    named = [f"{package}.{one}" for one in modules.split()]
    missing = [module for module in named if not file_of(module).is_file()]
    if missing:
        raise FileNotFoundError(f"the API reference lists modules that do not exist: {', '.join(missing)}")
    return named


def page(name: str) -> str:
    """A page in Markdown."""
    title, package, _ = PAGES[name]
    about = (ast.get_docstring(ast.parse(file_of(package).read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    intro = [] if package == "splat" else [about, ""]
    behind = ["---", "search:", "  boost: 0.5", "---", ""]  # what people search for is in the guides first
    return "\n".join([*behind, f"# {title}", "", *intro, *(f"::: {module}\n" for module in modules_of(name))])


def face() -> list[tuple[str, str]]:
    """Names that `import splat` gives -> where each comes from; nothing where `splat/__init__.py` makes it itself."""
    tree = ast.parse(file_of("splat").read_text(encoding="utf-8"))
    origins: dict[str, str] = {}
    names: list[str] = []
    for line in tree.body:
        if isinstance(line, ast.ImportFrom):
            origins |= {one.asname or one.name: f"{line.module}.{one.name}" for one in line.names}
        elif isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "__all__":
            names = ast.literal_eval(line.value)
    return [(name, origins.get(name, "")) for name in names]


def index() -> str:
    """The page that says what `import splat` gives, and lists the pages."""
    shown = {module for name in PAGES for module in modules_of(name)}
    lines = [
        "# API reference",
        "",
        "The folders are installed as subpackages of `splat`: `from splat.training.config import TrainConfig`. "
        "`import splat` gives the names that most programs need:",
        "",
        "| name | defined in |",
        "|---|---|",
    ]
    for name, origin in face():
        module = origin.rpartition(".")[0]
        link = f"[`{origin}`][{origin}]" if module in shown else f"`{origin or 'splat'}`"
        lines.append(f"| `splat.{name}` | {link} |")
    lines += ["", "| page | modules |", "|---|---|"]
    for name, (title, package, _) in PAGES.items():
        modules = ", ".join(f"`{module.removeprefix(package + '.')}`" for module in modules_of(name))
        lines.append(f"| [{title}]({name}.md) | `{package}`: {modules} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Name of every page in docs/ -> its Markdown."""
    return {"reference/index.md": index(), **{f"reference/{name}.md": page(name) for name in PAGES}}


def stage(target: Path) -> None:
    """Copy the Python sources to `target/splat`, laid out as they are installed, for mkdocstrings to read."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in FOLDERS:
        place = target / "splat" if folder == "splat" else target / "splat" / folder
        for source in sorted((ROOT / folder).rglob("*.py")):
            copy = place / source.relative_to(ROOT / folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(with_field_comments(source.read_text(encoding="utf-8")), encoding="utf-8")


def with_field_comments(source: str) -> str:
    """The source of a module in which the comment behind a field, its shape for instance, is the field's docstring.

    `means: Tensor,  # [N, 3]` says what a reader of the code wants to know; mkdocstrings shows docstrings only.
    """
    lines = source.splitlines()
    for kind in ast.walk(ast.parse(source)):
        if not isinstance(kind, ast.ClassDef):
            continue
        for field, below in zip(kind.body, [*kind.body[1:], None], strict=True):
            has_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and not has_text and field.end_lineno == field.lineno:
                line = lines[field.lineno - 1]
                comment = line.encode()[field.end_col_offset :].decode().strip()
                if comment.startswith("#"):
                    text = comment.lstrip("# ").replace("\\", "").replace('"', "'")
                    lines[field.lineno - 1] = f'{line[: field.col_offset]}{ast.unparse(field)}; """{text}"""'
    return "\n".join(lines) + "\n"
