"""A browser as the panels see it, without one: for tests of what controls do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from splat.geometry.camera_path import Keyframe


@dataclass
class Window:
    """Somebody who looks from a keyframe."""

    client_id: int = 7
    camera: SimpleNamespace = field(default_factory=SimpleNamespace)
    told: list[tuple[str, str]] = field(default_factory=list)
    downloads: dict[str, bytes] = field(default_factory=dict)

    @staticmethod
    def at(keyframe: Keyframe, width: int = 64, height: int = 48) -> "Window":
        window = Window()
        window.camera = SimpleNamespace(image_width=width, image_height=height)
        window.look_from(keyframe)
        return window

    def look_from(self, keyframe: Keyframe) -> None:
        self.camera.position = np.array(keyframe.position)
        self.camera.wxyz = np.array(keyframe.quaternion)
        self.camera.fov = float(np.radians(keyframe.fov))

    def does(self, value: Any = None, **more: Any) -> SimpleNamespace:
        """The event of a control that was used here."""
        return SimpleNamespace(client=self, client_id=self.client_id, target=SimpleNamespace(value=value), **more)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        yield

    def flush(self) -> None:
        pass

    def add_notification(self, title: str, body: str = "", **_: Any) -> None:
        self.told.append((title, body))

    def send_file_download(self, name: str, content: bytes, **_: Any) -> None:
        self.downloads[name] = content
