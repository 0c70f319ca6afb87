"""ClientView: what is known of one browser: where it looks, how it wants things drawn, and what it was sent."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import viser

from splat.viewer.draw.client_camera import ClientCamera, orientation
from splat.viewer.draw.client_splats import ClientSplats
from splat.viewer.draw.look import Look
from splat.viewer.draw.pacing import Pace
from splat.viewer.draw.photo_view import PhotoView

SETTLE = 0.15
"""Seconds without a movement after which a camera rests."""
ARRIVAL = 3.0
"""Seconds that a flight to a photo may take."""


@dataclass(frozen=True)
class Drawn:
    """The last picture that was sent."""

    size: tuple[int, int]  # width and height in pixels; zeros where the browser draws
    seconds: float
    moving: bool


class ClientView:
    """State of a browser. Camera updates, controls and the drawing thread change it, each under the lock."""

    def __init__(self, client: viser.ClientHandle, look: Look | None = None) -> None:
        self.client, self.look = client, look or Look()
        self.lock = threading.Lock()
        self.camera: ClientCamera | None = None
        self.pace = Pace()
        self.splats: ClientSplats | None = None
        self.photo: PhotoView | None = None
        self.arriving = 0.0  # until when the camera may still be elsewhere than at the photo
        self.arrived = False
        self.on_leave: Callable[[], None] | None = None  # the camera has moved away from the photo
        self.on_drawn: Callable[[Drawn], None] | None = None
        self.last: Drawn | None = None
        self.told: set[str] = set()  # errors
        self.serial = 1  # counts what was asked for
        self.sent, self.sent_full = 0, 0  # the serials of the last picture and of the last full one
        self.moved = 0.0  # when the camera last moved
        self.asked = time.monotonic()
        self.drawn = 0.0  # when the last picture was made

    def moved_to(self, handle: viser.CameraHandle) -> bool:
        """Take over a camera that a browser has reported. Returns whether it is another."""
        camera = ClientCamera.of(handle)
        with self.lock:
            if camera == self.camera:
                return False
            self.camera = camera
            self.moved = time.monotonic()
            self._ask()
            return True

    def ask(self) -> None:
        """Want a new picture, though the camera has not moved."""
        with self.lock:
            self._ask()

    def change(self, **values: Any) -> None:
        """Change how things are drawn: fields of `Look`."""
        with self.lock:
            self.look = replace(self.look, **values)
            self._ask()

    def _ask(self) -> None:
        if self.sent_full == self.serial:
            self.asked = time.monotonic()
        self.serial += 1

    def fly_to(self, photo: PhotoView) -> None:
        """Look through a photo's camera."""
        handle = self.client.camera
        own = photo.frame.camera
        with self.lock:
            self.photo, self.arrived, self.arriving = photo, False, time.monotonic() + ARRIVAL
        with self.client.atomic():
            handle.position = tuple(own.position.tolist())
            handle.wxyz = orientation(own)
            handle.fov = photo.fov(handle.image_width, handle.image_height)
        self.ask()

    def leave_photo(self) -> None:
        """Do not compare with a photo any more."""
        with self.lock:
            self.photo = None
            self._ask()

    def photo_at(self, seen: ClientCamera, extent: float) -> PhotoView | None:
        """The photo that a camera looks through; None once it has moved away."""
        photo = self.photo
        if photo is None:
            return None
        if photo.is_at(seen.camera(64), extent):
            self.arrived = True
            return photo
        if not self.arrived and time.monotonic() < self.arriving:
            return photo
        with self.lock:
            if self.photo is photo:
                self.photo = None
        if self.on_leave is not None:
            self.on_leave()
        return None

    def is_moving(self, now: float) -> bool:
        return now - self.moved < SETTLE and not self.look.client_side

    def due(self, now: float) -> float:
        """Seconds until this browser needs a picture; 0 when now, and infinity when it has all that it wants."""
        with self.lock:
            if self.camera is None or self.sent_full == self.serial:
                return float("inf")
            if not self.is_moving(now) or self.sent != self.serial:
                return 0.0
            return max(0.001, self.moved + SETTLE - now)

    @property
    def has_all(self) -> bool:
        """Whether nothing is wanted that was not sent."""
        return self.sent_full == self.serial

    def begin(self, moving: bool) -> tuple[int, Look, ClientCamera]:
        """What to draw now. The number goes back to `finished`."""
        with self.lock:
            assert self.camera is not None
            return self.serial, self.look, self.camera

    def finished(self, serial: int, moving: bool, size: tuple[int, int], seconds: float) -> None:
        """A picture was sent."""
        with self.lock:
            self.sent = serial
            if not moving:
                self.sent_full = serial
            if moving:
                self.pace.took(size[0] * size[1], seconds)
            self.last = Drawn(size, seconds, moving)
        if self.on_drawn is not None:
            self.on_drawn(self.last)

    def give_up(self) -> None:
        """The picture that is wanted cannot be drawn: wait for another wish."""
        with self.lock:
            self.sent = self.sent_full = self.serial
