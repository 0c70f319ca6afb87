"""Foreign bytes, read within limits: what is missing or too much is said with its place, before memory is taken for it."""

import gzip
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from splat.errors import InputError

REMEDY = "The file is damaged or was not copied completely: copy or export it again."
RATIO = 200
"""Bytes that a compressed one may stand for. Scenes reach 10; a file that promises more is made to fill the memory."""
ALWAYS = 1 << 20
"""So many bytes are accepted from any file."""
SHOWN = 300
"""Characters of a strange path in a message."""
BLOCK = 1 << 20
"""Bytes that are unpacked at once, where what comes of them is not kept."""


def read_file(path: Path, limit: int = -1) -> bytes:
    """All bytes of a file, or so many from its start.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected a file, got a folder")
        with open(path, "rb") as file:
            return file.read(limit)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except PermissionError:
        raise InputError(f"{path}: not allowed to read this file. Change its permissions.") from None
    except OSError as error:  # a name that is too long, a loop of links, a broken disk
        raise InputError(f"{str(path)[:SHOWN]}: cannot be read ({error.strerror or error}). Check the path.") from None
    except ValueError:
        raise InputError(f"{str(path)[:SHOWN]!r}: no file can have this name. Check the path.") from None


def read_tail(path: Path, limit: int) -> bytes:
    """The last `limit` bytes of a file, or all."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - limit))
        return file.read()


class ByteReader:
    """Bytes from a file or a part of it, taken from the front.

    Args:
        name: of the file and the part, for messages.
    """

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        self.data, self.name, self.offset = memoryview(data), name, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.offset

    def take(self, size: int, what: str) -> memoryview:
        """The next bytes.

        Raises:
            InputError: there are not so many.
        """
        if size > self.left:
            raise InputError(
                f"{self.name}: at byte {self.offset}: expected {what} of {size:,} bytes, got {self.left:,}. {REMEDY}"
            )
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def unpack(self, layout: str, what: str) -> tuple[Any, ...]:
        """Numbers as `struct` describes them."""
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def array(self, dtype: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
        """An array [shape], without a copy."""
        size = np.dtype(dtype).itemsize
        for extent in shape:
            size *= extent
        return np.frombuffer(self.take(size, what), dtype=dtype).reshape(shape)

    def end(self, more: int = 0) -> None:
        """Warn if bytes are left, or there are more that were not even kept: a reader that knows the whole file has taken
        all."""
        warn_of_rest(self.name, self.left + more)


def warn_of_rest(name: str, left: int) -> None:
    """Warn that so many bytes lie after the end of what a file is to hold."""
    if left > 0:
        warnings.warn(
            f"{name}: {left:,} {'byte lies' if left == 1 else 'bytes lie'} after the end of the scene and "
            f"{'was' if left == 1 else 'were'} not read; it may be damaged, or two files in one",
            stacklevel=4,
        )


def check_ratio(name: str, packed: int, promised: int) -> None:
    """That so many bytes can have come from so few.

    Raises:
        InputError: they cannot, in a file of Gaussians.
    """
    if promised > max(ALWAYS, RATIO * packed):
        raise InputError(
            f"{name}: promises {promised:,} bytes in {packed:,}, which no scene does. The file is damaged or hostile."
        )


def ungzip(name: str, data: bytes, limit: int) -> bytes:
    """The content of a gzip stream, at most `limit` bytes of it.

    Raises:
        InputError: it is damaged.
    """
    with _gunzipped(name, data) as file:
        return file.read(limit)


def ungzip_all(name: str, data: bytes, limit: int) -> tuple[bytes, int]:
    """At most `limit` bytes of a gzip stream, and how many follow them. Only its end has the sum that proves it whole.

    Raises:
        InputError: it is damaged, or holds far more than a scene does.
    """
    with _gunzipped(name, data) as file:
        content, rest = file.read(limit), 0
        while block := file.read(BLOCK):
            rest += len(block)
            check_ratio(name, len(data), len(content) + rest)
        return content, rest


@contextmanager
def _gunzipped(name: str, data: bytes) -> Iterator[gzip.GzipFile]:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: the gzip stream cannot be read ({error}). {REMEDY}") from None


def unzstd(name: str, data: bytes | memoryview, size: int) -> bytes:
    """The content of a zstd frame, which must have `size` bytes.

    Raises:
        InputError: it has not, or is damaged.
    """
    check_ratio(name, len(data), size)
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(bytes(data)) as file:
            content: bytes = file.read(size + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise InputError(f"{name}: the zstd stream cannot be read ({error}). {REMEDY}") from None
    if len(content) != size:
        more = "more" if len(content) > size else f"{len(content):,}"
        raise InputError(f"{name}: expected {size:,} bytes, got {more}. {REMEDY}")
    return content
