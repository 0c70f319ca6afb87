"""A check-up of a capture: what is there, what training will do with it, and what is likely to go wrong, with remedies.

Photos are looked for and their sizes read, but not their pixels; of masks, those of a few photos.
"""

import math
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from splat.cameras import Camera
from splat.datasets.capture import Capture, Frame
from splat.datasets.find_files import FoundFiles, check_any, find_files
from splat.datasets.images.cache import PhotoCache
from splat.datasets.images.companions import check_mask, read_mask
from splat.datasets.images.decode import fits_camera, stored_size, target_size
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.images.pages import page_notes
from splat.datasets.load import PhotoOptions
from splat.datasets.local_frame import local_frame, localized, placement_notes
from splat.datasets.picture import capture_picture
from splat.datasets.readers.choose import find_model, read_found
from splat.datasets.readers.find_photos import USUAL_FOLDER
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.split import held_out_frames
from splat.datasets.summary import blind_notes, depth_range
from splat.geometry.georeference import Georeference
from splat.geometry.scene_size import NEAR
from splat.io.wording import listed

FEW_PHOTOS = 20
FEW_POINTS = 1000
LARGE_SIDE = 2000
"""Photos with a longer side take long at full size, and few captures show more for it."""
ODD_FIELD_OF_VIEW = 10.0, 120.0
"""Degrees across the longer side; others are possible but seldom meant."""
BYTES_A_PIXEL = 3
MASKS_READ = 20
"""Masks of which the pixels are looked at."""


@dataclass(frozen=True)
class CheckUp:
    """What was found."""

    facts: dict[str, Any]  # JSON-able, for programs and for the table
    notes: tuple[str, ...]  # what was ignored, replaced or guessed
    warnings: tuple[str, ...]  # what is likely to go wrong, each with a remedy
    capture: Capture  # in local coordinates, without pixels

    def picture(self) -> Image.Image:
        """Cameras, points and frustums from above and from the side."""
        frames = self.capture.frames
        return capture_picture(
            [frame.camera for frame in frames],
            self.capture.points,
            self.capture.colors,
            held_out_frames(frames),
            self.capture.georeference.unit,
        )


def check_up(path: Path, images: str = USUAL_FOLDER) -> CheckUp:
    """Look through a capture.

    Args:
        images: folder of the photos in it.

    Raises:
        InputError: there is none, it cannot be read, or not one of its photos is there.
    """
    options = PhotoOptions(images=images)
    found = find_model(path)
    model, folder = read_found(found, options.images), found.folder
    check_any(model, folder, options.images)
    georeference = local_frame(model)
    placement = placement_notes(model, georeference)
    local = localized(model, georeference)
    files = find_files(local, folder, options.images, options.masks, options.depths)
    frames, sizes, unreadable = [], [], []
    cache = PhotoCache({})
    for file in files.photos:
        try:
            stored, lens = stored_size(file.path), (file.posed.camera.width, file.posed.camera.height)
            if not fits_camera(file.path, stored, lens):
                raise UnusablePhoto(f"is {stored[0]} x {stored[1]}, its camera {lens[0]} x {lens[1]}: another shape")
            if file.mask is not None:
                check_mask(file.mask, lens)
            sizes.append(stored)
        except UnusablePhoto as reason:
            unreadable.append((file.posed.name, str(reason)))
            continue
        size = target_size(
            file.posed.camera.width, file.posed.camera.height, options.resolution, options.max_image_size
        )
        frames.append(Frame(file.posed.name, flat_camera(file.posed, size), cache, file.posed.held_out))
    capture = Capture(
        folder,
        tuple(frames),
        torch.from_numpy(local.points).float(),
        torch.from_numpy(local.colors),
        (*files.missing, *files.unusable, *unreadable),
        source=model.source,
        georeference=georeference,
    )
    others = _other_photos(files, model)
    facts = _facts(path, model, capture, files, sizes, others)
    with ThreadPoolExecutor() as pool:
        pages = page_notes([file.path for file in files.photos], pool)
    notes = (*model.notes, *placement, *files.notes, *pages)
    return CheckUp(facts, notes, tuple(_warnings(model, capture, files, sizes, others, options)), capture)


def flat_camera(posed: PosedImage, size: tuple[int, int]) -> Camera:
    """About the camera of a photo without its lens distortion, at a size: good enough to say where it is and what it sees."""
    lens, (width, height) = posed.camera, size
    focal = lens.mean_focal_length() * width / lens.width
    center = lens.principal_point_x * width / lens.width, lens.principal_point_y * height / lens.height
    K = torch.tensor([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1]])
    return Camera(torch.from_numpy(posed.viewmat).float(), K, width, height)


def _facts(
    path: Path,
    model: Model,
    capture: Capture,
    files: FoundFiles,
    sizes: Sequence[tuple[int, int]],
    others: Sequence[str],
) -> dict[str, Any]:
    used, unit = [file.posed for file in files.photos], capture.georeference.unit
    lenses = Counter(f"{posed.camera.model.name} {posed.camera.width}x{posed.camera.height}" for posed in used)
    held_out = held_out_frames(capture.frames)
    width = [frame.camera.width for frame in capture.frames]
    height = [frame.camera.height for frame in capture.frames]
    facts: dict[str, Any] = {
        "kind": "capture",
        "folder": str(path),
        "model": str(model.source),
        "photos": len(capture.frames),
        "photos in the model": len(model.images) + len(model.skipped) + len(model.missing),
        "left out": dict(capture.skipped),
        "photos without a pose": len(others),
        "cameras": dict(lenses),
        "sizes of photos": dict(Counter(f"{width}x{height}" for width, height in sizes).most_common()),
        "trained at": f"{min(width)}x{min(height)} to {max(width)}x{max(height)}" if len(set(width)) > 1 else "",
        "held out with --eval": sum(held_out),
        "masks": sum(file.mask is not None for file in files.photos),
        "depth maps": sum(file.depth is not None for file in files.photos),
        "points": len(capture.points),
        "photos that say which points they saw": sum(
            posed.observed is not None and len(posed.observed) > 0 for posed in used
        ),
    }
    if len(model.points):
        low, high = np.percentile(model.points, (5, 95), axis=0)
        facts["most points within"] = [[float(f"{value:.7g}") for value in corner] for corner in (low, high)]
    if len(set(zip(width, height, strict=True))) == 1:
        facts["trained at"] = f"{width[0]}x{height[0]}"
    if capture.frames:
        facts["extent"] = capture.extent * unit
        facts["near plane"] = NEAR * unit
        if depths := depth_range(capture):
            facts["most points at a depth of"] = [depths[0] * unit, depths[1] * unit]
    if not capture.georeference.is_identity:
        facts["georeference"] = _as_facts(capture.georeference)
    return facts


def _as_facts(georeference: Georeference) -> dict[str, Any]:
    return {"offset": list(georeference.offset), "unit": georeference.unit}


def _warnings(
    model: Model,
    capture: Capture,
    files: FoundFiles,
    sizes: Sequence[tuple[int, int]],
    others: Sequence[str],
    options: PhotoOptions,
) -> list[str]:
    """What is likely to go wrong, each with what to do."""
    found = []
    tracks = any(file.posed.observed is not None and len(file.posed.observed) for file in files.photos)
    count, total = len(capture.frames), len(model.images) + len(model.skipped) + len(model.missing)
    if count < FEW_PHOTOS:
        found.append(
            f"{count} photos are few: surfaces that one or two of them see come out wrong. Take more, each sharing two "
            "thirds of its picture with the next"
            + ("; with --loss depth_points=0.01 few photos do better" if tracks else "")
        )
    if len(capture.skipped) > 0.1 * total:
        found.append(f"{len(capture.skipped)} of {total} photos of the model are left out; see above why")
    if len(others) > 0.1 * (count + len(others)):
        found.append(
            f"{len(others)} photos have no pose in the model: {listed(list(others))}. Structure from motion could not place "
            "them; `splat photos` on all of them may"
        )
    if not len(capture.points):
        found.append("there are no points, so training starts from random ones, which takes longer and leaves floaters")
    elif len(capture.points) < FEW_POINTS:
        found.append(f"{len(capture.points)} points are few; the scene may stay coarse where none of them is")
    found += blind_notes(capture)
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


def _other_photos(files: FoundFiles, model: Model) -> list[str]:
    """Names of files beside the photos that no pose goes with."""
    used = {file.path.resolve() for file in files.photos}
    suffixes = {path.suffix.lower() for path in used}
    beside = {path for folder in {path.parent for path in used} for path in folder.iterdir() if path.is_file()}
    skipped = {Path(name).name for name, _ in model.skipped}
    return sorted(
        path.name
        for path in beside
        if path.suffix.lower() in suffixes and path.resolve() not in used and path.name not in skipped
    )


def _memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
