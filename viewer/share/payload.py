"""A scene as a shared page carries it: the numbers of a SOG, coded tighter than as images, and read the same everywhere.

Browsers decode images for the eye: they may multiply colors by alpha, apply color profiles, or add noise against tracking
when pixels are read back. So the page brings a decoder of its own (web/decode.js) for what is written here:

    u32 CRC-32 of all that follows; u32 length of the header; the header, JSON, padded with spaces to a multiple of 4;
    256 float32 each: log scales, constant coefficients and, where there are harmonics, their numbers; the coded planes
    (compression/coding/planes.py).
"""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from splat.compression.coding import planes
from splat.compression.coding.planes import BEFORE, Bytes, Plane, Stream
from splat.compression.coding.smallest_three import BOUND
from splat.compression.formats.sog import reader as sog_reader
from splat.compression.formats.sog import writer as sog
from splat.gaussians import Gaussians
from splat.geometry.morton import z_order
from splat.geometry.quaternions import product

STEP_MANTISSA = 2
"""Bits of a step along the Z-order curve, after its first, that are coded with its length."""


def encode(gaussians: Gaussians, antialiased: bool = False, palette: int | None = None, seed: int = 0) -> bytes:
    """The payload for a scene; `splat.compression.formats.sog.codes` says which numbers stand for it.

    Raises:
        InputError: nothing to draw, or harmonics of a degree above 3.
    """
    return pack(sog.encode(with_axes_by_size(gaussians), antialiased, palette, seed).__getitem__)


def encode_sog(path: Path) -> bytes:
    """The payload for a `.sog` of version 2 (or its meta.json), exactly as it is.

    Raises:
        InputError: it is damaged.
    """
    sog.read(path)  # every length and name is checked there
    with sog_reader.opened(path, again=True) as members:
        return pack(members)


def sog_meta(path: Path) -> dict[str, Any] | None:
    """What a SOG of version 2 says of itself; None where `encode_sog` cannot take it."""
    try:
        if path.name.lower() == "meta.json":
            text = path.read_bytes()
        elif path.suffix.lower() == ".sog":
            with zipfile.ZipFile(path) as archive:
                text = archive.open("meta.json").read(sog_reader.META_LIMIT)
        else:
            return None
        meta = json.loads(text)
        return meta if isinstance(meta, dict) and meta.get("version") == 2 else None
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError, RecursionError, zipfile.BadZipFile):
        return None


def with_axes_by_size(gaussians: Gaussians) -> Gaussians:
    """The same scene with the axes of every Gaussian from long to short: then each tells something about the next."""
    order = gaussians.log_scales.argsort(dim=1, descending=True, stable=True)
    # Column k of the rotation becomes column order[k]; an odd permutation also turns one axis around.
    turns = {
        (0, 1, 2): (1.0, 0.0, 0.0, 0.0),
        (1, 2, 0): (0.5, 0.5, 0.5, 0.5),
        (2, 0, 1): (0.5, -0.5, -0.5, -0.5),
        (1, 0, 2): (BOUND, 0.0, 0.0, BOUND),
        (0, 2, 1): (BOUND, BOUND, 0.0, 0.0),
        (2, 1, 0): (BOUND, 0.0, BOUND, 0.0),
    }
    quats, log_scales = gaussians.quats.clone(), gaussians.log_scales.gather(1, order)
    for permutation, turn in turns.items():
        rows = (order == torch.tensor(permutation, device=order.device)).all(dim=1)
        quats[rows] = product(gaussians.quats[rows], quats.new_tensor(turn))
    return Gaussians(**{**gaussians.tensors(), "quats": quats, "log_scales": log_scales})


def pack(members: sog_reader.Members) -> bytes:
    """The payload for the members of a SOG of version 2, without loss."""
    meta = json.loads(members("meta.json"))
    sog_reader.fill_codebooks(meta)
    count = meta["count"]

    def plane(*keys: str | int) -> Bytes:
        return _pixels(members, meta, *keys)[:count]

    low, high = plane("means", "files", 0).astype(np.int64), plane("means", "files", 1).astype(np.int64)
    code = z_order(low[:, :3] + 256 * high[:, :3])
    order = np.argsort(code, kind="stable")
    header: dict[str, Any] = {
        "count": count,
        "degree": meta["shN"]["bands"] if "shN" in meta else 0,
        "antialiased": bool(sog_reader.says_antialiased(meta)),
        "mins": meta["means"]["mins"],
        "maxs": meta["means"]["maxs"],
        "planes": [],
    }
    stream = Stream()
    _write_steps(stream, code[order], header)

    scales, quats = plane("scales", "files", 0)[order], _with_largest_first(plane("quats", "files", 0)[order])
    colors = plane("sh0", "files", 0)[order]
    columns = [
        Plane("scale0", scales[:, 0], (BEFORE,)),
        Plane("scale1", scales[:, 1], (BEFORE, "scale0")),
        Plane("scale2", scales[:, 2], (BEFORE, "scale0", "scale1")),
        Plane("green", colors[:, 1], (BEFORE, "scale0")),
        Plane("red", colors[:, 0] - colors[:, 1] + np.uint8(128), (BEFORE, "green")),
        Plane("blue", colors[:, 2] - colors[:, 1] + np.uint8(128), (BEFORE, "green", "red")),
        Plane("opacity", colors[:, 3], (BEFORE, "scale0", "scale2", "green")),
        Plane("quat_x", quats[:, 0], (BEFORE, "scale0", "scale2")),
        Plane("quat_y", quats[:, 1], (BEFORE, "scale0", "quat_x")),
        Plane("quat_z", quats[:, 2], (BEFORE, "scale0", "quat_x", "quat_y")),
    ]
    if header["degree"]:
        labels = plane("shN", "files", 1)[order]
        columns += [
            Plane("label_high", labels[:, 1], (BEFORE, "green", "opacity")),
            Plane("label_low", labels[:, 0], (BEFORE, "label_high")),
        ]
    _write_planes(stream, columns, header, {})
    numbers = [meta["scales"]["codebook"], meta["sh0"]["codebook"]]
    if header["degree"]:
        numbers.append(meta["shN"]["codebook"])
        header["palette"] = _write_palette(
            stream, _pixels(members, meta, "shN", "files", 0), meta["shN"]["count"], header
        )
    return _with_header(header, np.array([_padded(values) for values in numbers], "<f4").tobytes() + stream.finish())


def _with_header(header: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = len(text).to_bytes(4, "little") + text + content
    return zlib.crc32(body).to_bytes(4, "little") + body


def _padded(codebook: list[float]) -> list[float]:
    return codebook + codebook[-1:] * (256 - len(codebook))


def _pixels(members: sog_reader.Members, meta: dict[str, Any], *keys: str | int) -> Bytes:  # [pixels, channels]
    name: Any = meta
    for key in keys:
        name = name[key]
    with Image.open(io.BytesIO(members(name)), formats=sog_reader.IMAGES) as image:
        pixels = np.asarray(image.convert("RGBA"))
    return pixels.reshape(-1, 4)


def _write_steps(stream: Stream, code: NDArray[np.int64], header: dict[str, Any]) -> None:
    """Differences of ascending codes of 48 bits: how many bits and the two after the first as a symbol, the others as
    they are, in pieces of eight from the top."""
    step = np.diff(code, prepend=0)
    length = np.frexp(step.astype(np.float64))[1].astype(np.int64)  # exact: fewer than 53 bits
    mantissa = (step << STEP_MANTISSA >> np.maximum(length - 1, 0)) & 3
    _write_planes(stream, [Plane("step", (4 * length + mantissa).astype(np.uint8), (BEFORE,))], header, {})
    left = np.maximum(length - 1 - STEP_MANTISSA, 0)
    ends = np.maximum(left[:, None] - 8 * np.arange(1, 7), 0)  # bits below each piece
    widths = np.minimum(np.maximum(left[:, None] - 8 * np.arange(6), 0), 8)
    pieces = step[:, None] >> ends & (1 << widths) - 1
    stream.bits(pieces[widths > 0], widths[widths > 0])


def _write_planes(stream: Stream, columns: list[Plane], header: dict[str, Any], known: dict[str, Bytes]) -> None:
    for column in columns:
        header["planes"].append({"name": column.name} | planes.write(stream, column, known))
        known[column.name] = column.values


def _write_palette(stream: Stream, pixels: Bytes, count: int, header: dict[str, Any]) -> int:
    """The entries, channel by channel: the number of each coefficient's band is known, and channels resemble each other."""
    bases = (header["degree"] + 1) ** 2 - 1
    entries = pixels[: count * bases]
    band = np.array([1] * 3 + [2] * 5 + [3] * 7, np.uint8)[:bases]
    columns = [
        Plane("palette_green", entries[:, 1], (BEFORE, "band")),
        Plane("palette_red", entries[:, 0], ("palette_green", "band")),
        Plane("palette_blue", entries[:, 2], ("palette_green", "palette_red", "band")),
    ]
    _write_planes(stream, columns, header, {"band": np.tile(band, count)})
    return count


def _with_largest_first(quats: Bytes) -> Bytes:  # [N, 3] the codes of x, y, z, with w the largest
    """The same ellipsoids by other rotations: half a turn around one's own axis moves any component to w. A component
    changes its sign where its code is taken from 255."""
    largest, rest = quats[:, 3] - np.uint8(252), quats[:, :3]
    a, b, c = rest[:, 0], rest[:, 1], rest[:, 2]
    # q = (w, x, y, z) times -i is (x, -w, -z, y), times -j (y, z, -w, -x), times -k (z, -y, x, -w).
    turned = np.stack(
        [
            np.stack([a, b, c], 1),
            np.stack([255 - a, 255 - c, b], 1),  # x is largest: a, b, c are w, y, z
            np.stack([c, 255 - a, 255 - b], 1),  # y: a, b, c are w, x, z
            np.stack([255 - c, b, 255 - a], 1),  # z: a, b, c are w, x, y
        ]
    )
    return turned[np.minimum(largest, 3), np.arange(len(quats))]
