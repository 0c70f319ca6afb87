"""open_trained and open_run: how the verbs of training open a scene or a run, with its configuration, capture and device."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splat.datasets.capture import Capture
from splat.datasets.load import PhotoOptions, load_capture
from splat.device import choose_device
from splat.gaussians import Gaussians
from splat.io.parsing import parse_bytes
from splat.opening import open_scene
from splat.plugins import load_scene
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

    @property
    def settings(self) -> RenderSettings:
        return RenderSettings(antialiased=self.config.optimization.antialiased)

    @property
    def background(self) -> Tensor:  # [3]
        """Color behind the scene where it must not be random, on the device."""
        return evaluation_background(self.config).to(self.device)

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
    load: Callable[[Path], Gaussians] = load_scene,
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
    return TrainedScene(opened.gaussians, opened.file, opened.run, TrainConfig(), capture, chosen)


def open_run(
    path: Path,
    capture: Path | None = None,
    device: str = "auto",
    *,
    load: Callable[[Path], Gaussians] = load_scene,
) -> TrainedRun:
    """Open the folder of a run; the arguments are those of `open_trained`.

    Raises:
        InputError: there is no run or no such device, or the run's configuration is damaged.
    """
    run = Run(path)
    config, recorded = load_config(run)
    chosen = choose_device(device)
    opened = open_scene(path, chosen, load=load)
    return TrainedRun(opened.gaussians, opened.file, run, config, capture or recorded, chosen)


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
        cache_bytes=parse_bytes("`image_cache`", data.image_cache),
    )


def read_capture(source: Path, config: TrainConfig, progress: bool = True) -> Capture:
    """Load the photos as the run wants them, and say what was left out.

    Args:
        progress: tell a person what is going on.

    Raises:
        InputError: there is no capture, or it cannot be used.
    """
    capture = load_capture(source, photo_options(config), progress=progress)
    for name, reason in capture.skipped:
        warnings.warn(f"{name} {reason}; left out", stacklevel=2)
    for note in capture.notes:
        if progress:
            print(note)
    return capture
