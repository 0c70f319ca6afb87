"""Compressed .ply of SuperSplat and PlayCanvas: 16 bytes a Gaussian and one more for every harmonic above the first.

Chunks of 256 neighbours share the bounds between which positions (11, 10 and 11 bits), logarithms of scales (the same) and
colours (8 bits) are stored; rotations have 2 + 3 x 10 bits.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.atomic_file import replacing
from splat.compression import smallest_three
from splat.compression.blocks import blocks, drawable_order, joined
from splat.compression.ordering import morton_order
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.ply import REST_COUNTS
from splat.ply_file import has_element, read_rows, row_blocks, write_binary

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
    low, high = _bounds(chunks)
    harmonics = _harmonic_rows(path, len(rows))
    bases = 0 if harmonics is None else len(harmonics.dtype.names or ()) // 3

    def parts() -> Iterator[Gaussians]:
        for first, part in row_blocks(path, rows):
            chunk = torch.arange(first, first + len(part)) // CHUNK
            sh = torch.zeros(len(part), 0, 3)
            if harmonics is not None:
                sh = _harmonics(harmonics[first : first + len(part)])
            yield _decode(part, low[chunk], high[chunk], sh)

    return joined(len(rows), bases, parts())


def _decode(rows: NDArray[np.void], low: Tensor, high: Tensor, harmonics: Tensor) -> Gaussians:
    """Gaussians whose chunks' bounds are low and high [N, 9]."""
    position, rotation, scale, color = (torch.from_numpy(rows[name].astype(np.int64)) for name in PACKED)

    def spread(values: Tensor, first: int) -> Tensor:  # [N, 3] in 0..1 to the chunk's bounds
        return torch.lerp(low[:, first : first + 3], high[:, first : first + 3], values)

    largest = rotation >> 30
    rest = torch.stack([(rotation >> shift & 1023) / 1023 for shift in (20, 10, 0)], dim=1)
    rgba = torch.stack([color >> shift & 255 for shift in (24, 16, 8, 0)], dim=1) / 255
    alpha = rgba[:, 3].clamp(1e-6, 1 - 1e-6)
    return Gaussians(
        means=spread(_unpack(position), 0),
        quats=smallest_three.join(largest, (rest - 0.5) * 2**0.5).float(),
        log_scales=spread(_unpack(scale), 3),
        logit_opacities=alpha.logit(),
        sh0=(spread(rgba[:, :3], 6) - 0.5) / SH_C0,
        sh_rest=harmonics,
    )


def write(gaussians: Gaussians, path: Path) -> None:
    """Write a compressed .ply, atomically, in an order of its own. What cannot be drawn is left out.

    Raises:
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    means = gaussians.means.detach().cpu().float()
    order = drawable_order(gaussians)
    order = order[morton_order(means[order])]
    encoded = [_encode(part) for part in blocks(gaussians, order)]
    names = [
        f"{end}_{name}" for group in (BOUNDS[:3], BOUNDS[3:6], BOUNDS[6:]) for end in ("min", "max") for name in group
    ]
    empty = _encode(gaussians[:0].detach().to("cpu", torch.float32))
    bounds, vertices, harmonics = (np.concatenate(parts) for parts in zip(empty, *encoded, strict=True))
    elements = {"chunk": bounds.view([(name, "<f4") for name in names])[:, 0]}
    elements["vertex"] = vertices.view([(name, "<u4") for name in PACKED])[:, 0]
    if gaussians.sh_degree:
        layout = [(f"f_rest_{index}", "u1") for index in range(harmonics.shape[1])]
        elements["sh"] = harmonics.view(layout)[:, 0]
    with replacing(path) as temporary:
        write_binary(temporary, **elements)


def _encode(scene: Gaussians) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.uint8]]:
    """Bounds of the chunks [C, 18] as the file orders them, packed Gaussians [N, 4], harmonics [N, 3 K]."""
    count = len(scene)
    chunk = torch.arange(count) // CHUNK
    log_scales = scene.log_scales.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
    values = torch.cat([scene.means, log_scales, scene.sh0 * SH_C0 + 0.5], dim=1)
    chunks = -(-count // CHUNK)
    padded = torch.cat([values, values[-1:].expand(chunks * CHUNK - count, -1)]) if count else values
    low, high = (getattr(padded.reshape(chunks, CHUNK, 9), end)(dim=1) for end in ("amin", "amax"))
    size = high - low
    unit = torch.where(size[chunk] > 0, (values - low[chunk]) / size[chunk].clamp_min(1e-30), 0.0).clamp(0, 1)
    largest, rest = smallest_three.split(scene.quats)
    rotation = largest << 30
    for place, shift in enumerate((20, 10, 0)):
        rotation |= (rest[:, place] / 2**0.5 + 0.5).clamp(0, 1).mul(1023).round().long() << shift
    color = torch.cat([unit[:, 6:], scene.opacities[:, None]], dim=1).mul(255).round().long()
    packed = torch.stack([_pack(unit[:, :3]), rotation, _pack(unit[:, 3:6]), _joined(color)], dim=1)
    bounds = torch.cat([end[:, first : first + 3] for first in (0, 3, 6) for end in (low, high)], dim=1)
    flat = scene.sh_rest.transpose(1, 2).flatten(1)
    codes = ((flat / SH_RANGE + 0.5) * 256).clamp(0, 255).to(torch.uint8)
    return bounds.numpy(), packed.numpy().astype("<u4"), codes.contiguous().numpy()


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


def _joined(color: Tensor) -> Tensor:  # [N] from [N, 4] bytes
    return color[:, 0] << 24 | color[:, 1] << 16 | color[:, 2] << 8 | color[:, 3]


def _harmonic_rows(path: Path, count: int) -> NDArray[np.void] | None:
    """The table of harmonics, if there is one."""
    if not has_element(path, "sh"):
        return None
    rows = read_rows(path, "sh")
    names = [f"f_rest_{index}" for index in range(len(rows.dtype.names or ()))]
    _expect(path, rows, names)
    if len(names) not in REST_COUNTS or len(rows) != count:
        raise InputError(f"{path}: expected {count} rows of 9, 24 or 45 harmonics, got {len(rows)} of {len(names)}")
    return rows


def _harmonics(rows: NDArray[np.void]) -> Tensor:  # [N, K, 3]
    names = [f"f_rest_{index}" for index in range(len(rows.dtype.names or ()))]
    codes = torch.from_numpy(np.stack([rows[name].astype(np.uint8) for name in names], axis=1))
    unit = (codes.float() + 0.5) / 256
    unit = torch.where(codes == 0, 0.0, torch.where(codes == 255, 1.0, unit))
    return ((unit - 0.5) * SH_RANGE).reshape(len(rows), 3, len(names) // 3).transpose(1, 2)
