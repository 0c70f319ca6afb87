"""History: the course of a run as curves of few enough points to send to a browser every second."""

import threading
from dataclasses import dataclass

import numpy as np

MOST_POINTS = 600
SMOOTHING = 0.95
"""Weight of the past in the smoothed loss."""


@dataclass(frozen=True)
class Now:
    """Where the run is."""

    iteration: int = 0
    loss: float = 0.0  # smoothed
    psnr: float | None = None  # dB, smoothed
    count: int = 0  # Gaussians
    progress: float = 0.0  # fraction of the run
    seconds: float = 0.0  # spent on training


class History:
    """Told of every iteration by one thread, read by others."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = Now()
        self.every = 1  # iterations per point; doubled whenever there are too many points
        self.losses: list[tuple[int, float]] = []
        self.psnrs: list[tuple[int, float]] = []
        self.marks: list[tuple[float, int]] = []  # seconds and iteration, for the speed

    def add(self, iteration: int, loss: float, psnr: float | None, count: int, progress: float, seconds: float) -> None:
        """An iteration was done; one that is told again changes nothing."""
        before = self.now
        if iteration == before.iteration:
            return
        smoothed = loss if not self.losses else SMOOTHING * before.loss + (1 - SMOOTHING) * loss
        level = before.psnr
        if psnr is not None:
            level = psnr if level is None else 0.8 * level + 0.2 * psnr
        with self.lock:
            self.now = Now(iteration, smoothed, level, count, progress, seconds)
            if iteration % self.every == 0 or not self.losses:
                self.losses.append((iteration, smoothed))
            if psnr is not None and level is not None:
                self.psnrs.append((iteration, level))
            self.marks = [*self.marks[-20:], (seconds, iteration)] if self._is_time(seconds) else self.marks
            if len(self.losses) > MOST_POINTS:
                self.every *= 2
                self.losses = self.losses[::2]
            if len(self.psnrs) > MOST_POINTS:
                self.psnrs = self.psnrs[::2]

    def _is_time(self, seconds: float) -> bool:
        return not self.marks or seconds - self.marks[-1][0] > 0.5

    @property
    def speed(self) -> float:
        """Iterations per second over the last ten seconds."""
        with self.lock:
            if not self.marks:
                return 0.0
            (began, first), now = self.marks[0], self.now
            return (now.iteration - first) / max(now.seconds - began, 1e-9)

    def curves(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Loss and PSNR [dB], each as iterations and values."""
        with self.lock:
            loss, psnr = (np.array(points, dtype=np.float64).reshape(-1, 2) for points in (self.losses, self.psnrs))
        return (loss[:, 0], loss[:, 1]), (psnr[:, 0], psnr[:, 1])
