"""One folder of a COLMAP model as a Model: its files, in either form, are read and put together here.

What can be used is used: photos, poses, lenses and points, and tracks as far as they fit. What does not is counted.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
SAME = 1e-6
"""By how much a number may differ from itself in a file of the other form, which may have fewer digits; a tenth of that, of a
large one."""

_Key = TypeVar("_Key", int, str)
_Record = TypeVar("_Record", CameraRecord, ImageRecord)


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model; each may be binary or text."""

    folder: Path
    cameras: Path
    images: Path
    points: tuple[Path, ...]  # the first with points is read; else a .ply
    other_cameras: Path | None  # cameras and images in the other form, which are not used
    other_images: Path | None


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
    points = points or list(_forms(folder, "points3D", (".ply",)).values())
    others = (paths[1] if paths[1:] else None for paths in (cameras, images))
    return ModelFiles(folder, cameras[0], images[0], tuple(points), *others)


def _forms(folder: Path, stem: str, suffixes: Sequence[str] = (".bin", ".txt")) -> dict[str, Path]:
    """The files of this name in a folder, binary before text; one of other capitals where there is none of these."""
    paths = {suffix: path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()}
    if paths:
        return paths
    try:
        inside = {name.lower(): name for name in sorted(os.listdir(folder))}
    except OSError:  # not allowed to look there
        return {}
    paths = {suffix: folder / inside.get(f"{stem}{suffix}".lower(), "") for suffix in suffixes}
    return {suffix: path for suffix, path in paths.items() if path.is_file()}


def read_images(path: Path, notes: list[str]) -> list[ImageRecord]:
    """The images of a model, of which no two may have one id or one name.

    Raises:
        InputError: the file cannot be read, or holds a photo twice; the message names the places.
    """
    read = colmap_binary.read_images if path.suffix.lower() == ".bin" else colmap_image_lines.read_images
    images = read(path, notes)
    _check_twice(path, images, "image", lambda image: image.id)
    _check_twice(path, images, "a pose of the photo", lambda image: _plain(image.name))
    return images


def _plain(name: str) -> str:
    """One form of the names of a file, `./a.jpg` and `a.jpg`."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def read_folder(folder: Path) -> Model:
    """Read the model in a folder.

    Raises:
        InputError: a file is missing or cannot be read; the message names it, the place and the remedy.
    """
    files = find_files(folder)
    notes: list[str] = []
    cameras = _read_cameras(files.cameras, notes)
    images = read_images(files.images, notes)
    _compare_forms(files, cameras, images, notes)
    points_file, points = _read_points(files.points, notes)
    finite = np.asarray((np.isfinite(points.xyz) & (np.abs(points.xyz) < FARTHEST)).all(axis=1))
    if not finite.all():
        lost = int((~finite).sum())
        notes.append(
            f"{points_file}: {number_of(lost, 'point')} of {len(finite):,} whose position is not finite, or beyond "
            f"{FARTHEST:.0e}, {was(lost)} left out"
        )
    observed = _observed(str(points_file), files.images.name, images, points, finite, notes)
    posed, skipped = _pose(files, cameras, images, observed, notes)
    return Model(folder, posed, points.xyz[finite], points.colors[finite], skipped, tuple(notes))


def _read_cameras(path: Path, notes: list[str]) -> dict[int, CameraRecord]:
    """The cameras of a model by their ids.

    Raises:
        InputError: the file cannot be read.
    """
    records = (colmap_binary if path.suffix.lower() == ".bin" else colmap_text).read_cameras(path, notes)
    cameras: dict[int, CameraRecord] = {}
    same = []
    for record in records:
        first = cameras.setdefault(record.id, record)
        if first is not record and first.says_the_same(record):
            same.append(record.id)
        elif first is not record:
            fault = f"is there twice, in {first.place} and {record.place}; take out the wrong one, or export the model again"
            cameras[record.id] = replace(first, fault=fault)
    if same:
        notes.append(f"{path}: says the same of {number_of(len(same), 'camera')} twice (camera ids {listed(same)})")
    return cameras


def _check_twice(
    path: Path, records: Sequence[ImageRecord], what: str, key: Callable[[ImageRecord], int | str]
) -> None:
    seen: dict[int | str, ImageRecord] = {}
    for record in records:
        first = seen.setdefault(key(record), record)
        if first is not record:
            raise InputError(
                f"{path}: has {what} {key(record)} twice, in {first.place} and {record.place}; take out the wrong one, "
                "or export the model again with COLMAP"
            )


def _compare_forms(
    files: ModelFiles, cameras: dict[int, CameraRecord], images: list[ImageRecord], notes: list[str]
) -> None:
    """Say it when the cameras or images that are not used are others: someone may have edited those."""

    def compare_cameras(path: Path) -> str:
        ids = _differing(cameras, _read_cameras(path, []), _is_same_camera)
        return f"{number_of(len(ids), 'camera')} (camera ids {listed(ids)})" if ids else ""

    def compare_images(path: Path) -> str:
        used, others = ({image.name: image for image in one} for one in (images, read_images(path, [])))
        names = _differing(used, others, _is_same_image)
        return f"{number_of(len(names), 'photo')} ({listed(names)})" if names else ""

    for path, other, compare in (
        (files.cameras, files.other_cameras, compare_cameras),
        (files.images, files.other_images, compare_images),
    ):
        try:
            difference = compare(other) if other is not None else ""
        except InputError:
            continue  # nothing depends on that file
        if other is not None and difference:
            notes.append(
                f"{files.folder}: {path.name} and {other.name} differ in {difference}; {path.name} was read. Remove the one "
                "that is not meant"
            )


def _differing(
    one: dict[_Key, _Record], other: dict[_Key, _Record], same: Callable[[_Record, _Record], bool]
) -> list[_Key]:
    """The keys of what is in one of both alone, or not the same."""
    return [key for key in {**one, **other} if key not in one or key not in other or not same(one[key], other[key])]


def _is_same_camera(one: CameraRecord, other: CameraRecord) -> bool:
    return (one.model, one.size) == (other.model, other.size) and _is_same(one.params, other.params)


def _is_same_image(one: ImageRecord, other: ImageRecord) -> bool:
    turned = any(_is_same(one.quat, [sign * value for value in other.quat]) for sign in (1, -1))
    return turned and one.camera_id == other.camera_id and _is_same(one.translation, other.translation)


def _is_same(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=SAME / 10, atol=SAME, equal_nan=True)


def _read_points(paths: Sequence[Path], notes: list[str]) -> tuple[Path | None, PointTable]:
    """The points of the first file that has any, and that file."""
    if not paths:
        return None, PointTable.without_tracks(np.zeros((0, 3)), np.zeros((0, 3), np.uint8))
    path, *others = paths
    points = _points_of(path, notes)
    for other in others if not len(points.xyz) else ():
        try:
            more = _points_of(other, notes)
        except InputError as error:
            notes.append(f"{path} has no points, and {error}")
            continue
        if len(more.xyz):
            notes.append(f"{path} has no points; the {len(more.xyz):,} of {other.name} are used")
            return other, more
    return path, points


def _points_of(path: Path, notes: list[str]) -> PointTable:
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
    faulty: list[CameraRecord] = []
    for image, rows in sorted(zip(images, observed, strict=True), key=lambda pair: pair[0].name):
        record = cameras.get(image.camera_id)
        norm = math.hypot(*image.quat)
        if record is None:
            reason = f"is of camera {image.camera_id}, which {files.cameras.name} does not have"
        elif record.fault is not None:
            faulty.append(record)
            place = f"{files.cameras.name}, {record.place}"
            skipped.append((image.name, f"is of camera {record.id} ({place}), which {record.fault}"))
            continue
        elif record.camera is None:
            panoramas.append((image.name, record.model))
            continue
        elif not (0 < norm < FARTHEST):
            reason = f"has a rotation that is {'zero' if norm == 0 else 'not finite'}"
        elif not all(abs(value) < FARTHEST for value in image.translation):
            reason = f"has a position that is not finite, or beyond {FARTHEST:.0e}"
        elif not _can_be_a_file(image.name):
            reason = "has a name that no file can have"
        else:
            if abs(norm - 1) > 1e-3:
                scaled.append(image.name)
            posed.append(PosedImage(image.name, record.camera, _viewmat(image), observed=rows))
            continue
        skipped.append((image.name, f"{reason} ({files.images.name}, {image.place})"))
    if faulty and not posed:
        raise InputError(f"{files.cameras}, {faulty[0].place}: camera {faulty[0].id} {faulty[0].fault}")
    used = {image.camera_id for image in images}
    unused = [record for record in cameras.values() if record.fault is not None and record.id not in used]
    if unused:
        notes.append(
            f"{files.cameras}: {number_of(len(unused), 'camera')} that cannot be used {was(len(unused))} ignored, for no photo "
            f"is of {'it' if len(unused) == 1 else 'them'}: in {unused[0].place}, camera {unused[0].id} {unused[0].fault}"
        )
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
    points_file: str,
    images_file: str,
    images: list[ImageRecord],
    points: PointTable,
    finite: NDArray[np.bool_],
    notes: list[str],
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
            f"{points_file}: tracks of {number_of(len(missing), 'photo')} that the model lacks were ignored "
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
            f"{points_file}: {lost:,} of {len(points.tracks):,} observations in tracks did not fit the 2D points of "
            f"{images_file} and {was(lost)} ignored; positions and colors are used all the same"
        )
    fits &= finite[rows]
    place, rows = place[fits], (np.cumsum(finite) - 1)[rows[fits]]
    by_image = np.argsort(place.astype(np.min_scalar_type(len(images))), kind="stable")  # rows stay in order
    place, rows = place[by_image], rows[by_image]
    new = np.ones(len(rows), dtype=bool)  # a track may name a photo twice
    new[1:] = (rows[1:] != rows[:-1]) | (place[1:] != place[:-1])
    ends = np.cumsum(np.bincount(place[new], minlength=len(images)))
    return np.split(rows[new], ends[:-1])
