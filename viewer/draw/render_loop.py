"""RenderLoop: one thread that draws for all browsers in turn, coarsely while a camera moves and fully when it rests."""

import sys
import threading
import time
import traceback
from typing import Protocol

import torch
import viser

from splat.geometry.viewpoints import Viewpoint
from splat.viewer.draw.client_splats import ClientSplats
from splat.viewer.draw.client_view import ClientView
from splat.viewer.draw.contribution import Scores
from splat.viewer.draw.pacing import Duty
from splat.viewer.draw.picture import Request, draw
from splat.viewer.draw.prepared import PreparedCache
from splat.viewer.slots import SceneSlot

MOVING_QUALITY = 70
"""Of the JPEGs while a camera moves."""
FOLLOWING_QUALITY = 92
"""Of the full JPEGs of a scene that trains; PNG would take more time from the training than drawing does."""
MOVING_FRACTION = 0.6
"""Fraction of the time that drawing may take while a camera moves and a training runs."""
STARVED = 1.0
"""Seconds after which a full picture is drawn although another browser's camera moves."""


class Drawable(Protocol):
    """What is drawn of a viewer, and how its browsers are told what could not be."""

    server: viser.ViserServer
    scenes: list[SceneSlot]
    view: Viewpoint  # the first one
    scores: Scores | None  # of the first scene's Gaussians, once they are known
    longest: int  # side in pixels of a full picture, at most

    def notify(
        self, title: str, body: str = "", *, client: viser.ClientHandle | None = None, error: bool = False
    ) -> None:
        """Show a message in a corner of one browser, or of all."""


class RenderLoop:
    """Draws what browsers look at. Started once, stopped once. An error in a picture is told to its browser.

    Args:
        fraction: fraction of the time that drawing may take from a training while cameras rest; 1 where there is none.
    """

    def __init__(self, viewer: Drawable, fraction: float = 1.0) -> None:
        self.viewer = viewer
        self.views: dict[int, ClientView] = {}
        self.cache = PreparedCache()
        self.stream = gpu_stream(viewer.scenes[0].gaussians.device)
        self.give(fraction)
        self.moving = Duty(MOVING_FRACTION if fraction < 1 else 1.0)
        self.last_was_moving = False  # whether the last picture was of a moving camera
        self.wake = threading.Event()
        self.stopped = threading.Event()
        self.following = fraction < 1  # a training goes on
        self.thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.wake.set()
        if self.thread.is_alive():
            self.thread.join(timeout=5)

    def add(self, view: ClientView) -> None:
        """A browser has come."""
        self.views[view.client.client_id] = view

        @view.client.camera.on_update
        async def _(handle: viser.CameraHandle) -> None:
            if view.moved_to(handle):
                self.wake.set()

        view.moved_to(view.client.camera)
        self.wake.set()

    def remove(self, client: viser.ClientHandle) -> None:
        """A browser has gone."""
        self.views.pop(client.client_id, None)

    def refresh(self, client: viser.ClientHandle | None = None) -> None:
        """Draw again, for one browser or all."""
        for view in list(self.views.values()):
            if client is None or view.client is client:
                view.ask()
        self.wake.set()

    def give(self, fraction: float) -> None:
        """Set the fraction that drawing may take from a training while cameras rest.

        It is one of the time that the whole process is running, not of all time: where other programs keep a training waiting,
        drawing waits with it.
        """
        self.resting = Duty(fraction, time.process_time if self.stream is None else time.monotonic)

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self.views)

    @property
    def idle(self) -> bool:
        """Whether all browsers have their full picture of the scene as it is."""
        return all(view.has_all for view in list(self.views.values()))

    def choose(self, now: float) -> tuple[ClientView | None, float]:
        """Whose picture is next, and how long to wait if nobody's is.

        Those whose cameras move come first, the one that waited longest before the others; but nobody waits for a full
        picture for more than a second because of them.
        """
        waiting = [(view, view.due(now)) for view in list(self.views.values())]
        moving = [view for view, due in waiting if due <= 0 and view.is_moving(now)]
        resting = [view for view, due in waiting if due <= 0 and not view.is_moving(now)]
        starved = [view for view in resting if now - view.asked > STARVED]
        ready = starved if starved and (not moving or self.last_was_moving) else moving or resting
        if ready:
            return min(ready, key=lambda view: view.drawn), 0.0
        return None, min((due for _, due in waiting), default=1.0)

    def _run(self) -> None:
        while not self.stopped.is_set():
            view, wait = self.choose(time.monotonic())
            if view is None:
                self.wake.wait(min(max(wait, 0.002), 1.0))
                self.wake.clear()
                continue
            moving = view.is_moving(time.monotonic())
            self.last_was_moving = moving
            if moving and self.moving.wait > 0:
                time.sleep(min(self.moving.wait, 0.2))
            began = self.spent()
            try:
                with torch.no_grad(), torch.cuda.stream(self.stream):
                    self._serve(view, moving)
            except Exception as failure:  # whatever it is: the other browsers and a training go on
                self._report(view, failure)
            view.drawn = time.monotonic()
            seconds = self.spent() - began
            (self.moving if moving else self.resting).worked(seconds)

    def spent(self) -> float:
        """A clock of what drawing takes from others: its time on the CPU, or all time where a GPU draws.

        Only the time of this thread is known; those that help it are taken to have been as busy.
        """
        return time.monotonic() if self.stream is not None else time.thread_time() * torch.get_num_threads()

    def _serve(self, view: ClientView, moving: bool) -> None:
        """Draw and send one picture."""
        serial, look, seen = view.begin(moving)
        slots = [slot for slot in self.viewer.scenes if slot.visible]
        if look.client_side:
            if view.splats is None:
                view.splats = ClientSplats(view.client)
                view.client.scene.set_background_image(None)
            view.splats.show(slots, look, self.cache)
            view.finished(serial, moving=False, size=(0, 0), seconds=0.0)
            return
        if view.splats is not None:
            view.splats.remove()
            view.splats = None
        began = time.monotonic()
        longest = view.pace.size(seen.width, seen.height) if moving else self.viewer.longest
        width, height = seen.size(longest)
        photo = view.photo_at(seen, self.viewer.view.extent)
        camera = photo.camera(width, height) if photo else seen.camera(longest)
        request = Request(slots, look, camera, photo, self.viewer.scores)
        picture = draw(request, self.cache).numpy()
        if moving or self.following:
            quality = MOVING_QUALITY if moving else FOLLOWING_QUALITY
            view.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=quality)
        else:
            view.client.scene.set_background_image(picture, format="png")
        view.client.flush()
        view.finished(serial, moving, (width, height), time.monotonic() - began)

    def _report(self, view: ClientView, failure: Exception) -> None:
        """Tell a browser what went wrong, once per kind of failure, and the terminal."""
        view.give_up()
        text = f"{type(failure).__name__}: {failure}"
        if text in view.told or self.stopped.is_set():
            return
        view.told.add(text)
        if view.client.client_id not in self.viewer.server.get_clients():
            self.remove(view.client)
            return
        print("viewer: a picture could not be drawn", file=sys.stderr)
        traceback.print_exception(failure)
        self.viewer.notify("This view cannot be drawn", text[:300], client=view.client, error=True)


def gpu_stream(device: torch.device) -> torch.cuda.Stream | None:
    """On a GPU drawing has a stream of its own, beside that of a training."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None
