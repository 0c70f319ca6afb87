"""Rotations by three of four numbers: the largest is left out, made positive, and follows from unit length."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

BOUND = math.sqrt(0.5)
"""No other component is larger than this."""


def split(quats: Tensor) -> tuple[Tensor, Tensor]:  # [N] int64, [N, 3] in -BOUND..BOUND
    """Index of the largest component, and the other three in their order. Quaternions [N, 4] of any length."""
    unit = torch.nn.functional.normalize(quats, dim=1)
    largest = unit.abs().argmax(dim=1)
    unit = unit * torch.where(unit.gather(1, largest[:, None]) < 0, -1.0, 1.0)
    return largest, unit.gather(1, others(largest))


def join(largest: Tensor, rest: Tensor) -> Tensor:  # [N, 4] of unit length
    """The quaternions from what `split` gave."""
    quats = torch.empty(len(rest), 4, dtype=rest.dtype, device=rest.device)
    quats.scatter_(1, others(largest), rest)
    missing = (1 - rest.square().sum(dim=1, keepdim=True)).clamp_min(0).sqrt()
    return torch.nn.functional.normalize(quats.scatter_(1, largest[:, None], missing), dim=1)


def settled(quats: Tensor, rounded: Callable[[Tensor], Tensor], rounds: int = 8) -> Tensor:  # [N, 4]
    """`rounded` quaternions that `rounded` leaves as they are. Rounding can make another component the largest, so that
    rounding the result once more would give something else again."""
    found = rounded(quats)
    for _ in range(rounds):
        again = rounded(found)
        if torch.equal(again, found):
            break
        found = again
    return found


def others(largest: Tensor) -> Tensor:  # [N, 3] int64
    """The three indices besides the one left out, ascending."""
    index = torch.arange(3, device=largest.device).expand(len(largest), 3)
    return index + (index >= largest[:, None])
