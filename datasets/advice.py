"""What is likely to go wrong with a capture, each with a remedy."""

import math
import os
from collections.abc import Sequence

from splat.datasets.capture import Capture
from splat.datasets.find_files import FoundFiles, check_enough
from splat.datasets.images.companions import read_mask
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.load import PhotoOptions
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.summary import blind_notes, standing_notes
from splat.errors import InputError
from splat.io.wording import listed, number_of

FEW_PHOTOS = 20
FEW_POINTS = 1000
SMALL_SIDE = 64
"""Photos with a shorter longer side show hardly anything."""
LARGE_SIDE = 2000
"""Photos with a longer side take long at full size, and few captures show more for it."""
ODD_FIELD_OF_VIEW = 10.0, 120.0
"""Degrees across the longer side; others are possible but seldom meant."""
BYTES_A_PIXEL = 3
MASKS_READ = 20
"""Masks of which the pixels are looked at."""


def advice(
    model: Model,
    capture: Capture,
    files: FoundFiles,
    sizes: Sequence[tuple[int, int]],
    others: Sequence[str],
    options: PhotoOptions,
) -> list[str]:
    """A sentence for each thing that is likely to go wrong, with what to do.

    Args:
        capture: as it would be trained on.
        sizes: of its photos as they are stored.
        others: names of files beside the photos that the model does not speak of.
    """
    if not capture.frames:
        return ["not one photo can be used, so `splat train` refuses the capture; above is why"]
    found = []
    tracks = any(file.posed.observed is not None and len(file.posed.observed) for file in files.photos)
    count = len(capture.frames)
    if count < FEW_PHOTOS:
        found.append(
            f"{number_of(count, 'photo is', 'photos are')} few: surfaces that one or two of them see come out wrong. Take "
            "more, each sharing two thirds of its picture with the next"
            + ("; with --loss depth_points=0.01 few photos do better" if tracks else "")
        )
    if len(capture.skipped) > 0.1 * model.count:
        found.append(f"{len(capture.skipped)} of {model.count} photos of the model are left out; see above why")
    damaged = [reason for reason in capture.skipped if reason not in (*files.missing, *files.unposed)]
    try:
        check_enough(capture.path, options.images, count, [name for name, _ in files.missing], damaged)
    except InputError:
        found.append("`splat train` refuses that; with --allow-missing it trains on what is left")
    if len(others) > 0.1 * (count + len(others)):
        found.append(
            f"{number_of(len(others), 'photo has', 'photos have')} no pose in the model: {listed(others)}. Where structure "
            "from motion could not place them, `splat photos` on all of them may"
        )
    if not len(capture.points):
        found.append("there are no points, so training starts from random ones, which takes longer and leaves floaters")
    elif len(capture.points) < FEW_POINTS:
        found.append(
            f"{number_of(len(capture.points), 'point is', 'points are')} few; the scene may stay coarse where none of them is"
        )
    found += [*blind_notes(capture), *standing_notes(capture), *_small(capture, sizes)]
    for posed in {id(posed.camera): posed for posed in (file.posed for file in files.photos)}.values():
        angle = _field_of_view(posed)
        if not ODD_FIELD_OF_VIEW[0] <= angle <= ODD_FIELD_OF_VIEW[1]:
            found.append(
                f"the camera of {posed.name} has a field of view of {angle:.0f} degrees; if that is not so, its focal length "
                "is wrong: run structure from motion again"
            )
            break
    largest = max((max(size) for size in sizes), default=0)
    if largest > LARGE_SIDE and options.resolution == 1 and options.max_image_size is None:
        found.append(
            f"photos have up to {largest} pixels a side; --max-image-size 1600 trains faster and seldom looks worse"
        )
    memory = sum(frame.camera.width * frame.camera.height for frame in capture.frames) * BYTES_A_PIXEL
    if memory > 0.5 * _memory():
        found.append(
            f"all photos together take {memory / 1e9:.1f} GB, more than half of this machine's memory; they are then decoded "
            "again and again. --max-image-size makes them smaller, --image-cache says how much to keep"
        )
    masked = sum(file.mask is not None for file in files.photos)
    if 0 < masked < len(files.photos):
        found.append(
            f"{len(files.photos) - masked} of {len(files.photos)} photos have no mask; all of such a photo counts"
        )
    found += _mask_warnings(capture, files)
    return found


def _small(capture: Capture, sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Photos that are far smaller than the others, such as thumbnails among them; or all too small to show anything."""
    sides = [max(size) for size in sizes]
    if max(sides) < SMALL_SIDE:
        return [f"the largest photo has {max(sides)} pixels a side: are these thumbnails?"]
    median = sorted(sides)[len(sides) // 2]
    small = [frame.name for frame, side in zip(capture.frames, sides, strict=True) if side < median / 4]
    if not small:
        return []
    return [
        f"{number_of(len(small), 'photo is', 'photos are')} far smaller than the others: {listed(small)}. Thumbnails blur the "
        "scene; put the photos themselves in their place"
    ]


def _mask_warnings(capture: Capture, files: FoundFiles) -> list[str]:
    """What is wrong with masks; the pixels of a few, evenly among all, are looked at."""
    used = {frame.name for frame in capture.frames}
    masked = [file for file in files.photos if file.mask is not None and file.posed.name in used]
    chosen = masked[:: max(1, -(-len(masked) // MASKS_READ))]
    empty, found = [], []
    for file in chosen:
        assert file.mask is not None
        size = (file.posed.camera.width, file.posed.camera.height)
        try:
            if not read_mask(file.mask, size, size, invert=False).any():
                empty.append(file.posed.name)
        except UnusablePhoto as reason:
            found.append(f"{file.posed.name} {reason}; it will be left out")
    if empty:
        found.append(
            f"{len(empty)} of {len(chosen)} masks that were looked at hide the whole photo ({listed(empty)}), so it teaches "
            "nothing. Black is hidden; where it is meant to be shown, say --invert-masks"
        )
    return found


def _field_of_view(posed: PosedImage) -> float:
    """Degrees across the longer side, by the focal length."""
    lens = posed.camera
    half = max(lens.width, lens.height) / (2 * lens.mean_focal_length())
    return math.degrees(2 * half if "FISHEYE" in lens.model.name else 2 * math.atan(half))


def _memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
