"""`.spz` of Niantic: fixed-point positions, bytes for the rest, one stream per attribute, packed by gzip (versions 2, 3) or
zstd (version 4).

The specification stores axes as right, up, back; some programs write right, down, forward and say nothing. Version 4 files
written here name their axes in an extension; where a file does not, the specification is taken at its word, with a warning.
"""

import gzip
import math
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import zstandard
from numpy.typing import NDArray
from torch import Tensor

from splat.compression.coding import smallest_three
from splat.compression.coding.byte_reader import REMEDY, ByteReader, check_ratio, read_file, ungzip, ungzip_all, unzstd
from splat.compression.formats.axes import RDF, RUB, turned
from splat.compression.formats.blocks import blocks, drawable_order, joined, ranges
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.quaternions import unit
from splat.io.atomic_file import replacing

MAGIC = 0x5053474E
VERSIONS = (2, 3, 4)
ANTIALIASED, HAS_EXTENSIONS = 1, 2
COORDINATES = 0xADBE0003
"""Type of the extension that holds the axes, as a number of the list below."""
AXES = {4: RUB, 6: RDF, 7: (-1, -1, 1), 1: (-1, 1, -1)}
"""The conventions that are turns of ours: right-up-back, right-down-forward, left-up-forward, left-down-back."""
FRACTION_BITS = 12
COLOR_SCALE = 0.15
MOST = 50_000_000
"""Gaussians accepted from one file."""
EXTENSION_BYTES = 1 << 16
"""Room accepted for extensions at the end of a gzip stream."""
FRAMES = {"rub": RUB, "rdf": RDF}
QUAT_SIGNS = (1, RUB[1] * RUB[2], RUB[0] * RUB[2], RUB[0] * RUB[1])
"""Of a rotation, between these axes and ours."""


@dataclass(frozen=True)
class SpzOptions:
    """How to write `.spz`, and what to think of one that does not say."""

    version: int = 4
    """2 or 3 (gzip; every reader) or 4 (zstd: smaller, faster, names its axes; readers of 2026)."""
    sh_bits: tuple[int, int] = (8, 8)
    """Bits of harmonics of degree 1 and of the others, 1 to 8. Other writers keep 5 and 4, which is most of their loss."""
    frame: str = "auto"
    """Axes of files that are read: `auto` (what the file says, else the specification's rub), `rub` or `rdf`."""


def read(path: Path, options: SpzOptions | None = None) -> Gaussians:
    """Read a `.spz` of version 2, 3 or 4.

    Raises:
        InputError: it is damaged, of another version, or promises more than it holds.
    """
    return decode(str(path), read_file(path), options or SpzOptions())


def decode(name: str, data: bytes, options: SpzOptions, assumed: tuple[int, int, int] | None = None) -> Gaussians:
    """The Gaussians in the bytes of a `.spz` called `name`.

    Args:
        assumed: axes where neither the options nor the file say; the specification's, with a warning, unless given.

    Raises:
        InputError: it is damaged, of another version, or promises more than it holds.
    """
    if data[:2] == b"\x1f\x8b":
        header, streams, axes = _read_gzip(name, data)
    elif data[:4] == MAGIC.to_bytes(4, "little"):
        header, streams, axes = _read_zstd(name, data)
    else:
        raise InputError(f"{name}: not an .spz file: it begins with {data[:4].hex(' ') or 'nothing'}")
    del data
    if options.frame != "auto":
        axes = FRAMES[options.frame]
    elif axes is None and assumed is not None:
        axes = assumed
    elif axes is None:
        axes = RUB
        warnings.warn(
            f"{name}: the file does not say which way its axes point; right, up, back is assumed, as specified. "
            "Should the scene be upside down, say `spz_frame` rdf",
            stacklevel=3,
        )
    return joined(header.count, (header.degree + 1) ** 2 - 1, _parts(header, streams, axes))


def antialiased(path: Path) -> bool | None:
    """Whether a file that `read` accepts says that its scene was trained with antialiasing. Where it does not say so, it is
    not known whether it was: most programs never set the mark."""
    data = read_file(path, 1 << 16)
    try:
        header = ungzip(str(path), data, 16) if data[:2] == b"\x1f\x8b" else data
    except InputError:  # a gzip stream that is cut off here
        return None
    return True if len(header) > 14 and header[14] & ANTIALIASED else None


def write(gaussians: Gaussians, path: Path, options: SpzOptions | None = None, antialiased: bool = False) -> None:
    """Write a `.spz`, atomically. What cannot be drawn is left out.

    Raises:
        InputError: the scene is too large for 24 bits of position.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    options = options or SpzOptions()
    order, degree = drawable_order(gaussians), gaussians.sh_degree
    if degree > 3 and options.version < 4:
        raise InputError(f"{path}: version {options.version} of .spz holds harmonics up to degree 3; use version 4")
    fraction = _fraction_bits(str(path), gaussians.means.detach()[order])
    header = _Header(options.version, len(order), degree, fraction, 0)
    _warn_of_clamped(path, blocks(gaussians, order))

    def stream(encode: Encode, scene: Gaussians) -> Iterator[memoryview]:
        """An attribute of all Gaussians, of which no more than a block is there at a time."""
        return (encode(turned(part, RUB)).contiguous().numpy().data for part in blocks(scene, order))

    *others, harmonics = _encoders(fraction, options)
    bare = gaussians.with_sh_degree(0)  # most of a scene, and not looked at six times
    streams = [*(stream(encode, bare) for encode in others), stream(harmonics, gaussians)]
    flags = (ANTIALIASED if antialiased else 0) | (HAS_EXTENSIONS if options.version == 4 else 0)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        if options.version == 4:
            _write_zstd(file, header, flags, streams)
        else:
            start = struct.pack("<IIIBBBB", MAGIC, options.version, header.count, degree, fraction, flags, 0)
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
                packed.write(start)
                for plane in chain.from_iterable(streams):
                    packed.write(plane)


def _warn_of_clamped(path: Path, parts: Iterable[Gaussians]) -> None:
    """Say how many Gaussians have values that are more than a step beyond what the bytes of a file reach."""
    counts = {f"sizes (up to {math.exp(255 / 16 - 10):.0f} units)": 0, "f_dc (-3.33 to 3.33)": 0, "f_rest (-1 to 1)": 0}
    for part in parts:
        beyond = (part.log_scales > 6, (part.sh0.abs() * COLOR_SCALE > 0.5 + 1 / 255), part.sh_rest.abs() > 1 + 1 / 128)
        for name, where in zip(counts, beyond, strict=True):
            counts[name] += int(where.flatten(1).any(dim=1).sum())
    said = ", ".join(f"of {count:,} {name}" for name, count in counts.items() if count)
    if said:
        warnings.warn(
            f"{path}: the values of some Gaussians are beyond what .spz holds, and become the nearest: {said}",
            stacklevel=4,
        )


def quantized(gaussians: Gaussians, options: SpzOptions | None = None) -> Gaussians:
    """What is read back from a file of these Gaussians. Written once more, they stay the same.

    Raises:
        InputError: the scene is too large for 24 bits of position.
    """
    options = options or SpzOptions()
    scene = turned(gaussians.detach(), RUB)
    fraction = _fraction_bits("the scene", scene.means)
    header = _Header(options.version, len(scene), scene.sh_degree, fraction, 0)
    found = turned(_decode(header, [encode(scene) for encode in _encoders(fraction, options)]), RUB)

    def rounded(quats: Tensor) -> Tensor:
        return _unpack_rotation(_pack_rotation(quats, options.version), options.version)

    axes = found.quats.new_tensor(QUAT_SIGNS)
    return replace(found, quats=smallest_three.settled(found.quats * axes, rounded) * axes)


def _fraction_bits(name: str, means: Tensor) -> int:
    """Bits behind the point with which all positions [N, 3] fit into 24."""
    fraction = _fitting_bits(means)
    if fraction < 0:
        raise InputError(
            f"{name}: positions reach {float(means.abs().max()):.3g} units, .spz holds 8,388,607: move the scene or scale it "
            "down"
        )
    return fraction


def _fitting_bits(means: Tensor) -> int:
    """The same, below zero where a file cannot say so."""
    largest = float(means.abs().max()) if len(means) else 0.0
    fraction = FRACTION_BITS
    while round(largest * 2.0**fraction) >= 1 << 23:
        fraction -= 1
    return fraction


def position_steps(means: Tensor) -> Tensor:  # [N] from [N, 3]
    """The step of each position; one for all."""
    return means.new_full((len(means),), 0.5 ** _fitting_bits(means))


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fraction: int
    flags: int

    def sizes(self) -> list[int]:
        """Bytes of positions, alphas, colors, scales, rotations and harmonics."""
        rotation = 3 if self.version == 2 else 4
        return [self.count * size for size in (9, 1, 3, 3, rotation, 3 * ((self.degree + 1) ** 2 - 1))]

    def check(self, name: str) -> None:
        if self.version not in VERSIONS:
            raise InputError(f"{name}: version {self.version} of .spz; 2, 3 and 4 can be read")
        if self.count > MOST:
            raise InputError(f"{name}: promises {self.count:,} Gaussians; at most {MOST:,} are read. {REMEDY}")
        if self.degree > 4 or self.fraction > 23:
            raise InputError(
                f"{name}: harmonics of degree {self.degree} and {self.fraction} bits of fraction cannot be. {REMEDY}"
            )


Encode = Callable[[Gaussians], Tensor]
Streams = list[NDArray[np.uint8]]
Axes = tuple[int, int, int]


def _read_gzip(name: str, data: bytes) -> tuple[_Header, Streams, Axes | None]:
    start = ByteReader(ungzip(name, data, 16), name)
    magic, version, count, degree, fraction, flags, _ = start.unpack("<IIIBBBB", "a header")
    if magic != MAGIC:
        raise InputError(f"{name}: not an .spz file: the stream in it begins with {magic:08x}, not {MAGIC:08x}")
    header = _Header(version, count, degree, fraction, flags)
    header.check(name)
    if version == 4:
        raise InputError(f"{name}: is of version 4, which is not packed with gzip; unpack it first (gunzip)")
    total = 16 + sum(header.sizes())
    check_ratio(name, len(data), total)
    content, more = ungzip_all(name, data, total + EXTENSION_BYTES)
    reader = ByteReader(content, name)
    reader.take(16, "a header")
    streams = [reader.array("u1", (size,), "an attribute") for size in header.sizes()]
    axes = _extensions(name, reader) if flags & HAS_EXTENSIONS else None
    reader.end(more)
    return header, streams, axes


def _read_zstd(name: str, data: bytes) -> tuple[_Header, Streams, Axes | None]:
    reader = ByteReader(data, name)
    _, version, count, degree, fraction, flags, number, toc = reader.unpack("<IIIBBBBI12x", "a header")
    header = _Header(version, count, degree, fraction, flags)
    header.check(name)
    if version != 4:
        raise InputError(f"{name}: says version {version} without the gzip stream that it must be in. {REMEDY}")
    sizes = header.sizes()[:number]
    if number not in (5, 6) or sum(sizes) != sum(header.sizes()):
        raise InputError(f"{name}: expected 6 streams, or 5 without harmonics, got {number}. {REMEDY}")
    if not 32 <= toc <= len(data):
        raise InputError(f"{name}: the table of streams lies at byte {toc} of {len(data)}. {REMEDY}")
    axes = _extensions(name, ByteReader(data[32:toc], name)) if flags & HAS_EXTENSIONS else None
    reader.take(toc - 32, "extensions")
    table = [reader.unpack("<QQ", "the table of streams") for _ in sizes]
    streams: Streams = []
    for index, (size, (packed, promised)) in enumerate(zip(sizes, table, strict=True)):
        if promised != size:
            raise InputError(f"{name}: stream {index} has {promised:,} bytes, expected {size:,}. {REMEDY}")
        frame = reader.take(packed, f"stream {index}")
        content = unzstd(f"{name}: stream {index}", frame, size) if size else b""
        streams.append(np.frombuffer(content, dtype=np.uint8))
    reader.end()
    return header, streams + [np.zeros(0, np.uint8)] * (6 - len(streams)), axes


def _extensions(name: str, reader: ByteReader) -> Axes | None:
    """The axes that an extension names, if one does."""
    axes = None
    while reader.left >= 8:
        kind, size = reader.unpack("<II", "an extension")
        payload = reader.take(size, "an extension")
        if kind == COORDINATES and size == 4:
            number = int.from_bytes(payload, "little")
            if number not in AXES:
                raise InputError(f"{name}: axes of kind {number} cannot be read; write it as RUB (4) or RDF (6)")
            axes = AXES[number]
    return axes


def _parts(header: _Header, streams: Streams, axes: Axes) -> Iterator[Gaussians]:
    """The scene block by block, in our axes."""
    widths = replace(header, count=1).sizes()
    for place in ranges(header.count):
        part = replace(header, count=place.stop - place.start)
        cut = [stream[place.start * width : place.stop * width] for stream, width in zip(streams, widths, strict=True)]
        yield turned(_decode(part, [torch.from_numpy(stream.copy()) for stream in cut]), axes)


def _decode(header: _Header, planes: list[Tensor]) -> Gaussians:
    """Gaussians in the file's axes, from the six attributes as bytes."""
    count = header.count
    position, alpha, color, scale, rotation, sh = planes
    low, middle, high = position.reshape(count, 3, 3).int().unbind(-1)
    means = (low | middle << 8 | (high.to(torch.uint8).view(torch.int8).int()) << 16).float() / (1 << header.fraction)
    opacity = (alpha.float() / 255).clamp(1e-6, 1 - 1e-6)
    bases = (header.degree + 1) ** 2 - 1
    return Gaussians(
        means=means,
        quats=_unpack_rotation(rotation, header.version),
        log_scales=scale.reshape(count, 3).float() / 16 - 10,
        logit_opacities=opacity.logit(),
        sh0=(color.reshape(count, 3).float() / 255 - 0.5) / COLOR_SCALE,
        sh_rest=(sh.reshape(count, bases, 3).float() - 128) / 128,
    )


def _encoders(fraction: int, options: SpzOptions) -> list[Encode]:
    """What makes the six attributes, as bytes [N, ...], of Gaussians in the file's axes."""

    def positions(scene: Gaussians) -> Tensor:
        fixed = (scene.means.double() * (1 << fraction)).round().int()
        return torch.stack([fixed & 255, fixed >> 8 & 255, fixed >> 16 & 255], dim=-1).to(torch.uint8)

    def alphas(scene: Gaussians) -> Tensor:
        return (scene.opacities * 255).round().to(torch.uint8)

    def colors(scene: Gaussians) -> Tensor:
        return ((scene.sh0 * COLOR_SCALE + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)

    def scales(scene: Gaussians) -> Tensor:
        return ((scene.log_scales + 10) * 16).round().clamp(0, 255).to(torch.uint8)

    def rotations(scene: Gaussians) -> Tensor:
        return _pack_rotation(scene.quats, options.version).to(torch.uint8)

    def harmonics(scene: Gaussians) -> Tensor:
        sh = scene.sh_rest.clone()
        for part, bits in ((slice(0, 3), options.sh_bits[0]), (slice(3, None), options.sh_bits[1])):
            sh[:, part] = quantized_harmonics(sh[:, part], bits)
        return (sh * 128 + 128).to(torch.uint8)

    return [positions, alphas, colors, scales, rotations, harmonics]


def quantized_harmonics(values: Tensor, bits: int) -> Tensor:
    """Harmonics as a file keeps them that gives so many bits to each: middles of buckets of 1/128 times 2^(8 - bits)."""
    bucket = 1 << (8 - bits)
    code = (values * 128).round() + 128
    code = ((code + bucket / 2) / bucket).floor() * bucket
    return (code.clamp(0, 255) - 128) / 128


def _pack_rotation(quats: Tensor, version: int) -> Tensor:  # [N, 4] uint8, [N, 3] in version 2
    """Two bits for the largest of (x, y, z, w), ten for each other: a sign and nine of size. In version 2 bytes of x, y, z."""
    if version == 2:
        quats = unit(quats)
        quats = quats * torch.where(quats[:, :1] < 0, -1.0, 1.0)
        return (quats[:, 1:] * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    largest, rest = smallest_three.split(quats[:, [1, 2, 3, 0]])
    packed = largest.clone()
    for component in rest.unbind(1):
        size = (component.abs() / smallest_three.BOUND * 511).round().long().clamp(0, 511)
        packed = packed << 10 | (component < 0).long() << 9 | size
    return torch.stack([packed >> shift & 255 for shift in (0, 8, 16, 24)], dim=1).to(torch.uint8)


def _unpack_rotation(stream: Tensor, version: int) -> Tensor:  # [N, 4] wxyz
    if version == 2:
        xyz = stream.reshape(-1, 3).float() / 127.5 - 1
        quats = torch.cat([(1 - xyz.square().sum(1, keepdim=True)).clamp_min(0).sqrt(), xyz], dim=1)
        return unit(quats)
    a, b, c, d = stream.reshape(-1, 4).long().unbind(1)
    packed = a | b << 8 | c << 16 | d << 24
    parts = torch.stack([packed >> shift & 1023 for shift in (20, 10, 0)], dim=1)
    rest = (parts & 511).float() / 511 * smallest_three.BOUND
    rest = torch.where(parts & 512 > 0, -rest, rest)
    return smallest_three.join(packed >> 30, rest)[:, [3, 0, 1, 2]]


def _write_zstd(file: BinaryIO, header: _Header, flags: int, streams: Sequence[Iterator[memoryview]]) -> None:
    streams = streams[:5] if not header.degree else streams
    extension = struct.pack("<III", COORDINATES, 4, 4)  # axes number 4: right, up, back
    toc = 32 + len(extension)
    numbers = (header.count, header.degree, header.fraction, flags, len(streams), toc)
    file.write(struct.pack("<IIIBBBBI12x", MAGIC, 4, *numbers) + extension)
    file.write(bytes(16 * len(streams)))
    sizes = []
    for stream, size in zip(streams, header.sizes(), strict=False):
        began, compressor = file.tell(), zstandard.ZstdCompressor(level=12)
        with compressor.stream_writer(file, size=size, closefd=False) as packed:
            for plane in stream:
                packed.write(plane)
        sizes += [file.tell() - began, size]
    file.seek(toc)
    file.write(struct.pack(f"<{len(sizes)}Q", *sizes))
