"""OpenMVG: sfm_data.json, with views, intrinsics, extrinsics and structure.

A pose is a rotation of world to camera and the camera's center. Lens models are OpenCV's; `disto_t2` is k1, k2, k3, p1, p2.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.images.decode import decode
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Json,
    Unposed,
    Unusable,
    assemble,
    mapping,
    number,
    numbers,
    read_json,
    sequence,
    viewmat,
)
from splat.errors import InputError

PLACES = ("", "reconstruction", "reconstruction_sequential", "reconstruction_global", "reconstruction_incremental")
"""Folders of a project in which its scripts leave the result."""

REDUCED = 4
"""Photos are read so many times smaller for the colors of points."""

NEW_TYPE = 1 << 31
"""An entry that introduces a type has this bit in its polymorphic_id, and the type's name; later ones have the id alone."""


def find(folder: Path) -> list[Path]:
    return [folder / place / "sfm_data.json" for place in PLACES if (folder / place / "sfm_data.json").is_file()]


def accepts(path: Path) -> bool:
    return path.name.lower().startswith("sfm_data") and path.suffix.lower() == ".json"


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The views that have a pose, and the structure.

    Raises:
        InputError: the file cannot be read, or has no views; the message names it and the remedy.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("views"), list):
        raise InputError(f"{path}: no list of views in it; {REMEDY}")
    cameras = _cameras(values.get("intrinsics"))
    poses = {str(key): value for key, value in _pairs(values.get("extrinsics"))}
    structure = _structure(values.get("structure"))
    images: list[PosedImage] = []
    views: dict[str, PosedImage] = {}
    skipped: list[tuple[str, str]] = []
    unposed: list[tuple[str, str]] = []
    for key, value in _pairs(values["views"]):
        name = f"view {key}"
        try:
            view = _data(value)
            name = "/".join(
                part for part in (str(view.get("local_path") or ""), str(view.get("filename") or "")) if part
            )
            name = name.replace("\\", "/").replace("//", "/") or f"view {key}"
            posed = _posed(name, view, cameras, poses)
            number_of_view = str(view.get("id_view", key))
            seen = np.array(sorted(structure.rows.get(number_of_view, ())), dtype=np.int64)
            images.append(PosedImage(name, *posed, observed=seen))
            views[number_of_view] = images[-1]
        except Unposed as reason:
            unposed.append((name, str(reason)))
        except Unusable as reason:
            skipped.append((name, str(reason)))
    bad = structure.bad
    notes = [f"{path}: {bad} points cannot be read; they were left out"] if bad else []
    colors = _colors(structure, views, photos, path.parent)
    return assemble(path, images, structure.points, colors, skipped=skipped, notes=notes, unposed=unposed)


def _pairs(value: Json) -> list[tuple[Json, Json]]:
    """The entries of a map, written as a list of objects with key and value; nothing of what is no object."""
    entries = value if isinstance(value, list) else []
    return [(entry.get("key"), entry.get("value")) if isinstance(entry, dict) else (None, None) for entry in entries]


def _data(value: Json) -> dict[str, Json]:
    wrapper = mapping(mapping(value, "an entry").get("ptr_wrapper"), "a ptr_wrapper")
    data = mapping(wrapper.get("data"), "data")
    for base in [data.get("value0")]:  # what a derived type has of its base
        data = {**base, **data} if isinstance(base, dict) else data
    return data


def _cameras(intrinsics: Json) -> dict[str, pycolmap.Camera | str]:
    kinds: dict[int, str] = {}
    cameras: dict[str, pycolmap.Camera | str] = {}
    for key, value in _pairs(intrinsics):
        try:
            entry = mapping(value, "an intrinsic")
            number_of_type = entry.get("polymorphic_id")
            kind = entry.get("polymorphic_name")
            if isinstance(number_of_type, int):
                if isinstance(kind, str):
                    kinds[number_of_type & (NEW_TYPE - 1)] = kind
                kind = kinds.get(number_of_type & (NEW_TYPE - 1))
            cameras[str(key)] = _camera(str(kind), _data(value))
        except Unusable as reason:
            cameras[str(key)] = str(reason)
    return cameras


def _camera(kind: str, data: dict[str, Json]) -> pycolmap.Camera:
    if kind == "spherical":
        raise Unusable(lenses.PANORAMA)
    size = lenses.image_size(number(data.get("width"), "width"), number(data.get("height"), "height"))
    if kind not in ("pinhole", "pinhole_radial_k1", "pinhole_radial_k3", "pinhole_brown_t2", "fisheye"):
        raise Unusable(f"has a lens of the type {kind[:40]}, which cannot be used; export undistorted photos")
    focal = number(data.get("focal_length"), "focal_length")
    x, y = numbers(data.get("principal_point"), 2, "principal_point").tolist()
    if kind == "pinhole":
        return lenses.perspective(size, (focal, focal), (x, y))
    if kind == "fisheye":
        return lenses.fisheye(size, (focal, focal), (x, y), numbers(data.get("fisheye"), 4, "fisheye").tolist())
    if kind == "pinhole_brown_t2":
        k1, k2, k3, p1, p2 = numbers(data.get("disto_t2"), 5, "disto_t2").tolist()
        return lenses.perspective(size, (focal, focal), (x, y), (k1, k2, k3), (p1, p2))
    count = int(kind[-1])
    radial = numbers(data.get(f"disto_k{count}"), count, f"disto_k{count}").tolist()
    return lenses.perspective(size, (focal, focal), (x, y), radial)


def _posed(
    name: str, view: dict[str, Json], cameras: dict[str, pycolmap.Camera | str], poses: dict[str, Json]
) -> tuple[pycolmap.Camera, NDArray[np.float64]]:
    pose = poses.get(str(view.get("id_pose")))
    if pose is None:
        raise Unposed("has no pose")
    camera = cameras.get(str(view.get("id_intrinsic")))
    if camera is None:
        raise Unusable("has no intrinsics")
    if isinstance(camera, str):
        raise Unusable(camera)
    pose = mapping(pose, "a pose")
    rotation = numbers(pose.get("rotation"), 9, "rotation").reshape(3, 3)
    return camera, viewmat(rotation, center=numbers(pose.get("center"), 3, "center").tolist())


@dataclass(frozen=True)
class _Structure:
    """What is said of points."""

    points: NDArray[np.float64]  # [P, 3]
    rows: dict[str, set[int]]  # which of them each view (by its id) has seen
    pixels: list[tuple[str, NDArray[np.float64]] | None]  # a view of each, and its pixel there
    bad: int  # points that cannot be read


def _structure(structure: Json) -> _Structure:
    found = _Structure(np.zeros((0, 3)), {}, [], 0)
    points: list[NDArray[np.float64]] = []
    bad = 0
    for _, value in _pairs(structure):
        try:
            entry = mapping(value, "a point")
            point = numbers(entry.get("X"), 3, "X")
            observations = sequence(entry.get("observations", []), "observations")
        except Unusable:
            bad += 1
            continue
        found.pixels.append(None)
        for view, seen in _pairs(observations):
            found.rows.setdefault(str(view), set()).add(len(points))
            found.pixels[-1] = found.pixels[-1] or _pixel(view, seen)
        points.append(point)
    return replace(found, points=np.array(points).reshape(-1, 3), bad=bad)


def _pixel(view: Json, seen: Json) -> tuple[str, NDArray[np.float64]] | None:
    try:
        return str(view), numbers(mapping(seen, "an observation").get("x"), 2, "x")
    except Unusable:
        return None


def _colors(
    structure: _Structure, views: dict[str, PosedImage], photos: PhotosOfCapture, base: Path
) -> NDArray[np.float64]:  # [P, 3]
    """Colors of points, which the file lacks, from a photo that has seen them; gray where there is none."""
    colors = np.full(structure.points.shape, 128.0)
    files = photos.find([image.name for image in views.values()], base)
    of_view: dict[str, list[int]] = {}
    for row, seen in enumerate(structure.pixels):
        if seen is not None and seen[0] in views:
            of_view.setdefault(seen[0], []).append(row)

    def sample(place: int, view: str) -> None:
        rows = of_view.get(view, [])
        camera = views[view].camera
        try:
            if rows:
                small = (-(-camera.width // REDUCED), -(-camera.height // REDUCED))
                picture = np.asarray(decode(files[place][0], camera.width, camera.height, small).convert("RGB"))
                pixels = np.array([seen[1] for row in rows if (seen := structure.pixels[row]) is not None])
                scale = np.array(picture.shape[1::-1]) / (camera.width, camera.height)
                x, y = (pixels * scale).clip(0, np.array(picture.shape[1::-1]) - 1).astype(np.int64).T
                colors[rows] = picture[y, x]
        except UnusablePhoto:
            return  # it is said where photos are read

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(sample, range(len(views)), views):
            pass
    return colors
