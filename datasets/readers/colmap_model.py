"""One folder of a COLMAP model as a Model: its files, in either form, are read and put together here.

What can be used is used: photos, poses, lenses and points, and tracks as far as they fit. What does not is counted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from splat.datasets.readers import colmap_binary, colmap_image_lines, colmap_text
from splat.datasets.readers.colmap_lens import PANORAMA_REMEDY
from splat.datasets.readers.colmap_records import CameraRecord, ImageRecord, PointTable
from splat.datasets.readers.model import Model, PosedImage, lost_points
from splat.errors import InputError
from splat.io.ply import FARTHEST, load_points
from splat.io.wording import listed, number_of, was

LONGEST_NAME = 255
"""Bytes in the name of a file or folder, on all usual file systems."""

_Record = TypeVar("_Record", CameraRecord, ImageRecord)


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model; each may be binary or text."""

    folder: Path
    cameras: Path
    images: Path
    points: Path | None  # may also be a .ply
    other_images: Path | None  # images in the other form, which are not read


def holds_model(folder: Path) -> bool:
    """Whether a folder has cameras or images of COLMAP."""
    return any(_forms(folder, stem) for stem in ("cameras", "images"))


def find_files(folder: Path) -> ModelFiles:
    """The files of a model: the binary ones if they are complete, else the text ones, else one of each.

    Raises:
        InputError: there are no cameras or no images.
    """
    forms = {stem: _forms(folder, stem) for stem in ("cameras", "images", "points3D")}
    for stem in ("cameras", "images"):
        if not forms[stem]:
            raise InputError(
                f"{folder}: has no {stem}.bin or {stem}.txt; a COLMAP model needs cameras and images, export it again"
            )
    if ".txt" in forms["cameras"] and ".txt" in forms["images"] and len(forms["cameras"]) + len(forms["images"]) < 4:
        forms = {stem: dict(sorted(found.items(), reverse=True)) for stem, found in forms.items()}
    cameras, images, points = (list(found.values()) for found in forms.values())
    points += [path for name in ("points3D.ply", "points3d.ply") if (path := folder / name).is_file()]
    return ModelFiles(folder, cameras[0], images[0], points[0] if points else None, images[1] if images[1:] else None)


def _forms(folder: Path, stem: str) -> dict[str, Path]:
    """The files of this name in a folder, binary before text."""
    paths = {suffix: folder / f"{stem}{suffix}" for suffix in (".bin", ".txt")}
    return {suffix: path for suffix, path in paths.items() if path.is_file()}


def read_images(path: Path, notes: list[str]) -> list[ImageRecord]:
    """The images of a model, of which no two may have one id or one name.

    Raises:
        InputError: the file cannot be read, or holds a photo twice; the message names the places.
    """
    read = colmap_binary.read_images if path.suffix.lower() == ".bin" else colmap_image_lines.read_images
    images = read(path, notes)
    _check_twice(path, images, "image", lambda image: image.id)
    _check_twice(path, images, "a pose of the photo", lambda image: image.name)
    return images


def read_folder(folder: Path) -> Model:
    """Read the model in a folder.

    Raises:
        InputError: a file is missing or cannot be read; the message names it, the place and the remedy.
    """
    files = find_files(folder)
    notes: list[str] = []
    binary = files.cameras.suffix.lower() == ".bin"
    cameras = (colmap_binary if binary else colmap_text).read_cameras(files.cameras, notes)
    _check_twice(files.cameras, cameras, "camera", lambda camera: camera.id)
    images = read_images(files.images, notes)
    _compare_forms(files, len(images), notes)
    points = _read_points(files.points, notes)
    finite = np.asarray((np.isfinite(points.xyz) & (np.abs(points.xyz) < FARTHEST)).all(axis=1))
    if files.points is not None and not finite.all():
        lost = int((~finite).sum())
        notes.append(
            f"{files.points}: {number_of(lost, 'point')} of {len(finite):,} whose position is not finite, or beyond "
            f"{FARTHEST:.0e}, {was(lost)} left out"
        )
    observed = _observed(files, images, points, finite, notes)
    posed, skipped = _pose(files, {camera.id: camera for camera in cameras}, images, observed, notes)
    return Model(folder, posed, points.xyz[finite], points.colors[finite], skipped, tuple(notes))


def _check_twice(path: Path, records: Sequence[_Record], what: str, key: Callable[[_Record], int | str]) -> None:
    seen: dict[int | str, _Record] = {}
    for record in records:
        first = seen.setdefault(key(record), record)
        if first is not record:
            raise InputError(
                f"{path}: has {what} {key(record)} twice, in {first.place} and {record.place}; take out the wrong one, "
                "or export the model again with COLMAP"
            )


def _compare_forms(files: ModelFiles, count: int, notes: list[str]) -> None:
    """Say it when the images that were not read are not as many: someone may have edited those."""
    if files.other_images is None:
        return
    try:
        others = len(read_images(files.other_images, []))
    except InputError:
        return  # nothing depends on that file
    if others != count:
        notes.append(
            f"{files.folder}: {files.images.name} has {number_of(count, 'photo')}, {files.other_images.name} {others:,}; "
            f"{files.images.name} was read. Remove the one that is not meant"
        )


def _read_points(path: Path | None, notes: list[str]) -> PointTable:
    if path is None:
        return PointTable.without_tracks(np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    if path.suffix.lower() == ".ply":
        cloud = load_points(path, torch.float64)
        notes.append(
            f"{path}: {number_of(len(cloud), 'point')} {was(len(cloud))} read from it, for the model has no points3D.bin or "
            ".txt"
        )
        notes += lost_points(path, cloud)
        return PointTable.without_tracks(cloud.points.numpy(), cloud.colors.numpy())
    table = (colmap_binary if path.suffix.lower() == ".bin" else colmap_text).read_points(path, notes)
    twice = len(table.ids) - len(np.unique(table.ids))
    if twice:
        notes.append(f"{path}: has {number_of(twice, 'point')} with the id of an earlier one; all of them are used")
    return table


def _pose(
    files: ModelFiles,
    cameras: dict[int, CameraRecord],
    images: list[ImageRecord],
    observed: list[NDArray[np.int64]],
    notes: list[str],
) -> tuple[list[PosedImage], list[tuple[str, str]]]:
    """Photos in the order of their names, and those that cannot be used with the reason."""
    posed, skipped, panoramas, scaled = [], [], [], []
    for image, rows in sorted(zip(images, observed, strict=True), key=lambda pair: pair[0].name):
        record = cameras.get(image.camera_id)
        norm = math.hypot(*image.quat)
        if record is None:
            reason = f"is of camera {image.camera_id}, which {files.cameras.name} does not have"
        elif record.camera is None:
            panoramas.append((image.name, record.model))
            continue
        elif not (0 < norm < FARTHEST):
            reason = f"has a rotation that is {'zero' if norm == 0 else 'not finite'}"
        elif not all(abs(value) < FARTHEST for value in image.translation):
            reason = f"has a position that is not finite, or beyond {FARTHEST:.0e}"
        elif not _usable(record):
            reason = f"has a camera whose parameters are not usable ({files.cameras.name}, {record.place})"
        elif not _can_be_a_file(image.name):
            reason = "has a name that no file can have"
        else:
            if abs(norm - 1) > 1e-3:
                scaled.append(image.name)
            posed.append(PosedImage(image.name, record.camera, _viewmat(image), observed=rows))
            continue
        skipped.append((image.name, f"{reason} ({files.images.name}, {image.place})"))
    if scaled:
        notes.append(
            f"{files.images}: quaternions of {number_of(len(scaled), 'photo')} are not of unit length and were normalized: "
            f"{listed(scaled)}"
        )
    if panoramas:
        _report_panoramas(files, panoramas, bool(posed), notes)
    return posed, skipped


def _report_panoramas(files: ModelFiles, panoramas: list[tuple[str, str]], others: bool, notes: list[str]) -> None:
    models = listed(sorted({model for _, model in panoramas}))
    what = f"{number_of(len(panoramas), 'panorama')} ({models}) cannot be trained on yet"
    if not others:
        raise InputError(f"{files.folder}: {what}; {PANORAMA_REMEDY}")
    names = listed(name for name, _ in panoramas)
    notes.append(f"{files.folder}: {what} and {was(len(panoramas))} left out: {names}. To use them, {PANORAMA_REMEDY}")


def _usable(record: CameraRecord) -> bool:
    camera = record.camera
    if camera is None or not all(abs(value) < FARTHEST for value in camera.params):
        return False
    return all(camera.params[index] > 0 for index in camera.focal_length_idxs())


def _can_be_a_file(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(parts[-1]) and "\0" not in name and all(len(part.encode()) <= LONGEST_NAME for part in parts)


def _viewmat(image: ImageRecord) -> NDArray[np.float64]:  # [4, 4]
    """World to camera, with the terms in the order of Eigen's Quaternion::toRotationMatrix, which COLMAP uses."""
    norm = math.hypot(*image.quat)
    w, x, y, z = (value / norm for value in image.quat) if abs(norm - 1) > 1e-12 else image.quat
    x2, y2, z2 = 2 * x, 2 * y, 2 * z
    viewmat = np.eye(4)
    viewmat[:3, :3] = (
        (1 - (y2 * y + z2 * z), y2 * x - z2 * w, z2 * x + y2 * w),
        (y2 * x + z2 * w, 1 - (x2 * x + z2 * z), z2 * y - x2 * w),
        (z2 * x - y2 * w, z2 * y + x2 * w, 1 - (x2 * x + y2 * y)),
    )
    viewmat[:3, 3] = image.translation
    return viewmat


def _observed(
    files: ModelFiles, images: list[ImageRecord], points: PointTable, finite: NDArray[np.bool_], notes: list[str]
) -> list[NDArray[np.int64]]:
    """For every image, which of the finite points it has seen, by the tracks that fit."""
    nothing = [np.zeros(0, np.int64)] * len(images)
    if not len(points.tracks) or not images:
        return nothing
    ids, keypoint = points.tracks[:, 0], points.tracks[:, 1]
    rows = np.repeat(np.arange(len(points.lengths)), points.lengths)
    order = np.argsort([image.id for image in images])
    sorted_ids = np.array([images[index].id for index in order], dtype=np.int64)
    place = np.searchsorted(sorted_ids, ids).clip(max=len(images) - 1)
    known = sorted_ids[place] == ids
    missing = np.unique(ids[~known])
    if len(missing):
        notes.append(
            f"{files.points}: tracks of {number_of(len(missing), 'photo')} that the model lacks were ignored "
            f"(image ids {listed(missing)})"
        )
    place, keypoint, rows = order[place[known]], keypoint[known], rows[known]
    counts = np.array([image.keypoints for image in images], dtype=np.int64)
    fits = (keypoint >= 0) & (keypoint < counts[place])
    # A 2D point belongs to one point: where tracks disagree (dummy ones do), none of them is believed.
    every = np.cumsum(counts) - counts
    spot = every[place[fits]] + keypoint[fits]
    owner = np.zeros(int(counts.sum()), dtype=np.int64)
    owner[spot] = rows[fits]
    disputed = np.zeros(len(owner), dtype=bool)
    disputed[spot[owner[spot] != rows[fits]]] = True
    fits[fits] = ~disputed[spot]
    if not fits.all():
        lost = int((~fits).sum())
        notes.append(
            f"{files.points}: {lost:,} of {len(points.tracks):,} observations in tracks did not fit the 2D points of "
            f"{files.images.name} and {was(lost)} ignored; positions and colors are used all the same"
        )
    fits &= finite[rows]
    place, rows = place[fits], (np.cumsum(finite) - 1)[rows[fits]]
    by_image = np.argsort(place.astype(np.min_scalar_type(len(images))), kind="stable")  # rows stay in order
    place, rows = place[by_image], rows[by_image]
    new = np.ones(len(rows), dtype=bool)  # a track may name a photo twice
    new[1:] = (rows[1:] != rows[:-1]) | (place[1:] != place[:-1])
    ends = np.cumsum(np.bincount(place[new], minlength=len(images)))
    return np.split(rows[new], ends[:-1])
