"""Viewer: the viser application. It owns the server, the scenes, the panels and the loop that draws for every client."""

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import torch
import viser
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.scene import Scene
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.viewer.client_camera import camera_of
from splat.viewer.panels import PANELS, Panel
from splat.viewer.render_loop import RenderLoop
from splat.viewer.slots import SceneSlot


class Viewer:
    """Shows scenes to any number of browsers.

    Args:
        scenes: at least one.
        capture: whose cameras and photos can be looked at with them.
        run: folder of the run that is shown, where there is one; paths of cameras are saved there.
        host, port: where the server listens; another port is taken if this one is in use.
    """

    def __init__(
        self,
        scenes: Sequence[SceneSlot],
        *,
        capture: Scene | None = None,
        run: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
    ) -> None:
        self.scenes = list(scenes)
        self.capture, self.run = capture, run
        self.lock = threading.RLock()  # held while slots are changed
        self.server = viser.ViserServer(host, port, label="splat", verbose=False)
        self.loop = RenderLoop(self)
        self.up = upward(capture)
        self.server.scene.set_up_direction(tuple(self.up.tolist()))
        self.panels: list[Panel] = [panel(self) for panel in PANELS]
        tabs = self.server.gui.add_tab_group()
        for panel in self.panels:
            with tabs.add_tab(panel.title):
                panel.build(self.server.gui)
        self.server.on_client_connect(self.loop.add)
        self.server.on_client_disconnect(self.loop.remove)
        self.loop.start()

    @property
    def port(self) -> int:
        return self.server.get_port()

    def replace(self, slot: SceneSlot, gaussians: Gaussians) -> None:
        """Show other Gaussians in a slot, to all clients."""
        with self.lock:
            slot.replace(gaussians)
        self.refresh()

    def refresh(self) -> None:
        """Draw again for all clients: something in a slot has changed."""
        self.loop.refresh()

    def client_camera(self, client: viser.ClientHandle) -> Camera:
        """The camera of a client now, at the size of its window in pixels."""
        return camera_of(client.camera)

    def notify(
        self, title: str, body: str = "", *, client: viser.ClientHandle | None = None, error: bool = False
    ) -> None:
        """Show a message in a corner of one browser, or of all."""
        for one in self.server.get_clients().values() if client is None else [client]:
            one.add_notification(title, body, color="red" if error else None, auto_close_seconds=None if error else 5.0)

    def guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """A callback of a control whose errors become messages in the browser that caused them."""

        @wraps(callback)
        def run(event: Any = None) -> None:
            try:
                callback(event)
            except Exception as failure:
                if not isinstance(failure, InputError | OSError):
                    traceback.print_exc()
                print(f"viewer: {failure}", file=sys.stderr)
                self.notify("That did not work", str(failure), client=getattr(event, "client", None), error=True)

        return run

    def stop(self) -> None:
        """Close the server; browsers say that the connection was lost."""
        self.loop.stop()
        self.server.stop()


def upward(capture: Scene | None) -> Tensor:  # [3]
    """The world's direction up: that of the photos on average; y down, as COLMAP's worlds mostly are, without any."""
    if capture is None:
        return torch.tensor([0.0, -1.0, 0.0])
    up = -torch.stack([frame.camera.viewmat[1, :3] for frame in capture.frames]).mean(0)
    return torch.nn.functional.normalize(up, dim=0)
