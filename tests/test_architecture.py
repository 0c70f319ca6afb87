"""The house rules hold over the repository's own sources, and each rule bites."""

import functools
from collections.abc import Iterable
from pathlib import Path

import pytest
from house_rules import (
    LANGUAGES,
    MOST_LINES,
    MOST_MODULES,
    against_direction,
    against_face,
    against_rooms,
    crowded,
    strange_test_folders,
    that_say_nothing,
    too_long,
    unknown_rooms,
    without_docstring,
)
from imports import FOLDERS, TABLES, Import, Module, circles, folder_of, imports_of, modules_from, read_modules

ROOT = Path(__file__).resolve().parent.parent

# --- the repository holds them -------------------------------------------------------------------------------------------


@functools.cache
def repository() -> tuple[dict[str, Module], list[Import]]:
    modules = read_modules(ROOT)
    return modules, imports_of(modules)


def imports_from(folder: str) -> list[Import]:
    return [one for one in repository()[1] if folder_of(one.source) == folder]


def sources_in(folder: str) -> dict[str, str]:
    """Every file in a language that people write, by path."""
    built = {"__pycache__", "node_modules", "build"}
    paths = (
        path for path in (ROOT / folder).rglob("*") if path.suffix in LANGUAGES and not built & set(path.parts[:-1])
    )
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def test_every_folder_is_looked_at() -> None:
    modules, imports = repository()
    assert {folder_of(name) for name in modules} == {folder_of(one.source) for one in imports} == set(FOLDERS)
    assert modules.keys() >= TABLES, "a table that may name upper folders is gone: strike it from docs/imports.py"


def test_every_import_names_a_module() -> None:
    modules, imports = repository()
    assert_none(str(one) for one in imports if one.target not in modules)


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_only_down(folder: str) -> None:
    assert_none(against_direction(imports_from(folder)))


@pytest.mark.parametrize("folder", FOLDERS)
def test_nobody_imports_the_public_face(folder: str) -> None:
    assert_none(against_face(imports_from(folder)))


@pytest.mark.parametrize("folder", FOLDERS)
def test_rooms_import_what_they_may(folder: str) -> None:
    assert_none(against_rooms(repository()[0], imports_from(folder)))


def test_the_table_of_rooms_is_whole() -> None:
    assert_none(unknown_rooms(repository()[0]))


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert_none("a circle:" + "".join(f"\n    {step}" for step in circle) for circle in circles(*repository()))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_is_crowded(folder: str) -> None:
    assert_none(crowded(path for path in sources_in(folder) if path.endswith(".py")))


@pytest.mark.parametrize("folder", [*FOLDERS, "tests", "benchmarks", "docs"])
def test_no_file_is_long(folder: str) -> None:
    assert_none(too_long(sources_in(folder)))


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_package_says_what_it_is(folder: str) -> None:
    assert_none(without_docstring((path for path in sources_in(folder) if path.endswith(".py")), repository()[0]))


def test_every_folder_has_tests_of_its_name() -> None:
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/*.py")}
    assert_none(strange_test_folders(folders, {path.name for path in ROOT.iterdir() if path.is_dir()}))


@pytest.mark.parametrize("folder", [*FOLDERS, "tests", "benchmarks", "docs"])
def test_names_say_something(folder: str) -> None:
    assert_none(that_say_nothing(sources_in(folder)))


def assert_none(wrong: Iterable[str]) -> None:
    """Fail with everything that breaks a rule, one line a case."""
    if lines := list(wrong):
        pytest.fail("\n".join(["", *lines]), pytrace=False)


# --- each rule bites, on houses of a few lines ---------------------------------------------------------------------------


def house(sources: dict[str, str]) -> tuple[dict[str, Module], list[Import]]:
    """Modules and imports of a repository with these files, and an empty __init__.py in every folder."""
    folders = {path.rpartition("/")[0] for path in sources} | set(FOLDERS)
    parents = {folder[:end] for folder in folders for end in [*(i for i, c in enumerate(folder) if c == "/"), None]}
    modules = modules_from({f"{folder}/__init__.py": "" for folder in parents} | sources)
    return modules, imports_of(modules)


WAYS_UP = [
    "import splat.viewer.app",
    "import torch, splat.viewer.app as app",
    "from splat.viewer.app import Viewer",
    "from splat.viewer import app",
    "from splat import viewer",
    "from splat.viewer import *",
    "from .. import viewer",
    "from ..viewer.app import Viewer",
    "def f():\n    from splat.viewer.app import Viewer",
    "if TYPE_CHECKING:\n    from splat.viewer.app import Viewer",
    "try:\n    import splat.viewer.app\nexcept ImportError:\n    pass",
    'app = find("splat.viewer.app:Viewer")',
    'app = importlib.import_module("splat.viewer.app")',
    'app = importlib.import_module("..viewer.app", __package__)',
    'app = import_module(f"splat.viewer.{name}")',
    'TABLE = {"app": ("splat.viewer.app", 1)}',
    'monkeypatch.setattr("splat.viewer.app.Viewer", None)',
    'def f(app: "splat.viewer.app.Viewer"): ...',
    "import viewer",
    "from viewer.app import Viewer",
    'app = import_module("viewer.app")',
]
"""Each imports the viewer from training."""


@pytest.mark.parametrize("line", WAYS_UP)
def test_every_way_of_importing_counts(line: str) -> None:
    _, imports = house({"viewer/app.py": "", "training/trainer.py": line})
    (wrong,) = against_direction(imports)
    assert wrong.startswith("splat.training.trainer, line ") and "viewer" in wrong


@pytest.mark.parametrize(
    "line",
    [
        '"""The viewer is in splat.viewer.app."""',
        'print("see splat.viewer.app for more")',
        'name = "splat.html"',
        "import torch, numpy",
        "from viewers import app",
        'find("numpy:array")',
    ],
)
def test_what_is_no_import_does_not_count(line: str) -> None:
    assert house({"viewer/app.py": "", "training/trainer.py": line})[1] == []


@pytest.mark.parametrize(
    ("folder", "line", "allowed"),
    [
        ("splat", "from splat.cuda_rasterizer.ops import x", True),
        ("splat", "from splat.training import trainer", False),
        ("splat", "def f():\n    import splat.datasets.load", False),
        ("splat", 'find("splat.datasets.load:read")', False),
        ("cuda_rasterizer", "from splat.gaussians import Gaussians", False),
        ("cuda_rasterizer", "import splat", False),
        ("datasets", "from splat.compression.formats import registry", False),
        ("compression", "from splat.datasets.load import x", False),
        ("compression", "from splat.cuda_rasterizer.ops import x", True),
        ("training", "from splat.compression.formats import registry", True),
        ("training", "from splat.viewer.server import x", False),
        ("viewer", "from splat import training", False),
        ("viewer", "from splat.datasets.load import x", True),
        ("training", "from splat import Gaussians", True),
        ("training", "import datasets", False),
        ("training", "from datasets.load import x", False),
        ("training", "from . import losses", True),
        ("training", "from .. import viewer", False),
        ("training", "import torch, numpy", True),
    ],
)
def test_a_folder_imports_only_folders_below(folder: str, line: str, allowed: bool) -> None:
    _, imports = house({f"{folder}/module.py": line, "datasets/load.py": ""})
    assert (against_direction(imports) == []) == allowed


@pytest.mark.parametrize("table", sorted(TABLES))
def test_tables_name_upper_folders_and_do_not_import_them(table: str) -> None:
    path = table.replace(".", "/") + ".py"
    modules, imports = house(
        {"viewer/app.py": "from splat.plugins import find", path: 'find("splat.viewer.app:Viewer")'}
    )
    assert against_direction(imports) == against_rooms(modules, imports) == circles(modules, imports) == []
    _, imports = house({"viewer/app.py": "", path: "def f():\n    from splat.viewer.app import Viewer"})
    assert len(against_direction(imports)) == 1


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("training/trainer.py", "import splat", False),
        ("training/trainer.py", "import splat.gaussians", False),  # binds the name splat
        ("training/trainer.py", "import splat.gaussians as gaussians", True),
        ("training/trainer.py", "from splat import render", False),
        ("training/trainer.py", "from splat import gaussians", True),
        ("training/trainer.py", "from .. import render", False),
        ("training/trainer.py", 'import_module("splat")', False),
        ("training/trainer.py", "from splat.cli.main import find", False),
        ("training/trainer.py", 'run("-m", "splat.cli.main")', False),
        ("splat/io/ply.py", "from splat.cli import main", False),
        ("splat/io/ply.py", "from splat.__main__ import main", False),
        ("splat/cli/info.py", "from splat import __version__", True),
        ("splat/cli/info.py", "from splat.cli.main import find", True),
        ("splat/__main__.py", "from splat.cli.main import main", True),
        ("splat/__init__.py", "from splat.gaussians import Gaussians", True),
    ],
)
def test_only_the_face_imports_the_face(path: str, line: str, allowed: bool) -> None:
    _, imports = house({"splat/gaussians.py": "", "splat/cli/main.py": "", "splat/__main__.py": "", path: line})
    assert (against_face(imports) == []) == allowed


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("splat/geometry/orbit.py", "from splat.cameras import Camera", True),
        ("splat/geometry/orbit.py", "from splat.io.ply import load", False),
        ("splat/render.py", "from splat.reference.render import render", False),
        ("splat/render.py", "from splat.geometry import orbit", True),
        ("splat/__main__.py", "from splat.cli.main import main", True),
        ("datasets/images/cache.py", "from splat.datasets.readers import colmap", False),
        ("datasets/readers/colmap.py", "from splat.datasets.images.cache import Photo", True),
        ("datasets/load.py", "from splat.datasets.sfm.reconstruct import x", False),
        ("compression/coding/rans.py", "from splat.compression.formats.axes import x", False),
        ("compression/formats/sog/codes.py", "from splat.compression.formats.axes import x", True),
        ("compression/formats/sog/codes.py", "from splat.compression.formats.splatz.codes import x", False),
        ("training/losses/target.py", 'find("splat.training.commands.train:train")', False),
        ("training/commands/train.py", "from splat.training.trainer import Trainer", True),
        ("training/trainer.py", "from splat.training.commands.train import train", False),
        ("viewer/panels/help.py", "if TYPE_CHECKING:\n    from splat.viewer.app import Viewer", False),
        ("viewer/panels/help.py", "from splat.viewer.context import Context", True),
        ("viewer/draw/look.py", "from splat.viewer.context import Context", False),
        ("viewer/app.py", "from splat.viewer.panels.help import HelpPanel", True),
    ],
)
def test_a_room_imports_what_its_row_says(path: str, line: str, allowed: bool) -> None:
    assert (against_rooms(*house({path: line})) == []) == allowed


def test_rooms_without_a_row_are_found() -> None:
    assert "viewer/cellar: no row in ROOMS" in unknown_rooms(house({"viewer/cellar/wine.py": ""})[0])
    assert "viewer/slots: in ROOMS, but there is none" in unknown_rooms(house({})[0])


@pytest.mark.parametrize(
    ("sources", "circle"),
    [
        ({"splat/a.py": "from splat.b import x", "splat/b.py": "import torch"}, []),
        ({"splat/a.py": "from splat.b import x", "splat/b.py": "from splat.a import x"}, ["a", "b"]),
        ({"splat/a.py": "from splat.b import x", "splat/b.py": "def f():\n    from splat.a import x"}, ["a", "b"]),
        ({"splat/a.py": "import splat.b as b", "splat/b.py": "if TYPE_CHECKING:\n    from . import a"}, ["a", "b"]),
        (
            {"splat/a.py": "from . import b", "splat/b.py": 'find("splat.c:x")', "splat/c.py": "from .a import x"},
            [*"abc"],
        ),
        ({"splat/a.py": "from splat import x", "splat/__init__.py": "from splat.a import x"}, ["", "a"]),
        # a package that offers what its modules have, used from outside and inside
        (
            {"splat/p/__init__.py": "from splat.p.a import x", "splat/p/a.py": "", "splat/b.py": "import splat.p as p"},
            [],
        ),
        ({"splat/p/__init__.py": "from splat.p.a import x", "splat/p/a.py": "from . import b", "splat/p/b.py": ""}, []),
        ({"splat/p/__init__.py": "from splat.p.a import x", "splat/p/a.py": "from splat.p import y"}, ["p", "p.a"]),
        # importing p.a runs p first
        ({"splat/p/__init__.py": "from .. import b", "splat/p/a.py": "", "splat/b.py": "from .p import a"}, ["b", "p"]),
    ],
)
def test_circles_are_found(sources: dict[str, str], circle: list[str]) -> None:
    found = circles(*house(sources))
    assert [sorted(step.source.removeprefix("splat").lstrip(".") for step in one) for one in found] == [circle][
        : bool(circle)
    ]


def test_every_circle_is_found_once() -> None:
    sources = {"a": "from . import b, c", "b": "from . import a", "c": "from . import d", "d": "from . import a"}
    found = circles(*house({f"splat/{name}.py": source for name, source in sources.items()}))
    assert [[str(step) for step in circle] for circle in found] == [
        ["splat.a, line 1: imports splat.b", "splat.b, line 1: imports splat.a"],
        ["splat.a, line 1: imports splat.c", "splat.c, line 1: imports splat.d", "splat.d, line 1: imports splat.a"],
    ]


def test_crowds_and_long_files_are_found() -> None:
    full = [f"splat/io/{index}.py" for index in range(MOST_MODULES)]
    assert crowded([*full, "splat/io/__init__.py", "splat/io/__main__.py", "splat/io/ply/a.py"]) == []
    assert crowded([*full, "splat/io/more.py"]) == ["splat/io: 16 modules, at most 15"]
    assert too_long({"a.cu": "x\n" * MOST_LINES, "b.js": "x\n" * MOST_LINES + "x"}) == ["b.js: 401 lines, at most 400"]


@pytest.mark.parametrize(
    ("docstring", "complaint"),
    [
        ('"""Files of scenes. May import splat."""', ""),
        ('"""Kernels, in C++ and CUDA. Imports torch and nothing else."""', ""),
        ('"""Scenes.\n\n>>> import splat. Or so.\n\nMay import splat.io.\n"""', ""),
        ("", "two sentences"),
        ('"""May import splat.io"""', "two sentences"),
        ('"""Files of scenes: a.py and b.py. Read and written."""', "does not say what"),
    ],
)
def test_packages_without_a_docstring_are_found(docstring: str, complaint: str) -> None:
    modules, _ = house({"splat/io/__init__.py": docstring, "splat/io/ply.py": ""})
    found = without_docstring(["splat/io/ply.py"], modules)
    assert len(found) == bool(complaint) and all(complaint in line for line in found)


def test_packages_without_an_init_are_found() -> None:
    assert len(without_docstring(["splat/io/ply.py"], modules_from({"splat/io/ply.py": ""}))) == 1


def test_names_that_say_nothing_are_found() -> None:
    assert len(that_say_nothing(["splat/utils.py", "viewer/common/a.js", "a/_misc.h", "a/helpers.cu"])) == 4
    assert that_say_nothing(["splat/commands.py", "splat/common_focal.py"]) == []


def test_strange_test_folders_are_found() -> None:
    top_level = {*FOLDERS, "benchmarks"}
    assert strange_test_folders({*FOLDERS, "benchmarks"}, top_level) == []
    assert strange_test_folders({*FOLDERS, "attic"} - {"viewer"}, top_level) == [
        "tests/attic: no folder attic at the top",
        "viewer: no tests/viewer",
    ]
