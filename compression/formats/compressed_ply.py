"""Compressed .ply of SuperSplat and PlayCanvas: 16 bytes a Gaussian and one more for every harmonic above the first.

Chunks of 256 neighbors share the bounds between which positions (11, 10 and 11 bits), logarithms of scales (the same) and
colors (8 bits) are stored; rotations have 2 + 3 x 10 bits.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.compression.coding import smallest_three
from splat.compression.formats.blocks import blocks, drawable_order, joined, ranges
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.morton import morton_order
from splat.io.atomic_file import replacing
from splat.io.ply_container import REMEDY, has_element, read_tables, row_blocks, write_binary
from splat.io.ply_dialects import REST_COUNTS

CHUNK = 256
POSITION_BITS = (11, 10, 11)
BOUNDS = ("x", "y", "z", "scale_x", "scale_y", "scale_z", "r", "g", "b")
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
LOG_SCALE_LIMIT = 20.0
SH_RANGE = 8.0
"""Harmonics lie within plus and minus half of this."""
STRAY = 100.0
"""Times the median distance from the median of all, in a coordinate or a color, from which on a Gaussian would coarsen the
steps of its neighbors."""
COLOR_STEP = 1 / 16
"""Steps of colors, which are 0 to 1, that show."""


def is_compressed(path: Path) -> bool:
    """Whether a .ply is of this kind."""
    return has_element(path, "chunk")


def read(path: Path) -> Gaussians:
    """Read a compressed .ply, with or without harmonics.

    Raises:
        InputError: it is damaged, or not of this kind.
    """
    tables = read_tables(path, "chunk", "vertex", optional=("sh",))
    chunks, rows = tables["chunk"], tables["vertex"]
    _expect(path, rows, PACKED)
    wide = [name for name in PACKED if rows.dtype[name].kind not in "iu" or rows.dtype[name].itemsize != 4]
    if wide:
        raise InputError(f"{path}: expected {wide[0]} of 32 bits (uint), got {rows.dtype[wide[0]].name}. {REMEDY}")
    _expect(path, chunks, [f"{end}_{name}" for name in BOUNDS[:6] for end in ("min", "max")])
    needed = -(-len(rows) // CHUNK)
    if len(chunks) != needed:
        raise InputError(
            f"{path}: expected {needed:,} chunks for {len(rows):,} Gaussians, got {len(chunks):,}. {REMEDY}"
        )
    low, high = _bounds(chunks)
    harmonics = _harmonic_rows(path, tables["sh"], len(rows)) if "sh" in tables else None
    bases = 0 if harmonics is None else len(harmonics.dtype.names or ()) // 3

    def parts() -> Iterator[Gaussians]:
        for first, part in row_blocks(path, rows):
            packed = torch.from_numpy(np.stack([part[name].astype(np.int64) & 0xFFFFFFFF for name in PACKED], axis=1))
            codes = torch.zeros(len(part), 0, dtype=torch.uint8)
            if harmonics is not None:
                codes = _codes(path, harmonics[first : first + len(part)])
            yield _decode(low[first // CHUNK :], high[first // CHUNK :], packed, codes)

    return joined(len(rows), bases, parts())


def quantized(gaussians: Gaussians, order: Tensor) -> Gaussians:
    """What is read back of a file whose Gaussians have this order, in the order of those given. Written once more in that
    order, they stay the same up to the rounding of floats."""
    scene = gaussians.detach()[order]
    quats = smallest_three.settled(scene.quats, lambda quats: _unpack_rotation(_pack_rotation(quats)))
    return replace(_decode(*_encode(scene)), quats=quats)[order.argsort()]


def write(gaussians: Gaussians, path: Path, order: Tensor | None = None) -> None:
    """Write a compressed .ply, atomically. What cannot be drawn is left out.

    Args:
        order: [N] in which they are written; that of `chunk_order` unless given.

    Raises:
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    order = drawable_order(gaussians, chunk_order(gaussians) if order is None else order)
    count, colors = len(order), 3 * gaussians.sh_rest.shape[1]
    groups = (BOUNDS[:3], BOUNDS[3:6], BOUNDS[6:])
    names = [f"{end}_{name}" for group in groups for end in ("min", "max") for name in group]
    chunks: NDArray[np.void] = np.empty(-(-count // CHUNK), dtype=[(name, "<f4") for name in names])
    vertices, harmonics = np.empty((count, len(PACKED)), dtype="<u4"), np.empty((count, colors), dtype=np.uint8)
    lost = 0
    for place, part in zip(ranges(count), blocks(gaussians, order), strict=True):
        low, high, packed, codes = _encode(part)
        lost += _count_lost(part, high - low)
        within = slice(place.start // CHUNK, -(-place.stop // CHUNK))
        for index, name in enumerate(BOUNDS):
            chunks[f"min_{name}"][within], chunks[f"max_{name}"][within] = low[:, index].numpy(), high[:, index].numpy()
        vertices[place], harmonics[place] = packed.numpy(), codes.numpy()
    elements = {"chunk": chunks, "vertex": vertices.view([(name, "<u4") for name in PACKED])[:, 0]}
    if colors:
        elements["sh"] = harmonics.view([(f"f_rest_{index}", "u1") for index in range(colors)])[:, 0]
    with replacing(path) as temporary:
        write_binary(temporary, **elements)
    if lost:
        warnings.warn(
            f"{path}: {lost:,} of {count:,} Gaussians lose their positions or colors: they share the bounds of their chunk of "
            f"{CHUNK} with some that are far away, or far too bright. `--filter-floaters` leaves out those far away; "
            "a .ply keeps all",
            stacklevel=3,
        )


def chunk_order(gaussians: Gaussians) -> Tensor:  # [N] int64
    """The order in which Gaussians that lie next to each other have small steps: along a Morton curve, and then, along another
    one, those that are far from all others in position or color."""
    means, strays = gaussians.means.detach(), torch.zeros(len(gaussians), dtype=torch.bool, device=gaussians.device)
    for column in (*means.unbind(1), *gaussians.sh0.detach().unbind(1)):
        distance = (column - column.nanmedian()).abs()
        strays |= ~(distance <= STRAY * distance.nanmedian())
    groups = ((~strays).nonzero()[:, 0], strays.nonzero()[:, 0])
    return torch.cat([rows[morton_order(means[rows])] for rows in groups])


def _count_lost(scene: Gaussians, size: Tensor) -> int:
    """How many Gaussians are in chunks, whose bounds are `size` [C, 9] apart, with steps that are larger than half of their
    Gaussians, or than colors may be off."""
    chunks, count = len(size), len(scene)
    levels = size.new_tensor([(1 << bits) - 1 for bits in POSITION_BITS])
    steps = (size[:, :3] / levels).amax(dim=1)
    chunk = torch.arange(count) // CHUNK
    middle = scene.log_scales.median(dim=1).values.exp()
    small = torch.zeros(chunks).index_add_(0, chunk, (middle < steps[chunk]).float())
    within = torch.bincount(chunk, minlength=chunks)
    lost = (2 * small > within) | (size[:, 6:].amax(dim=1) / 255 > COLOR_STEP)
    return int(within[lost].sum())


def _decode(low: Tensor, high: Tensor, packed: Tensor, codes: Tensor) -> Gaussians:
    """Gaussians from the bounds [C, 9] of their chunks, packed numbers [N, 4] and harmonics [N, 3 K] as bytes."""
    position, rotation, scale, color = packed.unbind(1)
    chunk = torch.arange(len(packed), device=packed.device) // CHUNK
    low, high = low[chunk], high[chunk]

    def spread(values: Tensor, first: int) -> Tensor:  # [N, 3] in 0..1 to the chunk's bounds
        return torch.lerp(low[:, first : first + 3], high[:, first : first + 3], values)

    rgba = torch.stack([color >> shift & 255 for shift in (24, 16, 8, 0)], dim=1) / 255
    return Gaussians(
        means=spread(_unpack(position), 0),
        quats=_unpack_rotation(rotation),
        log_scales=spread(_unpack(scale), 3),
        logit_opacities=rgba[:, 3].clamp(1e-6, 1 - 1e-6).logit(),
        sh0=(spread(rgba[:, :3], 6) - 0.5) / SH_C0,
        sh_rest=_harmonics(codes),
    )


def _encode(scene: Gaussians) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Least and largest values of the chunks [C, 9], packed numbers [N, 4], harmonics as bytes [N, 3 K], all of a channel
    together."""
    count = len(scene)
    chunk = torch.arange(count, device=scene.device) // CHUNK
    log_scales = scene.log_scales.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
    values = torch.cat([scene.means, log_scales, scene.sh0 * SH_C0 + 0.5], dim=1)
    chunks = -(-count // CHUNK)
    padded = torch.cat([values, values[-1:].expand(chunks * CHUNK - count, -1)]) if count else values
    low, high = (getattr(padded.reshape(chunks, CHUNK, 9), end)(dim=1) for end in ("amin", "amax"))
    size = high - low
    unit = torch.where(size[chunk] > 0, (values - low[chunk]) / size[chunk].clamp_min(1e-30), 0.0).clamp(0, 1)
    color = torch.cat([unit[:, 6:], scene.opacities[:, None]], dim=1).mul(255).round().long()
    packed = torch.stack([_pack(unit[:, :3]), _pack_rotation(scene.quats), _pack(unit[:, 3:6]), _joined(color)], dim=1)
    flat = scene.sh_rest.transpose(1, 2).flatten(1)
    return low, high, packed, ((flat / SH_RANGE + 0.5) * 256).clamp(0, 255).to(torch.uint8)


def _expect(path: Path, rows: NDArray[np.void], names: list[str] | tuple[str, ...]) -> None:
    missing = [name for name in names if name not in (rows.dtype.names or ())]
    if missing:
        raise InputError(
            f"{path}: this is not a compressed PLY of Gaussians: {', '.join(missing[:4])} missing; export it again from the "
            "program that made it"
        )


def _bounds(chunks: NDArray[np.void]) -> tuple[Tensor, Tensor]:  # [C, 9] each
    """Least and largest values of every chunk; files of before 2024 have no colors, which are then 0 and 1."""
    low, high = torch.zeros(len(chunks), 9), torch.ones(len(chunks), 9)
    for column, name in enumerate(BOUNDS):
        if f"min_{name}" in (chunks.dtype.names or ()) and f"max_{name}" in (chunks.dtype.names or ()):
            low[:, column] = torch.from_numpy(chunks[f"min_{name}"].astype(np.float32))
            high[:, column] = torch.from_numpy(chunks[f"max_{name}"].astype(np.float32))
    return low, high


def _pack(unit: Tensor) -> Tensor:  # [N] from [N, 3] in 0..1
    x, y, z = (
        (column * ((1 << bits) - 1)).round().long() for column, bits in zip(unit.unbind(1), POSITION_BITS, strict=True)
    )
    return x << 21 | y << 11 | z


def _unpack(packed: Tensor) -> Tensor:  # [N, 3] in 0..1
    return torch.stack([(packed >> 21) / 2047, (packed >> 11 & 1023) / 1023, (packed & 2047) / 2047], dim=1)


def _pack_rotation(quats: Tensor) -> Tensor:  # [N]
    largest, rest = smallest_three.split(quats)
    rotation = largest << 30
    for place, shift in enumerate((20, 10, 0)):
        rotation |= (rest[:, place] / 2**0.5 + 0.5).clamp(0, 1).mul(1023).round().long() << shift
    return rotation


def _unpack_rotation(rotation: Tensor) -> Tensor:  # [N, 4]
    rest = torch.stack([(rotation >> shift & 1023) / 1023 for shift in (20, 10, 0)], dim=1)
    return smallest_three.join(rotation >> 30, (rest - 0.5) * 2**0.5).float()


def _joined(color: Tensor) -> Tensor:  # [N] from [N, 4] bytes
    return color[:, 0] << 24 | color[:, 1] << 16 | color[:, 2] << 8 | color[:, 3]


def _harmonic_rows(path: Path, rows: NDArray[np.void], count: int) -> NDArray[np.void]:
    """The table of harmonics, as it should be."""
    names = [f"f_rest_{index}" for index in range(len(rows.dtype.names or ()))]
    _expect(path, rows, names)
    if len(names) not in REST_COUNTS or len(rows) != count:
        raise InputError(
            f"{path}: expected {count:,} rows of 9, 24, 45 or 72 harmonics, got {len(rows):,} of {len(names)}. {REMEDY}"
        )
    return rows


def _codes(path: Path, rows: NDArray[np.void]) -> Tensor:  # uint8 [N, 3 K]
    columns = [np.zeros((len(rows), 0), np.uint8)]
    for name in rows.dtype.names or ():
        column = rows[name]
        with np.errstate(invalid="ignore"):
            codes = column.astype(np.uint8)
        if (odd := codes != column).any():
            raise InputError(f"{path}: expected {name} of 0 to 255 (uchar), got {column[odd][0]}. {REMEDY}")
        columns.append(codes[:, None])
    return torch.from_numpy(np.concatenate(columns, axis=1))


def _harmonics(codes: Tensor) -> Tensor:  # [N, K, 3] from bytes [N, 3 K]
    unit = (codes.float() + 0.5) / 256
    unit = torch.where(codes == 0, 0.0, torch.where(codes == 255, 1.0, unit))
    return ((unit - 0.5) * SH_RANGE).reshape(len(codes), 3, codes.shape[1] // 3).transpose(1, 2).contiguous()
