"""How well a scene agrees with what its photos have in common: photos that stand in the wrong place show here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order, minimum_spanning_tree

from splat.datasets.sfm.matches import compared_pairs

MISFIT = 0.35
"""Share of its matches that a scene explains, relative to the median of all photos, below which a photo does not fit in."""


@dataclass(frozen=True)
class Agreement:
    """How many matches that agree with a geometry are explained by a scene: both features are one point of it.

    A scene in which photos stand in the wrong place explains fewer than the right one.
    """

    explained: int
    placed: int  # matches between photos that the scene has
    every: int
    misfits: Sequence[str] = ()  # names of photos that fit in far worse than the others, alone or as a group
    ties: Sequence[int] = ()  # ids of the pairs by whose matches those are where they are

    @property
    def of_all(self) -> float:
        """Share of all matches; those of photos that the scene lacks are not explained."""
        return self.explained / max(self.every, 1)

    @property
    def of_placed(self) -> float:
        """Share of the matches between photos that the scene has."""
        return self.explained / max(self.placed, 1)


def agreement(model: pycolmap.Reconstruction, database: Path) -> Agreement:
    """How well a scene agrees with the matches of a database."""
    points = shown_points(model)
    names = [model.images[key].name for key in points]
    place = {key: index for index, key in enumerate(points)}
    every, found = 0, []
    with pycolmap.Database.open(database) as opened:
        for pair, a, b, count in compared_pairs(opened):
            every += count
            if count and a in points and b in points:
                agreed = opened.read_two_view_geometry(a, b).inlier_matches
                first, second = points[a][agreed[:, 0]], points[b][agreed[:, 1]]
                explained = ((first == second) & (first != pycolmap.INVALID_POINT3D_ID)).sum()
                found.append((pair, place[a], place[b], count, explained))
    pairs = Pairs(*np.array(found, dtype=np.int64).reshape(-1, 5).T)
    misfits, ties = pairs.misfits(len(names))
    return Agreement(
        int(pairs.explained.sum()),
        int(pairs.count.sum()),
        every,
        tuple(sorted(names[index] for index in misfits)),
        tuple(int(pair) for pair in ties),
    )


def shown_points(model: pycolmap.Reconstruction) -> dict[int, NDArray[np.uint64]]:
    """Of each photo that a scene has, by its id: the id of the point that each of its features shows, or no point's."""
    return {
        key: np.array([point.point3D_id for point in model.images[key].points2D], dtype=np.uint64)
        for key in model.reg_image_ids()
    }


@dataclass(frozen=True)
class Pairs:
    """Pairs of photos of a scene that have matches: arrays of one length."""

    number: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    count: NDArray[np.int64]  # matches
    explained: NDArray[np.int64]  # by the scene

    def misfits(self, photos: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Photos that fit in far worse than the others do, and the ids of the pairs that hold them where they are.

        A group of photos that one wrong pair has led astray explains itself well, and each of its photos looks right. But most
        of what the group has in common with all other photos is not explained. Such groups are looked for where explained
        matches are fewest: between the two parts of their maximum spanning tree that each of its edges joins. The worst one is
        taken out first, as what it has in common with others makes these look worse than they are.
        """
        if not len(self.number):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        ends = np.concatenate([self.first, self.second])
        counts = np.bincount(ends, np.tile(self.count, 2), photos)
        shares = np.bincount(ends, np.tile(self.explained, 2), photos)[counts > 0] / counts[counts > 0]
        least = MISFIT * float(np.median(shares))
        sides = [*self._sides(photos)]
        crossing = [np.flatnonzero(side[self.first] != side[self.second]) for side in sides]
        across = csr_array(
            (np.ones(sum(map(len, crossing))), np.concatenate(crossing), np.cumsum([0, *map(len, crossing)])),
            shape=(len(sides), len(self.number)),
        )
        odd, ties = np.zeros(photos, dtype=bool), np.zeros(len(self.number), dtype=bool)
        left = np.ones(len(self.number), dtype=bool)
        while True:
            counts = across @ (self.count * left)
            shares = np.where(counts > 0, across @ (self.explained * left) / np.maximum(counts, 1), np.inf)
            worst = int(shares.argmin())
            if not shares[worst] < least:
                return np.flatnonzero(odd), self.number[ties]
            odd |= sides[worst]
            cut = crossing[worst][left[crossing[worst]]]
            ties[cut] = self.explained[cut] > least * self.count[cut]
            left[cut] = False

    def _sides(self, photos: int) -> Iterator[NDArray[np.bool_]]:
        """For each edge of the tree, which photos are at the end of it that has fewer of them: [photos] each."""
        far = 1 / (self.explained + 0.5)
        tree = minimum_spanning_tree(csr_array((far, (self.first, self.second)), shape=(photos, photos)))
        left = np.ones(photos, dtype=bool)
        while left.any():
            order, parents = depth_first_order(tree, np.flatnonzero(left)[0], directed=False)
            left[order] = False
            # Of the branch that begins with each photo, how many there are: they follow it in the order.
            below = np.ones(photos, dtype=np.int64)
            for index in reversed(order[1:]):
                below[parents[index]] += below[index]
            for position, index in enumerate(order[1:], 1):
                branch = np.arange(position, position + below[index])
                if 2 * len(branch) > len(order):
                    branch = np.setdiff1d(np.arange(len(order)), branch)
                side = np.zeros(photos, dtype=bool)
                side[order[branch]] = True
                yield side
