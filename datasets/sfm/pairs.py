"""Which photos are compared with which: matching all pairs takes minutes for a hundred photos, and hours for a thousand."""

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import pycolmap

from splat.datasets.sfm.features import alike, image_ids, likeness
from splat.datasets.sfm.prepare_photos import GPS, exif_of
from splat.errors import InputError

EXHAUSTIVE_MAX = 100
"""Photos of which every pair is matched unless told otherwise."""
OVERLAP = 5
"""Neighbors on each side that ordered photos are matched with; and powers of two beyond."""
LOOK_ALIKES = 12
"""Photos that each is matched with because they look like it."""
KINDS = ("exhaustive", "sequential", "spatial", "retrieval")

Pair = tuple[str, str]


def choose_kinds(wanted: str, paths: Sequence[Path], ordered: bool) -> tuple[str, ...]:
    """How pairs are chosen: exhaustive, or by some of sequential, spatial and retrieval together.

    Args:
        wanted: one of KINDS, or auto.
        paths: the photos.
        ordered: whether they are frames of a video.

    Raises:
        InputError: neighbors by place are wanted, and no photo says where it was taken.
    """
    if wanted == "spatial" and not any(map(_has_place, paths)):
        raise InputError(
            "no photo says in its EXIF where it was taken (GPS), so `matching` spatial finds no neighbors; use `matching` auto"
        )
    if wanted != "auto":
        return (wanted,)
    if len(paths) <= EXHAUSTIVE_MAX and not ordered:
        return ("exhaustive",)
    kinds = ["retrieval"]
    if ordered or all(re.search(r"\d", path.stem) for path in paths):
        kinds.insert(0, "sequential")
    if not ordered and all(map(_has_place, paths)):
        kinds.append("spatial")
    return tuple(kinds)


def _has_place(path: Path) -> bool:
    exif = exif_of(path)
    return exif is not None and bool(exif.get_ifd(GPS))


def choose_pairs(
    kinds: Iterable[str], database: Path, ids: dict[str, int], names: Sequence[str], seed: int, progress: bool
) -> list[Pair]:
    """Names of the photos of each pair, each pair once.

    Args:
        ids: image ids by the photos' names.
        names: of the photos in their order.
    """
    by_id = {number: name for name, number in ids.items()}
    place = {name: index for index, name in enumerate(names)}
    pairs: set[Pair] = set()
    for kind in kinds:
        if kind == "exhaustive":
            found: Iterable[Pair] = combinations(names, 2)
        elif kind == "sequential":
            found = _neighbors(names)
        elif kind == "spatial":
            with pycolmap.Database.open(database) as opened:
                generator = pycolmap.SpatialPairGenerator(pycolmap.SpatialPairingOptions(), opened)
                found = [(by_id[a], by_id[b]) for a, b in generator.all_pairs()]
        else:
            found = [(by_id[a], by_id[b]) for a, b in alike(database, LOOK_ALIKES, seed, progress)]
        pairs.update((a, b) if place[a] < place[b] else (b, a) for a, b in found if a != b)
    return sorted(pairs, key=lambda pair: (place[pair[0]], place[pair[1]]))


def most_alike(pairs: Sequence[Pair], count: int, database: Path, seed: int, progress: bool) -> list[Pair]:
    """Those of the pairs, by names, whose photos look most alike."""
    images, table = likeness(database, seed, progress)
    place = {number: index for index, number in enumerate(images)}
    row = {name: place[number] for name, number in image_ids(database).items()}
    return sorted(pairs, key=lambda pair: -table[row[pair[0]], row[pair[1]]])[:count]


def _neighbors(names: Sequence[str]) -> Iterable[Pair]:
    """Each photo with those that follow it, one by one and then twice as far each time."""
    steps = [*range(1, OVERLAP + 1)]
    while steps[-1] * 2 < len(names):
        steps.append(steps[-1] * 2)
    return ((names[index], names[index + step]) for step in steps for index in range(len(names) - step))
