"""A check-up of a capture: what is there, what training will do with it, and what is likely to go wrong, with remedies.

Photos and masks are decoded, so that damaged ones are found, but not kept.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from splat.cameras import Camera
from splat.datasets.advice import advice
from splat.datasets.capture import Capture, Frame
from splat.datasets.find_files import FileOfPhoto, FoundFiles, check_any, find_files
from splat.datasets.images.cache import PhotoCache
from splat.datasets.images.companions import check_mask
from splat.datasets.images.decode import check_whole, fits_camera, other_shape, stored_size, target_size
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.images.pages import page_notes
from splat.datasets.images.photo_index import PhotoIndex
from splat.datasets.load import PhotoOptions
from splat.datasets.local_frame import local_frame, localized, placement_notes
from splat.datasets.picture import capture_picture
from splat.datasets.readers import archive
from splat.datasets.readers.choose import find_model, read_found
from splat.datasets.readers.find_photos import USUAL_FOLDER
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.split import held_out_frames
from splat.datasets.summary import depth_range
from splat.errors import InputError
from splat.geometry.georeference import Georeference
from splat.geometry.scene_size import NEAR
from splat.io.progress import counted


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


def check_up(path: Path, images: str = USUAL_FOLDER, *, progress: bool = False) -> CheckUp:
    """Look through a capture, and leave nothing behind: a zip is unpacked for as long as that takes.

    Args:
        images: folder of the photos in it.
        progress: show a progress bar.

    Raises:
        InputError: there is none, it cannot be read, or not one of its photos is there.
    """
    if not archive.is_archive(path):
        return _check_up(path, images, progress)
    with tempfile.TemporaryDirectory(prefix="splat-") as scratch:
        unpacked = archive.unpack(path, Path(scratch))

        def named(text: str) -> str:
            return text.replace(str(unpacked.folder), str(path)).replace(f"{scratch}{os.sep}", "")

        try:
            found = _check_up(unpacked.folder, images, progress)
        except InputError as error:
            raise InputError(named(str(error))) from None
    facts = {name: named(value) if isinstance(value, str) else value for name, value in found.facts.items()}
    notes = (*unpacked.notes, *map(named, found.notes))
    return replace(found, facts=facts, notes=notes, warnings=tuple(map(named, found.warnings)))


def _check_up(path: Path, images: str, progress: bool) -> CheckUp:
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
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        checked = pool.map(_check_photo, files.photos)
        sizes_or_reasons = list(counted(checked, "photos", total=len(files.photos), unit="photo", shown=progress))
    for file, stored in zip(files.photos, sizes_or_reasons, strict=True):
        if isinstance(stored, str):
            unreadable.append((file.posed.name, stored))
            continue
        sizes.append(stored)
        size = target_size(
            file.posed.camera.width, file.posed.camera.height, options.resolution, options.max_image_size
        )
        frames.append(Frame(file.posed.name, flat_camera(file.posed, size), cache, file.posed.held_out))
    capture = Capture(
        folder,
        tuple(frames),
        torch.from_numpy(local.points).float(),
        torch.from_numpy(local.colors),
        (*files.missing, *files.unposed, *files.unusable, *unreadable),
        source=model.source,
        georeference=georeference,
    )
    others = _other_photos(files, model)
    facts = _facts(path, model, capture, files, sizes, others)
    with ThreadPoolExecutor() as pool:
        pages = page_notes([file.path for file in files.photos], pool)
    notes = (*model.notes, *placement, *files.notes, *pages)
    return CheckUp(facts, notes, tuple(advice(model, capture, files, sizes, others, options)), capture)


def _check_photo(file: FileOfPhoto) -> tuple[int, int] | str:
    """The size that a photo is stored with, or why it cannot be used."""
    camera = file.posed.camera.width, file.posed.camera.height
    try:
        stored = stored_size(file.path)
        if not fits_camera(file.path, stored, camera):
            raise other_shape(stored, camera)
        if file.mask is not None:
            check_mask(file.mask, camera)
        check_whole(file.path)
    except UnusablePhoto as reason:
        return str(reason)
    return stored


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
    trained = sorted({(frame.camera.width, frame.camera.height) for frame in capture.frames})
    facts: dict[str, Any] = {
        "kind": "capture",
        "folder": str(path),
        "model": str(model.source),
        "photos": len(capture.frames),
        "photos in the model": model.count,
        "left out": dict(capture.skipped),
        "photos without a pose": len(others),
        "cameras": dict(lenses),
        "sizes of photos": dict(Counter(f"{width}x{height}" for width, height in sizes).most_common()),
        "trained at": " to ".join(
            f"{width}x{height}" for width, height in dict.fromkeys((*trained[:1], *trained[-1:]))
        ),
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


def _other_photos(files: FoundFiles, model: Model) -> list[str]:
    """Names of files beside the photos that no pose goes with."""
    used = {file.path.resolve() for file in files.photos}
    suffixes = {file.path.suffix.lower() for file in files.photos}
    named = {Path(name).name for name, _ in (*model.skipped, *model.unposed)}
    beside = {
        path
        for folder in {file.path.parent for file in files.photos}
        for path in PhotoIndex(folder, suffixes, deep=False).files
    }
    left = [path for path in beside if path.resolve() not in used]
    return sorted(path.name for path in left if not named & {path.name, path.stem})
