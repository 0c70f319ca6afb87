"""A glTF document: JSON, the buffers that it names, and the numbers in them. Nothing in it is believed before it is checked."""

import base64
import binascii
import io
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, ByteReader, check_ratio, read_file, warn_of_rest
from splat.errors import InputError

MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
KIND = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
JSON_LIMIT = 1 << 22
"""Bytes of JSON that are parsed; buffers that lie in it as text do not count."""
MOST_STRIDE = 252
"""Bytes from one Gaussian to the next, at most (glTF 2.0)."""
NUMBERS = {5120: ("i1", 127.0), 5121: ("u1", 255.0), 5122: ("<i2", 32767.0), 5123: ("<u2", 65535.0), 5126: ("<f4", 1.0)}
"""Component types of accessors, and what normalized integers are divided by."""
INDICES = {5121: "u1", 5123: "<u2", 5125: "<u4"}
"""Component types of the rows that a sparse accessor changes."""
DATA_URI = re.compile(rb'"data:([^"\\]*)"')

Node = dict[str, Any]
"""An object of the JSON."""


@dataclass(frozen=True)
class Buffer:
    """Bytes that a document names: a part of a file, or what it holds as text."""

    name: str
    first: int
    end: int
    content: bytes | None = None  # of the text; None where the file `name` has them

    def open(self) -> BinaryIO:
        """The bytes, those of a file from its beginning."""
        return open(self.name, "rb") if self.content is None else io.BytesIO(self.content)


@dataclass(frozen=True)
class Column:
    """Where the numbers of an accessor lie in a buffer."""

    buffer: Buffer | None  # zeros where there is none
    count: int
    width: int
    dtype: str
    scale: float  # that normalized integers are divided by
    first: int  # byte
    stride: int  # bytes
    others: tuple[Tensor, Tensor] | None = None
    """Of a sparse accessor: the rows [M] int64 that have other numbers, and those [M, width] float32."""

    def numbers(self, place: slice) -> NDArray[Any]:  # [M, width]
        """Those in the buffer, of some Gaussians."""
        number, size = place.stop - place.start, np.dtype(self.dtype).itemsize
        if self.buffer is None or not number:
            return np.zeros((number, self.width), self.dtype)
        with self.buffer.open() as file:
            file.seek(self.first + place.start * self.stride)
            data = file.read((number - 1) * self.stride + size * self.width)
        return np.ndarray((number, self.width), self.dtype, data, 0, (self.stride, size))

    def rows(self, place: slice) -> Tensor:  # [M, width] float32
        """The same as the accessor means them."""
        values = torch.from_numpy(self.numbers(place).astype(np.float32))
        values = values if self.scale == 1 else (values / self.scale).clamp_min(-1)
        if self.others is not None:
            rows, replaced = self.others
            here = (rows >= place.start) & (rows < place.stop)
            values[rows[here] - place.start] = replaced[here]
        return values


class Document:
    """The JSON of a `.glb` or `.gltf`, and its buffers.

    Raises:
        InputError: it is damaged, or not glTF 2.0.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: dict[str, bytes] = {}
        self.buffers: dict[int, Buffer] = {}
        self.binary: Buffer | None = None
        head = read_file(path, 4)
        text = self._chunks() if head == b"glTF" or path.suffix.lower() == ".glb" else read_file(path)
        text = DATA_URI.sub(self._set_aside, text)
        if len(text) > JSON_LIMIT:
            raise InputError(f"{path}: its JSON has {len(text):,} bytes; at most {JSON_LIMIT:,} are read. {REMEDY}")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: its JSON cannot be read ({error}). {REMEDY}") from None
        if not isinstance(document, dict):
            raise InputError(f"{path}: its JSON is not an object. {REMEDY}")
        self.json: Node = document
        version = str(item(document, "asset").get("version", "2.0"))
        if not version.startswith("2."):
            raise InputError(f"{path}: glTF of version {version[:20]}; 2.0 can be read: export it again")

    def _chunks(self) -> bytes:
        """The JSON of a `.glb`; its binary part, if there is one, is noted."""
        path = self.path
        start = ByteReader(read_file(path, JSON_LIMIT + 28), str(path))
        length = path.stat().st_size
        magic, version, promised = start.unpack("<III", "a header")
        if magic != MAGIC or version != 2:
            raise InputError(f"{path}: not a binary glTF 2.0 file: it begins with {magic:08x}, version {version}")
        size, kind = start.unpack("<II", "a chunk's header")
        if kind != JSON_CHUNK or size > JSON_LIMIT:
            raise InputError(f"{path}: at byte 12: expected JSON of at most {JSON_LIMIT:,} bytes. {REMEDY}")
        text = bytes(start.take(size, "JSON"))
        if start.left >= 8:
            size, kind = start.unpack("<II", "a chunk's header")
            if kind != BINARY_CHUNK:
                raise InputError(f"{path}: at byte {start.offset - 4}: expected a binary chunk. {REMEDY}")
            if size > length - start.offset:
                raise InputError(
                    f"{path}: at byte {start.offset}: expected the binary part of {size:,} bytes, "
                    f"got {length - start.offset:,}. {REMEDY}"
                )
            self.binary = Buffer(str(path), start.offset, start.offset + size)
        end = start.offset if self.binary is None else self.binary.end
        warn_of_rest(str(path), length - max(promised, end))
        return text

    def _set_aside(self, match: "re.Match[bytes]") -> bytes:
        """A mark in place of a buffer that lies in the JSON as text."""
        mark = f"data:{len(self.texts)}"
        self.texts[mark] = match[1]
        return f'"{mark}"'.encode()

    @property
    def size(self) -> int:
        """Bytes of the file, and of those beside it that were asked for."""
        others = {buffer.name: buffer.end for buffer in self.buffers.values() if buffer.name != str(self.path)}
        return self.path.stat().st_size + sum(others.values())

    def buffer(self, index: object) -> Buffer:
        """The bytes of a buffer.

        Raises:
            InputError: they are not there.
        """
        buffers = items(self.json.get("buffers"))
        if type(index) is not int or not 0 <= index < len(buffers):
            raise InputError(f"{self.path}: names the buffer {str(index)[:20]} of {len(buffers)}. {REMEDY}")
        if index not in self.buffers:
            self.buffers[index] = self._found(index, buffers[index].get("uri"))
        return self.buffers[index]

    def _found(self, index: int, uri: object) -> Buffer:
        if uri is None:
            if self.binary is None or index != 0:
                raise InputError(f"{self.path}: has no binary part, and the buffer {index} names no file. {REMEDY}")
            return self.binary
        if not isinstance(uri, str):
            raise InputError(f"{self.path}: the buffer {index} has an address that is not text. {REMEDY}")
        if uri.startswith("data:"):
            return self._from_text(index, self.texts.get(uri, uri[5:].encode(errors="replace")))
        file = self.path.parent / unquote(uri)
        try:
            inside = not urlsplit(uri).scheme and file.resolve().is_relative_to(self.path.parent.resolve())
            there = inside and file.is_file()
        except (OSError, ValueError, RuntimeError):  # no name of a file, one that is too long, or a loop of links
            raise InputError(
                f"{self.path}: its Gaussians are in {uri[:100]!r}, which no file can be called: export it again"
            ) from None
        if not inside:
            raise InputError(
                f"{self.path}: names a file outside its folder, {uri[:100]!r}; put it there, and change the name"
            )
        if not there:
            raise InputError(
                f"{self.path}: its Gaussians are in {uri[:100]!r}, which is not there: copy it beside this file"
            )
        return Buffer(str(file), 0, file.stat().st_size)

    def _from_text(self, index: int, text: bytes) -> Buffer:
        kind, _, body = text.partition(b",")
        try:
            if not kind.endswith(b";base64"):
                raise ValueError("not base64")
            content = base64.b64decode(body, validate=True)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{self.path}: the buffer {index} cannot be decoded ({error}). {REMEDY}") from None
        return Buffer(str(self.path), 0, len(content), content)

    def view(self, index: object) -> tuple[Buffer, int, int, int | None]:
        """A part of a buffer: first and last byte in it, and from one element to the next, if that is said.

        Raises:
            InputError: it is not there, or compressed.
        """
        views = items(self.json.get("bufferViews"))
        if type(index) is not int or not 0 <= index < len(views):
            raise InputError(f"{self.path}: names the buffer view {str(index)[:20]} of {len(views)}. {REMEDY}")
        view = views[index]
        packed = [name for name in item(view, "extensions") if "compression" in name]
        if packed:
            raise InputError(
                f"{self.path}: its buffers are packed by {packed[0]}, which cannot be read: export it without compression"
            )
        buffer = self.buffer(view.get("buffer", 0))
        first, size, stride = view.get("byteOffset", 0), view.get("byteLength", 0), view.get("byteStride")
        numbers = type(first) is int and type(size) is int and (stride is None or type(stride) is int)
        if not numbers or not 0 <= first <= first + size <= buffer.end - buffer.first:
            raise InputError(f"{self.path}: the buffer view {index} does not fit its buffer. {REMEDY}")
        return buffer, buffer.first + first, buffer.first + first + size, stride

    def column(self, index: object, width: int, name: str) -> Column:
        """Where the numbers of an accessor lie.

        Args:
            name: of the attribute, for messages.

        Raises:
            InputError: the accessor does not fit the file, or is of another shape.
        """
        accessors = items(self.json.get("accessors"))
        accessor = accessors[index] if type(index) is int and 0 <= index < len(accessors) else {}
        count, component = accessor.get("count"), accessor.get("componentType")
        if type(count) is not int or type(component) is not int or component not in NUMBERS:
            raise self._misfit(name)
        if count < 0 or accessor.get("type") != KIND[width]:
            raise self._misfit(name)
        dtype, scale = NUMBERS[component]
        scale = scale if accessor.get("normalized", False) else 1.0
        if accessor.get("bufferView") is None:
            check_ratio(str(self.path), self.size, 4 * width * count)
            column = Column(None, count, width, dtype, scale, 0, 0)
        else:
            column = self._span(accessor, count, width, dtype, scale, name)
        return replace(column, others=self._others(column, item(accessor, "sparse"), name))

    def _span(self, part: Node, count: object, width: int, dtype: str, scale: float, name: str) -> Column:
        """So many rows of numbers in the buffer view that an object names."""
        view, offset = part.get("bufferView"), part.get("byteOffset", 0)
        if type(view) is not int or view >= len(items(self.json.get("bufferViews"))) or type(count) is not int:
            raise self._misfit(name)
        buffer, first, end, stride = self.view(view)
        size = np.dtype(dtype).itemsize * width
        step = size if stride is None else stride
        fits = type(offset) is int and offset >= 0 and count >= 0 and size <= step <= MOST_STRIDE
        if not fits or (count and first + offset + (count - 1) * step + size > end):
            raise self._misfit(name)
        return Column(buffer, count, width, dtype, scale, first + offset, step)

    def _others(self, column: Column, sparse: Node, name: str) -> tuple[Tensor, Tensor] | None:
        """The rows of a sparse accessor that have other numbers, and those."""
        if not sparse:
            return None
        indices, values = item(sparse, "indices"), item(sparse, "values")
        component, count = indices.get("componentType"), sparse.get("count")
        if type(component) is not int or component not in INDICES:
            raise self._misfit(name)
        rows = self._span(indices, count, 1, INDICES[component], 1.0, name)
        numbers = self._span(values, count, column.width, column.dtype, column.scale, name)
        found = torch.from_numpy(rows.numbers(slice(0, rows.count)).astype(np.int64))[:, 0]
        if len(found) and int(found.max()) >= column.count:
            raise self._misfit(name)
        return found, numbers.rows(slice(0, numbers.count))

    def _misfit(self, name: str) -> InputError:
        return InputError(f"{self.path}: {name}: its accessor does not fit the file. {REMEDY}")


def items(value: object) -> list[Node]:
    """The objects in a list; of anything else, none. What is no object keeps its place, empty."""
    return [each if isinstance(each, dict) else {} for each in value] if isinstance(value, list) else []


def item(parent: Node, key: str) -> Node:
    """An object in an object; an empty one where there is none."""
    value = parent.get(key)
    return value if isinstance(value, dict) else {}
