"""Rotations by three of four numbers: the largest is left out, made positive, and follows from unit length."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from splat.geometry.quaternions import unit

BOUND = math.sqrt(0.5)
"""No other component is larger than this."""
SETTLING = 16
"""Steps within which rounded rotations settle."""


def split(quats: Tensor) -> tuple[Tensor, Tensor]:  # [N] int64, [N, 3] in -BOUND..BOUND
    """Index of the largest component, and the other three in their order. Quaternions [N, 4] of any length."""
    quats = unit(quats)
    largest = quats.abs().argmax(dim=1)
    quats = quats * torch.where(quats.gather(1, largest[:, None]) < 0, -1.0, 1.0)
    return largest, quats.gather(1, others(largest))


def join(largest: Tensor, rest: Tensor) -> Tensor:  # [N, 4] of unit length
    """The quaternions from what `split` gave."""
    quats = torch.empty(len(rest), 4, dtype=rest.dtype, device=rest.device)
    quats.scatter_(1, others(largest), rest)
    missing = (1 - rest.square().sum(dim=1, keepdim=True)).clamp_min(0).sqrt()
    return unit(quats.scatter_(1, largest[:, None], missing))


def settled(quats: Tensor, rounded: Callable[[Tensor], Tensor]) -> Tensor:  # [N, 4]
    """`rounded` quaternions that `rounded` leaves as they are.

    Where two components are almost the largest, rounding one of them can make it larger than the other, so that the next
    rounding leaves out another one and gives something else again. Those are moved away from there, step by step.
    """
    found = rounded(quats)
    for step in range(SETTLING):
        rows = (rounded(found) != found).any(dim=1).nonzero()[:, 0]
        if not len(rows):
            break
        largest, rest = split(found[rows])
        found[rows] = rounded(join(largest, rest * (1 - 1e-3 * step)))
    return found


def others(largest: Tensor) -> Tensor:  # [N, 3] int64
    """The three indices besides the one left out, ascending."""
    index = torch.arange(3, device=largest.device).expand(len(largest), 3)
    return index + (index >= largest[:, None])
