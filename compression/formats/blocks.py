"""Large scenes a part at a time: what is made on the way to or from a file never takes more than a block's memory."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from splat.gaussians import Gaussians, drawable, with_finite_values

BLOCK = 1 << 15
"""Gaussians in a block; a multiple of the chunks of every format."""


def drawable_order(gaussians: Gaussians, order: Tensor | None = None) -> Tensor:  # [M] int64
    """Which Gaussians can be drawn, in their order or in the one given; on the CPU."""
    places = [*ranges(len(gaussians)), slice(0, 0)]
    fine = torch.cat([drawable(gaussians[place].detach()).cpu() for place in places])
    if order is None:
        return fine.nonzero()[:, 0]
    order = order.cpu()
    return order[fine[order]]


def blocks(gaussians: Gaussians, order: Tensor) -> Iterator[Gaussians]:
    """The Gaussians of an order, block by block, as finite float32 on the CPU."""
    for place in ranges(len(order)):
        yield with_finite_values(gaussians[order[place]].detach().to("cpu", torch.float32))


def joined(count: int, bases: int, parts: Iterable[Gaussians]) -> Gaussians:
    """One scene of `count` Gaussians with `bases` harmonics, made of consecutive parts."""
    whole = Gaussians.empty(count, bases)
    first = 0
    for part in parts:
        for name, tensor in whole.tensors().items():
            tensor[first : first + len(part)] = part.tensors()[name]
        first += len(part)
    return whole


def ranges(count: int) -> Iterator[slice]:
    """Consecutive slices of blocks."""
    for first in range(0, count, BLOCK):
        yield slice(first, min(count, first + BLOCK))
