"""Numbers that are learned for every photo, beside the Gaussians: exposures, bilateral grids, corrections of poses."""

import math
from typing import Any

import torch
from torch import Tensor

from splat.cuda_rasterizer.ops.adam import adam_step


class PerPhoto:
    """A tensor with one row per training photo. A step updates the row of its photo only, with moments of its own.

    Args:
        start: [F, ...] initial values.
        rate, final_rate: Adam's learning rate at the start and end of the run; log-linear in between.
    """

    def __init__(self, start: Tensor, rate: float, final_rate: float) -> None:
        self.values = start.clone().contiguous()
        self.exp_avg, self.exp_avg_sq = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.steps = [0] * len(start)
        self.rate, self.final_rate = rate, final_rate

    def leaf(self, photo: int) -> Tensor:
        """The row of one photo as a fresh leaf of a graph, sharing memory."""
        return self.values[photo].detach().requires_grad_()

    def step(self, photo: int, leaf: Tensor, progress: float) -> None:
        """One step of Adam with the gradient of `leaf`, if it has one."""
        if leaf.grad is None:
            return
        self.steps[photo] += 1
        rate = math.exp(math.log(self.rate) + (math.log(self.final_rate) - math.log(self.rate)) * progress)
        adam_step(
            self.values[photo],
            leaf.grad.contiguous(),
            self.exp_avg[photo],
            self.exp_avg_sq[photo],
            step=self.steps[photo],
            lr=rate,
            eps=1e-15,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "steps": list(self.steps),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("values", "exp_avg", "exp_avg_sq"):
            getattr(self, name).copy_(state[name])
        self.steps = list(state["steps"])
