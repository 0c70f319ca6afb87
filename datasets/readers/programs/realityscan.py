"""RealityScan (RealityCapture): the CSV of Alignment > Export > Registration > Internal/External camera parameters, also in its
OpenCV-compliant form, with a point cloud (PLY) beside it.

From Epic's reference on camera geometry: with s the longer side of the image in pixels, f is in 35 mm equivalent (36 / s units
a pixel), px and py are offsets from the image's center in units of s, x, y, alt is the camera's center, and heading, pitch and
roll turn a camera that looks down with north up: Rz(-heading) Rx(pitch) Ry(roll), with axes x right, y up, z backward. Brown's
terms are k1 ... k4, and t1, t2, which are OpenCV's p2, p1. The file does not say whether lenses are Brown's or the division
model's.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.readers.model import Model, PosedImage, read_bytes
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Unusable,
    assemble,
    beginning,
    number,
    numbers,
    optional,
    viewmat,
)
from splat.errors import InputError

ANGLES = ("x", "y", "alt", "heading", "pitch", "roll", "f")
MATRIX = ("tx", "ty", "tz", *(f"r{row}{column}" for row in range(3) for column in range(3)), "f_pix")
SAME = {"z": "alt", "yaw": "heading"}
"""Other names of columns: the table is made by a template that people change."""
COEFFICIENTS = ("k1", "k2", "k3", "k4", "t1", "t2")
HEADING = re.compile(r"\s*#\s*name\s*[,;]", re.IGNORECASE)
EXPORT = "export Registration > Internal/External camera parameters"

Row = Mapping[str, str]


def find(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.[cC][sS][vV]")) if accepts(path)]


def accepts(path: Path) -> bool:
    """Whether a file is a table of cameras: its heading begins with #name."""
    start = beginning(path, ".csv", 4096).decode("utf-8-sig", errors="replace")
    return any(HEADING.match(line) for line in start.splitlines()[:3])


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The cameras of a table.

    Raises:
        InputError: the file cannot be read, or has not the columns that are needed; the message names line and remedy.
    """
    columns, rows = _table(path)
    matrix = all(name in columns for name in MATRIX)
    lacking = [name for name in ANGLES if name not in columns]
    if lacking and not matrix:
        raise InputError(f"{path}: has no columns {', '.join(lacking)}; in RealityScan, {EXPORT}")
    notes = []
    coefficients = [values for row in rows if any(values := _coefficients(row))]
    divided = bool(coefficients) and not any(any(others) for _, *others in coefficients)
    if divided:
        notes.append(
            f"{path}: its lenses have k1 alone, which was taken for RealityScan's division model, 1 / (1 + k1 r^2); if they "
            "are Brown's, export with the distortion model Brown3"
        )
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    missing: list[str] = []
    names = [row["name"].strip().replace("\\", "/") for row in rows]
    files = photos.find(names, path.parent)
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        try:
            photo, size = files[place]
            images.append(PosedImage(name, _lens(row, size, divided), _pose(row, matrix), photo))
        except MissingPhoto:
            missing.append(name)
        except (Unusable, UnusablePhoto) as reason:
            skipped.append((name, str(reason)))
    notes += [*files.notes, *_degrees(path, images)]
    return assemble(path, images, skipped=skipped, notes=notes, missing=missing)


def _table(path: Path) -> tuple[list[str], list[Row]]:
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the table as UTF-8") from None
    heading = next((place for place, line in enumerate(lines) if HEADING.match(line)), None)
    if heading is None:
        raise InputError(f"{path}: no line begins with #name; in RealityScan, {EXPORT}")
    separator = ";" if lines[heading].count(";") > lines[heading].count(",") else ","
    columns = [name.strip().lstrip("# ").lower() for name in lines[heading].split(separator)]
    columns = [SAME.get(name, name) for name in columns]
    rows: list[Row] = []
    try:
        for place, cells in enumerate(csv.reader(lines[heading + 1 :], delimiter=separator), start=heading + 2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise InputError(
                    f"{path}: line {place} has {len(cells)} values, but the heading names {len(columns)}; decimal points must "
                    f"not be commas: {REMEDY}"
                )
            rows.append(dict(zip(columns, cells, strict=True)))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); {REMEDY}") from None
    if not rows:
        raise InputError(f"{path}: has no line of a camera; align the photos in RealityScan, then {EXPORT}")
    return columns, rows


def _coefficients(row: Row) -> list[float]:
    """k1 ... k4, t1, t2; none of a row that cannot be read."""
    try:
        return [optional(row, name) for name in COEFFICIENTS]
    except Unusable:
        return []


def _lens(row: Row, size: tuple[int, int], divided: bool) -> pycolmap.Camera:
    scale = max(size)
    if "f_pix" in row:
        focal = number(row["f_pix"], "f_pix")
        center = (number(row.get("px_pix"), "px_pix"), number(row.get("py_pix"), "py_pix"))
    else:
        focal = number(row["f"], "f") * scale / 36
        center = (optional(row, "px") * scale + size[0] / 2, optional(row, "py") * scale + size[1] / 2)
    *radial, t1, t2 = (optional(row, name) for name in COEFFICIENTS)
    if divided:
        return lenses.division(size, (focal, focal), center, radial[0])
    return lenses.perspective(size, (focal, focal), center, radial, (t2, t1))


def _pose(row: Row, matrix: bool) -> NDArray[np.float64]:
    if matrix:
        rotation = numbers([row[name] for name in MATRIX[3:12]], 9, "R").reshape(3, 3)
        return viewmat(rotation, translation=numbers([row[name] for name in MATRIX[:3]], 3, "t"))
    x, y, alt, heading, pitch, roll = (number(row[name], name) for name in ANGLES[:6])
    if max(abs(heading), abs(pitch), abs(roll)) > 1e6:
        raise Unusable("has an angle of more than a million degrees")
    to_world = Rotation.from_euler("ZXY", [-heading, pitch, roll], degrees=True).as_matrix() * (1.0, -1.0, -1.0)
    return viewmat(to_world.T, center=(x, y, alt))


def _degrees(path: Path, images: list[PosedImage]) -> list[str]:
    """A word on positions that look like longitude and latitude, which are no Cartesian coordinates."""
    centers = np.array([-image.viewmat[:3, :3].T @ image.viewmat[:3, 3] for image in images]).reshape(-1, 3)
    if len(centers) < 3 or (np.abs(centers[:, :2]) > (180, 90)).any():
        return []
    spread = centers.std(axis=0)
    if spread[:2].max() > 0.1 or spread[2] < 100 * spread[:2].max():
        return []
    return [
        f"{path}: x and y vary by {spread[:2].max():.2g} and alt by {spread[2]:.2g}, as longitude and latitude do; if "
        "they are, export again with a projected coordinate system (UTM) or a local one"
    ]
