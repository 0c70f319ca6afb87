"""Metashape: the cameras.xml of File > Export > Export Cameras (Agisoft XML), and a point cloud beside it.

From the manual's appendix on camera models: with x = X / Z, y = Y / Z (axes x right, y down, z forward) and r^2 = x^2 + y^2,

    x' = x (1 + K1 r^2 + K2 r^4 + K3 r^6 + K4 r^8) + P1 (r^2 + 2 x^2) + 2 P2 x y      u = w / 2 + cx + x' f + x' B1 + y' B2
    y' = y (1 + K1 r^2 + K2 r^4 + K3 r^6 + K4 r^8) + P2 (r^2 + 2 y^2) + 2 P1 x y      v = h / 2 + cy + y' f

so P1 and P2 are OpenCV's p2 and p1. A fisheye has (x, y) scaled to the length atan(r) (equidistant) or 2 sin(atan(r) / 2)
(equisolid) first. A camera's transform is camera to chunk; that of its component or chunk leads to the world.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.readers.model import Model, PosedImage, seen_fraction
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture, points_beside
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Unposed,
    Unusable,
    assemble,
    beginning,
    number,
    numbers,
    pose_matrix,
    read_xml,
    viewmat,
)
from splat.errors import InputError

LENSES: dict[str, Callable[..., pycolmap.Camera]] = {
    "frame": lenses.perspective,
    "fisheye": lenses.fisheye,
    "equidistant_fisheye": lenses.fisheye,
    "equisolid_fisheye": lenses.equisolid,
}
PANORAMAS = ("spherical", "equirectangular", "cylindrical")
COEFFICIENTS = {"f", "fx", "fy", "skew", "cx", "cy", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4", "b1", "b2"}
SKEW = "skew (B2), which COLMAP has not: a turn of the camera takes half of it, and the rest"
HIGHER = "P3 and P4, which COLMAP has not: that"
NEGLIGIBLE = 0.05
"""Pixels: a term that moves no pixel by more is not worth a word."""


def find(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.xml")) if accepts(path)]


def accepts(path: Path) -> bool:
    """Whether a file looks like cameras of Metashape: an XML document with a chunk near its beginning."""
    start = beginning(path, ".xml", 4096)
    return b"<document" in start and b"<chunk" in start


@dataclass
class _Sensor:
    """A lens, or why there is none."""

    camera: pycolmap.Camera | None = None
    reason: str = ""
    turn: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))  # of the camera about its axis, for the skew
    ignored: dict[str, float] = field(default_factory=dict)  # terms, and by how many pixels they move the edge


@dataclass
class _Chunk:
    """What one chunk says."""

    images: list[PosedImage] = field(default_factory=list)  # in the chunk's own coordinates
    placed: list[PosedImage] = field(default_factory=list)  # the same in the world
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unposed: list[tuple[str, str]] = field(default_factory=list)
    ignored: dict[str, list[float]] = field(default_factory=dict)  # terms, and what they move in each photo


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The aligned cameras of the first chunk that has some, in the world of its transform.

    Where the point cloud beside the file was exported in the chunk's own coordinates, the cameras are taken in these.

    Raises:
        InputError: the file cannot be read, or has no chunk; the message names it and the remedy.
    """
    root = read_xml(path)
    chunks = [chunk for chunk in root.iter("chunk") if chunk.find("cameras") is not None]
    if not chunks:
        raise InputError(f"{path}: no chunk with cameras in it; {REMEDY} (File > Export > Export Cameras)")
    read = [_chunk(chunk) for chunk in chunks]
    best = max(range(len(read)), key=lambda place: len(read[place].images))
    chunk = read[best]
    notes = [f"{path}: {what}" for what in _said(chunk.ignored)]
    if len(chunks) > 1:
        label = chunks[best].get("label", str(best + 1))
        notes.append(f"{path}: {len(chunks)} chunks; using {label}, the one with most cameras")
    points, colors, more = points_beside(path, photos.folder, [chunk.placed, chunk.images])
    images = chunk.placed
    if len(points) and seen_fraction(points, chunk.images) > seen_fraction(points, chunk.placed):
        images = chunk.images
        more.append(f"{path}: the points are in the chunk's own coordinates, so the cameras are taken in these too")
    said = [*notes, *more]
    return assemble(path, images, points, colors, skipped=chunk.skipped, notes=said, unposed=chunk.unposed)


def _chunk(chunk: Element) -> _Chunk:
    result = _Chunk()
    sensors = {sensor.get("id"): _sensor(sensor) for sensor in chunk.findall("sensors/sensor")}
    world = _similarity(chunk)
    components = {component.get("id"): _similarity(component) for component in chunk.findall("components/component")}
    cameras: list[tuple[Element | None, Element]] = [(None, camera) for camera in chunk.findall("cameras/camera")]
    cameras += [(group, camera) for group in chunk.findall("cameras/group") for camera in group.findall("camera")]
    labels = Counter(camera.get("label", "") for _, camera in cameras)
    largest = Counter(camera.get("component_id") for _, camera in cameras if camera.find("transform") is not None)
    component = largest.most_common(1)[0][0] if largest else None
    for group, camera in cameras:
        name = camera.get("label") or f"camera {camera.get('id')}"
        if labels[name] > 1 and group is not None:
            name = (
                f"{group.get('label')}/{name}"  # photos of several folders are most often put in groups of their names
            )
        try:
            own, sensor = (
                _pose(camera, component),
                sensors.get(camera.get("sensor_id"), _Sensor(reason="has no sensor")),
            )
            if sensor.camera is None:
                raise Unusable(sensor.reason)
            place = components.get(component)
            place = world if place is None or _is_identity(place) else place
            if isinstance(place, str):
                raise Unusable(place)
            own[:3, :3] = own[:3, :3] @ sensor.turn.T
            result.images.append(PosedImage(name, sensor.camera, viewmat(own[:3, :3].T, center=own[:3, 3])))
            result.placed.append(replace(result.images[-1], viewmat=_placed(own, place)))
        except Unposed as reason:
            result.unposed.append((name, str(reason)))
            continue
        except Unusable as reason:
            result.skipped.append((name, str(reason)))
            continue
        for term, pixels in sensor.ignored.items():
            result.ignored.setdefault(term, []).append(pixels)
    return result


def _pose(camera: Element, component: str | None) -> NDArray[np.float64]:  # [4, 4] camera to chunk
    if camera.get("enabled", "true").lower() in ("false", "0"):
        raise Unposed("is disabled")
    transform = camera.find("transform")
    if transform is None:
        if camera.get("master_id") is not None:
            raise Unposed("is a further sensor of a multi-camera system, without a pose of its own")
        raise Unposed("is not aligned")
    if camera.get("component_id") != component:
        raise Unposed("is of another component than most cameras")
    return pose_matrix(transform.text, "a transform")


_Similarity = tuple[float, NDArray[np.float64]]
"""Scale, and rotation and translation [4, 4]."""


def _placed(own: NDArray[np.float64], place: _Similarity | None) -> NDArray[np.float64]:
    scale, rigid = place or (1.0, np.eye(4))
    rotation = rigid[:3, :3] @ own[:3, :3]
    return viewmat(rotation.T, center=scale * rigid[:3, :3] @ own[:3, 3] + rigid[:3, 3])


def _similarity(part: Element) -> _Similarity | str | None:
    """Where a chunk or component lies in the world; why that cannot be told; or None where it says nothing."""
    transform = part.find("transform")
    if transform is None or transform.find("rotation") is None:
        return None
    try:
        scale = number(transform.findtext("scale", "1"), "its scale")
        rigid = viewmat(
            numbers(transform.findtext("rotation"), 9, "its rotation").reshape(3, 3),
            translation=numbers(transform.findtext("translation", "0 0 0"), 3, "its translation"),
        )
    except Unusable as reason:
        return f"is in a {part.tag} that {reason}; export the cameras again"
    return (
        (scale, rigid) if scale > 0 else f"is in a {part.tag} that has a scale of {scale:g}; export the cameras again"
    )


def _is_identity(place: _Similarity | str) -> bool:
    return not isinstance(place, str) and place[0] == 1 and np.array_equal(place[1], np.eye(4))


def _sensor(sensor: Element) -> _Sensor:
    calibrations = sensor.findall("calibration")
    adjusted = [one for one in calibrations if one.get("class") == "adjusted"] or calibrations
    kind = sensor.get("type", "frame")
    kind = kind if kind != "frame" or not adjusted else adjusted[0].get("type", kind)
    if kind in PANORAMAS:
        return _Sensor(reason=lenses.PANORAMA)
    if kind not in LENSES:
        return _Sensor(reason=f"has a lens of the type {kind}, which cannot be used; export undistorted photos")
    if not adjusted:
        return _Sensor(reason="has a sensor without a calibration; align the photos, then export the cameras")
    try:
        return _lens(kind, sensor, adjusted[0])
    except Unusable as reason:
        return _Sensor(reason=str(reason))


def _lens(kind: str, sensor: Element, calibration: Element) -> _Sensor:
    resolution = calibration.find("resolution")
    resolution = sensor.find("resolution") if resolution is None else resolution
    if resolution is None:
        raise Unusable("has a sensor without a resolution")
    size = lenses.image_size(*(number(resolution.get(side), f"its {side}") for side in ("width", "height")))
    given = {child.tag: number(child.text, child.tag) for child in calibration if child.tag in COEFFICIENTS}
    value = {name: given.get(name, 0.0) for name in COEFFICIENTS}
    # PhotoScan 1.1 and older wrote fx, fy and an absolute center; since then F = Fy, B1 = Fx - Fy, B2 = skew.
    old = "fx" in given
    focal = (value["fx"], value["fy"]) if old else (value["f"] + value["b1"], value["f"])
    center = (value["cx"], value["cy"]) if old else (size[0] / 2 + value["cx"], size[1] / 2 + value["cy"])
    if max(abs(entry) for entry in (*focal, *center, value["skew"], value["b2"])) > 1e9:
        raise Unusable("has a sensor whose focal length or center is not possible")
    if focal[1] <= 0:
        raise Unusable("has a sensor without a focal length; align the photos, then export the cameras")
    skew, higher = value["skew"] or value["b2"], max(abs(value["p3"]), abs(value["p4"]))
    # [[fx, skew], [0, fy]] is a symmetric matrix times a rotation, which is the camera's; about half of the skew stays in the
    # symmetric one, and COLMAP has no place for it. The tangential terms turn with the camera.
    u, scales, v = np.linalg.svd(np.array([[focal[0], skew], [0.0, focal[1]]]))
    turn, straight = u @ v, u @ np.diag(scales) @ u.T
    tangential = turn @ (value["p1"], value["p2"])
    radial = [value[name] for name in ("k1", "k2", "k3", "k4")]
    focal = (float(straight[0, 0]), float(straight[1, 1]))
    camera = LENSES[kind](size, focal, center, radial, (float(tangential[1]), float(tangential[0])))
    corner = max(size) / 2 / focal[1]
    moved = {
        SKEW: abs(float(straight[0, 1])) * corner,
        HIGHER: float(np.abs(tangential).max()) * higher * corner**4 * 3 * focal[1],
    }
    whole = np.eye(3)
    whole[:2, :2] = turn
    return _Sensor(camera, turn=whole, ignored={term: pixels for term, pixels in moved.items() if pixels > NEGLIGIBLE})


def _said(ignored: dict[str, list[float]]) -> list[str]:
    return [
        f"{len(pixels)} photos have a lens with {term} was ignored; pixels at the edge move by up to {max(pixels):.2g}"
        for term, pixels in ignored.items()
    ]
