"""classic: adaptive density control by the published rules (Kerbl et al. 2023, section 5.2).

Every 100 iterations, Gaussians whose projected position has a large mean gradient are cloned when small and split in two
when large; faint ones are removed, and after the first opacity reset also those larger than a tenth of the scene. Every
3000 iterations all opacities are capped at 0.01, so that what is not needed stays faint and goes.

The published code also means to remove Gaussians of more than 20 pixels, but clears that statistic just before it is
read; leaving the rule out is what reproduces the published results.
"""

import math

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.quaternions import rotate
from splat.result import Statistics
from splat.training.config import DensifyConfig
from splat.training.densify.base import Edit
from splat.training.schedules import DensifySchedule

SPLIT_SHRINK = 1.6
"""Children of a split are smaller by this factor (0.8 times the number of children, 2)."""
RESET_OPACITY = 0.01


class Classic:
    """State: for every Gaussian, the sum of gradient norms over the views that showed it, and their number."""

    def __init__(self, config: DensifyConfig, iterations: int, extent: float, count: int) -> None:
        self.config, self.extent = config, extent
        self.schedule = DensifySchedule.of(config, iterations)
        self.gradient_sum = torch.zeros(count)
        self.views = torch.zeros(count)

    def needs_statistics(self, iteration: int) -> bool:
        return self.schedule.gathers(iteration)

    def observe(self, statistics: Statistics) -> None:
        visible = statistics.visible
        self.gradient_sum, self.views = self.gradient_sum.to(visible.device), self.views.to(visible.device)
        self.gradient_sum += torch.where(visible, statistics.mean2d_grad.norm(dim=-1), 0.0)
        self.views += visible

    def edit(self, iteration: int, gaussians: Gaussians, generator: torch.Generator) -> Edit | None:
        cap = RESET_OPACITY if self.schedule.resets(iteration) else None
        if not self.schedule.edits(iteration):
            return None if cap is None else Edit(opacity_cap=cap)
        device = gaussians.means.device
        score = (self.gradient_sum / self.views.clamp_min(1)).to(device)
        largest = gaussians.scales.max(dim=1).values
        prune = gaussians.opacities < self.config.prune_opacity
        if 0 < self.schedule.reset_every < iteration:
            prune |= largest > self.config.prune_scale * self.extent
        grow = self._within_budget(
            (score >= self.config.grad_threshold) & ~prune, score, len(gaussians) - int(prune.sum())
        )
        split = grow & (largest > self.config.split_scale * self.extent)
        clones = gaussians[grow & ~split]
        children = split_children(gaussians[split], generator)
        new = Gaussians(
            **{name: torch.cat([tensor, children.tensors()[name]]) for name, tensor in clones.tensors().items()}
        )
        remove = prune | split
        count = len(gaussians) - int(remove.sum()) + len(new)
        self.gradient_sum, self.views = torch.zeros(count, device=device), torch.zeros(count, device=device)
        return Edit(remove=remove, append=new, opacity_cap=cap)

    def _within_budget(self, grow: Tensor, score: Tensor, count: int) -> Tensor:
        """Every clone and every split adds one: let only the best grow, so that the budget holds."""
        if self.config.budget is None:
            return grow
        room = max(0, self.config.budget - count)
        if int(grow.sum()) <= room:
            return grow
        best = torch.where(grow, score, -1.0).argsort(descending=True, stable=True)[:room]
        return torch.zeros_like(grow).index_fill_(0, best, True)

    def state_dict(self) -> dict[str, object]:
        return {"gradient_sum": self.gradient_sum, "views": self.views}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self.gradient_sum, self.views = state["gradient_sum"], state["views"]  # type: ignore[assignment]


def split_children(parents: Gaussians, generator: torch.Generator) -> Gaussians:
    """Two children each, placed by sampling the parent as a distribution, 1.6 times smaller."""
    twice = parents.map(lambda tensor: torch.cat([tensor, tensor]))
    offset = torch.randn(twice.means.shape, generator=generator).to(twice.means) * twice.scales
    twice.means = twice.means + rotate(twice.quats, offset)
    twice.log_scales = twice.log_scales - math.log(SPLIT_SHRINK)
    return twice
