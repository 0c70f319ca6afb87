"""What is compressed: the scene on the device that draws it, and the capture that says what matters in it."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from splat.compression.commands.format_flags import format_options
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.datasets.capture import Capture, Frame
from splat.datasets.split import split
from splat.device import choose_device
from splat.errors import InputError
from splat.gaussians import Gaussians, drawable
from splat.geometry.georeference import Georeference
from splat.opening import settings_for
from splat.result import LoadedScene
from splat.run import Run
from splat.training.compress.judge import Judge, PhotoJudge, RenderJudge
from splat.training.compress.settings import CompressSettings
from splat.training.config import TrainConfig
from splat.training.open_run import TrainedScene, open_trained, read_capture


@dataclass(frozen=True)
class Source:
    """What is compressed, and what is known of it."""

    path: Path  # of the file; of a scene in memory, an empty one
    gaussians: Gaussians  # on the device
    config: TrainConfig  # of the run, or the defaults
    frames: tuple[Frame, ...]  # to train on; empty without a capture
    extent: float
    judge: Judge
    device: torch.device
    georeference: Georeference | None = None  # where the scene lies in its capture, where that is known


def open_source(
    scene: Gaussians | Run | Path | str,
    settings: CompressSettings | None = None,
    *,
    capture: Capture | Path | str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Source:
    """Read the scene, and the capture where one is known.

    Raises:
        InputError: there is no such scene, capture or device, or nothing that could be compressed.
    """
    settings = settings or CompressSettings()
    folder = None if capture is None or isinstance(capture, Capture) else Path(capture)
    trained = _opened(scene, settings, folder, device)
    config, chosen = trained.config, trained.device
    if settings.resolution is not None:
        config = replace(config, data=replace(config.data, resolution=settings.resolution))
    gaussians = trained.gaussians[drawable(trained.gaussians)]
    if not bool((gaussians.opacities >= trained.settings.alpha_min).any()):
        raise InputError(f"{trained.file}: holds no Gaussian that can be seen; nothing is left to compress")
    loaded = capture if isinstance(capture, Capture) else None
    if loaded is None:
        folder = trained.capture
        if trained.run is not None and folder is not None and not folder.exists() and capture is None:
            warnings.warn(f"the run's capture, {folder}, is not there any more; say where with `capture`", stacklevel=2)
            folder = None
        if folder is not None:
            loaded = read_capture(
                folder, config, progress, georeference=trained.georeference, scene=trained.gaussians.means
            )
    if loaded is None:
        if settings.finetune or settings.max_psnr_drop is not None:
            name = "`finetune`" if settings.finetune else "`max_psnr_drop`"
            raise InputError(f"{name} needs photos; give the capture that the scene was trained on with `capture`")
        judge: Judge = RenderJudge(gaussians, trained.settings)
        return Source(trained.file, gaussians, config, (), 1.0, judge, chosen, trained.georeference)
    unseen = config.data.eval if trained.run is not None else None
    frames = held_out = list(loaded.frames)
    if unseen is not False:
        frames, held_out = split(loaded, config.data.test_every)
    elif len(frames) > config.data.test_every:
        held_out = frames[:: config.data.test_every]
    judge = PhotoJudge(held_out, [frame.camera for frame in frames], config, unseen, chosen, trained.settings)
    return Source(trained.file, gaussians, config, tuple(frames), loaded.extent, judge, chosen, loaded.georeference)


def _opened(
    scene: Gaussians | Run | Path | str, settings: CompressSettings, capture: Path | None, device: str
) -> TrainedScene:
    if isinstance(scene, Gaussians):
        chosen = choose_device(device)
        return TrainedScene(
            scene.detach().to(chosen), Path(), None, TrainConfig(), capture, chosen, settings_for(scene)
        )
    path = scene.path if isinstance(scene, Run) else Path(scene)

    def load(file: Path) -> LoadedScene:
        """The settings of the format say how a file is read, too."""
        return formats.load_with_facts(file, file_options(settings, TrainConfig()))

    return open_trained(path, capture, device, load=load)


def file_options(settings: CompressSettings, config: TrainConfig) -> FormatOptions:
    """How files of the scene are written and read."""
    return format_options(settings.formats, config.optimization.antialiased)
