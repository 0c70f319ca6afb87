"""images.txt of COLMAP: which of its lines are photos and which are their 2D points.

COLMAP writes two lines for a photo and goes by their parity. Here a line is known by its shape, for programs and people
leave out the second line, add empty ones, or write names that COLMAP itself would cut: the name is the rest of a line.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splat.datasets.readers.colmap_lens import LARGEST_ID
from splat.datasets.readers.colmap_records import ImageRecord, decode_names
from splat.datasets.readers.colmap_text import TextFile, whole
from splat.io.wording import listed, number_of

COLUMNS = ("IMAGE_ID", "QW", "QX", "QY", "QZ", "TX", "TY", "TZ", "CAMERA_ID", "NAME")
EXPECTED = f"a photo ({' '.join(COLUMNS)}) or its 2D points (X Y POINT3D_ID each)"
NUMERIC = b"0123456789+-.eE \t"
"""What a line of 2D points is made of, but for nan and inf."""
SHORT = 4096
"""Bytes: shorter lines are taken apart to see whether they are ambiguous."""


@dataclass
class _Line:
    """A line that is not empty, as a photo, as a number of 2D points, or as both where it could be either."""

    number: int
    photo: "_Photo | None"
    keypoints: int | None
    after_blank: bool  # an empty line stands right before it


@dataclass
class _Photo:
    number: int
    id: int
    pose: list[float]
    camera_id: int
    name: bytes
    keypoints: int | None = None

    @property
    def unit(self) -> bool:
        """Whether the quaternion is one of a rotation, as those of photos are."""
        return abs(math.hypot(*self.pose[:4]) - 1) < 0.01


def read_images(path: Path, notes: list[str]) -> list[ImageRecord]:
    """Images in the order of the file, without their 2D points; what was ignored is added to `notes`.

    Raises:
        InputError: a line is neither a photo nor the 2D points of one; the message names it.
    """
    file = TextFile(path)
    photos = _photos(file, *_lines(file))
    file.check_stated(len(photos), "photo", notes)
    names = decode_names([photo.name for photo in photos], path, notes)
    quoted = [name for name in names if _is_quoted(name)]
    if quoted:
        notes.append(
            f"{path}: names of {number_of(len(quoted), 'photo')} stand in quotes, which were taken off: {listed(quoted)}"
        )
        names = [name[1:-1] if _is_quoted(name) else name for name in names]
    return [
        ImageRecord(
            photo.id,
            (photo.pose[0], photo.pose[1], photo.pose[2], photo.pose[3]),
            (photo.pose[4], photo.pose[5], photo.pose[6]),
            photo.camera_id,
            name,
            photo.keypoints or 0,
            f"line {photo.number}",
        )
        for photo, name in zip(photos, names, strict=True)
    ]


def _is_quoted(name: str) -> bool:
    return len(name) > 2 and name[0] == name[-1] == '"'


def _lines(file: TextFile) -> tuple[list[_Line], bool]:
    """All lines that are not empty, and whether photos have lines for their 2D points, be they empty."""
    lines: list[_Line] = []
    two_lines = blank = False
    for number, content in file.lines():
        if not content:
            blank = True
            two_lines = two_lines or bool(lines and lines[-1].photo)
            continue
        photo, keypoints = _as_photo(number, content), _as_keypoints(content)
        if photo is None and keypoints is None:
            photo = _as_photo(number, content, whole)
        if photo is None and keypoints is None:
            raise file.unexpected(number, content, EXPECTED, _wrong(content))
        two_lines = two_lines or photo is None
        lines.append(_Line(number, photo, keypoints, blank))
        blank = False
    return lines, two_lines


def _photos(file: TextFile, lines: list[_Line], two_lines: bool) -> list[_Photo]:
    photos: list[_Photo] = []
    for line in lines:
        last = photos[-1] if photos else None
        open_photo = last is not None and last.keypoints is None  # its 2D points may follow
        photo, keypoints = line.photo, line.keypoints
        if photo is not None and keypoints is not None and last is not None and open_photo:
            # All numbers, and both shapes fit: 2D points are due here, unless the file has none or an empty line stood
            # for them. A rotation among 2D points would be a rare chance, so it decides then.
            if photo.unit and (line.after_blank or not two_lines):
                keypoints = None
            else:
                photo = None
        if photo is not None:
            photos.append(photo)
        elif last is not None and open_photo:
            last.keypoints = keypoints
        else:
            nameless = keypoints == (len(COLUMNS) - 1) // 3
            what = "has 2D points or is a photo without NAME" if nameless else "has 2D points"
            raise file.fail(line.number, f"{what}, but no photo stands before {'it' if nameless else 'them'}")
    return photos


def _as_photo(number: int, line: bytes, as_id: Callable[[bytes], int] = int) -> _Photo | None:
    fields = line.split(None, 9)
    if len(fields) < 10:
        return None
    try:
        image_id, camera_id = as_id(fields[0]), as_id(fields[8])
        pose = [float(field) for field in fields[1:8]]
    except ValueError:
        return None
    if not (0 <= image_id <= LARGEST_ID and 0 <= camera_id <= LARGEST_ID):
        return None
    return _Photo(number, image_id, pose, camera_id, fields[9].rstrip())


def _wrong(line: bytes) -> str:
    """What is wrong with a line that begins like a photo, with an id; empty if it does not."""
    fields = line.split(None, 9)
    try:
        whole(fields[0])
    except ValueError:
        return ""
    if len(fields) < 9:
        return ""
    for name, field in zip(COLUMNS[:9], fields, strict=False):
        is_id = name.endswith("_ID")
        try:
            value = whole(field) if is_id else float(field)
        except ValueError:
            return f"has {field.decode('utf-8', errors='replace')[:20]!r} as its {name}"
        if is_id and not 0 <= value <= LARGEST_ID:
            return f"has {value} as its {name}, but ids are from 0 to {LARGEST_ID}"
    return "has no NAME" if len(fields) == 9 else ""


def _as_keypoints(line: bytes) -> int | None:
    """How many 2D points a line holds; None if it is not made of numbers in threes, of which the third is whole."""
    if line.translate(None, NUMERIC) or len(line) < SHORT:
        fields = line.split()
        if len(fields) % 3 or not all(map(_is_number, reversed(fields))):
            return None
        return len(fields) // 3 if all(float(field) % 1 == 0 for field in fields[2::3]) else None
    space = np.frombuffer(line, dtype=np.uint8) <= 32
    words = int(np.count_nonzero(space[:-1] & ~space[1:])) + 1
    return None if words % 3 else words // 3


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
