"""RenderLoop: one thread that draws for all clients in turn, coarsely while a camera moves and fully when it rests."""

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import viser

import splat
from splat.image_io import to_uint8
from splat.viewer.client_camera import camera_of

if TYPE_CHECKING:
    from splat.viewer.app import Viewer


@dataclass
class ClientView:
    """What the loop knows of a client."""

    client: viser.ClientHandle
    dirty: bool = True
    moved: float = field(default_factory=time.monotonic)


class RenderLoop:
    """Draws. Started once, stopped once."""

    def __init__(self, viewer: "Viewer") -> None:
        self.viewer = viewer
        self.views: dict[int, ClientView] = {}
        self.wake = threading.Event()
        self.stopping = False
        self.thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping = True
        self.wake.set()
        self.thread.join(timeout=5)

    def add(self, client: viser.ClientHandle) -> None:
        view = self.views[client.client_id] = ClientView(client)

        @client.camera.on_update
        async def _(_: viser.CameraHandle) -> None:
            view.dirty, view.moved = True, time.monotonic()
            self.wake.set()

        self.wake.set()

    def remove(self, client: viser.ClientHandle) -> None:
        self.views.pop(client.client_id, None)

    def refresh(self) -> None:
        for view in list(self.views.values()):
            view.dirty = True
        self.wake.set()

    def _run(self) -> None:
        while not self.stopping:
            self.wake.wait(0.5)
            self.wake.clear()
            for view in list(self.views.values()):
                if view.dirty:
                    view.dirty = False
                    camera = camera_of(view.client.camera, 1280)
                    with torch.no_grad():
                        image = splat.render(self.viewer.scenes[0].gaussians, camera).rgb
                    view.client.scene.set_background_image(to_uint8(image).numpy(), format="jpeg")
