"""`splat train`: optimize Gaussians to match the photos of a capture."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import torch
import tyro

from splat.callbacks import LiveViewer
from splat.datasets.capture import Capture, Frame
from splat.datasets.readers import colmap, transforms_json
from splat.datasets.sfm import reconstruct as sfm
from splat.datasets.split import split
from splat.device import choose_device
from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.ply import save_points
from splat.plugins import live_viewer
from splat.run import Run
from splat.training.callback_guard import CallbackGuard
from splat.training.checkpoint import load_latest_checkpoint
from splat.training.config import TrainConfig, load_config, save_config
from splat.training.evaluate.measure_run import measure_run, print_metrics
from splat.training.evaluate.metrics import lpips_metric
from splat.training.evaluate.report import write_report
from splat.training.init.initialize import initial_gaussians
from splat.training.open_run import read_capture
from splat.training.progress import import_tensorboard
from splat.training.trainer import Trainer

SHOWN_VIEWS = 6
"""Training views in the report of a run that holds none out."""


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
    view_fraction: float = 0.05
    """Fraction of the run's time that drawing for the viewer may take while nobody moves."""
    training: TrainConfig = field(default_factory=TrainConfig)

    COMMON: ClassVar[Sequence[str]] = (
        "capture",
        "output",
        "resume",
        "overwrite",
        "view",
        "images",
        "resolution",
        "eval",
        "masks",
        "iterations",
        "time_limit",
        "background",
        "densify",
        "budget",
        "exposure",
        "refine_poses",
        "device",
    )


def train(options: TrainOptions) -> None:
    """Optimize Gaussians to match the photos of a capture.

    Leaves point_cloud/iteration_N/point_cloud.ply in the output folder, which SuperSplat and other viewers open, and
    report.html; with --eval also PSNR and SSIM of the held-out photos, and pictures of them.
    """
    source = options.capture or options.source_path
    if source is None and not (options.resume and options.output):
        raise InputError("which capture? Give its folder: `splat train CAPTURE` (with images/ and sparse/ in it)")
    run = Run(options.output or Path("runs") / (source or Path()).resolve().name)
    config = options.training
    if options.resume and run.config_file.is_file():
        config, recorded = load_config(run)
        source = source or recorded
    assert source is not None
    config.check()
    run.check(resume=options.resume, overwrite=options.overwrite)
    device = choose_device(config.run.device)
    check_packages(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)

    source = with_cameras(source, run)
    capture = read_capture(source, config)
    check_use(config, capture)
    frames, held_out = split(capture, config.data.test_every) if config.data.eval else (list(capture.frames), [])
    generator = torch.Generator().manual_seed(config.run.seed)
    initial = initial_gaussians(capture, config, generator)
    if config.densify.budget is not None and len(initial) > config.densify.budget:
        initial = initial[torch.randperm(len(initial), generator=generator)[: config.densify.budget].sort().values]
    trainer = Trainer(config, frames, capture.extent, initial, run, device=device, points=capture.points)
    if options.resume:
        state, notes = load_latest_checkpoint(run)
        for note in notes:
            print(f"warning: {note}", file=sys.stderr)
        trainer.load_state_dict(state)
        print(f"resuming {run.path} at iteration {trainer.iteration:,}")
    else:
        run.clear()  # not before the capture has proved usable
        write_start(run, config, capture)
    describe_start(capture, frames, held_out, trainer)
    live = show_live(options, capture, trainer) if options.view else None

    finished = trainer.run()
    seconds = trainer.clock.seconds
    gaussians = trainer.scene()
    path = run.save_scene(gaussians, trainer.iteration)
    if not finished:
        print(f"stopped at iteration {trainer.iteration:,}; the scene so far is {path}")
        print(f"continue with: splat train {source} -o {run.path} --resume")
        if live is not None:
            live.close()
        sys.exit(130)
    print(f"trained {trainer.iteration:,} iterations in {seconds:.0f} s: {len(gaussians):,} Gaussians")
    timing = {"train_seconds": seconds, "stages": trainer.timer.seconds}
    if held_out:
        print_metrics(measure_run(run, config, gaussians, held_out, trainer.iteration, timing, trainer.model.poses))
    else:
        shown = frames[:: max(1, len(frames) // SHOWN_VIEWS)][:SHOWN_VIEWS]
        measure_run(run, config, gaussians, shown, trainer.iteration, timing | {"training_views": True})
    write_report([run.path], run.report)
    print(f"pictures  {run.renders}")
    print(f"report    {run.report}")
    print(f"scene     {path}")
    if live is not None:
        live.end(gaussians)


def show_live(options: TrainOptions, capture: Capture, trainer: Trainer) -> LiveViewer:
    """Let a viewer watch the run."""
    config = trainer.config
    live = live_viewer()(
        trainer.scene(),
        capture,
        trainer.folder.path,
        iterations=config.optimization.iterations,
        antialiased=config.optimization.antialiased,
        background=(255, 255, 255) if config.optimization.background == "white" else (0, 0, 0),
        host=options.view_host,
        port=options.view_port,
        fraction=options.view_fraction,
    )
    trainer.callback = CallbackGuard(live)
    return live


def with_cameras(source: Path, run: Run) -> Path:
    """The capture itself, or one made from photos whose cameras nobody has found yet, in the run's folder."""
    made = run.path / "capture"
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


def check_use(config: TrainConfig, capture: Capture) -> None:
    """Whether the capture has what the options are about.

    Raises:
        InputError: it has not.
    """
    has_points = any(frame.sparse is not None for frame in capture.frames)
    if config.loss.depth_points and not has_points:
        raise InputError(f"`loss.depth_points`: {capture.path} does not say which points each photo has seen")
    if config.loss.depth_maps and config.geometry.depth_scale is None and not has_points:
        raise InputError(
            f"`depths`: {capture.path} has no sparse points to fit depth maps to; if they are metric, say `depth_scale`"
        )
    if config.data.mask_mode == "segment" and not any(
        photo.mask is not None or photo.alpha is not None for photo in (frame.photo for frame in capture.frames)
    ):
        raise InputError(
            f"`mask_mode` segment: {capture.path} has no masks; put them into {config.data.masks or 'masks'}/"
        )


def describe_start(capture: Capture, frames: list[Frame], held_out: list[Frame], trainer: Trainer) -> None:
    sizes = sorted({(frame.camera.width, frame.camera.height) for frame in frames})
    size = f"{sizes[0][0]}x{sizes[0][1]}" + ("" if len(sizes) == 1 else f" to {sizes[-1][0]}x{sizes[-1][1]}")
    points = f"{len(capture.points):,} points" if len(capture.points) >= 4 else "no points, so random ones in view"
    print(f"{capture.path}: {len(frames)} photos to train on, {len(held_out)} held out, {size}; {points}")
    place = f"{torch.get_num_threads()} CPU threads"
    if trainer.device.type == "cuda":
        place = torch.cuda.get_device_name(trainer.device)
    strategy = trainer.config.densify.name
    limit = f", at most {trainer.budget:,}" if strategy in ("budget", "mcmc") or trainer.config.densify.budget else ""
    print(f"starting with {len(trainer.optimizer):,} Gaussians{limit}, strategy {strategy}, {place}")


def write_start(run: Run, config: TrainConfig, capture: Capture) -> None:
    """Write what is known before the first iteration: settings, cameras, and the points it starts from."""
    save_config(config, capture.path, run)
    if len(capture.points):
        save_points(run.points_file, capture.points, capture.colors)
    run.write_cameras([frame.name for frame in capture.frames], [frame.camera for frame in capture.frames])
    with replacing(run.path / "cfg_args") as temporary:
        temporary.write_text(
            f"Namespace(sh_degree={config.optimization.sh_degree}, source_path={str(capture.path.resolve())!r}, "
            f"model_path={str(run.path.resolve())!r}, images={config.data.images!r}, "
            f"resolution={config.data.resolution}, white_background={config.optimization.background == 'white'}, "
            f"data_device='cpu', eval={config.data.eval})"
        )
