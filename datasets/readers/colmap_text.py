"""cameras.txt and points3D.txt of COLMAP (doc/format.rst there), as it and other programs write them.

images.txt is read by colmap_image_lines.py.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.readers.colmap_lens import make_camera
from splat.datasets.readers.colmap_records import GRAY, CameraRecord, PointTable
from splat.datasets.readers.model import read_bytes
from splat.errors import InputError
from splat.io.wording import number_of, was

EXPORT_AGAIN = "correct the line, or export the model again with COLMAP"
COLUMNS = ("POINT3D_ID", "X", "Y", "Z", "R", "G", "B", "ERROR")
"""Of points3D.txt, before the track."""
LOOKED_AT = 1000
"""Lines of points3D.txt whose columns say which it has."""
MOST_LEFT_OUT = 0.1
"""The fraction of its lines that may be left out because they are no points."""
POINT_IDS = 1 << 64
"""COLMAP stores ids of points in 64 bits."""
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

    def unexpected(self, number: int, line: bytes, expected: str, wrong: str = "") -> InputError:
        """The error for a line that is not what it should be, with the cause where it can be seen.

        Args:
            wrong: the cause, if no other is seen.
        """
        if cause := _commas(line):
            return self.fail(number, *cause)
        if wrong:
            return self.fail(number, f"{wrong}; expected {expected}")
        text = line.decode("utf-8", errors="replace")
        return self.fail(number, f"expected {expected}, got {text[:60]!r}{'...' if len(text) > 60 else ''}")

    def check_stated(self, read: int, noun: str, notes: list[str]) -> None:
        """Say when the comments at the top speak of another number than was read."""
        if self.stated is not None and self.stated != read:
            notes.append(
                f"{self.path}: has {number_of(read, noun)}, but a comment at its top speaks of {self.stated:,}"
            )


def _commas(line: bytes) -> tuple[str, str] | None:
    """What is wrong where commas stand in the place of points or spaces, and the remedy."""
    fields = line.split(None, 16)[:16]
    for field in fields:
        if _DECIMAL_COMMA.fullmatch(field):
            return (
                f"has a decimal comma, {field.decode()}",
                "write all numbers of the model with decimal points, or export it again where the language of the system uses "
                "them (LC_ALL=C)",
            )
    if fields[0].endswith(b",") or (len(fields) < 4 and line.count(b",") > 3):
        return "has commas between its columns", "replace them with spaces"
    return None


def read_cameras(path: Path, notes: list[str]) -> list[CameraRecord]:
    """Cameras in the order of the file; what was ignored is added to `notes`.

    Raises:
        InputError: a line is not a camera; the message names it.
    """
    file = TextFile(path)
    cameras = []
    for number, line in file.lines():
        if not line:
            continue
        fields = line.partition(b"#")[0].split()  # a comment may stand behind it
        try:
            camera_id, width, height = (whole(fields[column]) for column in (0, 2, 3))
            model = fields[1].decode("ascii")
            params = [float(field) for field in fields[4:]]
        except (ValueError, IndexError, OverflowError):
            expected = "a camera (CAMERA_ID MODEL WIDTH HEIGHT PARAMS[])"
            raise file.unexpected(number, line, expected) from None
        where = f"{path}, line {number}"
        cameras.append(make_camera(where, f"line {number}", camera_id, model, width, height, params))
    file.check_stated(len(cameras), "camera", notes)
    return cameras


def whole(field: bytes) -> int:
    """A whole number, also where a program wrote it as 640.0.

    Raises:
        ValueError: it is none.
    """
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
    for convert in (int, whole):  # the first is fast
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
    or all that follows the position; colors may be whole numbers to 255 or fractions. A few lines that are no points are left
    out.

    Raises:
        InputError: more than a tenth of the lines are no points; the message names the first.
    """
    file = TextFile(path)
    ids, values, lengths, tracks = array("Q"), array("d"), array("q"), array("q")
    fixed, bad_tracks, fractions = _layout(file), 0, False
    lines = 0
    left_out: list[tuple[int, bytes]] = []
    for number, line in file.lines():
        if not line:
            continue
        fields, lines = line.split(), lines + 1
        try:
            if not _fits(len(fields), fixed):
                raise ValueError
            row = [float(field) for field in (fields[1:7] if fixed >= 7 else fields[1:4])]
            ids.append(whole(fields[0]) % POINT_IDS)  # they are only compared
        except ValueError:
            left_out.append((number, line))
            continue
        values.extend(row)
        if fixed >= 7:
            fractions = fractions or b"." in b"".join(fields[4:7])
            before = len(tracks)
            if not _extend(tracks, fields[fixed:]):
                bad_tracks += 1
            lengths.append((len(tracks) - before) // 2)
    count = len(ids)
    if left_out:
        _report_left_out(file, left_out, lines, fixed, notes)
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


def _layout(file: TextFile) -> int:
    """How many columns stand before the track in most lines at the top; all of them where there are no colors.

    Raises:
        InputError: most are of no point.
    """
    counts: Counter[int] = Counter()
    first: dict[int, tuple[int, bytes]] = {}
    for number, line in islice((entry for entry in file.lines() if entry[1]), LOOKED_AT):
        columns = len(line.split())
        fixed = columns if columns in (4, 5) else 8 - columns % 2 if columns >= 7 else 0
        counts[fixed] += 1
        first.setdefault(fixed, (number, line))
    ((fixed, _),) = counts.most_common(1) or [(8, 0)]
    if not fixed:
        raise file.unexpected(*first[0], f"a point ({_columns(8)})")
    return fixed


def _fits(columns: int, fixed: int) -> bool:
    return columns == fixed if fixed < 7 else columns >= fixed and (columns - fixed) % 2 == 0


def _report_left_out(
    file: TextFile, left_out: list[tuple[int, bytes]], lines: int, fixed: int, notes: list[str]
) -> None:
    """Say how many lines are no points, and what is wrong with the first.

    Raises:
        InputError: they are too many.
    """
    (number, line), count = left_out[0], len(left_out)
    are = "is no point" if count == 1 else "are no points"
    wrong = _wrong(line.split(), fixed)
    if count > MOST_LEFT_OUT * lines:
        raise file.unexpected(number, line, f"a point ({_columns(fixed)})", wrong)
    seen, _ = _commas(line) or (wrong, "")
    notes.append(
        f"{file.path}: {number_of(count, 'line')} of {lines:,} {are} and {was(count)} left out; the first, line {number}, "
        f"{seen}"
    )


def _wrong(fields: list[bytes], fixed: int) -> str:
    """What is wrong with a line that is no point."""
    if len(fields) < fixed or (fixed < 7 and len(fields) != fixed):
        return f"has {number_of(len(fields), 'column')}, not {fixed}"
    if not _fits(len(fields), fixed):
        return f"has {number_of(len(fields) - fixed, 'number')} in its track, an odd number, and not pairs"
    for name, field in zip(COLUMNS[:7], fields[:fixed], strict=False):
        try:
            whole(field) if name == COLUMNS[0] else float(field)
        except ValueError:
            return f"has {field.decode('utf-8', errors='replace')[:20]!r} as its {name}"
    return "is no point"


def _columns(fixed: int) -> str:
    if fixed < 7:
        return " ".join(COLUMNS[:fixed])
    return " ".join(COLUMNS[:fixed]) + " TRACK[] as (IMAGE_ID, POINT2D_IDX)"


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
