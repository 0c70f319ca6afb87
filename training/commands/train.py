"""`splat train`: optimize Gaussians to match the photos of a capture."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from splat.callbacks import LiveViewer
from splat.errors import InputError
from splat.plugins import live_viewer
from splat.run import Run
from splat.training.callback_guard import CallbackGuard
from splat.training.config import TrainConfig
from splat.training.evaluate.measure_run import print_metrics
from splat.training.train import PreparedTraining, prepare


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
    """Go on with the run in the output folder from its latest checkpoint, with the settings it was started with. Of those,
    `iterations`, `time_limit`, `lr`, `save_every`, `keep_checkpoints`, `image_cache`, `device`, `threads`, `tensorboard` and
    `lpips` may be given anew."""
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
    given: frozenset[str] = field(default=frozenset(), init=False)  # names of the options that the command line named

    COMMON: ClassVar[Sequence[str]] = (
        "capture output resume overwrite view resolution eval "
        "iterations time_limit background densify budget exposure refine_poses device"
    ).split()


def train(options: TrainOptions) -> None:
    """Optimize Gaussians to match the photos of a capture.

    Leaves point_cloud/iteration_N/point_cloud.ply in the output folder, which SuperSplat and other viewers open, and
    report.html; with --eval also PSNR and SSIM of the held-out photos, and pictures of them.
    """
    source = options.capture or options.source_path
    if options.capture is not None and options.source_path is not None:
        raise InputError(f"two captures, {options.capture} and --source-path {options.source_path}; give one of them")
    if source is None and not (options.resume and options.output):
        raise InputError(
            "which capture? Give its folder: `splat train CAPTURE` (with images/ and sparse/ in it), or --resume -o RUN"
        )
    run = Run(options.output or Path("runs") / (source or Path()).resolve().name)
    prepared = prepare(
        source,
        options.training,
        output=run.path,
        resume=options.resume,
        overwrite=options.overwrite,
        given=options.given,
    )
    live = show_live(options, prepared) if options.view else None
    try:
        result = prepared.run()
    except KeyboardInterrupt:  # a second Ctrl-C, or one while the views were measured
        say_how_to_go_on(prepared, run)
        raise
    if not result.finished:
        say_how_to_go_on(prepared, run)
        if live is not None:
            live.close()
        sys.exit(130)  # the command line turns it into 143 or 129 where it was SIGTERM or SIGHUP
    if result.metrics is not None:
        print_metrics(result.metrics)
    print(f"pictures  {run.renders}")
    print(f"report    {run.report}")
    print(f"scene     {run.scene_file(result.iterations)}")
    if live is not None:
        live.end(result.scene)


def say_how_to_go_on(prepared: PreparedTraining, run: Run) -> None:
    if run.saved_checkpoints():
        command = ["splat", "train", str(prepared.source), "-o", str(run.path), "--resume"]
        print("continue with:", shlex.join(command), flush=True)


def show_live(options: TrainOptions, prepared: PreparedTraining) -> LiveViewer:
    """Let a viewer watch the run."""
    trainer = prepared.trainer
    optimization = trainer.config.optimization
    live = live_viewer()(
        trainer.scene(),
        prepared.capture,
        Path() if trainer.folder is None else trainer.folder.path,
        iterations=optimization.iterations,
        antialiased=optimization.antialiased,
        background=(255, 255, 255) if optimization.background == "white" else (0, 0, 0),
        host=options.view_host,
        port=options.view_port,
        fraction=options.view_fraction,
    )
    trainer.callback = CallbackGuard(live)
    return live
