"""OpenSfM and OpenDroneMap: reconstruction.json.

A list of reconstructions, each with cameras, shots and points. Pixels are normalized by the longer side, with the origin in the
image's center; a shot's rotation (axis times angle) and translation lead from world to camera, axes x right, y down, z forward.
"""

from pathlib import Path

import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Json,
    Unusable,
    assemble,
    mapping,
    number,
    numbers,
    optional,
    read_json,
    viewmat,
)
from splat.errors import InputError

NAMES = ("reconstruction.json", "opensfm/reconstruction.json")


def find(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if (folder / name).is_file()]


def accepts(path: Path) -> bool:
    return path.name.lower().startswith("reconstruction") and path.suffix.lower() == ".json"


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The reconstruction with most shots.

    Raises:
        InputError: the file cannot be read, or has no reconstruction; the message names it and the remedy.
    """
    values = read_json(path)
    parts = values if isinstance(values, list) else [values]
    whole = [part for part in parts if isinstance(part, dict) and isinstance(part.get("shots"), dict)]
    if not whole:
        raise InputError(f"{path}: no reconstruction with cameras and shots in it; {REMEDY}")
    counts = [len(_entries(part, "shots")) for part in whole]
    best = counts.index(max(counts))
    notes = []
    if len(whole) > 1:
        shown = ", ".join(map(str, counts))
        notes.append(f"{path}: {len(whole)} reconstructions (photos: {shown}); using the largest")
    part = whole[best]
    cameras: dict[str, pycolmap.Camera | str] = {}
    for key, value in _entries(part, "cameras").items():
        try:
            cameras[key] = _camera(mapping(value, "a camera"))
        except Unusable as reason:
            cameras[key] = str(reason)
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    for name, value in _entries(part, "shots").items():
        try:
            images.append(_posed(name, mapping(value, "a shot"), cameras))
        except Unusable as reason:
            skipped.append((name, str(reason)))
    points, colors, bad = [], [], 0
    for value in _entries(part, "points").values():
        try:
            point = mapping(value, "a point")
            place = numbers(point.get("coordinates"), 3, "coordinates")
            color = numbers(point.get("color", [128, 128, 128]), 3, "color")
        except Unusable:
            bad += 1
            continue
        points.append(place)
        colors.append(color)
    if bad:
        notes.append(f"{path}: {bad} points cannot be read; they were left out")
    notes += _place(path, part)
    return assemble(path, images, np.array(points), np.array(colors), skipped=skipped, notes=notes)


def _entries(part: dict[str, Json], name: str) -> dict[str, Json]:
    value = part.get(name)
    return value if isinstance(value, dict) else {}


def _place(path: Path, part: dict[str, Json]) -> list[str]:
    """Where on Earth the world's origin is, for a person to know."""
    try:
        where = mapping(part.get("reference_lla"), "reference_lla")
        latitude, longitude, altitude = (
            number(where.get(name), name) for name in ("latitude", "longitude", "altitude")
        )
    except Unusable:
        return []
    if not any((latitude, longitude, altitude)):
        return []
    return [
        f"{path}: the world is in meters around latitude {latitude:.6f}, longitude {longitude:.6f}, altitude {altitude:.1f} "
        "(x east, y north, z up)"
    ]


def _posed(name: str, shot: dict[str, Json], cameras: dict[str, pycolmap.Camera | str]) -> PosedImage:
    key = shot.get("camera")
    camera = cameras.get(key) if isinstance(key, str) else None
    if camera is None:
        raise Unusable(f"has the camera {str(key)[:60]!r}, which the file lacks")
    if isinstance(camera, str):
        raise Unusable(camera)
    turn = numbers(shot.get("rotation"), 3, "rotation")
    if np.abs(turn).max() > 1e3:
        raise Unusable("has a rotation by more than 1000 radians")
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return PosedImage(name, camera, viewmat(rotation, translation=numbers(shot.get("translation"), 3, "translation")))


def _camera(values: dict[str, Json]) -> pycolmap.Camera:
    kind = str(values.get("projection_type", "perspective"))
    if kind in ("spherical", "equirectangular"):
        raise Unusable(lenses.PANORAMA)
    size = lenses.image_size(number(values.get("width"), "width"), number(values.get("height"), "height"))
    scale = max(size)
    fx = optional(values, "focal_x", "focal") * scale
    fy = optional(values, "focal_y", "focal_x", "focal") * scale
    center = (optional(values, "c_x") * scale + size[0] / 2, optional(values, "c_y") * scale + size[1] / 2)
    radial = [optional(values, name) for name in ("k1", "k2", "k3", "k4")]
    tangential = (optional(values, "p1"), optional(values, "p2"))
    if kind in ("perspective", "simple_radial", "radial", "brown"):
        return lenses.perspective(size, (fx, fy), center, radial[:3], tangential)
    if kind in ("fisheye", "fisheye_opencv"):
        return lenses.fisheye(size, (fx, fy), center, radial)
    raise Unusable(f"has a lens of the type {kind[:40]}, which cannot be used; export undistorted photos")
