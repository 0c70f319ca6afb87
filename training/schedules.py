"""What changes over a run, as functions of the iteration (counted from 1)."""

import math
from dataclasses import dataclass

from splat.training.config import DensifyConfig, OptimizationConfig

SHORT_RUN = 3000
"""Iterations below which a run spends 0.7 of itself on growing instead of 0.5: there is less to settle afterwards."""


def means_learning_rate(config: OptimizationConfig, extent: float, iteration: int) -> float:
    """Log-linear from lr_means to lr_means_final, both times the scene's extent."""
    progress = min(1.0, iteration / config.iterations)
    start, end = math.log(config.lr_means), math.log(config.lr_means_final)
    return extent * math.exp(start + (end - start) * progress)


def active_sh_degree(config: OptimizationConfig, iteration: int) -> int:
    """One degree more every 1000 iterations of a full run, in proportion in shorter ones."""
    return min(config.sh_degree, int(iteration / (1000 * config.share)))


@dataclass(frozen=True)
class DensifySchedule:
    """When density is edited. At 30,000 iterations this is the published schedule."""

    every: int
    first: int
    last: int  # nothing is edited from here on
    reset_every: int

    @classmethod
    def of(cls, config: DensifyConfig, iterations: int) -> "DensifySchedule":
        until = config.densify_until
        if until is None:
            until = 0.5 if iterations >= SHORT_RUN else 0.7
        return cls(
            every=config.densify_every,
            first=min(config.densify_from, iterations // 5),
            last=round(until * iterations),
            reset_every=config.reset_every,
        )

    def gathers(self, iteration: int) -> bool:
        """Whether statistics are needed at this iteration."""
        return iteration < self.last

    def edits(self, iteration: int) -> bool:
        return self.first <= iteration < self.last and iteration % self.every == 0

    def resets(self, iteration: int) -> bool:
        """Only while density is edited: what a reset makes faint needs the rest of the run to come back."""
        return self.reset_every > 0 and iteration < self.last and iteration % self.reset_every == 0
