"""Fewer Gaussians by merging neighbors: two become one that has their mass, center, covariance and mean color.

The mass of a Gaussian is its opacity times the mean area of its shadow, so that a merged one blocks as much light as the two
did. Merging by moments as in Runnalls (2007), with a price that also counts color; a greedy matching of the cheapest pairs
among nearest neighbors, round after round.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from splat.gaussians import SH_C0, Gaussians, drawable, with_finite_values
from splat.geometry.quaternions import from_rotation_matrix, rotation_matrix

NEIGHBORS = 8
"""Nearest Gaussians among which a partner is looked for."""
ROUND = 0.5
"""Fraction of the Gaussians that one round of merging takes away, at most: no matching has more pairs. Smaller rounds come
out worse, because they merge the same Gaussians again and again."""
MOST_OPACITY = 0.99
COLOR_WEIGHT = 10.0
"""How much a squared difference of colors in 0..1 counts, against a squared distance in units of the sizes of two Gaussians."""
FLOOR = 1e-12
TIE = 1e-10
"""Fraction of a coordinate, less than 32-bit floats tell apart, by which places are shifted to look for neighbors."""
BLOCK = 1 << 18
"""Pairs whose prices are computed together."""


def merged(gaussians: Gaussians, count: int) -> Gaussians:
    """At most `count` Gaussians that look like all of them from a distance; those that are not merged stay as they are, bit for
    bit, and keep their order. What cannot be drawn is left out.

    Raises:
        ValueError: the count is not positive.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    scene = gaussians.detach().to("cpu", torch.float32)
    scene = with_finite_values(scene[drawable(scene)])
    while len(scene) > count:
        wanted = min(len(scene) - count, max(1, math.ceil(ROUND * len(scene))))
        pairs = cheapest_matching(scene, wanted)
        kept = torch.ones(len(scene), dtype=torch.bool)
        kept[pairs.flatten()] = False
        scene = Gaussians.cat([scene[kept], merge_pairs(scene[pairs[:, 0]], scene[pairs[:, 1]])])
    return scene.to(gaussians.device)


def cheapest_matching(scene: Gaussians, wanted: int) -> Tensor:  # [M, 2] int64, at most `wanted` pairs
    """Pairs of neighbors without a Gaussian in common, cheap ones first."""
    count, places = len(scene), scene.means.double().numpy()
    # Gaussians in one place would all have the same few neighbors, and so few partners.
    places = places + TIE * (np.abs(places) + FLOOR**2) * np.random.default_rng(0).uniform(-1, 1, places.shape)
    _, near = cKDTree(places).query(places, k=min(NEIGHBORS + 1, count), workers=-1)
    first = np.broadcast_to(np.arange(count)[:, None], near.shape)
    low, high = np.minimum(first, near)[first != near], np.maximum(first, near)[first != near]
    pairs = np.stack(np.divmod(np.unique(low * count + high), count), axis=1)
    pairs = pairs[np.argsort(prices(scene, torch.from_numpy(pairs)).numpy(), kind="stable")]
    # Every pair that is the cheapest of both its Gaussians is taken, then the same among those that are left.
    free = np.ones(len(scene), dtype=bool)
    chosen: list[NDArray[np.int64]] = []
    total = 0
    while total < wanted and len(pairs):
        best = np.full(len(scene), len(pairs))
        rank = np.arange(len(pairs))
        for column in (0, 1):
            np.minimum.at(best, pairs[:, column], rank)
        taken = pairs[(best[pairs[:, 0]] == rank) & (best[pairs[:, 1]] == rank)][: wanted - total]
        chosen.append(taken)
        total += len(taken)
        free[taken] = False
        pairs = pairs[free[pairs[:, 0]] & free[pairs[:, 1]]]
    return torch.from_numpy(np.concatenate(chosen))


def prices(scene: Gaussians, pairs: Tensor) -> Tensor:  # [M] float64
    """What merging each pair [M, 2] changes: the mass that moves, times how far, in units of the sizes, and by how much its
    color changes."""
    mass, spread, color = masses(scene), covariances(scene), (scene.sh0 * SH_C0).double()
    found = []
    for part in pairs.split(BLOCK):
        one, two = part.unbind(1)
        both = spread[one] + spread[two]
        both += 1e-2 * both.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] * torch.eye(3, dtype=torch.float64)
        distance = mahalanobis(both, (scene.means[two] - scene.means[one]).double())
        change = (color[two] - color[one]).square().sum(dim=1)
        moved = mass[one] * mass[two] / (mass[one] + mass[two]).clamp_min(FLOOR)
        found.append(moved * (distance + COLOR_WEIGHT * change))
    return torch.cat(found)


def mahalanobis(covariance: Tensor, offset: Tensor) -> Tensor:  # [M] from [M, 3, 3] and [M, 3]
    """Squared distances in units of symmetric covariances, by their adjugates: many small systems at once."""
    (a, b, c), (_, d, e), (_, _, f) = (row.unbind(1) for row in covariance.unbind(1))
    x, y, z = offset.unbind(1)
    xx, xy, xz = d * f - e * e, c * e - b * f, b * e - c * d
    yy, yz, zz = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * xx + b * xy + c * xz
    form = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z)
    return form / determinant.clamp_min(torch.finfo(torch.float64).tiny)


def merge_pairs(one: Gaussians, two: Gaussians) -> Gaussians:
    """Gaussian by Gaussian, the one that has the mass, center, covariance and mean color of two."""
    mass_one, mass_two = masses(one), masses(two)
    total = (mass_one + mass_two).clamp_min(FLOOR**2)
    share = (mass_one / total).clamp(0, 1)[:, None]  # of the first
    share = torch.where(torch.isfinite(share), share, 0.5)

    def mean(first: Tensor, second: Tensor) -> Tensor:
        part = share.reshape(-1, *[1] * (first.ndim - 1))
        return part * first.double() + (1 - part) * second.double()

    apart = (one.means.double() - two.means.double())[:, :, None]
    spread = mean(covariances(one), covariances(two))
    spread += (share * (1 - share))[:, :, None] * apart @ apart.transpose(1, 2)
    variances, axes = torch.linalg.eigh(spread)
    axes = torch.cat([axes[:, :, :2], axes[:, :, 2:] * torch.linalg.det(axes)[:, None, None].sign()], dim=2)
    scales = variances.clamp_min(1e-26).sqrt()
    opacity = (total / shadow(scales).clamp_min(FLOOR**2)).clamp(1e-6, MOST_OPACITY)
    return Gaussians(
        means=mean(one.means, two.means).float(),
        quats=from_rotation_matrix(axes).float(),
        log_scales=scales.log().float(),
        logit_opacities=opacity.logit().float(),
        sh0=mean(one.sh0, two.sh0).float(),
        sh_rest=mean(one.sh_rest, two.sh_rest).float(),
    )


def covariances(scene: Gaussians) -> Tensor:  # [N, 3, 3] float64
    """Of the Gaussians' positions."""
    axes = rotation_matrix(scene.quats.double()) * scene.log_scales.double().exp()[:, None]
    return axes @ axes.transpose(1, 2)


def masses(scene: Gaussians) -> Tensor:  # [N] float64
    """Opacity times the mean area of the shadow, up to a constant."""
    return scene.logit_opacities.double().sigmoid() * shadow(scene.log_scales.double().exp())


def shadow(scales: Tensor) -> Tensor:  # [N] from [N, 3]
    """Mean area, up to a constant, of the shadows of an ellipsoid with these axes: by Cauchy's formula a quarter of its
    surface, here by Knud Thomsen's approximation with exponent 1.6."""
    a, b, c = scales.unbind(1)
    power = 1.6
    return (((a * b) ** power + (a * c) ** power + (b * c) ** power) / 3) ** (1 / power)
