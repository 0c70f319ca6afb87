"""The numbers of a `.splatz`'s header, in which all others are counted."""

from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = 1 << 29
"""Number of steps that anything is from 0, at most; differences then have 31 bits."""


@dataclass(frozen=True)
class Steps:
    """The numbers of a file's header: where cells begin, and all steps."""

    center: tuple[float, float, float]
    radius: float
    low: tuple[float, float, float]
    cell: float
    bits: int
    scale: float
    rotation: float
    opacity: float
    color: float
    sh: float


def coarser(shifts: Tensor) -> Tensor:  # [N, 1]
    """By how much steps are larger in classes of importance [N]."""
    return (2.0**shifts)[:, None]


def whole(values: Tensor) -> Tensor:  # int64
    """The nearest whole numbers."""
    return values.round().clamp(-LARGEST, LARGEST).long()


def row(numbers: tuple[float, float, float], device: torch.device) -> Tensor:  # [1, 3] float64
    """Three numbers of the header, for all Gaussians."""
    return torch.tensor([numbers], dtype=torch.float64, device=device)
