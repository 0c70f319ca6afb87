"""What changes over a run, as functions of how much of it has passed."""

import math
import time
from dataclasses import dataclass

FULL_RUN = 30_000
"""Iterations of the published recipe; schedules are stated for it."""

FIRST_SIZE = 0.35
"""Fraction of the photos' width and height with which a progressive run begins."""
SMALLEST_SIDE = 200
"""Longest side in pixels below which a progressive run does not go."""
FULL_SIZE_FROM = 0.4
"""Fraction of a progressive run after which photos have their full size."""


@dataclass(frozen=True)
class Iteration:
    """Where a run is."""

    number: int  # counted from 1
    progress: float  # fraction of the run that has passed, 0 to 1


class Clock:
    """Counts iterations and time, and tells where the run is. A run ends with its iterations or its time, what comes first."""

    def __init__(self, iterations: int, seconds: float | None) -> None:
        self.iterations, self.limit = iterations, seconds
        self.iteration = 0
        self.spent = 0.0  # seconds until the clock was last started
        self.started: float | None = None

    def start(self) -> None:
        self.started = time.perf_counter()

    def pause(self, seconds: float) -> None:
        """Let time pass that is not spent on training."""
        began = time.perf_counter()
        time.sleep(seconds)
        if self.started is not None:
            self.started += time.perf_counter() - began

    @property
    def seconds(self) -> float:
        """Spent on training, also before a resume."""
        return self.spent + (0.0 if self.started is None else time.perf_counter() - self.started)

    @property
    def progress(self) -> float:
        passed = self.iteration / self.iterations
        if self.limit is not None:
            passed = max(passed, self.seconds / self.limit)
        return min(1.0, passed)

    @property
    def finished(self) -> bool:
        return self.progress >= 1.0

    def tick(self) -> Iteration:
        """The next iteration begins."""
        self.iteration += 1
        return Iteration(self.iteration, self.progress)


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of Adam, per iteration."""

    means: float = 1.6e-4
    """positions at the start, times the scene's extent"""
    means_final: float = 1.6e-6
    """positions at the end, times the scene's extent; log-linear in between"""
    sh0: float = 2.5e-3
    """base color"""
    sh_rest: float = 2.5e-3 / 20
    """view-dependent color"""
    opacities: float = 0.05
    """opacity logits"""
    scales: float = 5e-3
    """log scales"""
    quats: float = 1e-3
    """rotations"""
    final: float = 1.0
    """fraction of all rates but those of positions that is left at the end; log-linear in between"""

    def at(self, progress: float, extent: float) -> dict[str, float]:
        """Parameter of `Gaussians` -> its learning rate.

        Args:
            progress: fraction of the run that has passed.
            extent: of the scene, world units.
        """
        start, end = math.log(self.means), math.log(self.means_final)
        fraction = self.final**progress
        return {
            "means": extent * math.exp(start + (end - start) * progress),
            "quats": fraction * self.quats,
            "log_scales": fraction * self.scales,
            "logit_opacities": fraction * self.opacities,
            "sh0": fraction * self.sh0,
            "sh_rest": fraction * self.sh_rest,
        }


def active_sh_degree(degree: int, progress: float, from_start: bool = False) -> int:
    """One degree more every 1000 iterations of a full run up to `degree`, in proportion in shorter ones; or all of them from
    the start."""
    return degree if from_start else min(degree, int(progress * FULL_RUN / 1000 + 1e-6))


def photo_fraction(progress: float, longest_side: int) -> float:
    """Fraction of width and height that a photo has in a progressive run: log-linear up to full size, in steps of an eighth of
    an octave, so that few sizes occur."""
    if progress >= FULL_SIZE_FROM:
        return 1.0
    octaves = math.log2(FIRST_SIZE) * (1 - progress / FULL_SIZE_FROM)
    return float(min(1.0, max(2 ** (round(octaves * 8) / 8), SMALLEST_SIDE / longest_side)))
