"""What lower folders ask of upper ones: file formats, captures, the live viewer, each found by name when it is called.

Besides the table of verbs (splat/cli/verbs.py) this is the only place where a string names a module of a folder above. So
the core and training read every format and can be watched without importing anything of compression or viewer.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splat.callbacks import LiveViewer
from splat.gaussians import Gaussians

LOAD_SCENE = "splat.compression.formats.registry:load"
SAVE_SCENE = "splat.compression.formats.registry:save"
DESCRIBE_CAPTURE = "splat.datasets.describe:describe_capture"
LIVE_VIEWER = "splat.viewer.live:LiveTraining"


def find(target: str) -> Callable[..., Any]:
    """Import `module:name`."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def load_scene(path: str | Path) -> Gaussians:
    """Read a scene of any format; a folder stands for the latest scene of a run, or for an unzipped SOG.

    Raises:
        InputError: there is none, or it is damaged.
    """
    gaussians: Gaussians = find(LOAD_SCENE)(path)
    return gaussians


def save_scene(gaussians: Gaussians, path: str | Path) -> None:
    """Write a scene, atomically, in the format that the name ends in: .ply (lossless), .splatz, .sog, .spz, .splat, .glb ...

    Raises:
        InputError: the format cannot be written, or cannot hold this scene.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    find(SAVE_SCENE)(gaussians, path)


def describe_capture(path: Path) -> dict[str, Any]:
    """What a capture contains, as JSON-able values.

    Raises:
        InputError: there is no capture, or it cannot be read.
    """
    facts: dict[str, Any] = find(DESCRIBE_CAPTURE)(path)
    return facts


def live_viewer() -> Callable[..., LiveViewer]:
    """The class of what shows a run in the browser while it trains; splat.viewer.live says what it takes."""
    return find(LIVE_VIEWER)
