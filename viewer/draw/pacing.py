"""How large a picture may be while a camera moves, and how much of the machine drawing may take from training."""

import time
from collections.abc import Callable

FRAME_BUDGET = 1 / 12
"""Seconds for a picture while the camera moves."""
SMALLEST_SIDE = 128
"""Longest side of a picture below which it is not worth looking at, in pixels."""
CHANGE = 1.6
"""Factor by which the number of pixels changes between two pictures, at most."""
WORTH = 0.3
"""Pixels may always take this much of the fixed part: fewer of them would hardly be faster, only worse."""
HOPELESS = 0.3
"""Seconds for a picture from which on drawing is better left to the browser."""
HOPELESS_AFTER = 10
"""Such pictures in a row until that is believed: as many as it takes to become small."""


class Pace:
    """Chooses the size of moving pictures, so that each takes about `budget` seconds.

    A picture costs a part that its size does not change (projecting the Gaussians) and a part per pixel; both are learnt
    from what pictures of several sizes took, with older ones counting less.
    """

    def __init__(self, budget: float = FRAME_BUDGET) -> None:
        self.budget = budget
        self.side = 480  # longest, pixels
        self.fixed, self.per_pixel = 0.0, 2e-7  # seconds
        self.known = False
        self.slow = 0  # pictures in a row that were hopeless

    def took(self, pixels: int, seconds: float) -> None:
        """A picture of so many pixels took so long to draw and encode."""
        self.slow = self.slow + 1 if seconds > HOPELESS else 0
        if not self.known:  # little of it fixed: sizes then change enough to learn how much it is
            self.fixed, self.per_pixel, self.known = 0.2 * seconds, 0.8 * seconds / pixels, True
            return
        # One step of normalized least squares in (1, pixels / 100,000), which cannot run away.
        scaled = pixels / 1e5
        error = seconds - (self.fixed + self.per_pixel * pixels)
        step = 0.5 * error / (1 + scaled * scaled)
        self.fixed = max(0.0, self.fixed + step)
        self.per_pixel = max(1e-9, self.per_pixel + step * scaled / 1e5)

    @property
    def hopeless(self) -> bool:
        """Whether even small pictures come so slowly that moving is no pleasure."""
        return self.slow >= HOPELESS_AFTER

    def size(self, width: int, height: int) -> int:
        """Longest side of the next moving picture, for a window of this size. Changes little at a time."""
        longest = max(width, height)
        affordable = max(self.budget - self.fixed, WORTH * self.fixed) / self.per_pixel
        wanted = longest * (affordable / (width * height)) ** 0.5
        wanted = min(max(wanted, self.side / CHANGE**0.5), self.side * CHANGE**0.5)
        self.side = round(min(max(wanted, min(SMALLEST_SIDE, longest)), longest))
        return self.side


class Duty:
    """Holds a thread's work to a fraction of the time.

    Args:
        fraction: 0 to 1; 1 never waits.
    """

    def __init__(self, fraction: float, now: Callable[[], float] = time.monotonic) -> None:
        self.fraction, self.now = min(max(fraction, 1e-3), 1.0), now
        self.free_from = 0.0

    def worked(self, seconds: float) -> None:
        """So much was just done."""
        self.free_from = max(self.free_from, self.now() - seconds) + seconds / self.fraction

    @property
    def wait(self) -> float:
        """Seconds until more may be done; 0 when now."""
        return max(0.0, self.free_from - self.now())
