"""Viewers for tests, on free ports."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from captures import subject

from splat.viewer.app import Viewer
from splat.viewer.slots import SceneSlot


@contextmanager
def viewers() -> Iterator[Callable[..., Viewer]]:
    """A function that makes viewers; they are closed in the end."""
    made: list[Viewer] = []

    def make(*scenes: SceneSlot, **options: Any) -> Viewer:
        torch.set_num_threads(1)
        made.append(Viewer(scenes or [SceneSlot("subject", subject())], port=0, **options))
        return made[-1]

    try:
        yield make
    finally:
        for viewer in made:
            viewer.stop()
