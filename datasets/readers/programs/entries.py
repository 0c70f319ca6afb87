"""Entries of a model's file: numbers, poses and names, checked one photo at a time.

A file that cannot be read is an `InputError`; an entry that cannot be used is `Unusable`, and the photo is left out with that
reason.
"""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.readers.model import Model, PosedImage, read_bytes
from splat.errors import InputError
from splat.io.ply import FARTHEST

REMEDY = "export it again with the program that made it"

Json = dict[str, "Json"] | list["Json"] | str | float | int | bool | None


class Unusable(Exception):
    """One entry cannot be used; the message is the reason."""


class Unposed(Unusable):
    """The program has not placed a photo, or a person has taken it out: nothing is wrong with the capture."""


def beginning(path: Path, suffix: str, size: int) -> bytes:
    """The first bytes of a file of this suffix; none of anything else."""
    if path.suffix.lower() != suffix or not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(size)


def read_json(path: Path) -> Json:
    """A file of JSON.

    Raises:
        InputError: it is not one; the message names the place.
    """
    try:
        values: Json = json.loads(read_bytes(path))  # UTF-8, 16 or 32
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: {place} is not JSON ({error.msg}); {REMEDY}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {REMEDY}") from error
    return values


def read_xml(path: Path) -> ElementTree.Element:
    """A file of XML without entities of its own, which could stand for more text than fits in memory.

    Raises:
        InputError: it is not one; the message names the place.
    """
    text = read_bytes(path)
    plain = text.replace(b"\0", b"")  # of UTF-16
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise InputError(f"{path}: declares a document type, which files of cameras do not; {REMEDY}")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: cannot be read as XML ({error}); {REMEDY}") from error


def mapping(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Unusable(f"has {what} that is not an object")
    return value


def sequence(value: Json, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise Unusable(f"has {what} that is not a list")
    return value


def number(value: object, what: str) -> float:
    """A finite number, also as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unusable(f"has no {what}" if value is None else f"has {what} that is not a number")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise Unusable(f"has {what} = {str(value)[:40]!r}, expected a number") from None
    if not math.isfinite(result):
        raise Unusable(f"has {what} that is not finite")
    return result


def optional(values: Mapping[str, object], *names: str) -> float:
    """The first of these numbers that is there, else 0."""
    for name in names:
        if values.get(name) is not None:
            return number(values[name], name)
    return 0.0


def numbers(value: object, count: int, what: str) -> NDArray[np.float64]:
    """So many finite numbers, in a list (of lists) or as text with spaces."""
    if isinstance(value, str):
        value = value.split()
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        value = [entry for row in value for entry in row]
    if not isinstance(value, list):
        raise Unusable(f"has no {what}" if value is None else f"has {what} that is not a list of numbers")
    if len(value) != count:
        raise Unusable(f"has {len(value)} numbers as {what}, expected {count}")
    return np.array([number(entry, what) for entry in value])


def viewmat(
    rotation: NDArray[np.float64],
    *,
    translation: NDArray[np.float64] | None = None,
    center: NDArray[np.float64] | Sequence[float] | None = None,
) -> NDArray[np.float64]:  # [4, 4] world to camera
    """A pose from the rotation of world to camera and either the translation or the camera's center in the world.

    Raises:
        Unusable: the axes are not those of a rotation, or the position is not finite.
    """
    if not np.isfinite(rotation).all() or np.abs(rotation).max() > 1e6:
        raise Unusable("has a pose that is not finite")
    u, stretch, v = np.linalg.svd(rotation)
    if np.linalg.det(rotation) <= 0 or np.abs(stretch - 1).max() > 1e-2:
        raise Unusable("has a pose whose axes are not a rotation")
    rotation = u @ v
    if translation is None:
        translation = -rotation @ np.asarray(center, dtype=np.float64)
    if not np.isfinite(translation).all() or np.abs(translation).max() > FARTHEST:
        raise Unusable("has a position that is not finite or farther than 1e12 units away")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def pose_matrix(value: object, what: str) -> NDArray[np.float64]:  # [4, 4]
    """A pose of 4 x 4 numbers, or of its first three rows.

    Raises:
        Unusable: it is none, or a transposed one.
    """
    rows = len(value) if isinstance(value, list) else len(str(value).split())
    matrix = np.eye(4)
    if rows in (3, 12):
        matrix[:3] = numbers(value, 12, what).reshape(3, 4)
        return matrix
    matrix = numbers(value, 16, what).reshape(4, 4)
    if np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-6:
        turned = "; it is transposed" if np.array_equal(matrix[:, 3], (0, 0, 0, 1)) else ""
        raise Unusable(f"has {what} whose last row is {matrix[3].tolist()}, expected 0 0 0 1{turned}")
    return matrix


def opengl_viewmat(to_world: NDArray[np.float64]) -> NDArray[np.float64]:  # [4, 4] world to camera, OpenCV axes
    """A pose from a camera-to-world matrix [3, 4] with OpenGL axes (x right, y up, z backward), as ARKit's."""
    rotation = to_world[:3, :3] * (1.0, -1.0, -1.0)
    return viewmat(rotation.T, center=to_world[:3, 3])


def relatives(names: Sequence[str]) -> list[str]:
    """Names of photos without what would lead out of a folder: programs may give whole paths of another machine.

    Of names that become equal by that, what leads out becomes a folder: C/a.jpg of C:/a.jpg, up/a.jpg of ../a.jpg.
    """
    short = [_relative(name) for name in names]
    count = Counter(short)
    return [one if count[one] == 1 else _relative(name, whole=True) for one, name in zip(short, names, strict=True)]


def _relative(name: str, whole: bool = False) -> str:
    parts = re.sub(r"^([A-Za-z]):", r"\1/" if whole else "", name.replace("\\", "/")).split("/")
    parts = ["up" if whole and part == ".." else part for part in parts]
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "photo"


def assemble(
    source: Path,
    images: list[PosedImage],
    points: NDArray[np.float64] | None = None,
    colors: NDArray[np.float64] | None = None,
    *,
    skipped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    missing: Sequence[str] = (),
    unposed: Sequence[tuple[str, str]] = (),
) -> Model:
    """A model with its photos in the order of their names. Points that are not finite are left out and counted.

    Args:
        points: [P, 3] in world units.
        colors: [P, 3] in 0..255; gray where there are none.
    """
    points = np.zeros((0, 3)) if points is None else points.reshape(-1, 3)
    colors = np.full(points.shape, 128.0) if colors is None else colors.reshape(-1, 3)
    fine = np.asarray((np.isfinite(points) & (np.abs(points) < FARTHEST)).all(axis=1))
    said = list(notes)
    if not fine.all():
        said.append(f"{source}: {int((~fine).sum())} of {len(fine)} points are not finite; they were left out")
        rows = np.cumsum(fine) - 1
        images = [
            image if image.observed is None else replace(image, observed=rows[image.observed[fine[image.observed]]])
            for image in images
        ]
    names = relatives([image.name for image in images])
    images = [replace(image, name=name) for image, name in zip(images, names, strict=True)]
    bytes_ = np.nan_to_num(colors[fine], nan=128.0).clip(0, 255).round().astype(np.uint8)
    return Model(
        source,
        sorted(images, key=lambda image: image.name),
        points[fine],
        bytes_,
        list(skipped),
        tuple(said),
        tuple(missing),
        tuple(unposed),
    )
