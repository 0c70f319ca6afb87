"""Image files that Pillow does not write, byte by byte."""

import struct
import zlib
from pathlib import Path

import numpy as np


def png16(path: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits, gray, gray and alpha, RGB or RGBA by the number of bands."""
    values = values if values.ndim == 3 else values[..., None]
    height, width, bands = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def tiff(path: Path, values: np.ndarray, **tags: int) -> None:
    """An uncompressed TIFF of whatever type the values have."""
    values = values if values.ndim == 3 else values[..., None]
    height, width, bands = values.shape
    data, bits = values.tobytes(), 8 * values.dtype.itemsize
    entries = {256: width, 257: height, 259: 1, 262: 2 if bands >= 3 else 1, 277: bands, 278: height, 279: len(data)}
    entries |= {339: 3 if values.dtype.kind == "f" else 1} | {int(tag[1:]): value for tag, value in tags.items()}
    entries |= {258: bits, 273: 0}
    size = 2 + 12 * len(entries) + 4
    lists = struct.pack(f"<{bands}H", *[bits] * bands) + struct.pack(f"<{bands}H", *[entries[339]] * bands)
    at = 8 + size
    entries[273] = at + len(lists)
    ifd = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        if tag in (258, 339) and bands > 2:
            ifd += struct.pack("<HHII", tag, 3, bands, at if tag == 258 else at + 2 * bands)
        else:
            ifd += struct.pack("<HHI", tag, 4 if tag in (273, 279) else 3, 1) + struct.pack("<I", value)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<I", 0) + lists + data)
