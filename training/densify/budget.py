"""budget: grow along a curve to a fixed number of Gaussians, where the photos are not yet matched.

What later work agrees on (Improved-GS 2025, Taming 3DGS 2024, Brush, LiteGS), put together:

- The count follows a curve to the budget, whatever the gradients do.
- Which Gaussians grow is drawn at random, in proportion to a score: the error of every view's pixels, shared out by blend
  weights to the Gaussians that drew them, summed over the views since the last round. Candidates are those that absolute
  gradients pull apart (AbsGS).
- A Gaussian is replaced by two along its longest axis, which together cover its extent end to end (Improved-GS).
- Instead of resetting opacities, every round takes a little from all of them; what the photos do not hold up fades and goes.
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

UNTIL = 0.6
"""Fraction of the run after which the set of Gaussians stays."""
SPLIT_SHIFT = 0.45
"""Children lie this fraction of the parent's half-length, taken as three standard deviations, from its center."""
SPLIT_OPACITY = 0.6
"""Children have this fraction of the parent's opacity."""


@dataclass(frozen=True)
class BudgetConfig(GradientConfig):
    """budget: grow along a curve to a fixed number, where errors are largest."""

    name: ClassVar[str] = "budget"
    has_budget: ClassVar[bool] = True
    progressive: ClassVar[bool] = True
    accumulate: ClassVar[int] = 4
    absgrad_threshold: float = 2e-4
    """Split only where the mean of summed absolute gradients is at least this."""
    opacity_decay: float = 0.004
    """Opacity that every Gaussian loses in a round, so that those which nothing holds up go."""

    def limits(self) -> dict[str, tuple[float, float]]:
        return super().limits() | {"absgrad_threshold": (0, math.inf), "opacity_decay": (0, 1)}

    def build(self, start: Start) -> Strategy:
        return Budget(self, start.iterations, start.budget, start.count)


class Budget(Strategy):
    """Remembers, for every Gaussian, the sum of its scores, of its absolute gradients, and the views that showed it."""

    def __init__(self, config: BudgetConfig, iterations: int, budget: int, start: int) -> None:
        """
        Args:
            start: number of Gaussians at the beginning of the run.
        """
        self.config, self.budget, self.start_count = config, budget, start
        self.schedule = DensifySchedule.of(config, iterations, until=UNTIL)

    def needs(self, now: Iteration) -> Needs:
        gathers = self.schedule.gathers(now)
        return Needs(gradients=gathers, absolute=gathers, scores=gathers)

    def observe(self, view: View, memory: Memory) -> None:
        assert view.abs_gradient is not None and view.score is not None
        add_to(memory, "abs_gradient", torch.where(view.visible, view.abs_gradient, 0.0))
        add_to(memory, "score", view.score)
        add_to(memory, "views", view.visible.to(view.score))

    def edit(self, now: Iteration, gaussians: Gaussians, memory: Memory, generator: torch.Generator) -> Edit | None:
        if not self.schedule.edits(now) or "views" not in memory:
            return None
        opacities = gaussians.opacities
        prune = (opacities < self.config.prune_opacity) | ~opacities.isfinite() | (gaussians.scales.sum(1) <= 0)
        pull = memory["abs_gradient"] / memory["views"].clamp_min(1)
        candidates = (pull >= self.config.absgrad_threshold) & ~prune
        candidates &= compact_enough(gaussians, self.config.min_axis_ratio)
        room = self.target(now) - (len(gaussians) - int(prune.sum()))
        split = draw(torch.where(candidates, memory["score"], 0.0), room, generator)
        remove = prune.clone()
        remove[split] = True
        return Edit(
            remove=remove,
            append=halves(gaussians[split]),
            opacity_decay=self.config.opacity_decay * (1 - now.progress / self.schedule.until),
        )

    def target(self, now: Iteration) -> int:
        """How many Gaussians there may be now."""
        passed = min(1.0, now.progress / (0.9 * self.schedule.until))
        start = min(self.start_count, self.budget)
        return round(start + (self.budget - start) * math.sqrt(passed))


def draw(score: Tensor, count: int, generator: torch.Generator) -> Tensor:  # [at most count] indices
    """Rows drawn without replacement in proportion to their score; none that has a score of zero."""
    score = score.nan_to_num(nan=0.0, posinf=0.0).clamp_min(0.0)
    count = min(count, int((score > 0).sum()))
    if count <= 0:
        return torch.zeros(0, dtype=torch.long, device=score.device)
    # The largest of keys log(u) / score are such a sample (Efraimidis and Spirakis 2006), of any number of rows.
    uniform = torch.rand(score.shape, generator=generator, dtype=torch.float64).to(score.device)
    keys = torch.where(score > 0, uniform.log() / score.double(), -math.inf)
    return keys.topk(count).indices


def halves(parents: Gaussians) -> Gaussians:
    """Two children each, along the longest axis, which cover the parent's three standard deviations end to end."""
    longest = parents.log_scales.argmax(dim=1, keepdim=True)
    is_longest = torch.zeros_like(parents.log_scales, dtype=torch.bool).scatter_(1, longest, True)
    offset = rotate(parents.quats, torch.where(is_longest, 3 * SPLIT_SHIFT * parents.scales, 0.0))
    shrink = torch.where(is_longest, math.log(1 - SPLIT_SHIFT), 0.5 * math.log(1 - SPLIT_SHIFT**2))
    opacity = torch.logit((SPLIT_OPACITY * parents.opacities).clamp(1e-5, 1 - 1e-5))
    children = Gaussians.cat([parents, parents])
    children.means = torch.cat([parents.means + offset, parents.means - offset])
    children.log_scales = children.log_scales + torch.cat([shrink, shrink]).to(children.log_scales)
    children.logit_opacities = torch.cat([opacity, opacity])
    return children
