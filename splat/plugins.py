"""What lower folders ask of upper ones: formats, captures, training, the live viewer, each found by name when it is called.

Besides the table of verbs (splat/cli/verbs.py) this is the only place where a string names a module of a folder above. So
the core and training read every format and can be watched without importing anything of compression or viewer.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from splat.callbacks import LiveViewer, TrainingCallback
from splat.gaussians import Gaussians
from splat.result import CompressionResult, LoadedScene, Metrics, TrainingResult
from splat.run import Run

LOAD_SCENE = "splat.compression.formats.registry:load_with_facts"
IS_SCENE = "splat.compression.formats.registry:is_scene"
SAVE_SCENE = "splat.compression.formats.registry:save"
CHECK_UP = "splat.datasets.check_up:check_up"
PREPARE_TRAINING = "splat.training.train:prepare"
EVALUATE = "splat.training.evaluation:evaluate"
COMPRESS = "splat.training.compress.compress_scene:compress"
LIVE_VIEWER = "splat.viewer.live:LiveTraining"


def find(target: str) -> Callable[..., Any]:
    """Import `module:name`."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def load_scene(path: str | Path) -> Gaussians:
    """Read a scene of any format; a folder stands for the latest scene of a run, or for an unzipped SOG. Gaussians that cannot
    be drawn are left out, with a warning that says how many and why.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return load_with_facts(path).gaussians


def load_with_facts(path: str | Path) -> LoadedScene:
    """The same, with what the file says besides: whether it was trained with antialiasing, and how many were left out.

    Raises:
        InputError: there is none, or it is damaged.
    """
    loaded: LoadedScene = find(LOAD_SCENE)(path)
    return loaded


def is_scene(path: Path) -> bool:
    """Whether a file's content is that of a scene, whatever its name."""
    found: bool = find(IS_SCENE)(path)
    return found


def save_scene(gaussians: Gaussians, path: str | Path) -> None:
    """Write a scene, atomically, in the format that the name ends in: .ply (lossless), .splatz, .sog, .spz, .splat, .glb ...

    Raises:
        InputError: the format cannot be written, or cannot hold this scene.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    find(SAVE_SCENE)(gaussians, path)


class Settings(Protocol):
    """A dataclass of settings, such as `splat.training.config.TrainConfig`."""

    def check(self) -> None:
        """Whether the settings are possible.

        Raises:
            InputError: they are not.
        """


class LoadedCapture(Protocol):
    """A `splat.datasets.capture.Capture`, as `splat.datasets.load.load_capture` returns it."""

    @property
    def path(self) -> Path: ...

    @property
    def extent(self) -> float: ...

    def __len__(self) -> int: ...


def train(
    capture: "Path | str | LoadedCapture | None",
    config: Settings | None = None,
    *,
    output: Path | str | None = None,
    callback: TrainingCallback | None = None,
    strategy: Any = None,
    losses: Sequence[Any] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    device: str | None = None,
) -> TrainingResult:
    """Optimize Gaussians to match the photos of a capture, as `splat train` does.

    Ctrl-C, which is the stop button of a notebook, finishes the iteration under way and returns what there is; pressed
    twice, it raises KeyboardInterrupt.

    >>> from splat.training.config import TrainConfig
    >>> config = TrainConfig.from_dict({"optimization": {"iterations": 2000}, "data": {"eval": True}})
    >>> result = splat.train("capture", config, output="run")
    >>> result.metrics.psnr
    >>> splat.save(result.scene, "scene.splatz")

    Args:
        capture: folder of the capture, or what `splat.datasets.load.load_capture` made of it. A loaded one is used as it
            is: what the configuration says about folders and sizes of photos is then not looked at. None with `resume`:
            the capture that the run was started with.
        config: a `splat.training.config.TrainConfig`; the defaults unless given.
        output: folder for the results, with checkpoints to resume from and a report; without it no file is written.
        callback: is told of every iteration (`splat.Step`), and may pause, save or stop the run (`splat.Action`). If it
            raises an exception, that is shown as a warning, and the run goes on without it.
        strategy: a `splat.training.densify.base.Strategy` that adds and removes Gaussians, in place of the one that the
            configuration names. To resume such a run, give it again.
        losses: `splat.training.losses.objective.LossTerm`s that are added to the loss. To resume such a run, give them
            again.
        resume: go on with the run in `output` from its latest checkpoint, with the settings it was started with.
        overwrite: replace the run in `output`.
        progress: show how far the run is, on standard output or as a bar.
        device: auto, cpu, cuda or cuda:N; as the configuration says unless given, which is the GPU where there is one.

    Returns:
        The scene and, where `config.data.eval` holds views out, how good it is on those.

    Raises:
        InputError: the capture, the settings or the folder cannot be used, or the loss is not finite.
    """
    prepared = find(PREPARE_TRAINING)(
        capture,
        config,
        output=output,
        callback=callback,
        strategy=strategy,
        losses=losses,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        device=device,
    )
    result: TrainingResult = prepared.run()
    return result


def evaluate(
    scene: Gaussians | Run | Path | str,
    capture: "Path | str | LoadedCapture | None" = None,
    *,
    config: Settings | None = None,
    all_views: bool = False,
    renders: Path | str | None = None,
    lpips: bool = False,
    progress: bool = True,
    device: str = "auto",
) -> Metrics:
    """Measure a scene on the photos that it has not been trained on, as `splat eval` does, but without writing into a run.

    >>> metrics = splat.evaluate("run")
    >>> metrics.psnr, metrics.views[0].name, metrics.views[0].ssim

    Args:
        scene: a scene, its file in any format, or the output folder of a run, which is measured as it was trained.
        capture: folder of the capture, or a loaded one; a run knows it, a scene alone needs it.
        config: the `splat.training.config.TrainConfig` that the scene was trained with, for its background, antialiasing,
            sizes of photos and masks. A run knows it; for a scene alone the defaults, with every 8th view held out.
        all_views: measure every photo, not only the held-out ones.
        renders: folder for one picture per view: photo, render, error.
        lpips: also measure LPIPS (needs the package lpips).
        progress: show how far the measurement is.
        device: auto, cpu, cuda or cuda:N; auto is the GPU where there is one.

    Returns:
        PSNR and SSIM of every view, and their means.

    Raises:
        InputError: there is no such scene, capture or device, or no view was held out.
    """
    metrics: Metrics = find(EVALUATE)(
        scene,
        capture,
        config=config,
        all_views=all_views,
        renders=renders,
        lpips=lpips,
        progress=progress,
        device=device,
    )
    return metrics


def compress(
    scene: Gaussians | Run | Path | str,
    output: Path | str,
    *,
    max_bytes: int | str | None = None,
    max_psnr_drop: float | None = None,
    settings: Settings | None = None,
    capture: "Path | str | LoadedCapture | None" = None,
    report: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    device: str = "auto",
) -> CompressionResult:
    """Make a scene small and measure what it costs, as `splat compress` does.

    Without a target and settings the scene is written at the finest quality of the format.

    >>> found = splat.compress("run", "scene.splatz", max_bytes="8MB")
    >>> found.size, found.ratio, found.psnr_drop

    Args:
        scene: a scene, its file in any format, or the output folder of a run.
        output: file to write; its ending chooses the format, .splatz is the smallest.
        max_bytes: the best picture in a file of at most this size: a number of bytes, or 800KB, 8MB.
        max_psnr_drop: the smallest file that loses at most so many dB of PSNR; needs photos.
        settings: a `splat.training.compress.settings.CompressSettings`: what to prune, fine-tuning, the format's own
            settings. The two targets take precedence over its targets.
        capture: folder of the capture, or a loaded one: its photos measure what is lost, say which Gaussians matter, and
            fine-tune. A run knows it; without one the scene's own renders have to do.
        report: leave a page, a plot and the numbers beside the file: OUTPUT.html, .png and .json.
        overwrite: replace an output that exists.
        progress: show how far the search is.
        device: auto, cpu, cuda or cuda:N; auto is the GPU where there is one.

    Returns:
        The scene as it is read back from the file, and its Gaussians, bytes, PSNR and SSIM after every step.

    Raises:
        InputError: settings that contradict each other, no such scene, capture or device, an output that exists, or a
            target that cannot be reached.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    found: CompressionResult = find(COMPRESS)(
        scene,
        output,
        max_bytes=max_bytes,
        max_psnr_drop=max_psnr_drop,
        settings=settings,
        capture=capture,
        report=report,
        overwrite=overwrite,
        progress=progress,
        device=device,
    )
    return found


class CheckUp(Protocol):
    """A `splat.datasets.check_up.CheckUp`: what is in a capture."""

    @property
    def facts(self) -> dict[str, Any]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def picture(self) -> Image.Image: ...


def check_up(path: Path, images: str = "images", *, progress: bool = False) -> CheckUp:
    """Look through a capture: what is there, what will be done with it, and what is likely to go wrong.

    Args:
        images: folder of the photos in it.
        progress: show a progress bar.

    Raises:
        InputError: there is no capture, or it cannot be read.
    """
    found: CheckUp = find(CHECK_UP)(path, images, progress=progress)
    return found


def live_viewer() -> Callable[..., LiveViewer]:
    """The class of what shows a run in the browser while it trains; splat.viewer.live says what it takes."""
    return find(LIVE_VIEWER)
