"""Morton order: neighbors in space next to each other compress better in a file, and fall into fewer cache lines."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Cells = TypeVar("Cells", Tensor, NDArray[np.int64])
BITS = 21
"""Per axis, so that three axes fit into 63 bits."""
BLOCK = 1 << 15
"""Points whose codes are computed together: what is made on the way never takes the memory of a whole scene."""


def morton_order(means: Tensor, *, exact: bool = True) -> Tensor:  # [N] int64 from [N, 3]
    """The permutation that sorts points along a Z-order curve through their bounding box (Morton 1966); points that are not
    finite come last.

    Args:
        exact: round to cells in float64, as files do, whose bytes follow from it. Otherwise cells are cut off in the dtype
            of the points, which is faster on a GPU and as good for caches.
    """
    finite = means.isfinite().all(dim=1)
    rows, last = finite.nonzero()[:, 0], (~finite).nonzero()[:, 0]
    if not len(rows):
        return last
    inside = means[finite] if len(last) else means
    low = inside.amin(dim=0)
    size = (inside.amax(dim=0) - low).clamp_min(1e-30)
    codes = torch.empty(len(inside), dtype=torch.int64, device=means.device)
    for part, out in zip(inside.split(BLOCK), codes.split(BLOCK), strict=True):
        offset = (part - low).double() if exact else part - low
        cells = (offset / size * ((1 << BITS) - 1)).clamp(0, (1 << BITS) - 1)
        out.copy_(z_order((cells.round() if exact else cells).long()))
    return torch.cat([rows[codes.argsort(stable=True)], last])


def z_order(cells: Cells) -> Cells:  # [N]
    """Place of cells [N, 3] on the Z-order curve: the bits of the three numbers, below 2^21, in turns."""
    return spread_bits(cells[:, 0]) | spread_bits(cells[:, 1]) << 1 | spread_bits(cells[:, 2]) << 2


def spread_bits(values: Cells) -> Cells:
    """Two zero bits after every one of the lowest 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        values = (values | values << shift) & mask
    return values
