"""What the strategies that add and remove Gaussians share: their options, and when they act."""

import math
from dataclasses import dataclass
from typing import Literal

from splat.training.densify.base import DensifyConfig
from splat.training.schedules import Iteration

SHORT_RUN = 3000
"""Iterations below which a run spends 0.7 of itself on growing instead of 0.5: there is less to settle afterwards."""


@dataclass(frozen=True)
class GrowingConfig(DensifyConfig):
    """When Gaussians are added and removed."""

    densify_every: int = 100
    """Iterations between two rounds of adding and removing."""
    densify_from: int = 500
    """First iteration at which to add; a fifth of the run when that is shorter."""
    densify_until: float | None = None
    """Fraction of the run after which to stop. Unless given: classic and absgrad 0.5 as published, 0.7 in runs below 3000
    iterations; mcmc 0.83; budget 0.6."""
    prune_opacity: float = 0.005
    """Remove (mcmc: relocate) Gaussians fainter than this."""

    def limits(self) -> dict[str, tuple[float, float]]:
        own = {
            "densify_every": (1, math.inf),
            "densify_from": (0, math.inf),
            "densify_until": (0, 1),
            "prune_opacity": (0, 1),
        }
        return super().limits() | own


@dataclass(frozen=True)
class GradientConfig(GrowingConfig):
    """Which Gaussians may grow, for strategies that ask the gradients of the projected means."""

    grad_source: Literal["loss", "ssim"] = "loss"
    """ssim: gradients count for growing only as far as they come from SSIM, so that blur and not color decides."""
    min_axis_ratio: float = 0.0
    """Never clone or split Gaussians whose shortest axis is at most this fraction of their longest; 0.01 keeps needles from
    multiplying."""

    def limits(self) -> dict[str, tuple[float, float]]:
        return super().limits() | {"min_axis_ratio": (0, 1)}


@dataclass(frozen=True)
class DensifySchedule:
    """When density is edited. At 30,000 iterations this is the published schedule."""

    every: int
    first: int
    until: float  # fraction of the run after which nothing is edited

    @classmethod
    def of(cls, config: GrowingConfig, iterations: int, until: float | None = None) -> "DensifySchedule":
        """
        Args:
            until: of the strategy, unless the configuration says; without, the published one.
        """
        published = 0.5 if iterations >= SHORT_RUN else 0.7
        chosen = config.densify_until if config.densify_until is not None else until
        return cls(config.densify_every, config.densify_from, published if chosen is None else chosen)

    def gathers(self, now: Iteration) -> bool:
        """Whether statistics are needed at this iteration."""
        return now.progress < self.until

    def edits(self, now: Iteration) -> bool:
        begun = now.number >= self.first or now.progress >= 0.2
        return begun and now.progress < self.until and now.number % self.every == 0
