"""The PLY container: header, sizes, one table of fixed-size rows. What the columns mean is said in ply.py.

The header's counts are never trusted: they are compared with the file's size before anything is allocated.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splat.errors import InputError

HEADER_LIMIT = 1 << 16
"""Longest header accepted, in bytes. One of degree 4 takes about 2 kB."""

TYPES = dict(char="i1", uchar="u1", short="i2", ushort="u2", int="i4", uint="u4", float="f4", double="f8")  # fmt: skip
TYPES |= dict(int8="i1", uint8="u1", int16="i2", uint16="u2", int32="i4", uint32="u4", float32="f4", float64="f8")
"""PLY type name -> numpy type, without byte order."""

NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"}
BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
REMEDY = "The file is damaged or was not copied completely: copy or export it again."


@dataclass(frozen=True)
class PlyElement:
    """One element of a PLY file and where its rows are."""

    names: tuple[str, ...]
    types: tuple[str, ...]  # numpy types without byte order
    count: int
    byte_order: str  # "<", ">", or "" for ASCII
    offset: int  # bytes before the first row (binary), or before the first element (ASCII)
    rows_before: int  # rows of earlier elements to skip (ASCII)

    @property
    def dtype(self) -> np.dtype[Any]:
        """One binary row."""
        return np.dtype([(name, self.byte_order + kind) for name, kind in zip(self.names, self.types, strict=True)])


@dataclass
class _Declaration:
    """An element as the header declares it."""

    name: str
    count: int
    names: list[str]
    types: list[str]
    has_list: bool = False


def open_element(path: Path, name: str) -> PlyElement:
    """Read the header and find the element `name`, making sure that the file is long enough for it.

    Raises:
        InputError: the file is missing, not a PLY, has no such element, or is shorter than its header promises.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: expected a .ply file, got a folder. Name the file in it.")
        with open(path, "rb") as file:
            lines, offset = read_header(path, file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except PermissionError:
        raise InputError(f"{path}: not allowed to read this file. Change its permissions.") from None
    byte_order, declarations = parse_header(path, lines)
    rows_before = 0
    for declaration in declarations:
        if declaration.has_list and (declaration.name == name or byte_order):
            raise InputError(
                f"{path}: element {declaration.name!r} has a list property, so this is a mesh, not Gaussians or points."
            )
        if declaration.name == name:
            element = PlyElement(
                tuple(declaration.names), tuple(declaration.types), declaration.count, byte_order, offset, rows_before
            )
            check_size(path, element, size)
            return element
        rows_before += declaration.count
        if byte_order:
            offset += declaration.count * sum(int(kind[1]) for kind in declaration.types)
    found = ", ".join(repr(declaration.name) for declaration in declarations) or "none"
    raise InputError(f"{path}: expected an element {name!r}, got {found}. This is not a point cloud.")


def read_header(path: Path, file: BinaryIO) -> tuple[list[str], int]:
    """The lines of the header, and how many bytes it takes."""
    start = file.read(HEADER_LIMIT)
    if not start:
        raise InputError(f"{path}: the file is empty. {REMEDY}")
    if not start.startswith((b"ply\n", b"ply\r")):
        raise InputError(f"{path}: not a PLY file (it does not begin with 'ply').")
    position = start.find(b"end_header")
    end = start.find(b"\n", position)
    if position < 0 or end < 0:
        raise InputError(f"{path}: the header has no 'end_header' line. {REMEDY}")
    return start[:position].decode("latin-1").splitlines(), end + 1


def parse_header(path: Path, lines: list[str]) -> tuple[str, list[_Declaration]]:
    """Byte order and declared elements."""
    byte_order: str | None = None
    elements: list[_Declaration] = []
    for number, line in enumerate(lines[1:], start=2):
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", kind, "1.0"] if kind in BYTE_ORDERS:
                byte_order = BYTE_ORDERS[kind]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 19:
                elements.append(_Declaration(name, int(count), [], []))
            case ["property", "list", _, _, _] if elements:
                elements[-1].has_list = True
            case ["property", kind, name] if elements and kind in TYPES and name not in elements[-1].names:
                elements[-1].names.append(name)
                elements[-1].types.append(TYPES[kind])
            case _:
                raise InputError(f"{path}: line {number} of the header cannot be understood: {line[:80]!r}. {REMEDY}")
    if byte_order is None:
        raise InputError(f"{path}: the header has no 'format' line. {REMEDY}")
    return byte_order, elements


def check_size(path: Path, element: PlyElement, size: int) -> None:
    """The rows must fit into the file. An ASCII value takes at least two bytes: a digit and a separator."""
    if element.byte_order:
        needed = element.offset + element.count * element.dtype.itemsize
    else:
        needed = element.offset + element.count * 2 * len(element.names) - 1
    if size < needed:
        raise InputError(
            f"{path}: the header promises {element.count} rows, which take {needed} bytes, but the file has {size}. "
            f"{REMEDY}"
        )


def read_columns(path: Path, element: PlyElement, wanted: list[str]) -> NDArray[np.float32]:
    """Some of the properties as float32, [rows, len(wanted)].

    Raises:
        InputError: a text row has too few values or one that is not a number.
    """
    indices = [element.names.index(name) for name in wanted]
    if not element.byte_order:
        return read_text(path, element, indices)
    table = np.empty((element.count, len(wanted)), dtype=np.float32)
    if element.count == 0:
        return table
    rows = np.memmap(path, dtype=element.dtype, mode="r", offset=element.offset, shape=(element.count,))
    if set(element.types) == {"f4"}:
        matrix = rows.view(element.byte_order + "f4").reshape(element.count, len(element.names))
        table[:] = matrix[:, indices]
    else:
        with np.errstate(over="ignore"):  # a double too large for a float becomes infinite, and is reported as such
            for column, name in enumerate(wanted):
                table[:, column] = rows[name]
    return table


def read_text(path: Path, element: PlyElement, indices: list[int]) -> NDArray[np.float32]:
    """The same for ASCII files."""
    if element.count == 0:
        return np.empty((0, len(indices)), dtype=np.float32)
    with open(path, "rb") as file:
        file.seek(element.offset)
        for _ in range(element.rows_before):
            if not file.readline():
                break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's own warning that there are no rows
                table = np.loadtxt(file, comments=None, max_rows=element.count, ndmin=2, encoding="latin-1")
        except ValueError as error:
            raise InputError(f"{path}: the rows cannot be read: {error}. {REMEDY}") from None
    if len(table) < element.count:
        raise InputError(f"{path}: the header promises {element.count} rows, but the file has {len(table)}. {REMEDY}")
    if table.shape[1] != len(element.names):
        raise InputError(
            f"{path}: the header promises {len(element.names)} values a row, got {table.shape[1]}. {REMEDY}"
        )
    with np.errstate(over="ignore"):
        return table[:, indices].astype(np.float32)


def write_binary(path: Path, table: NDArray[np.void]) -> None:
    """Write a structured array as the `vertex` element of a little-endian PLY."""
    fields = [(name, table.dtype[name].str.lstrip("<|")) for name in table.dtype.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [f"property {NAMES[kind]} {name}" for name, kind in fields]
    with open(path, "wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(np.ascontiguousarray(table).view(np.uint8).data if len(table) else b"")
