"""Orders of Gaussians in a file. Neighbours in space next to each other compress better and are kinder to caches."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.compression.formats.blocks import ranges

Whole = TypeVar("Whole", Tensor, NDArray[np.int64])
BITS = 21
"""Per axis, so that three axes fit into 63 bits."""


def morton_order(means: Tensor) -> Tensor:  # [N] int64
    """The permutation that sorts positions [N, 3] along a Z-order curve through their bounding box (Morton 1966)."""
    if not len(means):
        return torch.empty(0, dtype=torch.int64, device=means.device)
    low, high = means.amin(dim=0), means.amax(dim=0)
    size = (high - low).clamp_min(1e-30)
    code = torch.empty(len(means), dtype=torch.int64, device=means.device)
    for place in ranges(len(means)):
        cells = ((means[place] - low).double() / size * ((1 << BITS) - 1)).round().long()
        code[place] = z_order(cells)
    return code.argsort(stable=True)


def z_order(cells: Whole) -> Whole:  # [N]
    """Place of cells [N, 3] on the Z-order curve: the bits of the three numbers, below 2^21, in turns."""
    return _spread(cells[:, 0]) | _spread(cells[:, 1]) << 1 | _spread(cells[:, 2]) << 2


def _spread(value: Whole) -> Whole:
    """Two empty bits between any two of the lowest 21."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        value = (value | value << shift) & mask
    return value
