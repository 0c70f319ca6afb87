"""How well a scene agrees with what its photos have in common: photos that stand in the wrong place show here."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

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
    misfits: Sequence[str] = ()  # names of photos of whose matches a far smaller share is explained

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
    points = {
        key: np.array([point.point3D_id for point in model.images[key].points2D], dtype=np.uint64)
        for key in model.reg_image_ids()
    }
    same = placed = every = 0
    shares: dict[int, list[float]] = defaultdict(lambda: [0, 0])  # of each photo: explained, all
    with pycolmap.Database.open(database) as opened:
        for _, a, b, count in compared_pairs(opened):
            every += count
            if count and a in points and b in points:
                agreed = opened.read_two_view_geometry(a, b).inlier_matches
                first, second = points[a][agreed[:, 0]], points[b][agreed[:, 1]]
                explained = int(((first == second) & (first != pycolmap.INVALID_POINT3D_ID)).sum())
                same, placed = same + explained, placed + count
                for key in (a, b):
                    shares[key][0] += explained
                    shares[key][1] += count
    fitting = {key: explained / count for key, (explained, count) in shares.items()}
    least = MISFIT * float(np.median([*fitting.values()])) if fitting else 0.0
    misfits = sorted(model.images[key].name for key, share in fitting.items() if share < least)
    return Agreement(same, placed, every, tuple(misfits))
