"""k-means: codebooks of vectors and of numbers, weighted, fast enough for tens of thousands of codes on a CPU."""

import math

import numpy as np
import torch
from torch import Tensor

ROUNDS = 8
BLOCK = 1 << 23
"""Distances computed at once."""
DIRECT = 1 << 30
"""Products of vectors and codes up to which all are compared; beyond, a tree of two levels is built."""
PROBED = 8
"""Groups of codes in which a near one is looked for."""
SPREAD = 256
"""Codes up to which a start is drawn that is spread out; for more, its time would be most of all."""
BINS = 1024
"""Of the histogram on which numbers are clustered exactly."""


def kmeans(points: Tensor, codes: int, weights: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vectors that stand for many: Lloyd's algorithm (1982) from a weighted random start.

    Args:
        points: [N, D].
        codes: how many vectors at most.
        weights: [N] how much the error of each point counts; all the same unless given.

    Returns:
        The codebook [K, D], K <= codes, and for every point the index of its code [N].
    """
    generator = torch.Generator().manual_seed(seed)
    weights = torch.ones(len(points), device=points.device) if weights is None else weights
    if len(points) <= codes:
        return points.clone(), torch.arange(len(points), device=points.device)
    if len(points) * codes <= DIRECT or codes < 256:
        return _lloyd(points, codes, weights, generator)
    return _tree(points, codes, weights, generator)


def assign(points: Tensor, codebook: Tensor) -> Tensor:  # [N] int64
    """The nearest code of every point."""
    rows = max(1, BLOCK // len(codebook))
    return torch.cat([_distances(part, codebook).argmin(dim=1) for part in points.split(rows)])


def assign_near(points: Tensor, codebook: Tensor, seed: int = 0) -> Tensor:  # [N] int64
    """A code near every point, mostly the nearest: the codes are grouped, and those of the nearest groups compared."""
    if len(points) * len(codebook) <= DIRECT:
        return assign(points, codebook)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.ones(len(codebook)).to(codebook)
    middles, group = _lloyd(codebook, 1 << round(math.log2(len(codebook)) / 2), weights, generator)
    members = [(group == number).nonzero()[:, 0] for number in range(len(middles))]
    labels = torch.empty(len(points), dtype=torch.int64, device=points.device)
    rows = max(1, BLOCK // max(len(middles), points.shape[1]) // PROBED)
    for part, out in zip(points.split(rows), labels.split(rows), strict=True):
        nearest = _distances(part, middles).topk(min(PROBED, len(middles)), largest=False).indices
        least = part.new_full((len(part),), torch.inf)
        for number, codes in enumerate(members):
            near = (nearest == number).any(dim=1).nonzero()[:, 0]
            if not len(near) or not len(codes):
                continue
            found = _distances(part[near], codebook[codes]).min(dim=1)
            better = found.values < least[near]
            least[near[better]] = found.values[better]
            out[near[better]] = codes[found.indices[better]]
    return labels


def _distances(points: Tensor, codebook: Tensor) -> Tensor:  # [N, K]
    """Half of the squared distances, less what is the same for all codes."""
    return codebook.square().sum(dim=1) / 2 - points @ codebook.T


def means_of(points: Tensor, labels: Tensor, weights: Tensor, codebook: Tensor) -> Tensor:  # [K, D]
    """Weighted means of the points of every code; a code without points stays as it is.

    Args:
        weights: [N], or [N, D] where the numbers of a point have weights of their own.
    """
    weights = weights if weights.ndim == 2 else weights[:, None]
    total = weights.new_zeros(len(codebook), weights.shape[1]).index_add_(0, labels, weights)
    sums = torch.zeros_like(codebook).index_add(0, labels, points * weights)
    return torch.where(total > 0, sums / total.clamp_min(1e-30), codebook)


def _lloyd(points: Tensor, codes: int, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    codebook = points[(_spread if codes <= SPREAD else _draw)(points, weights, codes, generator)].clone()
    for _ in range(ROUNDS):
        labels = assign(points, codebook)
        codebook = means_of(points, labels, weights, codebook)
        empty = torch.bincount(labels, minlength=len(codebook)) == 0
        if bool(empty.any()):  # put where the error is largest
            error = weights * (points - codebook[labels]).square().sum(dim=1)
            codebook[empty] = points[error.topk(int(empty.sum())).indices]
    return codebook, assign(points, codebook)


def _tree(points: Tensor, codes: int, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes within cells: each cell of a coarse codebook gets codes of its own, more where the error is larger."""
    coarse, cell = _lloyd(points, 1 << round(math.log2(codes) / 2), weights, generator)
    error = weights * (points - coarse[cell]).square().sum(dim=1)
    # Splitting a cell of n points and error e into k codes leaves about e k^(-2/d): fractions by e^(d / (d + 2)), d small.
    size = torch.bincount(cell, minlength=len(coarse))
    fraction = (torch.zeros(len(coarse)).to(error).index_add_(0, cell, error).sqrt() * size.sqrt()).double()
    counts = (fraction / fraction.sum().clamp_min(1e-30) * codes).floor().long().clamp_min(1).minimum(size)
    order = cell.argsort(stable=True)
    books, labels, first = [], torch.empty_like(cell), 0
    for rows, count in zip(order.split(size.tolist()), counts.tolist(), strict=True):
        if not len(rows):
            continue
        if len(rows) <= count:
            book, label = points[rows], torch.arange(len(rows), device=points.device)
        else:
            book, label = _lloyd(points[rows], count, weights[rows], generator)
        labels[rows] = label + first
        first += len(book)
        books.append(book)
    return torch.cat(books), labels


def _spread(points: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:  # [count] indices
    """Points far from each other: each drawn by its weighted squared distance to those before (Arthur, Vassilvitskii 2007)."""
    drawn = _draw(points, weights, 1, generator)
    error = torch.full_like(weights, torch.inf)
    while len(drawn) < count:
        error = error.minimum((points - points[drawn[-1]]).square().sum(dim=1))
        drawn = torch.cat([drawn, _draw(points, weights * error, 1, generator)])
    return drawn


def _draw(points: Tensor, weights: Tensor, count: int, generator: torch.Generator) -> Tensor:  # [count] indices
    """Some indices at random, without repetition, by weight (Efraimidis and Spirakis 2006)."""
    keys = torch.rand(len(weights), generator=generator).to(weights).clamp_min(1e-12).log() / weights.clamp_min(1e-12)
    return keys.topk(count).indices


def codebook_of_numbers(
    values: Tensor, codes: int = 256, weights: Tensor | None = None
) -> Tensor:  # [codes], ascending
    """The numbers that stand for all `values` with the least squared error: dynamic programming on a histogram, whose bins are
    half as wide where values are dense and half evenly spaced, so that the ends keep codes of their own; then Lloyd's steps.

    Args:
        values: any shape, finite.
        weights: of the same shape.
    """
    flat = values.flatten().double()
    weight = torch.ones_like(flat) if weights is None else weights.flatten().double()
    distinct = flat.unique()
    if len(distinct) <= codes:
        fill = distinct[-1:] if len(distinct) else flat.new_zeros(1)
        return torch.cat([distinct, fill.expand(codes - len(distinct))]).to(values.dtype)
    even = torch.linspace(float(distinct[0]), float(distinct[-1]), BINS // 2 + 1, dtype=torch.float64)
    dense = distinct[torch.linspace(0, len(distinct) - 1, BINS // 2, dtype=torch.float64).long()]
    edges = torch.cat([even.to(dense), dense]).unique()
    bins = torch.bucketize(flat, edges[1:-1])
    count = len(edges) - 1
    mass = torch.zeros(count, dtype=torch.float64, device=flat.device).index_add_(0, bins, weight)
    first = torch.zeros_like(mass).index_add_(0, bins, weight * flat)
    second = torch.zeros_like(mass).index_add_(0, bins, weight * flat.square())
    keep = mass > 0
    codebook = _exact(mass[keep].cpu(), first[keep].cpu(), second[keep].cpu(), codes).to(flat)
    for _ in range(3):
        labels = assign_numbers(flat, codebook)
        total = torch.zeros_like(codebook).index_add_(0, labels, weight)
        sums = torch.zeros_like(codebook).index_add_(0, labels, weight * flat)
        codebook = torch.where(total > 0, sums / total.clamp_min(1e-300), codebook).sort().values
    return codebook.to(values.dtype)


def assign_numbers(values: Tensor, codebook: Tensor) -> Tensor:  # int64, the shape of values
    """Index of the nearest number of an ascending codebook."""
    return torch.bucketize(values.contiguous(), (codebook[1:] + codebook[:-1]) / 2)


def _exact(mass: Tensor, first: Tensor, second: Tensor, codes: int) -> Tensor:  # [codes]
    """Best division of ordered bins into runs: cost[k, j] = min_i cost[k - 1, i] + error of bins i..j - 1 in one code."""
    bins = len(mass)
    if bins <= codes:
        return torch.cat([first / mass, (first / mass)[-1:].expand(codes - bins)])
    zero = torch.zeros(1, dtype=torch.float64)
    m, f, s = (torch.cat([zero, values.cumsum(0)]) for values in (mass, first, second))
    weight = (m[:, None] - m[None, :]).clamp_min(1e-300)  # [j, i]
    error = (s[:, None] - s[None, :]) - (f[:, None] - f[None, :]).square() / weight
    error = torch.where(torch.ones_like(error).tril(-1).bool(), error.clamp_min(0), torch.inf)
    runs = (error / error[bins, 0].clamp_min(1e-300)).float().numpy()  # numpy's argmin is many times as fast as torch's
    cost, cuts, every = runs[:, 0], [], np.arange(bins + 1)
    for _ in range(codes - 1):
        total = runs + cost
        cut = total.argmin(axis=1)
        cost = total[every, cut]
        cuts.append(cut)
    ends, end = [bins], bins
    for cut in reversed(cuts):
        end = int(cut[end])
        ends.append(end)
    edges = torch.tensor([0, *reversed(ends)])
    low, high = edges[:-1], edges[1:]
    return (f[high] - f[low]) / (m[high] - m[low])
