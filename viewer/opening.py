"""Opening: from the paths that `splat view` was given to slots, with the capture they were made from where it is known."""

from pathlib import Path

import torch

from splat.datasets.capture import Capture
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.summary import warn_of_losses
from splat.errors import InputError
from splat.opening import open_scene as open_saved_scene
from splat.run import Run, RunSettings
from splat.viewer.slots import SceneSlot

PHOTO_SIDE = 1600
"""Longest side of the photos that renders are compared with, in pixels, where the run does not say."""
PHOTO_MEMORY = 1 << 30
"""Bytes of decoded photos that are kept."""


def open_scenes(paths: list[Path], device: torch.device) -> tuple[list[SceneSlot], list[str]]:
    """A slot per path. Also returns what went wrong with the others.

    Raises:
        InputError: not one can be read.
    """
    slots, problems = [], []
    for path in paths:
        try:
            slots.append(open_scene(path, device))
        except (InputError, OSError) as problem:
            if len(paths) == 1:
                raise
            problems.append(str(problem))
    if not slots:
        raise InputError("none of the scenes can be read:\n  " + "\n  ".join(problems))
    names = [slot.name for slot in slots]
    for number, slot in enumerate(slots):
        if names.count(slot.name) > 1:
            slot.name = f"{slot.name} ({number + 1})"
    return slots, problems


def open_scene(path: Path, device: torch.device) -> SceneSlot:
    """Read one scene: a file of any format, or the latest of a run.

    Raises:
        InputError: there is none, or it is damaged.
    """
    opened = open_saved_scene(path, device, checkpoints=True)
    name = path.resolve().name if path.is_dir() else path.name
    return SceneSlot(
        name, opened.gaussians, path, opened.file, settings=opened.render, georeference=opened.georeference
    )


def saved_iterations(slot: SceneSlot) -> dict[int, Path]:
    """Iteration -> file of all that a run has saved; empty for a scene that is not of a run."""
    return Run(slot.path).snapshots() if slot.path is not None and slot.path.is_dir() else {}


def first_run(slots: list[SceneSlot]) -> Run | None:
    """The run that the first scene of one belongs to."""
    return next((Run(slot.path) for slot in slots if slot.path is not None and saved_iterations(slot)), None)


def open_capture(given: Path | None, slots: list[SceneSlot]) -> tuple[Capture | None, str | None]:
    """The capture that was named, or else the one that the first run was trained on, if it is still there.

    Returns:
        The capture, and why there is none though a run has one.

    Raises:
        InputError: the one that was named cannot be read.
    """
    run = first_run(slots)
    settings = RunSettings() if run is None else run.settings()
    path = given or settings.capture
    if path is None:
        return None, None
    options = PhotoOptions(
        resolution=settings.resolution,
        max_image_size=PHOTO_SIDE,
        images=settings.images,
        masks=settings.masks,
        allow_missing=True,
        cache_bytes=PHOTO_MEMORY,
    )
    # Where no scene is of a run, the first one says what coordinates are meant.
    told = [slot for slot in slots if run is None or slot.path == run.path][:1]
    georeference = told[0].georeference if told else None
    means = told[0].gaussians.means if told else None
    try:
        capture = load_capture(path, options, georeference=georeference, scene=means, progress=True)
        warn_of_losses(capture)
        return capture, None
    except (InputError, OSError) as problem:
        if given is not None or run is None:
            raise
        return None, f"the photos of {run.path} are not shown: {problem}"
