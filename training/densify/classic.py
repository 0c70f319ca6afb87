"""classic: adaptive density control by the published rules (Kerbl et al. 2023, section 5.2).

Every 100 iterations, Gaussians whose projected position has a large mean gradient are cloned when small and split in two
when large; faint ones are removed, and after the first opacity reset also those larger than a tenth of the scene. Every
3000 iterations all opacities are capped at 0.01, so that what is not needed stays faint and goes.

The published code also means to remove Gaussians of more than 20 pixels, but clears that statistic just before it is
read; leaving the rule out is what reproduces the published results.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.quaternions import rotate
from splat.training.densify.base import Edit, Memory, Needs, Start, Strategy, View, add_to, compact_enough
from splat.training.densify.growing import DensifySchedule, GradientConfig
from splat.training.schedules import Iteration

SPLIT_SHRINK = 1.6
"""Children of a split are smaller by this factor (0.8 times the number of children, 2)."""
RESET_OPACITY = 0.01


@dataclass(frozen=True)
class ClassicConfig(GradientConfig):
    """classic: clone, split and prune by the rules of 2023."""

    name: ClassVar[str] = "classic"
    grad_threshold: float = 2e-4
    """Clone or split where the mean gradient with respect to the projected mean (NDC-scaled) is at least this."""
    reset_every: int = 3000
    """Iterations between two resets of the opacities, while densifying; 0 for none."""
    split_scale: float = 0.01
    """Gaussians larger than this times the extent are split, smaller ones cloned."""
    prune_scale: float = 0.1
    """After the first reset, remove Gaussians larger than this times the extent."""

    def limits(self) -> dict[str, tuple[float, float]]:
        names = ("grad_threshold", "reset_every", "split_scale", "prune_scale")
        return super().limits() | dict.fromkeys(names, (0, math.inf))

    def build(self, start: Start) -> Strategy:
        return Classic(self, start.iterations, start.extent)


class Classic(Strategy):
    """Remembers, for every Gaussian, the sum of gradient norms over the views that showed it, and their number."""

    def __init__(self, config: ClassicConfig, iterations: int, extent: float) -> None:
        self.config, self.extent = config, extent
        self.schedule = DensifySchedule.of(config, iterations)

    def needs(self, now: Iteration) -> Needs:
        return Needs(gradients=self.schedule.gathers(now))

    def observe(self, view: View, memory: Memory) -> None:
        add_to(memory, "gradient", torch.where(view.visible, view.gradient, 0.0))
        add_to(memory, "views", view.visible.to(view.gradient))

    def edit(self, now: Iteration, gaussians: Gaussians, memory: Memory, generator: torch.Generator) -> Edit | None:
        cap = RESET_OPACITY if self.resets(now) else None
        if not self.schedule.edits(now) or "views" not in memory:
            return None if cap is None else Edit(opacity_cap=cap)
        largest = gaussians.scales.max(dim=1).values
        prune = gaussians.opacities < self.config.prune_opacity
        if 0 < self.config.reset_every < now.number:
            prune |= largest > self.config.prune_scale * self.extent
        is_large = largest > self.config.split_scale * self.extent
        wanted, score = self.wants_to_grow(memory, is_large)
        wanted &= ~prune & compact_enough(gaussians, self.config.min_axis_ratio)
        grow = self._within_budget(wanted, score, len(gaussians) - int(prune.sum()))
        split = grow & is_large
        new = Gaussians.cat([gaussians[grow & ~split], split_children(gaussians[split], generator)])
        return Edit(remove=prune | split, append=new, opacity_cap=cap)

    def resets(self, now: Iteration) -> bool:
        """Only while density is edited: what a reset makes faint needs the rest of the run to come back."""
        every = self.config.reset_every
        return every > 0 and self.schedule.gathers(now) and now.number % every == 0

    def wants_to_grow(self, memory: Memory, is_large: Tensor) -> tuple[Tensor, Tensor]:  # [N] bool, [N]
        """Which Gaussians to clone or split, and their urgency where not all can be.

        Args:
            is_large: [N] bool, which would be split and not cloned.
        """
        score = memory["gradient"] / memory["views"].clamp_min(1)
        return score >= self.config.grad_threshold, score

    def _within_budget(self, grow: Tensor, score: Tensor, count: int) -> Tensor:
        """Every clone and every split adds one: let only the best grow, so that the budget holds."""
        if self.config.budget is None:
            return grow
        room = max(0, self.config.budget - count)
        if int(grow.sum()) <= room:
            return grow
        best = torch.where(grow, score, -1.0).argsort(descending=True, stable=True)[:room]
        return torch.zeros_like(grow).index_fill_(0, best, True)


def split_children(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Two children each, placed by sampling the parent as a distribution, 1.6 times smaller."""
    twice = Gaussians.cat([parents, parents])
    offset = torch.randn(twice.means.shape, generator=generator).to(twice.means) * twice.scales
    twice.means = twice.means + rotate(twice.quats, offset)
    twice.log_scales = twice.log_scales - math.log(SPLIT_SHRINK)
    return twice
