"""absgrad: the classic rules, but what is split is chosen by absolute gradients (Ye et al. 2024, AbsGS).

A large Gaussian over fine detail is pulled in many directions at once, and its signed gradients cancel; the sums of their
absolute values do not. Clones are still chosen by the signed ones.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splat.training.densify.base import Memory, Needs, Start, Strategy, View, add_to
from splat.training.densify.classic import Classic, ClassicConfig
from splat.training.schedules import Iteration


@dataclass(frozen=True)
class AbsGradConfig(ClassicConfig):
    """absgrad: the rules of 2023, with splits chosen by absolute gradients (AbsGS)."""

    name: ClassVar[str] = "absgrad"
    absgrad_threshold: float = 8e-4
    """Split where the mean of summed absolute gradients is at least this."""

    def limits(self) -> dict[str, tuple[float, float]]:
        return super().limits() | {"absgrad_threshold": (0, math.inf)}

    def build(self, start: Start) -> Strategy:
        return AbsGrad(self, start.iterations, start.extent)


class AbsGrad(Classic):
    """Remembers the sums of absolute gradients besides."""

    config: AbsGradConfig

    def __init__(self, config: AbsGradConfig, iterations: int, extent: float) -> None:
        super().__init__(config, iterations, extent)

    def needs(self, now: Iteration) -> Needs:
        gathers = self.schedule.gathers(now)
        return Needs(gradients=gathers, absolute=gathers)

    def observe(self, view: View, memory: Memory) -> None:
        super().observe(view, memory)
        assert view.abs_gradient is not None
        add_to(memory, "abs_gradient", torch.where(view.visible, view.abs_gradient, 0.0))

    def wants_to_grow(self, memory: Memory, is_large: Tensor) -> tuple[Tensor, Tensor]:
        clone, signed = super().wants_to_grow(memory, is_large)
        absolute = memory["abs_gradient"] / memory["views"].clamp_min(1)
        urgency = torch.where(is_large, absolute / self.config.absgrad_threshold, signed / self.config.grad_threshold)
        return torch.where(is_large, absolute >= self.config.absgrad_threshold, clone), urgency
