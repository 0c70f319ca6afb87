"""Viewer: the viser application. It owns the server, the scenes, the panels and the loop that draws for every browser."""

import contextlib
import io
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path

import viser

from splat.datasets.capture import Capture
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.viewpoints import first_view
from splat.viewer.address import is_local
from splat.viewer.context import ClientPanel, Panel, ViewerContext
from splat.viewer.draw.client_camera import vertical_fov
from splat.viewer.draw.client_view import ClientView
from splat.viewer.draw.contribution import Scores, score
from splat.viewer.draw.look import Look
from splat.viewer.draw.render_loop import RenderLoop
from splat.viewer.edit.edit_panel import EditPanel
from splat.viewer.guard import Guard
from splat.viewer.panels import help as help_page
from splat.viewer.panels.look_panel import LookPanel
from splat.viewer.panels.photo_panel import PhotoPanel
from splat.viewer.panels.scenes_panel import ScenesPanel
from splat.viewer.path.path_panel import PathPanel
from splat.viewer.slots import SceneSlot

LONGEST = 1920
"""Longest side in pixels of a full picture, unless told otherwise."""

CLIENT_PANELS: list[type[ClientPanel]] = [LookPanel, PhotoPanel]
"""Panels of each browser, first."""

PANELS: list[type[Panel]] = [ScenesPanel, EditPanel, PathPanel]
"""Panels that all browsers share."""

NARROW = 700
"""Width of a window in pixels up to which controls are a sheet at its bottom, as viser makes it for phones."""


class Viewer:
    """Shows scenes to any number of browsers.

    Args:
        scenes: at least one.
        capture: whose cameras and photos can be looked at with them.
        run: folder of the run that is shown, where there is one; paths of cameras are saved there.
        host, port: where the server listens; another port is taken if this one is in use.
        background: of the pictures at first, 0 to 255.
        longest: side in pixels of a full picture, at most.
        fraction: of the time, that drawing may take from a training.
        panels: further panels that all browsers share, before the others.
        messages: shown to every browser that comes.
        live: the first scene is being trained, so that panels which change it are left out.
        allowed_hosts: names under which browsers reach the viewer through a proxy.
    """

    def __init__(
        self,
        scenes: Sequence[SceneSlot],
        *,
        capture: Capture | None = None,
        run: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        background: tuple[int, int, int] = (0, 0, 0),
        longest: int = LONGEST,
        fraction: float = 1.0,
        panels: Sequence[Callable[[ViewerContext], Panel]] = (),
        messages: Sequence[str] = (),
        live: bool = False,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        self.scenes = list(scenes)
        self.capture, self.run = capture, run
        self.background, self.longest, self.messages = background, longest, list(messages)
        self.lock = threading.RLock()  # held while slots are changed
        self.scores: Scores | None = None
        self._scoring = threading.Lock()
        cameras = [frame.camera for frame in capture.frames] if capture else []
        self.view = first_view(self.scenes[0].gaussians.means, cameras, capture.extent if capture else None)
        with contextlib.redirect_stdout(io.StringIO()):  # viser's own banner; `splat view` says where it is
            self.server = viser.ViserServer(host, port, label="splat", verbose=False)
        self.guard = Guard(self.server, local=is_local(host), hosts=allowed_hosts)
        self.server.gui.configure_theme(
            control_width="medium", show_logo=False, show_share_button=False, brand_color=(28, 126, 214)
        )
        self._place_first_camera()
        self.loop = RenderLoop(self, fraction)
        tabs = self.server.gui.add_tab_group()
        self._building = threading.Lock()  # viser keeps one open container per tab
        self._client_tabs = [(panel, tabs.add_tab(panel.title)) for panel in CLIENT_PANELS]
        makers: list[Callable[[ViewerContext], Panel]] = [*panels, *PANELS]
        made = [make(self) for make in makers]
        self.panels: list[Panel] = [panel for panel in made if not (live and panel.edits)]
        for panel in self.panels:
            with tabs.add_tab(panel.title):
                panel.build(self.server.gui)
        help_page.add(self)
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)
        self.loop.start()

    @property
    def port(self) -> int:
        return self.server.get_port()

    def replace(self, slot: SceneSlot, gaussians: Gaussians) -> None:
        """Show other Gaussians in a slot, to all browsers."""
        with self.lock:
            slot.replace(gaussians)
        self.refresh()

    def refresh(self) -> None:
        """Draw again for all browsers: something in a slot has changed."""
        self.loop.refresh()

    def score(self, client: viser.ClientHandle) -> None:
        """Find out what each Gaussian of the first scene does for the photos, unless that is known; shown when done."""
        slot = self.scenes[0]
        if self.capture is None:
            self.notify(
                "No photos are known",
                "`splat view --capture FOLDER` names those that the scene was made from.",
                client=client,
            )
            return
        if not self._scoring.acquire(blocking=False):
            return  # under way
        try:
            gaussians = slot.gaussians
            if self.scores is not None and self.scores.of is gaussians:
                return
            told = client.add_notification("Looking through the photos", "", loading=True, auto_close_seconds=None)
            frames = [
                replace(frame, camera=slot.transform.inverse().camera(frame.camera)) for frame in self.capture.frames
            ]

            def progress(fraction: float) -> None:
                told.body = f"{fraction:.0%}"

            self.scores = score(gaussians, frames, slot.settings, progress)
            told.remove()
        finally:
            self._scoring.release()
        self.refresh()

    def notify(
        self, title: str, body: str = "", *, client: viser.ClientHandle | None = None, error: bool = False
    ) -> None:
        """Show a message in a corner of one browser, or of all."""
        for one in self.server.get_clients().values() if client is None else [client]:
            one.add_notification(title, body, color="red" if error else None, auto_close_seconds=None if error else 5.0)

    def guarded(self, callback: Callable[..., object]) -> Callable[..., None]:
        """A callback of a control whose errors become messages in the browser that caused them."""

        @wraps(callback)
        def run(event: object = None) -> None:
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
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    async def _disconnected(self, client: viser.ClientHandle) -> None:
        """A browser has gone. A coroutine, because viser's threads may have ended before the last one goes."""
        self.loop.remove(client)

    def _place_first_camera(self) -> None:
        """Where browsers look from when they come."""
        first, initial = self.view, self.server.initial_camera
        self.server.scene.set_up_direction(tuple(first.up.tolist()))
        initial.position = tuple(first.position.tolist())
        initial.look_at = tuple(first.target.tolist())
        initial.up = tuple(first.up.tolist())
        initial.near, initial.far = 1e-3 * first.extent, 1e3 * first.extent
        if self.capture is not None:
            initial.fov = vertical_fov(self.capture.frames[0].camera)

    def _connected(self, client: viser.ClientHandle) -> None:
        """A browser has come: make its controls, then draw for it."""
        view = ClientView(client, Look(background=self.background))
        if client.camera.image_width > NARROW:
            client.gui.main_panel.dock_right()  # beside the picture, not over it
        with self._building:
            for panel, tab in self._client_tabs:
                with tab:
                    panel(self, view).build(client.gui)
        self.loop.add(view)
        for message in self.messages:
            self.notify("Not everything could be opened", message, client=client, error=True)
