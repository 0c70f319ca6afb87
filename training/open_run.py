"""open_trained and open_run: how the verbs of training open a scene or a run, with its configuration, capture and device."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from splat.datasets.capture import Capture
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.summary import summary, warn_of_losses
from splat.device import choose_device
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.io.parsing import parse_bytes
from splat.opening import open_scene
from splat.plugins import load_with_facts
from splat.result import LoadedScene
from splat.run import Run
from splat.settings import RenderSettings
from splat.training.config import TrainConfig, evaluation_background, load_config


@dataclass(frozen=True)
class TrainedScene:
    """A scene on the device that draws it, and what is known of its training."""

    gaussians: Gaussians
    file: Path
    run: Run | None  # None for a scene that is not of a run
    config: TrainConfig  # of the run, or the defaults
    capture: Path | None  # folder of the capture, where it is known
    device: torch.device
    settings: RenderSettings = field(default_factory=RenderSettings)  # how it is drawn as it was trained
    georeference: Georeference | None = None  # where its coordinates lie in its capture's, where that is known

    @property
    def background(self) -> Tensor:  # [3]
        """Color behind the scene where it must not be random, on the device."""
        return evaluation_background(self.config).to(self.device)

    def load_capture(self) -> Capture:
        """The photos that it was trained on, without masks, and their cameras in its coordinates.

        Raises:
            InputError: no capture is known, or it cannot be used.
        """
        if self.capture is None:
            raise InputError(f"{self.file}: which `capture`? A scene alone does not say")
        options = replace(photo_options(self.config), masks=None, depths=None)
        capture = load_capture(
            self.capture, options, georeference=self.georeference, scene=self.gaussians.means, progress=True
        )
        warn_of_losses(capture)
        return capture

    def output(self, name: str) -> Path:
        """Where a result goes unless the user says: in the run's folder, or beside the scene."""
        return (self.file.parent if self.run is None else self.run.path) / name


@dataclass(frozen=True)
class TrainedRun(TrainedScene):
    """The latest scene of a run."""

    run: Run
    capture: Path


def open_trained(
    path: Path,
    capture: Path | None = None,
    device: str = "auto",
    *,
    load: Callable[[Path], LoadedScene] = load_with_facts,
) -> TrainedScene:
    """Open the folder of a run, or a scene of any format.

    Args:
        path: the run, or the scene.
        capture: where the capture is, if not where the run was trained.
        device: auto, cpu, cuda or cuda:N.
        load: reads a scene's file.

    Raises:
        InputError: there is no scene or no such device, or the run's configuration is damaged.
    """
    if Run(path).config_file.is_file():
        return open_run(path, capture, device, load=load)
    chosen = choose_device(device)
    opened = open_scene(path, chosen, load=load)
    config = TrainConfig()
    config = replace(config, optimization=replace(config.optimization, antialiased=opened.render.antialiased))
    return TrainedScene(
        opened.gaussians, opened.file, opened.run, config, capture, chosen, opened.render, opened.georeference
    )


def open_run(
    path: Path,
    capture: Path | None = None,
    device: str = "auto",
    *,
    load: Callable[[Path], LoadedScene] = load_with_facts,
) -> TrainedRun:
    """Open the folder of a run; the arguments are those of `open_trained`.

    Raises:
        InputError: there is no run or no such device, or the run's configuration is damaged.
    """
    run = Run(path)
    config, recorded = load_config(run)
    chosen = choose_device(device)
    opened = open_scene(path, chosen, load=load)
    settings = replace(opened.render, antialiased=config.optimization.antialiased)
    return TrainedRun(
        opened.gaussians, opened.file, run, config, capture or recorded, chosen, settings, run.georeference()
    )


def photo_options(config: TrainConfig) -> PhotoOptions:
    """How a run wants its photos."""
    data = config.data
    return PhotoOptions(
        resolution=data.resolution,
        max_image_size=data.max_image_size,
        images=data.images,
        masks=data.masks or None,
        invert_masks=data.invert_masks,
        depths=data.depths,
        allow_missing=data.allow_missing,
        cache_bytes=parse_bytes("`image_cache`", data.image_cache),
    )


def read_capture(
    source: Path,
    config: TrainConfig,
    progress: bool = True,
    *,
    georeference: Georeference | None = None,
    scene: Tensor | None = None,
) -> Capture:
    """Load the photos as the run wants them, and say what was found.

    Args:
        progress: tell a person what is going on.
        georeference, scene: see `load_capture`.

    Raises:
        InputError: there is no capture, or it cannot be used.
    """
    capture = load_capture(source, photo_options(config), georeference=georeference, scene=scene, progress=progress)
    if progress:
        print(summary(capture))
    else:
        warn_of_losses(capture)
    return capture
