"""The PLY container, through plyfile: one table of rows in, one out. What the columns mean is said in ply.py.

The counts of a header are compared with the file's size first: plyfile allocates by them.
"""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import plyfile
from numpy.typing import NDArray

from splat.errors import InputError

HEADER_LIMIT = 1 << 16
"""Longest header accepted, in bytes. One of degree 4 takes about 2 kB."""

BLOCK = 1 << 15
"""Rows handled at once."""
FLOAT = re.compile(rb"([\r\n]\s*property\s+)(float32|float|f4)(?=\s)")
"""A property of 32-bit floats."""
FIRST_LINE = re.compile(rb"(\xef\xbb\xbf)?ply([ \t]*)(\r\n|\r|\n)")
"""Of a PLY; editors put marks of their encoding before it."""
LAST_LINE = re.compile(rb"(\r\n|\r|\n)([ \t]*)end_header([ \t]*)(?=[\r\n]|\Z)")
"""Of a header, with the end of the line before it."""
NOT_FINITE = re.compile(r"([-+]?)1\.#(INF|IND|[QS]NAN)\d*")
"""How programs of Microsoft's older compilers write infinity and what is not a number."""

REMEDY = "The file is damaged or was not copied completely: copy or export it again."


def read_rows(path: Path, name: str) -> NDArray[np.void]:
    """The rows of the element `name`, one field per property; binary of either byte order or ASCII.

    Raises:
        InputError: the file is missing, not a PLY, has no such element, or is shorter than its header promises.
    """
    return read_tables(path, name)[name]


def read_tables(path: Path, *names: str, optional: Sequence[str] = ()) -> dict[str, NDArray[np.void]]:
    """The same of several elements by name; those that are optional may be missing."""
    for name in names:
        check_header(path, name)
    for name in (others := [name for name in optional if has_element(path, name)]):
        check_header(path, name)
    try:
        with _open(path) as file:
            data = plyfile.PlyData.read(file)
            _warn_of_rest(path, file)
    except plyfile.PlyElementParseError as error:
        size = path.stat().st_size
        element = error.element
        if error.row is not None and "end-of-file" not in error.message:
            which = "" if error.prop is None else f" {error.prop.name},"
            hint = "; numbers have a point and no separators of thousands" if "malformed" in error.message else ""
            raise InputError(
                f"{path}: row {error.row + 1:,} of {element.count:,} of {element.name},{which} cannot be read "
                f"({error.message}{hint}). Mend the row, or export it again"
            ) from None
        raise InputError(
            f"{path}: the header promises {element.count} rows, which take more than the {size} bytes of the file or "
            f"cannot be read ({error.message}). {REMEDY}"
        ) from None
    except plyfile.PlyParseError as error:
        raise InputError(
            f"{path}: the header cannot be understood ({error}). Mend that line, or export it again"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {error}). {REMEDY}") from None
    return {name: np.asarray(data[name].data) for name in (*names, *others)}


def _warn_of_rest(path: Path, file: io.BufferedReader | io.TextIOWrapper) -> None:
    """Say what follows the last row of a file that was read so far: the header may promise too few."""
    if isinstance(file, io.TextIOWrapper):
        rest, what = sum(1 for line in file if line.strip()), "lines"
    else:
        rest, what = path.stat().st_size - file.tell(), "bytes"
    if rest > 0:
        warnings.warn(
            f"{path}: {rest:,} {what} follow the last row that the header promises, and are ignored; are there more rows?",
            stacklevel=5,
        )


class _PlainHeader(io.BufferedReader):
    """A PLY whose header was made plain. Every other byte, and the place of all, is as in the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.header = _plain(_header(path))

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        at = self.tell()
        data = super().read(size)
        return self.header[at : at + len(data)] + data[max(0, len(self.header) - at) :]

    read1 = read  # for text


class _Text(io.TextIOWrapper):
    """The rows of a PLY in ASCII, whose numbers Python understands."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """As of any file."""
        line = super().readline(size)
        return NOT_FINITE.sub(_as_python_writes, line) if "#" in line else line


def _as_python_writes(number: "re.Match[str]") -> str:
    return number[1] + ("inf" if number[2] == "INF" else "nan")


def _plain(header: bytes) -> bytes:
    """A header of the same length with a question mark in place of every byte that is not ASCII: comments have such bytes,
    names of authors and folders for instance, which plyfile refuses. Numbers in ASCII have any number of digits, whatever
    their type: those of 32 bits become those of 64, so that positions of maps keep theirs. What is around the first and the
    last word goes to where it does not matter."""
    header = FIRST_LINE.sub(
        lambda match: b"ply" + match[3] + b" " * (len(match[1] or b"") + len(match[2])), header, count=1
    )
    header = LAST_LINE.sub(lambda match: match[2] + match[3] + match[1] + b"end_header", header, count=1)
    header = header.decode("ascii", errors="replace").replace("\ufffd", "?").encode()
    if _is_text(header):
        header = FLOAT.sub(lambda match: match[1] + b"f8".ljust(len(match[2])), header)
    return header


def _is_text(header: bytes) -> bool:
    return re.search(rb"[\r\n]\s*format\s+ascii\s", header) is not None


def _open(path: Path) -> io.BufferedReader | io.TextIOWrapper:
    """A PLY for plyfile, which would leave a wrapper for text open."""
    file = _PlainHeader(path)
    return _Text(file, "ascii") if _is_text(file.header) else file


def is_ply(start: bytes) -> bool:
    """Whether a file that begins so is a PLY."""
    return FIRST_LINE.match(start) is not None


def _header(path: Path) -> bytes:
    """All up to the word that ends a header."""
    with open(path, "rb") as file:
        start = file.read(HEADER_LIMIT)
    last = LAST_LINE.search(start)
    return start[: last.end()] if last else start


def header_lines(path: Path) -> list[list[str]]:
    """The words of every line in the header of a PLY."""
    return [line.split() for line in _header(path).decode("utf-8", errors="replace").splitlines()]


def row_blocks(path: Path, rows: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.void]]]:
    """The rows that `read_rows` gave, some at a time, each with the number of its first. Those that are only mapped are read
    from the file, so that its pages do not stay in memory."""
    mapped = rows.base if isinstance(rows.base, np.memmap) else None
    for first in range(0, len(rows), BLOCK):
        count = min(BLOCK, len(rows) - first)
        if mapped is None or mapped.dtype != rows.dtype or len(mapped) != len(rows):
            yield first, rows[first : first + count]
        else:
            offset = mapped.offset + first * rows.dtype.itemsize
            yield first, np.fromfile(path, dtype=rows.dtype, count=count, offset=offset)


def check_header(path: Path, name: str) -> None:
    """That there is a header with a plain element `name`, and that its counts can be true: a row takes at least a byte."""
    if path.is_dir():
        raise InputError(f"{path}: expected a .ply file, got a folder. Name the file in it.")
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(HEADER_LIMIT)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except PermissionError:
        raise InputError(f"{path}: not allowed to read this file. Change its permissions.") from None
    if not start:
        raise InputError(f"{path}: the file is empty. {REMEDY}")
    if not is_ply(start):
        raise InputError(f"{path}: not a PLY file (it does not begin with 'ply').")
    last = LAST_LINE.search(start)
    if last is None:
        raise InputError(f"{path}: the header has no 'end_header' line. {REMEDY}")
    lines = start[: last.start()].decode("latin-1").splitlines()
    if not any(line.startswith("format ") for line in lines):
        raise InputError(f"{path}: the header has no 'format' line. {REMEDY}")
    elements: list[str] = []
    properties: set[str] = set()
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"\s*element\s+(\S+)\s+(\S+)\s*", line)
        known = re.fullmatch(r"\s*property\s.*?(\S+)\s*", line)
        if (match and match[1] in elements) or (known and known[1] in properties):
            raise InputError(
                f"{path}: line {number} of the header gives a name a second time: {line[:80]!r}. Rename one of the two, or "
                "export it again"
            )
        if match:
            elements.append(match[1])
            properties.clear()
        if known:
            properties.add(known[1])
        if elements[-1:] == [name] and re.match(r"\s*property\s+list\s", line):
            raise InputError(
                f"{path}: element {name!r} has a list property, so this is a mesh, not Gaussians or points."
            )
        if match and not re.fullmatch(r"[0-9]{1,18}", match[2]):
            raise InputError(f"{path}: line {number} of the header cannot be understood: {line[:80]!r}. {REMEDY}")
        if match and int(match[2]) > size:
            raise InputError(
                f"{path}: the header promises {int(match[2])} rows of {match[1]!r}, but the file has {size} bytes. {REMEDY}"
            )
    if name not in elements:
        shown = ", ".join(repr(other) for other in elements) or "none"
        raise InputError(f"{path}: expected an element {name!r}, got {shown}. This is not a point cloud.")


def has_element(path: Path, name: str) -> bool:
    """Whether the header of a PLY names such an element."""
    return re.search(rb"[\r\n]\s*element\s+" + re.escape(name.encode()) + rb"\s", _header(path)) is not None


def write_binary(path: Path, **tables: NDArray[np.void]) -> None:
    """Write structured arrays as the elements of a little-endian PLY."""
    elements = [plyfile.PlyElement.describe(table, name) for name, table in tables.items()]
    plyfile.PlyData(elements, byte_order="<").write(str(path))


def write_blocks(
    path: Path,
    name: str,
    properties: list[str],
    count: int,
    tables: Iterable[NDArray[np.float32] | NDArray[np.float64]],
    double: Sequence[str] = (),
) -> None:
    """Write one element of floats whose rows [*, properties] come in parts, as a little-endian PLY.

    Args:
        double: properties of 64 bits; the others have 32.
    """
    lines = ["ply", "format binary_little_endian 1.0", f"element {name} {count}"]
    lines += [f"property {'double' if known in double else 'float'} {known}" for known in properties]
    layout = np.dtype([(known, "<f8" if known in double else "<f4") for known in properties])
    with open(path, "wb") as file:
        file.write("\n".join([*lines, "end_header", ""]).encode())
        for table in tables:
            if not double:
                file.write(np.ascontiguousarray(table, dtype="<f4").data)
                continue
            rows = np.empty(len(table), dtype=layout)
            for column, known in enumerate(properties):
                rows[known] = table[:, column]
            file.write(rows.data)
