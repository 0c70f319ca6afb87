"""Compressed .ply of SuperSplat and PlayCanvas: 16 bytes a Gaussian and one more for every harmonic above the first.

Chunks of 256 neighbours share the bounds between which positions (11, 10 and 11 bits), logarithms of scales (the same) and
colours (8 bits) are stored; rotations have 2 + 3 x 10 bits.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.atomic_file import replacing
from splat.compression import smallest_three
from splat.compression.frames import drawable
from splat.compression.ordering import morton_order
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.ply import REST_COUNTS
from splat.ply_file import has_element, read_rows, write_binary

CHUNK = 256
POSITION_BITS = (11, 10, 11)
BOUNDS = ("x", "y", "z", "scale_x", "scale_y", "scale_z", "r", "g", "b")
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
LOG_SCALE_LIMIT = 20.0
SH_RANGE = 8.0
"""Harmonics lie within plus and minus half of this."""


def is_compressed(path: Path) -> bool:
    """Whether a .ply is of this kind."""
    return has_element(path, "chunk")


def read(path: Path) -> Gaussians:
    """Read a compressed .ply, with or without harmonics.

    Raises:
        InputError: it is damaged, or not of this kind.
    """
    chunks, rows = read_rows(path, "chunk"), read_rows(path, "vertex")
    _expect(path, rows, PACKED)
    _expect(path, chunks, [f"{end}_{name}" for name in BOUNDS[:6] for end in ("min", "max")])
    needed = -(-len(rows) // CHUNK)
    if len(chunks) < needed:
        raise InputError(f"{path}: expected {needed} chunks for {len(rows)} Gaussians, got {len(chunks)}")
    packed = [torch.from_numpy(rows[name].astype(np.int64)) for name in PACKED]
    return _decode(*_bounds(chunks), packed, _read_harmonics(path, len(rows)))


def _decode(low: Tensor, high: Tensor, packed: list[Tensor], sh_rest: Tensor) -> Gaussians:
    """Gaussians from the chunks' bounds [C, 9] and the four packed numbers of each."""
    position, rotation, scale, color = packed
    chunk = torch.arange(len(position), device=position.device) // CHUNK

    def spread(values: Tensor, first: int) -> Tensor:  # [N, 3] in 0..1 to the chunk's bounds
        corner, size = low[:, first : first + 3][chunk], (high - low)[:, first : first + 3][chunk]
        return corner + values * size

    rgba = torch.stack([color >> shift & 255 for shift in (24, 16, 8, 0)], dim=1) / 255
    return Gaussians(
        means=spread(_unpack(position), 0),
        quats=_unpack_rotation(rotation),
        log_scales=spread(_unpack(scale), 3),
        logit_opacities=rgba[:, 3].clamp(1e-6, 1 - 1e-6).logit(),
        sh0=(spread(rgba[:, :3], 6) - 0.5) / SH_C0,
        sh_rest=sh_rest,
    )


def _encode(scene: Gaussians) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """The chunks' bounds [C, 9] twice, the four packed numbers [N] each, harmonics as bytes [N, 3 K], channel by channel."""
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
    packed = [_pack(unit[:, :3]), _pack_rotation(scene.quats), _pack(unit[:, 3:6]), _joined(color)]
    flat = scene.sh_rest.transpose(1, 2).flatten(1)
    return low, high, packed, ((flat / SH_RANGE + 0.5) * 256).clamp(0, 255).to(torch.uint8)


def quantized(gaussians: Gaussians, order: Tensor) -> Gaussians:
    """What is read back of a file whose Gaussians have this order, in the order of those given. Written once more in that
    order, they stay the same up to the rounding of floats."""
    scene = gaussians.detach()[order]
    low, high, packed, codes = _encode(scene)
    found = _decode(low, high, packed, _harmonics(codes))
    quats = smallest_three.settled(scene.quats, lambda quats: _unpack_rotation(_pack_rotation(quats)))
    return replace(found, quats=quats)[order.argsort()]


def write(gaussians: Gaussians, path: Path, order: Tensor | None = None) -> None:
    """Write a compressed .ply, atomically. What cannot be drawn is left out.

    Args:
        order: [N] in which they are written; along a Morton curve unless given.

    Raises:
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    scene = gaussians.detach().to("cpu", torch.float32)
    fine = drawable(scene)
    if order is None:
        rows = fine.nonzero()[:, 0]
        rows = rows[morton_order(scene.means[rows])]
    else:
        rows = order[fine[order]]
    scene = scene[rows]
    low, high, packed, codes = _encode(scene)
    count, chunks = len(scene), len(low)
    vertex: NDArray[np.void] = np.zeros(count, dtype=[(name, "<u4") for name in PACKED])
    for name, column in zip(PACKED, packed, strict=True):
        vertex[name] = column.numpy()
    names = [
        f"{end}_{name}" for group in (BOUNDS[:3], BOUNDS[3:6], BOUNDS[6:]) for end in ("min", "max") for name in group
    ]
    table: NDArray[np.void] = np.zeros(chunks, dtype=[(name, "<f4") for name in names])
    for index, name in enumerate(BOUNDS):
        table[f"min_{name}"], table[f"max_{name}"] = low[:, index].numpy(), high[:, index].numpy()
    elements = {"chunk": table, "vertex": vertex}
    if scene.sh_degree:
        layout = [(f"f_rest_{index}", "u1") for index in range(codes.shape[1])]
        elements["sh"] = codes.contiguous().numpy().view(layout)[:, 0]
    with replacing(path) as temporary:
        write_binary(temporary, **elements)


def _expect(path: Path, rows: NDArray[np.void], names: list[str] | tuple[str, ...]) -> None:
    missing = [name for name in names if name not in (rows.dtype.names or ())]
    if missing:
        raise InputError(f"{path}: this is not a compressed PLY of Gaussians: {', '.join(missing[:4])} missing")


def _bounds(chunks: NDArray[np.void]) -> tuple[Tensor, Tensor]:  # [C, 9] each
    """Least and largest values of every chunk; files of before 2024 have no colours, which are then 0 and 1."""
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


def _read_harmonics(path: Path, count: int) -> Tensor:  # [N, K, 3]
    if not has_element(path, "sh"):
        return torch.zeros(count, 0, 3)
    rows = read_rows(path, "sh")
    names = [f"f_rest_{index}" for index in range(len(rows.dtype.names or ()))]
    _expect(path, rows, names)
    if len(names) not in REST_COUNTS or len(rows) != count:
        raise InputError(f"{path}: expected {count} rows of 9, 24 or 45 harmonics, got {len(rows)} of {len(names)}")
    return _harmonics(torch.from_numpy(np.stack([rows[name].astype(np.uint8) for name in names], axis=1)))


def _harmonics(codes: Tensor) -> Tensor:  # [N, K, 3] from bytes [N, 3 K]
    unit = (codes.float() + 0.5) / 256
    unit = torch.where(codes == 0, 0.0, torch.where(codes == 255, 1.0, unit))
    return ((unit - 0.5) * SH_RANGE).reshape(len(codes), 3, codes.shape[1] // 3).transpose(1, 2).contiguous()
