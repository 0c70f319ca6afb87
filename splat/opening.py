"""open_scene: how every verb opens what a person names, a scene of any format or the folder of a run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.geometry.scene_size import near_plane, point_radius
from splat.io.checkpoint_file import read_checkpoint
from splat.io.georeference_file import georeference_beside
from splat.plugins import load_scene, load_with_facts
from splat.result import LoadedScene
from splat.run import Run, RunSettings, find_run, find_scene
from splat.settings import RenderSettings


@dataclass(frozen=True)
class OpenedScene:
    """A scene, and what is known of where it came from."""

    gaussians: Gaussians
    file: Path
    run: Run | None = None  # None for a scene that is not of a run
    settings: RunSettings = field(default_factory=RunSettings)
    render: RenderSettings = field(default_factory=RenderSettings)  # how it is drawn as it was trained
    georeference: Georeference | None = None  # where its coordinates lie in its capture's, where that is known
    moved: bool = False  # whether its file has the capture's coordinates, and only memory has others


def open_scene(
    path: Path,
    device: torch.device | str = "cpu",
    *,
    load: Callable[[Path], LoadedScene] = load_with_facts,
    checkpoints: bool = False,
) -> OpenedScene:
    """Open a scene of any format, the latest of a run, or an unzipped SOG.

    Args:
        path: a file or a folder.
        device: where the Gaussians are put.
        load: reads a scene's file.
        checkpoints: a run's latest checkpoint will do where it is newer than its latest scene.

    Raises:
        InputError: there is no scene, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path")
    run = find_run(path)
    snapshots = run.snapshots() if checkpoints and run is not None else {}
    file = snapshots[max(snapshots)] if snapshots else find_scene(path)
    loaded = LoadedScene(load_snapshot(file)) if file.suffix == ".pt" else load(file)
    gaussians = loaded.gaussians.to(device)
    settings = RunSettings() if run is None else run.settings()
    if settings.capture is not None:
        render = settings.render
    else:  # not trained here, so in any unit
        render = settings_for(gaussians, settings.antialiased or bool(loaded.antialiased))
    georeference = run.georeference() if run is not None else loaded.georeference or georeference_beside(file)
    return OpenedScene(gaussians, file, run, settings, render, georeference, loaded.georeference is not None)


def settings_for(gaussians: Gaussians, antialiased: bool = False) -> RenderSettings:
    """How a scene is drawn of which nothing is known but its Gaussians: its near plane goes by its size."""
    return RenderSettings(near=near_plane(2 * point_radius(gaussians.means)), antialiased=antialiased)


def load_snapshot(file: Path) -> Gaussians:
    """Read a scene of any format, or out of a checkpoint, there without its sky.

    Raises:
        InputError: it is damaged or gone.
    """
    if file.suffix != ".pt":
        return load_scene(file)
    state = read_checkpoint(file, mmap=True)
    try:
        parameters = state["optimizer"]["parameters"]
        names = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")
        return Gaussians(**{name: parameters[name].float().clone() for name in names})
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(f"{file}: a checkpoint without Gaussians ({error}); choose another iteration") from None
