"""mcmc: Gaussians as samples (Kheradmand et al. 2024, 3D Gaussian Splatting as Markov Chain Monte Carlo).

The number of Gaussians grows by 5 % every 100 iterations up to the budget, and faster in runs that are too short for
that. Those that have become faint are not removed
but move onto others, chosen in proportion to opacity, which are divided among the copies so that the image hardly changes.
Noise on the positions of faint Gaussians lets them explore; opacities and scales are held small by the loss.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.quaternions import rotate
from splat.training.densify.base import Edit, Memory, Start, Strategy
from splat.training.densify.growing import DensifySchedule, GrowingConfig
from splat.training.schedules import FULL_RUN, Iteration

UNTIL, UNTIL_SHORT = 25_000 / 30_000, 0.6
"""Fraction of the run after which Gaussians stay where they are: of a full run, as published, and of a very short one, which
has no time to settle otherwise."""
GROWTH = 0.05
GROWN_AFTER = 0.25
"""Fraction of the rounds after which the budget is reached at the latest: about where the published runs reach it."""
COPIES_MAX = 51
"""Of one Gaussian in one round."""
MIN_OPACITY = 0.005
"""Of a copy."""
NOISE_SHARPNESS = 100.0
NOISE_OPACITY = 0.005
"""Noise is for the faint: its size is a sigmoid of this much sharpness, half at this opacity."""


@dataclass(frozen=True)
class MCMCConfig(GrowingConfig):
    """mcmc: a fixed number that noise and relocation distribute."""

    name: ClassVar[str] = "mcmc"
    has_budget: ClassVar[bool] = True
    starts_small: ClassVar[bool] = True
    adds_to_gradients: ClassVar[bool] = True
    noise: float = 5e5
    """Strength of the noise on positions, times their learning rate."""
    opacity_weight: float = 0.01
    """Weight of the mean opacity in the loss."""
    scale_weight: float = 0.01
    """Weight of the mean scale in the loss."""

    def limits(self) -> dict[str, tuple[float, float]]:
        return super().limits() | dict.fromkeys(("noise", "opacity_weight", "scale_weight"), (0, math.inf))

    def build(self, start: Start) -> Strategy:
        return MCMC(self, start.iterations, start.budget, start.count)


class MCMC(Strategy):
    def __init__(self, config: MCMCConfig, iterations: int, budget: int, start: int) -> None:
        """
        Args:
            start: number of Gaussians at the beginning of the run.
        """
        self.config, self.budget = config, budget
        until = UNTIL_SHORT + (UNTIL - UNTIL_SHORT) * min(1.0, iterations / FULL_RUN)
        self.schedule = DensifySchedule.of(config, iterations, until=until)
        rounds = GROWN_AFTER * self.schedule.until * iterations / config.densify_every
        self.growth = max(GROWTH, (budget / start) ** (1 / max(rounds, 1.0)) - 1)

    def edit(self, now: Iteration, gaussians: Gaussians, memory: Memory, generator: torch.Generator) -> Edit | None:
        if not self.schedule.edits(now):
            return None
        opacities = gaussians.opacities
        dead = ((opacities <= self.config.prune_opacity) | ~opacities.isfinite()).nonzero()[:, 0]
        alive = ((opacities > self.config.prune_opacity) & opacities.isfinite()).nonzero()[:, 0]
        if not len(alive):
            return None
        born = max(0, min(self.budget, int((1 + self.growth) * len(gaussians))) - len(gaussians))
        weights = opacities[alive].cpu()
        sources = alive[torch.multinomial(weights, len(dead) + born, replacement=True, generator=generator).to(alive)]
        parents, which, taken = sources.unique(return_inverse=True, return_counts=True)
        divided = divide(gaussians[parents], taken + 1)  # itself and its copies
        on_dead, new = which[: len(dead)], which[len(dead) :]
        return Edit(
            rows=torch.cat([parents, dead]),
            values=Gaussians.cat([divided, scattered(divided[on_dead], generator)]),
            append=scattered(divided[new], generator),
        )

    def regularization(self, gaussians: Gaussians) -> Tensor | None:
        opacity = self.config.opacity_weight * gaussians.opacities.mean()
        return opacity + self.config.scale_weight * gaussians.scales.mean()

    def perturb(self, gaussians: Gaussians, learning_rates: Mapping[str, float], generator: torch.Generator) -> None:
        """Add covariance times noise to the positions (equation 9 there)."""
        strength = torch.sigmoid(-NOISE_SHARPNESS * (gaussians.opacities - NOISE_OPACITY))
        amount = strength * (self.config.noise * learning_rates["means"])
        noise = torch.randn(gaussians.means.shape, generator=generator).to(gaussians.means) * amount[:, None]
        quats = torch.nn.functional.normalize(gaussians.quats, dim=1)
        inverse = quats * quats.new_tensor([1.0, -1.0, -1.0, -1.0])
        local = rotate(inverse, noise) * gaussians.scales.square()
        gaussians.means.add_(rotate(quats, local))


def scattered(copies: Gaussians, generator: torch.Generator) -> Gaussians:
    """Copies drawn from their parent as a distribution. Published ones lie exactly on it, and need much of a short run to
    come apart: they see the same gradients, and the noise spares the opaque."""
    offset = torch.randn(copies.means.shape, generator=generator).to(copies.means) * copies.scales
    copies.means = copies.means + rotate(copies.quats, offset)
    return copies


def divide(gaussians: Gaussians, copies: Tensor) -> Gaussians:
    """Each Gaussian as one of `copies` ([N], 1 and up) equal ones in its place that together look like it.

    Opacity and scale by equation 9 of the paper: o' = 1 - (1 - o)^(1 / n), and a sum over binomials for the scale.
    """
    count = copies.clamp(1, COPIES_MAX)
    old = gaussians.opacities.double().clamp(1e-6, 1 - 1e-6)
    new = 1 - (1 - old) ** (1 / count)
    spread = torch.zeros_like(old)
    for i in range(1, int(count.max()) + 1):
        terms = (math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * new ** (k + 1) for k in range(i))
        spread = spread + torch.where(count >= i, sum(terms), 0.0)
    divided = gaussians.detach()
    divided.logit_opacities = torch.logit(new.clamp_min(MIN_OPACITY)).to(gaussians.means)
    divided.log_scales = gaussians.log_scales + (old / spread).log().to(gaussians.means)[:, None]
    return divided
