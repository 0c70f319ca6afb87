"""cameras.txt and points3D.txt of COLMAP (doc/format.rst there), as it and other programs write them.

images.txt is read by colmap_image_lines.py.
"""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.readers.colmap_lens import make_camera
from splat.datasets.readers.colmap_records import GRAY, CameraRecord, PointTable
from splat.datasets.readers.model import read_bytes
from splat.errors import InputError
from splat.io.wording import number_of, was

EXPORT_AGAIN = "correct the line, or export the model again with COLMAP"
_STATED = re.compile(rb"#\s*Number of (cameras|images|points):\s*(\d{1,12})")
_DECIMAL_COMMA = re.compile(rb"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


class TextFile:
    """A text file of COLMAP, line by line.

    Raises:
        InputError: it cannot be read, or is not text in an encoding that contains ASCII.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, read_bytes(path)
        start = self.data[:4096]
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or (0 in start and not (any(start[::2]) and any(start[1::2]))):
            raise InputError(f"{path}: is text in UTF-16; save it as UTF-8, or export the model again with COLMAP")
        if 0 in start:
            raise InputError(
                f"{path}: is binary, not text; if it is one of COLMAP's binary files, rename it to {path.stem}.bin"
            )
        self.data = self.data.removeprefix(b"\xef\xbb\xbf")
        if b"\n" not in self.data:
            self.data = self.data.replace(b"\r", b"\n")
        self.stated: int | None = None  # how many records the comments at the top say the file has

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number, from 1, and content without surrounding space of every line but comments; empty ones too."""
        begin, number, data = 0, 0, self.data
        while begin < len(data):
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            line, begin, number = data[begin:end].strip(), end + 1, number + 1
            if not line.startswith(b"#"):
                yield number, line
            elif self.stated is None and (match := _STATED.match(line)):
                self.stated = int(match[2])

    def fail(self, number: int, what: str, remedy: str = EXPORT_AGAIN) -> InputError:
        return InputError(f"{self.path}, line {number}: {what}; {remedy}")

    def unexpected(self, number: int, line: bytes, expected: str) -> InputError:
        """The error for a line that is not what it should be, with the cause where it can be seen."""
        fields = line.split(None, 16)[:16]
        for field in fields:
            if _DECIMAL_COMMA.fullmatch(field):
                return self.fail(
                    number,
                    f"has a decimal comma, {field.decode()}",
                    "write all numbers of the model with decimal points, or export it again where the language of the "
                    "system uses them (LC_ALL=C)",
                )
        if fields[0].endswith(b",") or (len(fields) < 4 and line.count(b",") > 3):
            return self.fail(number, "has commas between its columns", "replace them with spaces")
        text = line.decode("utf-8", errors="replace")
        return self.fail(number, f"expected {expected}, got {text[:60]!r}{'...' if len(text) > 60 else ''}")

    def check_stated(self, read: int, noun: str, notes: list[str]) -> None:
        """Say when the comments at the top speak of another number than was read."""
        if self.stated is not None and self.stated != read:
            notes.append(
                f"{self.path}: has {number_of(read, noun)}, but a comment at its top speaks of {self.stated:,}"
            )


def read_cameras(path: Path, notes: list[str]) -> list[CameraRecord]:
    """Cameras in the order of the file; what was ignored is added to `notes`.

    Raises:
        InputError: a line is not a camera of a known model; the message names it.
    """
    file = TextFile(path)
    cameras = []
    for number, line in file.lines():
        if not line:
            continue
        fields = line.split()
        try:
            camera_id, width, height = (_whole(fields[column]) for column in (0, 2, 3))
            model = fields[1].decode("ascii")
            params = [float(field) for field in fields[4:]]
        except (ValueError, IndexError, OverflowError):
            expected = "a camera (CAMERA_ID MODEL WIDTH HEIGHT PARAMS[])"
            raise file.unexpected(number, line, expected) from None
        where = f"{path}, line {number}"
        cameras.append(make_camera(where, f"line {number}", camera_id, model, width, height, params))
    file.check_stated(len(cameras), "camera", notes)
    return cameras


def _whole(field: bytes) -> int:
    """A whole number, also where a program wrote it as 640.0."""
    try:
        return int(field)
    except ValueError:
        value = float(field)
        if not value.is_integer():
            raise
        return int(value)


def _extend(tracks: "array[int]", fields: list[bytes]) -> bool:
    """Add whole numbers to `tracks`: all of them or, where they are not, none."""
    before = len(tracks)
    for convert in (int, _whole):  # the first is fast
        try:
            tracks.extend(map(convert, fields))
        except (ValueError, OverflowError):
            del tracks[before:]
        else:
            return True
    return False


def read_points(path: Path, notes: list[str]) -> PointTable:
    """Points and their tracks in the order of the file; what was ignored is added to `notes`.

    A point is POINT3D_ID X Y Z R G B ERROR and pairs IMAGE_ID POINT2D_IDX. A file may lack the error in all its lines,
    or all that follows the position; colors may be whole numbers to 255 or fractions.

    Raises:
        InputError: a line is not a point, or has other columns than the first; the message names it.
    """
    file = TextFile(path)
    ids, values, lengths, tracks = array("Q"), array("d"), array("q"), array("q")
    first, columns, fixed, bad_tracks, fractions = 0, 0, 8, 0, False
    for number, line in file.lines():
        if not line:
            continue
        fields = line.split()
        if not first:
            first, columns = number, len(fields)
            fixed = columns if columns in (4, 5) else 8 - columns % 2
            if columns < 4 or columns == 6:
                raise file.unexpected(number, line, f"a point ({_columns(8)})")
        if len(fields) != columns if fixed < 7 else len(fields) < fixed or (len(fields) - fixed) % 2:
            raise file.unexpected(number, line, f"a point of the columns that line {first} has ({_columns(fixed)})")
        try:
            ids.append(_whole(fields[0]))
            values.extend(map(float, fields[1:7] if fixed >= 7 else fields[1:4]))
        except (ValueError, OverflowError):
            raise file.unexpected(number, line, f"a point ({_columns(fixed)})") from None
        if fixed >= 7:
            fractions = fractions or b"." in b"".join(fields[4:7])
            before = len(tracks)
            if not _extend(tracks, fields[fixed:]):
                bad_tracks += 1
            lengths.append((len(tracks) - before) // 2)
    count = len(ids)
    file.check_stated(count, "point", notes)
    if bad_tracks:
        notes.append(
            f"{path}: tracks of {number_of(bad_tracks, 'point')} are not pairs of whole numbers and were ignored"
        )
    if fixed < 7:
        notes.append(f"{path}: the {number_of(count, 'point')} have no colors and became gray")
        xyz = np.array(values, dtype=np.float64).reshape(count, 3)
        return PointTable.without_tracks(xyz, np.full((count, 3), GRAY, dtype=np.uint8))
    if fixed == 7:
        notes.append(f"{path}: has no column of errors; positions, colors and tracks were read without it")
    table = np.array(values, dtype=np.float64).reshape(count, 6)
    return PointTable(
        np.array(ids, dtype=np.uint64),
        table[:, :3].copy(),
        _colors(path, table[:, 3:], fractions, notes),
        np.array(lengths, dtype=np.int64),
        np.array(tracks, dtype=np.int64).reshape(-1, 2),
    )


def _columns(fixed: int) -> str:
    names = ("POINT3D_ID", "X", "Y", "Z", "R", "G", "B", "ERROR")
    if fixed < 7:
        return " ".join(names[:fixed])
    return " ".join(names[:fixed]) + " TRACK[] as (IMAGE_ID, POINT2D_IDX)"


def _colors(path: Path, values: NDArray[np.float64], fractions: bool, notes: list[str]) -> NDArray[np.uint8]:  # [P, 3]
    """Colors as bytes: fractions of 1 are scaled, what is outside is clipped, what is no number becomes gray."""
    known = np.asarray(np.isfinite(values).all(axis=1))
    largest = values[known].max(initial=0.0)
    if fractions and largest <= 1:
        notes.append(f"{path}: colors are fractions of 1 and were scaled to 0..255")
        values = values * 255
    scaled = np.where(known[:, None], values, GRAY).round()
    outside = int(((scaled < 0) | (scaled > 255)).any(axis=1).sum())
    if not known.all():
        notes.append(f"{path}: {number_of(int((~known).sum()), 'color')} made of no numbers became gray")
    if outside:
        notes.append(f"{path}: {number_of(outside, 'color')} outside of 0..255 {was(outside)} clipped")
    return scaled.clip(0, 255).astype(np.uint8)
