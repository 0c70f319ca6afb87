"""PathFlight: a camera path in the viewer: its line and keyframes in the scene, and flying a browser along it."""

import threading
import time
from collections.abc import Callable

import numpy as np
import viser

from splat.geometry.camera_path import CameraPath, Keyframe
from splat.viewer.context import ViewerContext

LINE = (28, 126, 214)
CURRENT = (255, 190, 60)
SAMPLES = 24
"""Pieces of the line from one keyframe to the next."""
MOST_FRUSTUMS = 100
RATE = 30.0
"""Times a second that a browser's camera is moved."""


class PathFlight:
    """Draws the path for all browsers; flies each one by itself.

    Args:
        chosen: told the index of a keyframe that was clicked.
    """

    def __init__(self, viewer: ViewerContext, chosen: Callable[[int], None]) -> None:
        self.viewer, self.chosen = viewer, chosen
        self.nodes: list[viser.SceneNodeHandle] = []
        self.flights: dict[int, threading.Event] = {}  # client -> set to end its flight
        self.lock = threading.Lock()

    def draw(self, path: CameraPath | None, current: int) -> None:
        """Show the line and a frustum per keyframe, the current one in another color; nothing without a path."""
        scene, size = self.viewer.server.scene, 0.05 * self.viewer.view.extent
        with self.lock:
            while self.nodes:
                self.nodes.pop().remove()
            if path is None:
                return
            if path.duration:
                fractions = np.linspace(0, path.duration, SAMPLES * len(path.keyframes) + 1)
                points = np.array([keyframe.position for keyframe in path.keyframe_at(fractions)])
                edges = np.stack([points[:-1], points[1:]], axis=1)
                self.nodes.append(
                    scene.add_line_segments(
                        "/path/line", points=edges, colors=LINE, thickness=2.5, thickness_units="screen"
                    )
                )
            for index, keyframe in enumerate(path.keyframes[:MOST_FRUSTUMS]):
                frustum = scene.add_camera_frustum(
                    f"/path/{index}",
                    fov=float(np.radians(keyframe.fov)),
                    aspect=16 / 9,
                    scale=size,
                    thickness=2.0,
                    thickness_units="screen",
                    color=CURRENT if index == current else LINE,
                    wxyz=keyframe.quaternion,
                    position=keyframe.position,
                )
                frustum.on_click(self.viewer.guarded(lambda _, index=index: self.chosen(index)))
                self.nodes.append(frustum)

    def hide(self, hidden: bool) -> None:
        """While somebody flies, the path would be in the way."""
        with self.lock:
            for node in self.nodes:
                node.visible = not hidden

    def play(self, client: viser.ClientHandle, path: CameraPath, start: float = 0.0) -> None:
        """Fly a browser along the path in real time, from a time in seconds to the end; a loop until it is stopped."""
        self.stop(client)
        ended = self.flights[client.client_id] = threading.Event()
        threading.Thread(target=self._fly, args=(client, path, start, ended), name="flight", daemon=True).start()

    def stop(self, client: viser.ClientHandle) -> None:
        """End a browser's flight, where it is."""
        ended = self.flights.pop(client.client_id, None)
        if ended is not None:
            ended.set()

    def _fly(self, client: viser.ClientHandle, path: CameraPath, start: float, ended: threading.Event) -> None:
        self.hide(True)
        began = time.monotonic() - start
        try:
            while not ended.is_set() and client.client_id in self.viewer.server.get_clients():
                seconds = time.monotonic() - began
                go_to(client, path.keyframe_at(seconds)[0])
                if seconds >= path.duration and not path.loop:
                    break
                ended.wait(1 / RATE)
        finally:
            if self.flights.get(client.client_id) is ended:
                del self.flights[client.client_id]
            if not self.flights:
                self.hide(False)


def go_to(client: viser.ClientHandle, keyframe: Keyframe) -> None:
    """Let a browser look from a keyframe."""
    with client.atomic():
        client.camera.position = keyframe.position
        client.camera.wxyz = keyframe.quaternion
        client.camera.fov = float(np.radians(keyframe.fov))
    client.flush()


def looking(client: viser.ClientHandle, seconds: float = 2.0, ease: bool = False) -> Keyframe:
    """What a browser sees now, as a keyframe."""
    (x, y, z), (w, a, b, c) = client.camera.position.tolist(), client.camera.wxyz.tolist()
    return Keyframe((x, y, z), (w, a, b, c), float(np.degrees(client.camera.fov)), seconds, ease)
