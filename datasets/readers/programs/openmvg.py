"""OpenMVG: sfm_data.json, with views, intrinsics, extrinsics and structure.

A pose is a rotation of world to camera and the camera's center. Lens models are OpenCV's; `disto_t2` is k1, k2, k3, p1, p2.
"""

from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

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
    points, rows, bad = _structure(values.get("structure"))
    images: list[PosedImage] = []
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
            seen = np.array(sorted(rows.get(str(view.get("id_view", key)), ())), dtype=np.int64)
            images.append(PosedImage(name, *posed, observed=seen))
        except Unposed as reason:
            unposed.append((name, str(reason)))
        except Unusable as reason:
            skipped.append((name, str(reason)))
    notes = [f"{path}: {bad} points cannot be read; they were left out"] if bad else []
    return assemble(path, images, points, skipped=skipped, notes=notes, unposed=unposed)


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


def _structure(structure: Json) -> tuple[NDArray[np.float64], dict[str, set[int]], int]:
    """Points [P, 3], which of them each view (by its id) has seen, and how many cannot be read."""
    points: list[NDArray[np.float64]] = []
    rows: dict[str, set[int]] = {}
    bad = 0
    for _, value in _pairs(structure):
        try:
            entry = mapping(value, "a point")
            point = numbers(entry.get("X"), 3, "X")
            observations = sequence(entry.get("observations", []), "observations")
        except Unusable:
            bad += 1
            continue
        for view, _ in _pairs(observations):
            rows.setdefault(str(view), set()).add(len(points))
        points.append(point)
    return np.array(points).reshape(-1, 3), rows, bad
