"""What changes over a run, as functions of how much of it has passed."""

import math
import time
from dataclasses import dataclass

from splat.training.config import FULL_RUN, DensifyConfig, OptimizationConfig

SHORT_RUN = 3000
"""Iterations below which a run spends 0.7 of itself on growing instead of 0.5: there is less to settle afterwards."""

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


def means_learning_rate(config: OptimizationConfig, extent: float, progress: float) -> float:
    """Log-linear from lr_means to lr_means_final, both times the scene's extent."""
    start, end = math.log(config.lr_means), math.log(config.lr_means_final)
    return extent * math.exp(start + (end - start) * progress)


def rate_fraction(config: OptimizationConfig, progress: float) -> float:
    """Fraction of the other learning rates: log-linear from 1 to lr_final."""
    return config.lr_final**progress


def active_sh_degree(config: OptimizationConfig, progress: float) -> int:
    """One degree more every 1000 iterations of a full run, in proportion in shorter ones; or all of them from the start."""
    if config.sh_from_start:
        return config.sh_degree
    return min(config.sh_degree, int(progress * FULL_RUN / 1000 + 1e-6))


def photo_fraction(progress: float, longest_side: int) -> float:
    """Fraction of width and height that a photo has in a progressive run: log-linear up to full size, in steps of an eighth of
    an octave, so that few sizes occur."""
    if progress >= FULL_SIZE_FROM:
        return 1.0
    octaves = math.log2(FIRST_SIZE) * (1 - progress / FULL_SIZE_FROM)
    return float(min(1.0, max(2 ** (round(octaves * 8) / 8), SMALLEST_SIDE / longest_side)))


@dataclass(frozen=True)
class DensifySchedule:
    """When density is edited. At 30,000 iterations this is the published schedule."""

    every: int
    first: int
    until: float  # fraction of the run after which nothing is edited
    reset_every: int

    @classmethod
    def of(cls, config: DensifyConfig, iterations: int, until: float | None = None) -> "DensifySchedule":
        """
        Args:
            until: of the strategy, unless the configuration says; without, the published one.
        """
        published = 0.5 if iterations >= SHORT_RUN else 0.7
        chosen = config.densify_until if config.densify_until is not None else until
        return cls(
            every=config.densify_every,
            first=config.densify_from,
            until=published if chosen is None else chosen,
            reset_every=config.reset_every,
        )

    def gathers(self, now: Iteration) -> bool:
        """Whether statistics are needed at this iteration."""
        return now.progress < self.until

    def edits(self, now: Iteration) -> bool:
        begun = now.number >= self.first or now.progress >= 0.2
        return begun and now.progress < self.until and now.number % self.every == 0

    def resets(self, now: Iteration) -> bool:
        """Only while density is edited: what a reset makes faint needs the rest of the run to come back."""
        return self.reset_every > 0 and now.progress < self.until and now.number % self.reset_every == 0
