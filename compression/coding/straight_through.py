"""Straight-through estimator (Bengio et al. 2013): a value is replaced by another, rounded one, and its gradient passes on as
if it were not."""

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, rounded: Tensor) -> Tensor:
        return rounded.to(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight(value: Tensor, rounded: Tensor) -> Tensor:
    """The second, with the gradient of the first; of the same shape."""
    passed: Tensor = _StraightThrough.apply(value, rounded)
    return passed
