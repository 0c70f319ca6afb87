"""Self-organizing grids (Morgenstern et al. 2023, arXiv 2312.13299): Gaussians as pixels of an image in which neighbors are
alike in position, color and size.

A grid starts along a Z-order curve and is sorted toward its own low-pass version, whose radius shrinks: cells are taken in
random groups of four that lie near each other, and each group takes that of its 24 permutations which is nearest to the
low-pass grid. A pass over all cells costs O(N); all passes of 200,000 Gaussians take seconds.
"""

import itertools
import math

import torch
from torch import Tensor
from tqdm import tqdm

from splat.compression.formats.sog.codes import logarithms
from splat.gaussians import Gaussians
from splat.geometry.morton import morton_order

POSITION, COLOR, SCALE = 16.0, 1.5, 1.0
"""Weights of the features, each of unit variance. The paper weighs all the same. That made lossless files larger than a
space-filling curve does, which spends all freedom of the order on positions, the most precise of all numbers: what was gained
in the other planes was lost in theirs. Of some weights that were tried, these gave the smallest files."""
SHRINK = 0.85
"""Of the radius, from one low-pass to the next."""
PASSES = 8
"""Over the grid with every radius. Twice as many make it 2 to 3 % smoother."""
TARGETS = 4
"""Passes to a low-pass grid; then it is made anew."""
PATIENCE = 3.0
"""Seconds before a bar is shown."""

PERMUTATIONS = torch.tensor(list(itertools.permutations(range(4))))  # [24, 4]: cell i gets element PERMUTATIONS[p, i]
CHOSEN = torch.nn.functional.one_hot(PERMUTATIONS, 4).flatten(1).T.float()  # [16, 24]: the pairs that each makes


def grid_size(count: int) -> tuple[int, int]:
    """Height and width of an image with a pixel for each of `count` Gaussians, nearly square, multiples of four."""
    width = max(4, math.ceil(math.sqrt(count) / 4) * 4)
    return max(4, math.ceil(count / width / 4) * 4), width


def grid_order(
    gaussians: Gaussians, seed: int = 0, passes: int = PASSES, progress: bool = False
) -> Tensor:  # [N] int64
    """The permutation that puts Gaussians, row by row from the top left, into a smooth image of `grid_size`; pixels that are
    left over come last. The same seed gives the same order on the same kind of device.

    Args:
        passes: with every radius; 2 take a third of the time, for a grid that is up to twice as rough.
        progress: show a bar where it takes long.
    """
    size = grid_size(len(gaussians))
    return sorted_grid(features(gaussians), start(gaussians.means, size[1]), size, seed, passes, progress)


def features(gaussians: Gaussians) -> Tensor:  # [N, 9]
    """What is to be smooth: positions as sign(x) ln(|x| + 1), constant colors and logarithms of scales."""
    parts = ((POSITION, logarithms(gaussians.means)), (COLOR, gaussians.sh0), (SCALE, gaussians.log_scales))
    return torch.cat([weight * _normalized(part.detach().float()) for weight, part in parts], dim=1)


def start(means: Tensor, width: int) -> Tensor:  # [N] int64
    """Neighbors in space near each other in the grid: both along Z-order curves, one of space and one of the pixels."""
    cell = torch.arange(len(means), device=means.device)
    places = torch.stack([cell % width, cell // width, torch.zeros_like(cell)], dim=1)
    order = torch.empty_like(cell)
    order[morton_order(places.float())] = morton_order(means.detach())
    return order


def sorted_grid(
    values: Tensor, order: Tensor, size: tuple[int, int], seed: int = 0, passes: int = PASSES, progress: bool = False
) -> Tensor:  # [N] int64
    """Sort vectors [N, C] into a smooth grid of a height and a width, from the `order` [N] of its pixels to a better one."""
    count, (height, width) = len(values), size
    cells = height * width
    generator = torch.Generator().manual_seed(seed)
    chosen, permutations = CHOSEN.to(values), PERMUTATIONS.to(values.device)
    # Placeholders fill the grid's end. A channel of their own, with a reward above everything else there is to gain, keeps
    # them in the last cells: no group that has any of them needs a rule of its own.
    table = values.new_zeros(cells, values.shape[1] + 1)
    table[:count, :-1] = values
    table[count:, -1] = 1
    unused = table[:, -1] * (1 + 8 * values.square().sum(dim=1).max())
    order = torch.cat([order, torch.arange(count, cells, device=order.device)])
    place = torch.arange(cells, device=order.device).reshape(height, width)
    radii = _radii(max(height, width) / 2)
    for radius in tqdm(radii, desc="sort", unit="radius", delay=PATIENCE, leave=False, disable=not progress):
        for step in range(passes):
            if step % TARGETS == 0:
                target = _low_pass(table[order].reshape(height, width, -1), radius).flatten(0, 1)
                target[:, -1] = unused
            group = _groups(place, radius + 1, generator)
            members = order[group]
            likeness = target[group] @ table[members].transpose(1, 2)  # [G, cell, member]
            best = (likeness.flatten(1) @ chosen).argmax(dim=1)
            order[group] = members.gather(1, permutations[best])
    return order[:count]


def _normalized(values: Tensor) -> Tensor:  # [N, C] every column around zero, with unit variance
    return (values - values.mean(dim=0)) / values.std(dim=0, correction=0).clamp_min(1e-12)


def _radii(first: float) -> list[int]:
    """From the first down to 1."""
    steps = math.ceil(math.log(max(1.0, first)) / -math.log(SHRINK))
    return [max(1, round(first * SHRINK**step)) for step in range(steps)] + [1]


def _low_pass(grid: Tensor, radius: int) -> Tensor:  # [H, W, C + 1]
    """Means over two boxes, of this radius and half of it, of what is no placeholder; the last channel says what is."""
    grid = torch.cat([grid[..., :-1], 1 - grid[..., -1:]], dim=2)
    for size in (radius, max(1, radius // 2)):
        for dim in (0, 1):
            grid = _box(grid, size, dim)
    return torch.cat([grid[..., :-1] / grid[..., -1:].clamp_min(1e-6), grid[..., -1:]], dim=2)


def _box(values: Tensor, radius: int, dim: int) -> Tensor:
    """Sums of 2 radius + 1 neighbors along a dimension; fewer at the ends."""
    length = values.shape[dim]
    sums = torch.cat([torch.zeros_like(values.narrow(dim, 0, 1)), values.cumsum(dim)], dim)
    at = torch.arange(length, device=values.device)
    high, low = (at + radius + 1).clamp_max(length), (at - radius).clamp_min(0)
    return sums.index_select(dim, high) - sums.index_select(dim, low)


def _groups(place: Tensor, side: int, generator: torch.Generator) -> Tensor:  # [G, 4] cells
    """Random groups of four cells, each within a square block of the grid; the blocks begin anywhere, also across its ends."""
    height, width = place.shape
    side = max(2, min(side, height, width))
    rows, columns = height // side, width // side
    shift = [int(torch.randint(size, (1,), generator=generator)) for size in (height, width)]
    blocks = place.roll(shift, (0, 1))[: rows * side, : columns * side]
    blocks = blocks.reshape(rows, side, columns, side).transpose(1, 2).reshape(rows * columns, side * side)
    drawn = torch.randperm(side * side, generator=generator)[: side * side // 4 * 4]
    return blocks[:, drawn.to(place.device)].reshape(-1, 4)
