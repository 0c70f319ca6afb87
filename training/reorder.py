"""Morton order: Gaussians that are neighbours in space become neighbours in memory, so that the kernels' reads and writes
of the Gaussians of one tile fall into few cache lines (Morton 1966)."""

import torch
from torch import Tensor

BITS = 21
"""Per axis: three of them fill 63 bits."""


def morton_order(means: Tensor) -> Tensor:  # [N] int64 from [N, 3]
    """The permutation that sorts points along a Morton curve through their bounding box; not finite ones come last."""
    finite = means.isfinite().all(dim=1)
    rows, inside = finite.nonzero()[:, 0], means[finite]
    if len(inside):
        low, high = inside.min(0).values, inside.max(0).values
        cells = ((inside - low) / (high - low).clamp_min(1e-30) * (2**BITS - 1)).clamp(0, 2**BITS - 1).long()
        x, y, z = (spread_bits(cells[:, axis]) for axis in range(3))
        rows = rows[(x | y << 1 | z << 2).argsort(stable=True)]
    return torch.cat([rows, (~finite).nonzero()[:, 0]])


def spread_bits(values: Tensor) -> Tensor:  # [N] int64
    """Two zero bits after every one of the lowest 21 bits."""
    values = (values | values << 32) & 0x1F00000000FFFF
    values = (values | values << 16) & 0x1F0000FF0000FF
    values = (values | values << 8) & 0x100F00F00F00F00F
    values = (values | values << 4) & 0x10C30C30C30C30C3
    return (values | values << 2) & 0x1249249249249249
