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

from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture, points_beside, seen_fraction
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Unusable,
    assemble,
    number,
    numbers,
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
NEGLIGIBLE = 0.05
"""Pixels: a term that moves no pixel by more is not worth a word."""


def find(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.xml")) if accepts(path)]


def accepts(path: Path) -> bool:
    """Whether a file looks like cameras of Metashape: an XML document with a chunk near its beginning."""
    if path.suffix.lower() != ".xml":
        return False
    with open(path, "rb") as file:
        start = file.read(4096)
    return b"<document" in start and b"<chunk" in start


@dataclass
class _Sensor:
    """A lens, or why there is none."""

    camera: pycolmap.Camera | None = None
    reason: str = ""
    ignored: str = ""


@dataclass
class _Chunk:
    """What one chunk says."""

    images: list[PosedImage] = field(default_factory=list)  # in the chunk's own coordinates
    placed: list[PosedImage] = field(default_factory=list)  # the same in the world
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


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
    return assemble(path, images, points, colors, skipped=chunk.skipped, notes=[*notes, *more])


def _chunk(chunk: Element) -> _Chunk:
    result = _Chunk()
    sensors = {sensor.get("id"): _sensor(sensor) for sensor in chunk.findall("sensors/sensor")}
    world = _similarity(chunk.find("transform"))
    components = {
        component.get("id"): _similarity(component.find("transform"))
        for component in chunk.findall("components/component")
    }
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
            place = components.get(component) or world
            result.images.append(PosedImage(name, sensor.camera, viewmat(own[:3, :3].T, center=own[:3, 3])))
            result.placed.append(replace(result.images[-1], viewmat=_placed(own, place)))
        except Unusable as reason:
            result.skipped.append((name, str(reason)))
            continue
        if sensor.ignored:
            result.ignored[sensor.ignored] += 1
    return result


def _pose(camera: Element, component: str | None) -> NDArray[np.float64]:  # [4, 4] camera to chunk
    if camera.get("enabled", "true").lower() in ("false", "0"):
        raise Unusable("is disabled")
    transform = camera.find("transform")
    if transform is None:
        if camera.get("master_id") is not None:
            raise Unusable("is a further sensor of a multi-camera system, without a pose of its own")
        raise Unusable("is not aligned")
    if camera.get("component_id") != component:
        raise Unusable("is of another component than most cameras")
    return numbers(transform.text, 16, "its transform").reshape(4, 4)


def _placed(own: NDArray[np.float64], place: tuple[float, NDArray[np.float64]] | None) -> NDArray[np.float64]:
    scale, rigid = place or (1.0, np.eye(4))
    rotation = rigid[:3, :3] @ own[:3, :3]
    return viewmat(rotation.T, center=scale * rigid[:3, :3] @ own[:3, 3] + rigid[:3, 3])


def _similarity(transform: Element | None) -> tuple[float, NDArray[np.float64]] | None:
    """Scale, and rotation and translation [4, 4]; None where there is no whole transform."""
    if transform is None or transform.find("rotation") is None:
        return None
    try:
        scale = number(transform.findtext("scale", "1"), "its scale")
        rigid = viewmat(
            numbers(transform.findtext("rotation"), 9, "its rotation").reshape(3, 3),
            translation=numbers(transform.findtext("translation", "0 0 0"), 3, "its translation"),
        )
    except Unusable:
        return None
    return (scale, rigid) if scale > 0 else None


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
    if focal[1] <= 0:
        raise Unusable("has a sensor without a focal length; align the photos, then export the cameras")
    radial = [value[name] for name in ("k1", "k2", "k3", "k4")]
    camera = LENSES[kind](size, focal, center, radial, (value["p2"], value["p1"]))
    corner = max(size) / 2 / focal[1]
    skew, higher = abs(value["skew"] or value["b2"]) * corner, max(abs(value["p3"]), abs(value["p4"]))
    tangential = max(abs(value["p1"]), abs(value["p2"])) * higher * corner**4 * 3 * focal[1]
    ignored = [f"skew (B2, {skew:.2g} pixels at the edge)"] if skew > NEGLIGIBLE else []
    ignored += [f"P3 and P4 ({tangential:.2g} pixels at the edge)"] if tangential > NEGLIGIBLE else []
    return _Sensor(camera, ignored=" and ".join(ignored))


def _said(ignored: Counter[str]) -> list[str]:
    return [f"COLMAP's lenses have no {what}; it was ignored for {count} photos" for what, count in ignored.items()]
