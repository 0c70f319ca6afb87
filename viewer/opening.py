"""Opening: from the paths that `splat view` was given to slots, with the capture they were made from where it is known."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from splat.compression.formats.registry import scene_file
from splat.datasets.capture import Scene
from splat.datasets.load import PhotoOptions, load_scene
from splat.errors import InputError
from splat.viewer.saved_scenes import load_saved, saved_scenes
from splat.viewer.slots import SceneSlot

PHOTO_SIDE = 1600
"""Longest side of the photos that renders are compared with, in pixels, where the run does not say."""
PHOTO_MEMORY = 1 << 30
"""Bytes of decoded photos that are kept."""


@dataclass(frozen=True)
class RunFacts:
    """What config.json says about a run, as far as the viewer needs it. Every value may be missing or wrong there."""

    capture: Path | None = None
    resolution: int = -1
    images: str = "images"
    masks: str | None = "masks"
    antialiased: bool = False
    background: tuple[int, int, int] = (0, 0, 0)


def run_facts(folder: Path) -> RunFacts:
    """Read the settings of a run; defaults where there are none or they are not understood."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        data, optimization = values["data"], values["optimization"]
        white = optimization["background"] == "white"
        return RunFacts(
            Path(values["capture"]),
            int(data["resolution"]),
            str(data["images"]),
            str(data["masks"]) if data["masks"] else None,
            bool(optimization["antialiased"]),
            (255, 255, 255) if white else (0, 0, 0),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return RunFacts()


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
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path")
    saved = saved_scenes(path) if path.is_dir() else {}
    file = saved[max(saved)] if saved else scene_file(path)
    name = path.resolve().name if path.is_dir() else path.name
    facts = run_facts(path) if saved else RunFacts()
    return SceneSlot(name, load_saved(file).to(device), path, file, antialiased=facts.antialiased)


def saved_iterations(slot: SceneSlot) -> dict[int, Path]:
    """Iteration -> file of all that a run has saved; empty for a scene that is not of a run."""
    return saved_scenes(slot.path) if slot.path is not None and slot.path.is_dir() else {}


def open_capture(given: Path | None, slots: list[SceneSlot]) -> tuple[Scene | None, str | None]:
    """The capture that was named, or else the one that the first run was trained on, if it is still there.

    Returns:
        The capture, and why there is none though a run has one.

    Raises:
        InputError: the one that was named cannot be read.
    """
    run = next((slot.path for slot in slots if slot.path is not None and saved_iterations(slot)), None)
    facts = run_facts(run) if run is not None else RunFacts()
    path = given or facts.capture
    if path is None:
        return None, None
    options = PhotoOptions(
        resolution=facts.resolution,
        max_size=PHOTO_SIDE,
        images=facts.images,
        masks=facts.masks,
        cache_bytes=PHOTO_MEMORY,
    )
    try:
        return load_scene(path, options), None
    except (InputError, OSError) as problem:
        if given is not None:
            raise
        return None, f"the photos of {run} are not shown: {problem}"
