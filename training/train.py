"""prepare: everything before the first iteration of a run, which `PreparedTraining.run` then trains. What `splat.train` and the
verb `splat train` call."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from splat.callbacks import TrainingCallback
from splat.datasets.capture import Capture, Frame
from splat.datasets.readers import archive, colmap
from splat.datasets.readers.choose import holds_model
from splat.datasets.sfm import reconstruct as sfm
from splat.datasets.sfm.source_photos import holds_photos
from splat.datasets.sfm.work_folder import is_unfinished
from splat.datasets.split import split
from splat.device import choose_device
from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.ply import save_points
from splat.io.wording import listed, number_of
from splat.result import Metrics, TrainingResult
from splat.run import Run
from splat.training.checkpoint import load_latest_checkpoint, resumed_settings
from splat.training.config import TrainConfig, load_config, save_config
from splat.training.densify.base import Strategy
from splat.training.evaluate.measure_run import measure, measure_run
from splat.training.evaluate.metrics import lpips_metric
from splat.training.evaluate.report import write_report
from splat.training.init.initialize import initial_gaussians
from splat.training.interrupt import interrupt_flag
from splat.training.losses.objective import LossTerm
from splat.training.open_run import read_capture
from splat.training.progress import import_tensorboard
from splat.training.trainer import Trainer

SHOWN_VIEWS = 6
"""Training views in the report of a run that holds none out."""


@dataclass(frozen=True)
class PreparedTraining:
    """A run that is ready to start."""

    trainer: Trainer
    source: Path  # of the capture, as `splat train` wants it: its folder, or the file of its cameras
    capture: Capture
    frames: list[Frame]  # to train on
    held_out: list[Frame]
    strategy: str  # its name
    resumed: bool = False

    @property
    def folder(self) -> Run | None:
        return self.trainer.folder

    def run(self) -> TrainingResult:
        """Train to the end, or until Ctrl-C or the callback stops it; save, and measure a run that came to its end.

        Raises:
            InputError: the loss is not finite, no Gaussian is left, or a photo cannot be read any more.
        """
        trainer, folder = self.trainer, self.folder
        if folder is not None and self.resumed:
            save_config(trainer.config, self.capture.path, folder)
        elif folder is not None:
            folder.clear()  # not before everything has proved usable
            write_start(folder, trainer.config, self.capture, self.source)
        with interrupt_flag() as interrupted:
            finished = trainer.run(interrupted)
            scene, seconds, iterations = trainer.scene().detach(), trainer.clock.seconds, trainer.iteration
            path = None if folder is None else folder.save_scene(scene, iterations)
            finished = finished and not interrupted.is_set()
        if not finished:
            self._say(
                f"stopped at iteration {iterations:,}" + ("" if path is None else f"; the scene so far is {path}")
            )
            return TrainingResult(scene, folder, None, seconds, iterations, finished)
        self._say(f"trained {iterations:,} iterations in {seconds:.0f} s: {len(scene):,} Gaussians")
        metrics = self._measure()
        if folder is not None:
            write_report([folder.path], folder.report)
        return TrainingResult(scene, folder, metrics, seconds, iterations, finished)

    def _measure(self) -> Metrics | None:
        """Of the held-out views. A run that holds none out has pictures of some training views in its folder."""
        trainer, config = self.trainer, self.trainer.config
        scene, folder, shown = trainer.scene(), self.folder, trainer.shown
        if folder is None:
            if not self.held_out:
                return None
            return measure(config, scene, self.held_out, poses=trainer.model.poses, progress=shown)
        timing: dict[str, Any] = {"train_seconds": trainer.clock.seconds, "stages": trainer.timer.seconds}
        frames, poses = self.held_out, trainer.model.poses
        if not frames:
            frames, poses = self.frames[:: max(1, len(self.frames) // SHOWN_VIEWS)][:SHOWN_VIEWS], None
            timing["training_views"] = True
        found = measure_run(folder, config, scene, frames, trainer.iteration, timing, poses, progress=shown)
        return found if self.held_out else None

    def describe(self) -> None:
        """Print what the run starts with."""
        capture, trainer = self.capture, self.trainer
        sizes = sorted({(frame.camera.width, frame.camera.height) for frame in self.frames})
        size = f"{sizes[0][0]}x{sizes[0][1]}" + ("" if len(sizes) == 1 else f" to {sizes[-1][0]}x{sizes[-1][1]}")
        points = "" if len(capture.points) >= 4 else "; too few points, so random ones in view"
        print(f"{number_of(len(self.frames), 'photo')} to train on, {len(self.held_out)} held out, {size}{points}")
        place = f"{torch.get_num_threads()} CPU threads"
        if trainer.device.type == "cuda":
            place = torch.cuda.get_device_name(trainer.device)
        limited = trainer.config.densify.has_budget or trainer.config.densify.budget
        limit = f", at most {trainer.budget:,}" if limited else ""
        print(f"starting with {len(trainer.optimizer):,} Gaussians{limit}, strategy {self.strategy}, {place}")

    def _say(self, text: str) -> None:
        if self.trainer.shown:
            print(text)


def prepare(
    capture: Path | str | Capture | None,
    config: TrainConfig | None = None,
    *,
    output: Run | Path | str | None = None,
    callback: TrainingCallback | None = None,
    strategy: Strategy | None = None,
    losses: Sequence[LossTerm] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    device: str | None = None,
    given: Collection[str] | None = None,
) -> PreparedTraining:
    """Everything that comes before the first iteration; `splat.train` says what the arguments mean.

    Args:
        given: which settings of `config` are wanted of a resumed run; those that differ from the defaults unless given.

    Raises:
        InputError: the capture, the settings or the folder cannot be used.
    """
    if config is not None and not isinstance(config, TrainConfig):
        raise InputError(f"`config` must be a TrainConfig (splat.training.config), got a {type(config).__name__}")
    run = output if output is None or isinstance(output, Run) else Run(Path(output))
    if resume and overwrite:
        raise InputError("`resume` and `overwrite` contradict each other; give one of them")
    if resume and run is None:
        raise InputError("`resume` needs `output`, the folder of the run to go on with")
    before: TrainConfig | None = None
    if run is not None and resume and run.config_file.is_file():
        before, recorded = load_config(run)
        config = resumed_settings(before, config, given)
        capture = recorded if capture is None else capture
    config = config or TrainConfig()
    if device is not None:
        config = replace(config, run=replace(config.run, device=device))
    check_together(config, run, strategy, losses)
    if run is not None:
        run.check(resume=resume, overwrite=overwrite)
    chosen = choose_device(config.run.device)
    check_packages(config)
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    if capture is None:
        raise InputError("which `capture`? Give its folder, with images/ and sparse/ in it")
    if isinstance(capture, Capture):
        source = capture.path
    else:
        source = with_cameras(Path(capture), run, progress)
        capture = read_capture(source, config, progress, georeference=run.georeference() if run and resume else None)
    if run is not None and run.path.resolve() in (
        capture.path.resolve(),
        (capture.path / config.data.images).resolve(),
    ):
        raise InputError(f"{run.path}: is a folder of the capture; give another `output`")
    if not capture.frames:
        raise InputError(f"{capture.path}: the capture has no photos")
    check_use(config, capture)
    check_hidden(config, capture)
    frames, held_out = split(capture, config.data.test_every) if config.data.eval else (list(capture.frames), [])
    generator = torch.Generator().manual_seed(config.run.seed)
    initial = initial_gaussians(capture, config, generator)
    if config.densify.budget is not None and len(initial) > config.densify.budget:
        initial = initial[torch.randperm(len(initial), generator=generator)[: config.densify.budget].sort().values]
    trainer = Trainer(
        config,
        frames,
        capture.extent,
        initial,
        run,
        callback,
        chosen,
        capture.points,
        strategy=strategy,
        losses=losses,
        shown=progress,
    )
    if run is not None and resume:
        go_on(trainer, run, before or config)
    name = config.densify.name if strategy is None else type(strategy).__name__
    prepared = PreparedTraining(trainer, source, capture, frames, held_out, name, resumed=run is not None and resume)
    if progress:
        prepared.describe()
    return prepared


def go_on(trainer: Trainer, run: Run, before: TrainConfig) -> None:
    """Take over the latest checkpoint of a run.

    Args:
        before: the settings that the run had until now.

    Raises:
        InputError: there is none, it does not fit the capture, or the run has done more than is asked for.
    """
    state, notes = load_latest_checkpoint(run)
    for note in notes:
        warnings.warn(note, stacklevel=3)
    trainer.load_state_dict(state)
    clock, config = trainer.clock, trainer.config
    if clock.iteration > clock.iterations:
        raise InputError(
            f"`iterations` {clock.iterations}: the run has done {clock.iteration} already; give more, or leave it out"
        )
    if clock.limit is not None and config.time_limit_seconds != before.time_limit_seconds and clock.spent > clock.limit:
        raise InputError(
            f"`time_limit` {config.optimization.time_limit}: the run has trained for {clock.spent:.0f} s already; give more"
        )
    if not trainer.shown:
        return
    print(f"resuming {run.path} at iteration {trainer.iteration:,}")
    lengths = [(it.optimization.iterations, it.optimization.time_limit) for it in (before, config)]
    if lengths[0] != lengths[1]:
        print(
            f"the length of the run has changed, and its schedules (learning rates, densification) follow: "
            f"it goes on at {clock.progress:.0%} of {clock.iterations:,} iterations"
            + ("" if clock.limit is None else f" or {config.optimization.time_limit}")
        )


def with_cameras(source: Path, run: Run | None, progress: bool = True) -> Path:
    """The capture itself, or one made from photos whose cameras nobody has found yet, in the run's folder.

    Raises:
        InputError: there is no run, or no cameras can be found.
    """
    if archive.is_archive(source):
        unpacked = archive.unpack(source, progress=progress)
        if progress and unpacked.new:
            print(f"unpacked {source} to {unpacked.folder}")
        source = unpacked.folder
    if not holds_photos(source) or holds_model(source):
        return source
    if run is None:
        raise InputError(
            f"{source}: no cameras are known; find them with `splat photos`, or give `output`, the folder for them"
        )
    made = run.found_capture
    if colmap.find_models(made) and not is_unfinished(made):
        if progress:
            print(f"using the cameras found before, {made}")
        return made
    if progress:
        print(f"{source}: no cameras are known; finding them (`splat photos` does this alone)")
    done = sfm.reconstruct(source, made, sfm.SfmOptions(progress=progress))
    if progress:
        print(done.describe())
    return made


def check_together(config: TrainConfig, run: Run | None, strategy: Strategy | None, losses: Sequence[LossTerm]) -> None:
    """Whether the settings are possible, alone and with the other arguments.

    Raises:
        InputError: they are not.
    """
    config.check()
    if config.optimization.fuse_adam and (strategy is not None or losses):
        given = "losses" if losses else "strategy"
        raise InputError(f"`fuse_adam` takes the step inside the backward and cannot go with `{given}`")
    if config.run.tensorboard and run is None:
        raise InputError("`tensorboard` writes events into the folder of a run; give `output`")


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
            f"`depths`: {capture.path} does not say which points each photo has seen, and depth maps are fitted to "
            "those; if they are metric, give `depth_scale`"
        )
    if config.data.mask_mode == "segment" and not any(
        photo.mask is not None or photo.alpha is not None for photo in (frame.photo for frame in capture.frames)
    ):
        raise InputError(
            f"`mask_mode` segment: {capture.path} has no masks; put them into {config.data.masks or 'masks'}/"
        )


def check_hidden(config: TrainConfig, capture: Capture) -> None:
    """Warn of photos of which nothing is left.

    Raises:
        InputError: nothing is left of any.
    """
    remedies = {
        "mask": "masks hide everything in {}: are black and white the other way round? "
        + ("Leave `invert_masks` out" if config.data.invert_masks else "Give `invert_masks`")
        + ', or `masks` "" to use none',
        "alpha": "{} wholly transparent (alpha is 0 everywhere); save them again without an alpha channel",
    }
    total, nothing = len(capture.frames), 0
    for kind, text in remedies.items():
        names = [frame.name for frame in capture.frames if frame.hidden == kind]
        nothing += len(names)
        if names:
            which = f"{len(names)} of {total} photos ({listed(names)})" + " are" * (kind == "alpha")
            if nothing == total:
                raise InputError(f"{capture.path}: {text.format(which)}")
            warnings.warn(text.format(which), stacklevel=3)


def write_start(run: Run, config: TrainConfig, capture: Capture, source: Path) -> None:
    """Write what is known before the first iteration: settings, cameras, and the points it starts from.

    Args:
        source: of the capture as it was named, which says which of several models was read.
    """
    save_config(config, source, run)
    run.write_georeference(capture.georeference)
    if len(capture.points):
        save_points(run.points_file, capture.points, capture.colors)
    run.write_cameras([frame.name for frame in capture.frames], [frame.camera for frame in capture.frames])
    with replacing(run.arguments_file) as temporary:
        temporary.write_text(
            f"Namespace(sh_degree={config.optimization.sh_degree}, source_path={str(capture.path.resolve())!r}, "
            f"model_path={str(run.path.resolve())!r}, images={config.data.images!r}, "
            f"resolution={config.data.resolution}, white_background={config.optimization.background == 'white'}, "
            f"data_device='cpu', eval={config.data.eval})"
        )
