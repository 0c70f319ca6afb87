"""Which features of two photos are the same, and a picture of which photos have enough of them in common."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from splat.datasets.sfm.features import image_ids
from splat.datasets.sfm.watch import rows, watched
from splat.io.progress import Counter
from splat.io.wording import number_of

ENOUGH = 15
"""Matches of two photos that agree with one geometry, below which they count as unrelated."""
SURE, SURE_SHARE = 25, 0.5
"""Matches found without a geometry that agree with one, and their share, from which on two photos show the same thing for
sure. With fewer it may be a pattern that looks the same elsewhere: guided matching then finds more of it along the geometry.
"""
BLOCK = 100
"""Pairs after which what was found is kept."""
CELLS = 1000
"""Width and height of the picture in pixels, about."""
PAPER, INK, DIAGONAL, APART = (255, 255, 255), (40, 40, 40), (210, 210, 210), (222, 120, 12)
FEW, MANY = np.array([214.0, 226.0, 242.0]), np.array([8.0, 48.0, 107.0])


def compared_pairs(database: pycolmap.Database) -> Iterator[tuple[int, int, int, int]]:
    """Of each pair of photos that was compared: its id, the ids of its photos, and how many matches agree with a geometry."""
    for pair, count in zip(*database.read_two_view_geometry_num_inliers(), strict=True):
        yield (int(pair), *pycolmap.pair_id_to_image_pair(pair), int(count))


def matched_pairs(database: Path) -> set[tuple[str, str]]:
    """Names of the photos of each pair that was compared, in both orders."""
    names = {number: name for name, number in image_ids(database).items()}
    with pycolmap.Database.open(database) as opened:
        found = {(names[a], names[b]) for _, a, b, _ in compared_pairs(opened)}
    return found | {(b, a) for a, b in found}


def find_matches(database: Path, pairs: Sequence[tuple[str, str]], guided: bool, progress: bool) -> None:
    """Match pairs of photos and keep what agrees with one geometry; pairs that were matched before are skipped.

    Args:
        guided: where a geometry is found, look for more matches along it. Takes two and a half times as long.
    """
    listing = database.with_suffix(".pairs")
    listing.write_text("".join(f"{a} {b}\n" for a, b in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.guided_matching = guided
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listing
    pairing.block_size = BLOCK
    ids = image_ids(database)
    numbers = {pycolmap.image_pair_to_pair_id(ids[a], ids[b]) for a, b in pairs}
    with pycolmap.Database.open(database) as opened:
        others = len(set(opened.read_two_view_geometry_num_inliers()[0]) - numbers)
    counter = Counter("matches", len(pairs), unit="pair", shown=progress)
    watched(
        lambda token: pycolmap.match_image_pairs(
            database, matching_options=matching, pairing_options=pairing, cancellation_token=token
        ),
        counter,
        lambda: counter.to(min(len(pairs), max(0, rows(database, "two_view_geometries") - others))),
        database.parent,
    )


def read_matches(database: Path, names: Sequence[str]) -> NDArray[np.int64]:  # [photos, photos]
    """How many matches each two photos have that agree with one geometry; 0 also for pairs that were not compared."""
    place = {image: index for index, image in enumerate(image_ids(database)[name] for name in names)}
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    with pycolmap.Database.open(database) as opened:
        for _, a, b, count in compared_pairs(opened):
            table[place[a], place[b]] = table[place[b], place[a]] = count
    return table


def unsure_pairs(database: Path) -> list[int]:
    """Ids of pairs whose geometry few matches support, not counting those that guided matching has added."""
    unsure = []
    with pycolmap.Database.open(database) as opened:
        for pair, a, b, count in compared_pairs(opened):
            if count:
                found = _numbers(opened.read_matches(a, b))
                agreed = int(np.isin(_numbers(opened.read_two_view_geometry(a, b).inlier_matches), found).sum())
                if agreed < max(SURE, SURE_SHARE * len(found)):
                    unsure.append(pair)
    return unsure


def _numbers(matches: NDArray[np.uint32]) -> NDArray[np.uint64]:  # [matches]
    """One number for each match of two features."""
    return matches[:, 0].astype(np.uint64) << np.uint64(32) | matches[:, 1].astype(np.uint64)


def draw_matches(table: NDArray[np.int64], registered: NDArray[np.bool_]) -> Image.Image:
    """A picture of which photos match which, photo by photo in their order: the darker, the more matches.

    Args:
        table: [photos, photos] matches.
        registered: [photos]; the others are marked at the edge.
    """
    count = len(table)
    side = max(1, CELLS // count)
    shade = np.clip(np.log(np.maximum(table, 1) / ENOUGH) / np.log(1000 / ENOUGH), 0, 1)[..., None]
    colors = np.where((table >= ENOUGH)[..., None], FEW + (MANY - FEW) * shade, np.array(PAPER, dtype=np.float64))
    colors[np.arange(count), np.arange(count)] = DIAGONAL
    cells = Image.fromarray(colors.round().astype(np.uint8)).resize(
        (count * side, count * side), Image.Resampling.NEAREST
    )
    left, top, bottom = 70, 50, 70
    image = Image.new("RGB", (left + cells.width + 30, top + cells.height + bottom), PAPER)
    image.paste(cells, (left, top))
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    drawing.rectangle((left - 1, top - 1, left + cells.width, top + cells.height), outline=DIAGONAL)
    drawing.text(
        (left, 14), "matches of each photo (row) with each other photo (column), in the order of names", INK, font
    )
    for index in range(0, count, max(1, round(count / 10))):
        drawing.text((left - 8, top + index * side), str(index + 1), INK, font, anchor="rt")
    for apart in np.flatnonzero(~registered):
        drawing.rectangle((left - 6, top + apart * side, left - 2, top + (apart + 1) * side - 1), fill=APART)
    related = int(np.triu(table >= ENOUGH, 1).sum())
    words = f"{related:,} pairs have {ENOUGH} matches or more (pale) up to 1,000 and more (dark)"
    if not registered.all():
        words += f"; orange: {number_of(int((~registered).sum()), 'photo')} without a pose"
    drawing.text((left, top + cells.height + 16), words, INK, font)
    return image
