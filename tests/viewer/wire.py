"""A browser without a screen: it speaks to a viewer over its websocket and keeps what it is sent."""

import contextlib
import io
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch
import viser
import zstandard
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from splat import Camera
from splat.geometry.quaternions import from_rotation_matrix
from splat.viewer.app import Viewer
from splat.viewer.draw.client_camera import ClientCamera

WAIT = 40.0
"""Seconds until something that should happen counts as not happening."""


class Wire:
    """One connection.

    Args:
        viewer: to look at.
        size: of the window that it claims to have.
    """

    def __init__(self, viewer: Viewer, size: tuple[int, int] = (160, 120), **options: Any) -> None:
        self.viewer, self.size = viewer, size
        self.mark = 0  # pictures that had come when something was last asked for
        self.messages: list[dict[str, Any]] = []
        self.lock = threading.Condition()
        self.closed = False
        self.socket: ClientConnection = connect(
            f"ws://127.0.0.1:{viewer.port}", subprotocols=[f"viser-v{viser.__version__}"], max_size=None, **options
        )
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.thread.join(timeout=10)

    def _receive(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for raw in self.socket:
                packed = int.from_bytes(raw[8:16], "little")
                content = msgspec.msgpack.decode(zstandard.decompress(raw[16 : 16 + packed]))
                with self.lock:
                    self.messages += content["messages"]
                    self.lock.notify_all()
        with self.lock:
            self.closed = True
            self.lock.notify_all()

    def expect(self) -> None:
        """From now on another picture is due."""
        self.mark = len(self.frames())

    def send(self, **message: Any) -> None:
        self.expect()
        self.socket.send(msgspec.msgpack.encode(message))

    def look(self, camera: Camera, **changes: Any) -> None:
        """Report a camera, as a browser does when it has moved."""
        wxyz = from_rotation_matrix(camera.viewmat[:3, :3].T.double()).tolist()
        position = camera.position.double()
        message = {
            "wxyz": wxyz,
            "position": position.tolist(),
            "fov": 2 * math.atan(0.5 * camera.height / float(camera.K[1, 1])),
            "near": 0.01,
            "far": 1000.0,
            "image_height": self.size[1],
            "image_width": self.size[0],
            "look_at": (position + camera.viewmat[2, :3].double()).tolist(),
            "up_direction": (-camera.viewmat[1, :3].double()).tolist(),
        }
        self.send(type="ViewerCameraMessage", **(message | changes))

    def set(self, label: str, value: Any) -> None:
        """Use a control."""
        self.send(type="GuiUpdateMessage", uuid=self.control(label)["uuid"], updates={"value": value})

    def control(self, label: str) -> dict[str, Any]:
        """The message that made a control, by its label."""
        return self.wait(lambda: next((m for m in self.messages if m.get("props", {}).get("label") == label), None))

    def frames(self, format: str | None = None) -> list[dict[str, Any]]:
        """The pictures that came, of all formats or one."""
        found = [m for m in self.messages if m["type"] == "BackgroundImageMessage" and m["rgb_data"] is not None]
        return [m for m in found if format in (None, m["format"])]

    def settled(self) -> torch.Tensor:  # [H, W, 3] uint8
        """The picture that stays, after the last thing that was asked for."""
        self.wait(lambda: len(self.frames()) > self.mark or None)
        quiet = 0
        while quiet < 6:
            time.sleep(0.05)
            quiet = quiet + 1 if self.viewer.loop.idle else 0
        return decoded(self.frames()[-1])

    def notifications(self) -> list[str]:
        return [m["props"]["body"] for m in self.messages if m["type"] == "NotificationShowMessage"]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives once that is not None."""
        with self.lock:
            found = self.lock.wait_for(lambda: self.closed or condition() is not None, WAIT)
            result = condition()
        assert found and result is not None, "the viewer has closed the connection" if self.closed else "nothing came"
        return result


def decoded(frame: dict[str, Any]) -> torch.Tensor:  # [H, W, 3] uint8
    return torch.from_numpy(np.array(Image.open(io.BytesIO(frame["rgb_data"])).convert("RGB")))


def seen_by(camera: Camera, width: int, height: int) -> Camera:
    """What the viewer makes of a camera that a window of this size reports."""
    wxyz = from_rotation_matrix(camera.viewmat[:3, :3].T.double()).tolist()
    fov = 2 * math.atan(0.5 * camera.height / float(camera.K[1, 1]))
    return ClientCamera(tuple(wxyz), tuple(camera.position.double().tolist()), fov, width, height).camera()
