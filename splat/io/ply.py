"""point_cloud.ply in and out: the lossless exchange format of 3D Gaussian splatting (Kerbl et al. 2023).

One `vertex` element of 32-bit floats: x y z, nx ny nz (always zero), f_dc_0..2, f_rest_*, opacity (logit),
scale_0..2 (logarithms), rot_0..3 (w, x, y, z). `f_rest` is channel-major: all of red, then all of green, then blue.
Reading goes by property name, because other programs write other orders.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians, drawable
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io.atomic_file import replacing
from splat.io.local_origin import FEW, local_origin, moved_from, moved_text
from splat.io.ply_container import BLOCK, read_rows, row_blocks, write_binary, write_blocks
from splat.io.ply_dialects import NORMAL, POSITION, RGB, ROTATION, SCALE, SH0, dialect, full_scale

FARTHEST = 1e12
"""Coordinate in world units from which on a point is of a damaged file."""


def load(path: str | Path) -> Gaussians:
    """Read Gaussians from a `point_cloud.ply`, binary of either byte order or ASCII.

    Every value is kept as it is, NaN and infinity too. What other programs write instead of a property is worked out from it,
    with a warning (`splat.io.ply_dialects`). Positions in double precision that 32-bit floats cannot hold, as those of maps,
    are moved to the origin, with a warning that says by how much.

    Returns:
        float32 Gaussians on the CPU, of the degree that the file has (0 to 4).

    Raises:
        InputError: the file is missing, truncated, not a PLY, or not one of Gaussians; the message says how to fix it.
    """
    return load_moved(path)[0]


def load_moved(path: str | Path) -> tuple[Gaussians, Georeference | None]:
    """As `load`, with where the file has the Gaussians if they had to be moved."""
    path = Path(path)
    rows = read_rows(path, "vertex")
    found = dialect(path, rows)
    origin = found.origin(rows)
    if origin is not None:
        warnings.warn(f"{path}: {moved_text(origin)}", stacklevel=2)
    scene = Gaussians.empty(len(rows), len(found.rest) // 3)
    for first, part in row_blocks(path, rows):
        for name, values in found.columns(part, origin).items():
            scene.tensors()[name][first : first + len(part)] = values
    return scene, None if origin is None else moved_from(origin)


def save(gaussians: Gaussians, path: str | Path, placement: Similarity | None = None) -> None:
    """Write Gaussians as a binary `point_cloud.ply`, atomically, creating missing folders.

    Values are stored as float32, so `load(save(...))` returns the same bits. An existing file is replaced.

    Args:
        placement: from the scene's coordinates to those of the file. Where float32 would not hold the positions there, they
            are stored in double precision.

    Raises:
        ValueError: `path` does not end in .ply.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    path = ply_path(path)
    count, double = len(gaussians), False
    if placement is not None:
        there, sizes = placement.points(gaussians.means.double()), gaussians.scales * placement.scale
        double = local_origin(there, sizes, FEW) is not None
    rest = [f"f_rest_{index}" for index in range(3 * gaussians.sh_rest.shape[1])]
    names = [*POSITION, *NORMAL, *SH0, *rest, "opacity", *SCALE, *ROTATION]
    bad = 0

    def tables() -> Iterator[NDArray[np.float32] | NDArray[np.float64]]:
        nonlocal bad
        for first in range(0, count, BLOCK):
            part = gaussians[first : first + BLOCK].detach().to("cpu", torch.float32)
            means = part.means
            if placement is not None:
                means = placement.points(means.double())
                part = placement.gaussians(part)
            flat, opacity = part.sh_rest.transpose(1, 2).flatten(1), part.logit_opacities[:, None]
            normals = torch.zeros(len(part), 3)
            means = means if double else means.float()
            columns = torch.cat([means, normals, part.sh0, flat, opacity, part.log_scales, part.quats], dim=1)
            bad += int((~drawable(part)).sum())
            yield columns.numpy()

    with replacing(path) as temporary:
        write_blocks(temporary, "vertex", names, count, tables(), double=POSITION if double else ())
    warn_about_rows(path, bad, count)


@dataclass(frozen=True)
class PointCloud:
    """Points of a file."""

    points: Tensor  # [P, 3] world units
    colors: Tensor  # [P, 3] uint8
    lost: int  # further points, left out since their positions are not finite or beyond `FARTHEST`

    def __len__(self) -> int:
        return len(self.points)


def load_points(path: str | Path, dtype: torch.dtype = torch.float32) -> PointCloud:
    """Read a point cloud; points without color are gray.

    Args:
        dtype: of the positions.

    Raises:
        InputError: the file cannot be read, or has no positions.
    """
    path = Path(path)
    rows = read_rows(path, "vertex")
    names = rows.dtype.names or ()
    if not set(POSITION) <= set(names):
        raise InputError(f"{path}: expected the properties x, y and z, got {', '.join(names) or 'none'}")
    points = np.stack([rows[name].astype(np.float64) for name in POSITION], axis=1)
    near = (np.abs(points) < FARTHEST).all(axis=1)  # false for what is not a number
    colors = np.full((int(near.sum()), 3), 128, dtype=np.uint8)
    if set(RGB) <= set(names):
        channels = np.stack([rows[name][near].astype(np.float64) for name in RGB], axis=1)
        colors = (channels * (255 / full_scale(rows, RGB))).round().clip(0, 255)
    bytes_ = torch.from_numpy(np.nan_to_num(colors, nan=128).astype(np.uint8))
    return PointCloud(torch.from_numpy(points[near]).to(dtype), bytes_, int((~near).sum()))


def save_points(path: str | Path, points: Tensor, colors: Tensor) -> None:
    """Write a plain colored point cloud (x y z nx ny nz red green blue), atomically.

    Args:
        path: where to, ending in .ply.
        points: [P, 3] world units.
        colors: [P, 3] uint8.

    Raises:
        ValueError: a shape or dtype does not fit, or `path` does not end in .ply.
        OSError: the folder cannot be written or the disk is full.
    """
    path = ply_path(path)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"save_points: points must be [P, 3], got {list(points.shape)}")
    if colors.shape != points.shape or colors.dtype != torch.uint8:
        raise ValueError(
            f"save_points: colors must be uint8 {list(points.shape)}, got {colors.dtype} {list(colors.shape)}"
        )
    layout = [(name, "<f4") for name in (*POSITION, *NORMAL)] + [(name, "u1") for name in RGB]
    table: NDArray[np.void] = np.zeros(len(points), dtype=layout)
    xyz, rgb = points.detach().cpu().float().numpy(), colors.cpu().numpy()
    for axis in range(3):
        table[POSITION[axis]] = xyz[:, axis]
        table[RGB[axis]] = rgb[:, axis]
    with replacing(path) as temporary:
        write_binary(temporary, vertex=table)


def ply_path(path: str | Path) -> Path:
    """The path, which must end in .ply: other programs refuse anything else."""
    path = Path(path)
    if not path.name.lower().endswith(".ply"):
        raise ValueError(f"expected a file name ending in .ply, got {path}")
    return path


def warn_about_rows(path: Path, bad: int, count: int) -> None:
    if bad:
        warnings.warn(f"{path}: {bad} of {count} Gaussians have values with which they cannot be drawn", stacklevel=3)
