"""The verbs of training: `splat train`, `splat eval`, `splat render`, `splat mesh`, `splat retouch`, `splat compare`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from splat.cli.main import LIVE_VIEWER, find
from splat.datasets.capture import Frame, Scene
from splat.datasets.load import PhotoOptions, load_scene
from splat.datasets.readers import colmap, transforms_json
from splat.datasets.sfm import reconstruct as sfm
from splat.datasets.split import split
from splat.device import choose_device
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.ply import load
from splat.parsing import parse_bytes
from splat.settings import RenderSettings
from splat.training.checkpoint import load_latest_checkpoint
from splat.training.config import TrainConfig, load_config
from splat.training.evaluate.evaluate import evaluate
from splat.training.evaluate.metrics import lpips_metric
from splat.training.evaluate.report import write_report
from splat.training.init.initialize import initial_gaussians
from splat.training.per_image.poses import PoseCorrections
from splat.training.progress import import_tensorboard
from splat.training.run_folder import RunFolder
from splat.training.trainer import Trainer, evaluation_background
from splat.training.watch import Order, Watch


@dataclass(frozen=True)
class TrainOptions:
    """Options of `splat train`."""

    capture: tyro.conf.Positional[Path | None] = None
    """Folder with the photos (images/) and their COLMAP model (sparse/0), or with a transforms.json; or photos or a video of
    which no cameras are known yet."""
    source_path: Annotated[Path | None, tyro.conf.arg(aliases=["-s"])] = None
    """The same, under the name that the published trainer uses."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o", "-m", "--model-path"])] = None
    """Folder for the results; runs/NAME-OF-CAPTURE unless given."""
    resume: bool = False
    """Go on with the run in the output folder from its latest checkpoint, with the settings it was started with."""
    overwrite: bool = False
    """Replace the run in the output folder."""
    view: bool = False
    """Show the run in the browser while it trains."""
    view_port: int = 8080
    """Port of that viewer; the next free one is taken if it is in use."""
    view_host: str = "127.0.0.1"
    """Address that viewer listens on. Anyone who reaches it sees the scene and can stop the run; there is no password."""
    view_share: float = 0.05
    """Share of the run's time that drawing for the viewer may take while nobody moves."""
    config: tyro.conf.OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)


def train(options: TrainOptions) -> None:
    """Optimise Gaussians to match the photos of a capture.

    Leaves point_cloud/iteration_N/point_cloud.ply in the output folder, which SuperSplat and other viewers open, and
    report.html; with --eval also PSNR and SSIM of the held-out photos, and pictures of them.
    """
    source = options.capture or options.source_path
    if source is None and not (options.resume and options.output):
        raise InputError("which capture? Give its folder: `splat train CAPTURE` (with images/ and sparse/ in it)")
    folder = RunFolder(options.output or Path("runs") / (source or Path()).resolve().name)
    config = options.config
    if options.resume and folder.config.is_file():
        config, recorded = load_config(folder.config)
        source = source or recorded
    assert source is not None
    config.check()
    folder.check(resume=options.resume, overwrite=options.overwrite)
    device = choose_device(config.run.device)
    check_packages(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)

    source = with_cameras(source, folder)
    scene = read_capture(source, config)
    check_use(config, scene)
    frames, held_out = split(scene, config.data.test_every) if config.data.eval else (list(scene.frames), [])
    generator = torch.Generator().manual_seed(config.run.seed)
    initial = initial_gaussians(scene, config, generator)
    if config.densify.budget is not None and len(initial) > config.densify.budget:
        initial = initial[torch.randperm(len(initial), generator=generator)[: config.densify.budget].sort().values]
    trainer = Trainer(config, frames, scene.extent, initial, folder, device=device, points=scene.points)
    if options.resume:
        state, notes = load_latest_checkpoint(folder.checkpoints)
        for note in notes:
            print(f"warning: {note}", file=sys.stderr)
        trainer.load_state_dict(state)
        print(f"resuming {folder.path} at iteration {trainer.iteration:,}")
    else:
        folder.clear()  # not before the capture has proved usable
        folder.write_start(config, scene)
    describe_start(scene, frames, held_out, trainer)
    live = show_live(options, scene, trainer) if options.view else None

    finished = trainer.run()
    seconds = trainer.clock.seconds
    gaussians = trainer.scene()
    path = folder.save_scene(gaussians, trainer.iteration)
    if not finished:
        print(f"stopped at iteration {trainer.iteration:,}; the scene so far is {path}")
        print(f"continue with: splat train {source} -o {folder.path} --resume")
        if live is not None:
            live.close()
        sys.exit(130)
    print(f"trained {trainer.iteration:,} iterations in {seconds:.0f} s: {len(gaussians):,} Gaussians")
    timing = {"train_seconds": seconds, "stages": trainer.timer.seconds}
    if held_out:
        report(measure(folder, config, gaussians, held_out, trainer.iteration, timing, trainer.model.poses))
    else:
        shown = frames[:: max(1, len(frames) // SHOWN_VIEWS)][:SHOWN_VIEWS]
        measure(folder, config, gaussians, shown, trainer.iteration, timing | {"training_views": True})
    write_report([folder.path], folder.report)
    print(f"pictures  {folder.renders}")
    print(f"report    {folder.report}")
    print(f"scene     {path}")
    if live is not None:
        live.end(gaussians)


def show_live(options: TrainOptions, scene: Scene, trainer: Trainer) -> Any:
    """Let a viewer watch the run."""
    config = trainer.config
    live = find(LIVE_VIEWER)(
        Order,
        trainer.scene(),
        scene,
        trainer.folder.path,
        iterations=config.optimization.iterations,
        antialiased=config.optimization.antialiased,
        background=(255, 255, 255) if config.optimization.background == "white" else (0, 0, 0),
        host=options.view_host,
        port=options.view_port,
        share=options.view_share,
    )
    trainer.watch = Watch(live)
    return live


def with_cameras(source: Path, folder: RunFolder) -> Path:
    """The capture itself, or one made from photos whose cameras nobody has found yet, in the run's folder."""
    made = folder.path / "capture"
    if not sfm.holds_photos(source) or colmap.find_models(source) or transforms_json.is_capture(source):
        return source
    if colmap.find_models(made):
        print(f"using the cameras found before, {made}")
        return made
    print(f"{source}: no cameras are known; finding them (`splat photos` does this alone)")
    done = sfm.reconstruct(source, made, sfm.SfmOptions(progress=sys.stderr.isatty()))
    print(done.describe())
    return made


def check_packages(config: TrainConfig) -> None:
    """Whether what the options need is installed; better known now than at the end."""
    if config.run.tensorboard:
        import_tensorboard()
    if config.run.lpips and config.data.eval:
        lpips_metric()


def check_use(config: TrainConfig, scene: Scene) -> None:
    """Whether the capture has what the options are about.

    Raises:
        InputError: it has not.
    """
    geometry = config.geometry
    has_points = any(frame.sparse is not None for frame in scene.frames)
    if geometry.depth_points_weight and not has_points:
        raise InputError(f"--depth-points-weight: {scene.path} does not say which points each photo has seen")
    if geometry.depth_maps_weight and geometry.depth_scale is None and not has_points:
        raise InputError(
            f"--depths: {scene.path} has no sparse points to fit depth maps to; if they are metric, say --depth-scale"
        )
    if config.data.mask_mode == "segment" and not any(
        photo.mask is not None or photo.alpha is not None for photo in (frame.photo for frame in scene.frames)
    ):
        raise InputError(
            f"--mask-mode segment: {scene.path} has no masks; put them into {config.data.masks or 'masks'}/"
        )


def read_capture(source: Path, config: TrainConfig) -> Scene:
    """Load the photos as the run wants them, and say what was left out."""
    data = config.data
    options = PhotoOptions(
        resolution=data.resolution,
        max_size=data.max_size,
        images=data.images,
        masks=data.masks or None,
        invert_masks=data.invert_masks,
        depths=data.depths,
        cache_bytes=parse_bytes("--image-cache", data.image_cache),
    )
    scene = load_scene(source, options, progress=sys.stderr.isatty())
    for name, reason in scene.skipped:
        print(f"warning: {name} {reason}; left out", file=sys.stderr)
    for note in scene.notes:
        print(note)
    return scene


def describe_start(scene: Scene, frames: list[Frame], held_out: list[Frame], trainer: Trainer) -> None:
    sizes = sorted({(frame.camera.width, frame.camera.height) for frame in frames})
    size = f"{sizes[0][0]}x{sizes[0][1]}" + ("" if len(sizes) == 1 else f" to {sizes[-1][0]}x{sizes[-1][1]}")
    points = f"{len(scene.points):,} points" if len(scene.points) >= 4 else "no points, so random ones in view"
    print(f"{scene.path}: {len(frames)} photos to train on, {len(held_out)} held out, {size}; {points}")
    place = f"{torch.get_num_threads()} CPU threads"
    if trainer.device.type == "cuda":
        place = torch.cuda.get_device_name(trainer.device)
    strategy = trainer.config.densify.strategy
    limit = f", at most {trainer.budget:,}" if strategy in ("budget", "mcmc") or trainer.config.densify.budget else ""
    print(f"starting with {len(trainer.optimizer):,} Gaussians{limit}, strategy {strategy}, {place}")


def measure(
    folder: RunFolder,
    config: TrainConfig,
    gaussians: Gaussians,
    frames: list[Frame],
    iteration: int,
    timing: dict[str, Any],
    poses: PoseCorrections | None = None,
) -> dict[str, Any]:
    """Evaluate on held-out frames and write metrics.json and renders/."""
    metrics = evaluate(
        gaussians,
        frames,
        background=evaluation_background(config),
        settings=RenderSettings(antialiased=config.optimization.antialiased),
        renders=folder.renders,
        mask_mode=config.data.mask_mode,
        align=poses,
        lpips=config.run.lpips,
        progress=sys.stderr.isatty(),
    )
    metrics = {"iteration": iteration} | timing | metrics
    folder.write_metrics(metrics)
    return metrics


SHOWN_VIEWS = 6
"""Training views in the report of a run that holds none out."""
COLUMNS = {"psnr": ("PSNR [dB]", 2), "ssim": ("SSIM", 4), "psnr_aligned": ("aligned [dB]", 2), "lpips": ("LPIPS", 4)}
"""What is printed of the metrics: heading and digits."""


def report(metrics: dict[str, Any]) -> None:
    """Print the table of views."""
    columns = {name: column for name, column in COLUMNS.items() if name in metrics}
    width = max(13, *(len(view["name"]) for view in metrics["views"]))
    print("  ".join([f"{'held-out view':{width}s}", *(f"{heading:>12s}" for heading, _ in columns.values())]))
    for values in [*metrics["views"], {**metrics, "name": "mean"}]:
        numbers = (f"{values[name]:12.{digits}f}" for name, (_, digits) in columns.items())
        print("  ".join([f"{values['name']:{width}s}", *numbers]))


@dataclass(frozen=True)
class EvalOptions:
    """Options of `splat eval`."""

    run: tyro.conf.Positional[Path]
    """Output folder of `splat train`."""
    capture: Path | None = None
    """Where the capture is now, if it was moved."""
    all_views: bool = False
    """Measure every photo, not only the held-out ones."""


def eval(options: EvalOptions) -> None:
    """Measure a trained scene against the photos it has not seen: PSNR and SSIM per view."""
    folder = RunFolder(options.run)
    config, recorded = load_config(folder.config)
    path = folder.latest_scene()
    scene = read_capture(options.capture or recorded, config)
    if not config.data.eval and not options.all_views:
        raise InputError(f"{options.run}: was trained on all photos, none was held out; measure those with --all-views")
    frames = list(scene.frames) if options.all_views else split(scene, config.data.test_every)[1]
    iteration = int(path.parent.name.removeprefix("iteration_"))
    report(measure(folder, config, load(path).to(choose_device("auto")), frames, iteration, {}))
    write_report([folder.path], folder.report)
    print(f"scene     {path}")
    print(f"pictures  {folder.renders}")
    print(f"report    {folder.report}")


@dataclass(frozen=True)
class CompareOptions:
    """Options of `splat compare`."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Output folders of `splat train`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("compare.html")
    """Page to write."""


def compare(options: CompareOptions) -> None:
    """Put runs side by side in one page: views under a slider, scores, curves, and the settings that differ."""
    if len(options.runs) < 2:
        raise InputError("which runs? Give two output folders of `splat train` or more")
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{options.output}: the page must end in .html")
    write_report(options.runs, options.output)
    print(f"{len(options.runs)} runs -> {options.output}")


@dataclass(frozen=True)
class RenderOptions:
    """Options of `splat render`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """A folder for PNGs, or a name ending in .mp4 for a video; in the run's folder unless given."""
    along: Literal["orbit", "test", "train", "all"] = "orbit"
    """Which cameras: around what the photos look at, or those of the capture's photos."""
    path: Path | None = None
    """A camera path that the viewer saved (.json), to fly along instead."""
    capture: Path | None = None
    """Folder of the capture, for its cameras; a run knows it, a scene alone does not and is orbited."""
    frames: int = 120
    """Number of pictures of an orbit."""
    fps: float = 30.0
    """Pictures per second of a video."""
    size: str | None = None
    """WIDTHxHEIGHT in pixels; the photos' size unless given, 1280x720 along a path."""
    background: Literal["black", "white"] = "black"
    """Colour behind the scene."""
    depth: bool = False
    """Draw depth, coloured from near (warm) to far (cool), instead of colour."""


def render(options: RenderOptions) -> None:
    """Draw a scene along the cameras of its capture, around it, or along a path, to PNGs or an MP4."""
    from splat.training.commands.render import render_views

    render_views(options)


@dataclass(frozen=True)
class MeshOptions:
    """Options of `splat mesh`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """.ply, .obj or .glb; mesh.ply in the run's folder unless given."""
    capture: Path | None = None
    """Folder of the capture, for its cameras; a run knows it, a scene alone is looked at from all around."""
    voxel: float | None = None
    """Size of a cell in world units; smaller shows more. 1/256 of the scene's extent unless given."""
    max_depth: float | None = None
    """Farthest surface from a camera in world units; four extents unless given."""
    max_size: int = 1024
    """Longest side in pixels of the pictures that are fused."""
    small_part: float = 0.01
    """Remove connected parts with a smaller share of the triangles of the largest."""
    triangles: int | None = None
    """Simplify to about so many triangles."""


def mesh(options: MeshOptions) -> None:
    """Make a coloured triangle mesh of a scene (needs Open3D: pip install 'splat[mesh]').

    Scenes trained with --flat-weight 1 --normal-weight 0.05 have cleaner surfaces.
    """
    from splat.training.commands.mesh import mesh_scene

    mesh_scene(options)


@dataclass(frozen=True)
class RetouchOptions:
    """Options of `splat retouch`."""

    run: tyro.conf.Positional[Path]
    """Output folder of `splat train`."""
    edited: Path
    """The retouched picture of one view: a render, from renders/ or `splat render --along all`, or the photo itself, with
    colours changed and nothing moved. Its name, or --view, says which view it is."""
    view: str | None = None
    """Name of the photo whose view was retouched; by the name of the edited picture unless given."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Scene to write; retouched.ply in the run's folder unless given."""
    capture: Path | None = None
    """Where the capture is now, if it was moved."""
    seed: int = 0
    """Seed of the fit."""


def retouch(options: RetouchOptions) -> None:
    """Carry a change of colours that was made in one picture over to the whole scene, and save it."""
    from splat.training.commands.retouch import retouch_scene

    retouch_scene(options)
