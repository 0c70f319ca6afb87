"""Gaussians that a file does not hold: each half-way between two that it does, with the mean of their attributes (after SAGS,
Ververas et al. 2024).

Which: a Gaussian can be left out if the mean of two of its nearest neighbors is close to it; those whose error, weighted by
their importance, is smallest go first. How the file says it: for each Gaussian of the file, in the file's order, a number.
0: it has no midpoint; r below LISTED: one with the first Gaussian in the r-th nearest of the other cells; from LISTED on: one
with the Gaussian of the number less LISTED. Nearness is a matter of whole numbers, the cells of positions, so that every
machine finds the same.
"""

import math

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, ByteReader
from splat.compression.coding.entropy import Integers, pack, unpack
from splat.compression.formats.splatz.canonical import nearest_equivalent
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.quaternions import rotation_matrix

NEIGHBORS = 8
"""Nearest, any two of which may be those that a Gaussian is half-way between."""
TRIED = 4
"""Best pairs that are kept for each Gaussian."""
LISTED = 64
"""Other cells that are found near one; only those nearer than the last count, since which are last may be chance."""
NUMBER_BITS = 7
"""Of a symbol: numbers up to LISTED, and some."""
ROWS = 1 << 12
"""Gaussians looked at together."""
WORST = 50.0
"""Relative error at which a midpoint is given up."""


def midpoints(first: Gaussians, second: Gaussians) -> Gaussians:
    """Half-way between Gaussians and as many others, differentiable: means of positions, logarithms of scales, rotations,
    opacities before the sigmoid, and harmonics."""
    quats, log_scales = nearest_equivalent(first.quats, second.quats, second.log_scales)
    told = {**second.tensors(), "quats": quats, "log_scales": log_scales}
    mean = {name: (tensor + told[name]) / 2 for name, tensor in first.tensors().items()}
    turned = torch.nn.functional.normalize(first.quats, dim=1) + quats
    return Gaussians(**{**mean, "quats": torch.nn.functional.normalize(turned, dim=1)})


def with_midpoints(stored: Gaussians, between: tuple[Tensor, Tensor] | None) -> Gaussians:
    """What the file holds, and then what is half-way between, if anything is."""
    if between is None:
        return stored
    first, second = between
    return Gaussians.cat([stored, midpoints(stored[first], stored[second])])


def completed(stored: Gaussians, parents: Tensor) -> Gaussians:
    """Stored Gaussians and their midpoints, each in its place: `parents` [N, 2] is -1 where one is stored."""
    own, row = parents[:, 0] < 0, torch.cumsum(parents[:, 0] < 0, dim=0) - 1
    first, second = row[parents[~own]].unbind(1)
    row = torch.where(own, row, len(stored) + torch.cumsum(~own, dim=0) - 1)
    return with_midpoints(stored, (first, second))[row]


def parents_among(parents: Tensor, index: Tensor) -> Tensor | None:  # [M, 2]
    """The parents of some of the Gaussians, by their places among those; a midpoint that has lost one is stored itself. None
    where no midpoint is left."""
    chosen = torch.arange(len(parents), device=parents.device)[index]
    place = torch.full((len(parents),), -1, device=parents.device)
    place[index] = torch.arange(len(chosen), device=place.device)
    parents = torch.where(parents >= 0, place[parents], -1)[index]
    parents[(parents < 0).any(dim=1)] = -1
    return parents if bool((parents >= 0).any()) else None


def shared_weights(weights: Tensor, parents: Tensor) -> Tensor:  # [N]
    """Weights with which Gaussians are stored: midpoints hand theirs to their parents, since squared errors of a mean of two
    have a quarter of each."""
    gone = parents[:, 0] >= 0
    between = weights[gone] / 4
    return weights.index_add(0, parents[gone, 0], between).index_add(0, parents[gone, 1], between)


@torch.no_grad()
def choose(gaussians: Gaussians, losses: Tensor, fraction: float) -> Tensor:  # [N, 2] int64
    """The two neighbors of every Gaussian that becomes their midpoint, -1 for those that stay: at most a fraction of all, those
    whose squared change of the picture is least as far as each alone can tell.

    Args:
        losses: [N] how much the picture changes without each.
    """
    scene = gaussians.detach().to("cpu", torch.float32)
    parents = torch.full((len(scene), 2), -1)
    if len(scene) <= NEIGHBORS:
        return parents.to(gaussians.device)
    errors, pairs = _candidates(scene)
    order = (errors * losses.to(errors)[:, None]).flatten().argsort(stable=True)
    wanted, found = round(fraction * len(scene)), list[tuple[int, int, int]]()
    gone, needed, owns = (bytearray(len(scene)) for _ in range(3))
    for part in order.split(ROWS):
        if len(found) == wanted:
            break
        for this, one, two in zip((part // TRIED).tolist(), *pairs.flatten(0, 1)[part].T.tolist(), strict=True):
            first, second = (two, one) if owns[one] else (one, two)
            if gone[this] or needed[this] or gone[first] or gone[second] or owns[first] or len(found) == wanted:
                continue
            gone[this] = needed[first] = needed[second] = owns[first] = 1
            found.append((this, first, second))
    rows = torch.tensor(found, dtype=torch.int64).reshape(-1, 3)
    parents[rows[:, 0]] = rows[:, 1:]
    return parents.to(gaussians.device)


def pack_midpoints(owners: Integers, partners: Integers, cells: Integers) -> bytes:
    """Of Gaussians with cells [N, 3], those that have a midpoint [M], each once, and with which others [M]."""
    numbers, neighbors = np.zeros(len(cells), dtype=np.int64), Neighbors(cells)
    for rows in _parts(len(owners)):
        same = neighbors.of(owners[rows]) == partners[rows, None]
        numbers[owners[rows]] = np.where(same.any(axis=1), same.argmax(axis=1) + 1, LISTED + partners[rows])
    return pack(numbers, bucket=1, most_bits=NUMBER_BITS)


def unpack_midpoints(reader: ByteReader, cells: Integers) -> tuple[Integers, Integers]:
    """Owners and partners again; owners ascend.

    Raises:
        InputError: the stream is damaged.
    """
    numbers = unpack(reader, len(cells), bucket=1)
    owners = np.flatnonzero(numbers)
    partners, neighbors = numbers[owners] - LISTED, Neighbors(cells)
    for rows in _parts(len(owners)):
        rank = numbers[owners[rows]] - 1
        near = neighbors.of(owners[rows])[np.arange(len(rank)), rank.clip(0, LISTED - 2)]
        partners[rows] = np.where((rank >= 0) & (rank < LISTED - 1), near, partners[rows])
    if len(owners) and not 0 <= partners.min() <= partners.max() < len(cells):
        raise InputError(f"{reader.name}: a midpoint with a Gaussian that there is not. {REMEDY}")
    return owners, partners


class Neighbors:
    """Finds those near some Gaussians of the file, each the first in its cell.

    Args:
        cells: [N, 3]; equal ones follow each other.
    """

    def __init__(self, cells: Integers) -> None:
        self.cells = cells = cells.astype(np.int64)  # squares of distances need them
        self.first = (
            np.flatnonzero(np.append(True, (cells[1:] != cells[:-1]).any(axis=1))) if len(cells) else cells[:, 0]
        )
        self.tree = cKDTree(cells[self.first])

    def of(self, owners: Integers) -> Integers:  # [M, LISTED - 1]
        """The nearest first, of equally near the first in the file first; -1 where there are no more."""
        _, found = self.tree.query(self.cells[owners], LISTED + 1)
        others = np.append(self.first, -1)[found]
        apart = self.cells[others] - self.cells[owners][:, None]
        none = np.iinfo(np.int64).max
        far = np.where(others < 0, none, (apart * apart).sum(axis=2))
        last = far.max(axis=1, keepdims=True)
        far[(far == last) | (far == 0)] = none
        order = np.lexsort((others, far))[:, : LISTED - 1]
        far = np.take_along_axis(far, order, axis=1)
        return np.where(far == none, -1, np.take_along_axis(others, order, axis=1))


def _parts(count: int) -> list[slice]:
    return [slice(first, first + ROWS) for first in range(0, count, ROWS)]


def _candidates(scene: Gaussians) -> tuple[Tensor, Tensor]:  # [N, TRIED], [N, TRIED, 2]
    """The pairs of neighbors with midpoints most like each Gaussian, and by how much they differ."""
    means = scene.means.double().numpy()
    _, near = cKDTree(means).query(means, NEIGHBORS + 1)
    one, two = torch.triu_indices(NEIGHBORS, NEIGHBORS, 1)
    errors, pairs = [], []
    for rows in torch.arange(len(scene)).split(ROWS):
        others = torch.from_numpy(near[rows.numpy()]).long()
        # Itself last: it need not be the nearest to where it is.
        others = others.gather(1, (others == rows[:, None]).int().argsort(dim=1, stable=True))[:, :NEIGHBORS]
        first, second = others[:, one].flatten(), others[:, two].flatten()
        between = midpoints(scene[first], scene[second])
        found = difference(scene[rows.repeat_interleave(len(one))], between).view(len(rows), -1)
        least, index = found.topk(TRIED, largest=False)
        errors.append(least)
        pairs.append(torch.stack([others.gather(1, one[index]), others.gather(1, two[index])], dim=2))
    return torch.cat(errors), torch.cat(pairs)


def difference(first: Gaussians, second: Gaussians) -> Tensor:  # [N] float32
    """Integral of the squared difference of two Gaussians in space, as densities of opacity and of opacity times color,
    against the same integral of the first alone: 1 as if the second were not there."""
    (one, one_root), (two, two_root) = _covariances(first), _covariances(second)
    alone, other, shared = _densities(first), _densities(second), one + two
    apart = (first.means - second.means).double()
    solved = torch.linalg.solve_ex(shared, apart[..., None])[0][..., 0]
    # The integral of a product of two densities of peak 1, against pi^(3/2)
    overlap = math.sqrt(8) * one_root * two_root / torch.linalg.det(shared).clamp_min(1e-60).sqrt()
    overlap = overlap * (-0.5 * (apart * solved).sum(dim=1).clamp_min(0)).exp()
    own = alone.square().sum(dim=1) * one_root
    changed = own + other.square().sum(dim=1) * two_root - 2 * (alone * other).sum(dim=1) * overlap
    return (changed / own.clamp_min(1e-60)).nan_to_num(nan=WORST).clamp(0, WORST).float()


def _covariances(gaussians: Gaussians) -> tuple[Tensor, Tensor]:  # [N, 3, 3], [N] root of the determinant; float64
    log_scales = gaussians.log_scales.double().clamp(-30, 30)
    axes = rotation_matrix(gaussians.quats.double()) * log_scales.exp()[:, None]
    return axes @ axes.transpose(1, 2), log_scales.sum(dim=1).exp()


def _densities(gaussians: Gaussians) -> Tensor:  # [N, 4]
    """Opacity, and opacity times color."""
    colors = torch.nn.functional.pad(gaussians.sh0.double() * SH_C0 + 0.5, (1, 0), value=1.0)
    return colors * gaussians.opacities.double()[:, None]
