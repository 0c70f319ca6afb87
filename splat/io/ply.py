"""point_cloud.ply in and out: the lossless exchange format of 3D Gaussian splatting (Kerbl et al. 2023).

One `vertex` element of 32-bit floats: x y z, nx ny nz (always zero), f_dc_0..2, f_rest_*, opacity (logit),
scale_0..2 (logarithms), rot_0..3 (w, x, y, z). `f_rest` is channel-major: all of red, then all of green, then blue.
Reading goes by property name, because other programs write other orders.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.atomic_file import replacing
from splat.io.ply_container import BLOCK, read_rows, row_blocks, write_binary, write_blocks

POSITION = ("x", "y", "z")
NORMAL = ("nx", "ny", "nz")
SH0 = ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE = ("scale_0", "scale_1", "scale_2")
ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
REST_COUNTS = {0: 0, 9: 1, 24: 2, 45: 3, 72: 4}
"""Number of f_rest properties -> degree of spherical harmonics: 3 ((degree + 1)^2 - 1)."""


def load(path: str | Path) -> Gaussians:
    """Read Gaussians from a `point_cloud.ply`, binary of either byte order or ASCII.

    Every value is kept as it is. Rows that hold NaN or infinity are kept too, with a warning: the renderer does not
    draw them.

    Returns:
        float32 Gaussians on the CPU, of the degree that the file has (0 to 4).

    Raises:
        InputError: the file is missing, truncated, not a PLY, or not one of Gaussians; the message says how to fix it.
    """
    path = Path(path)
    rows = read_rows(path, "vertex")
    names = set(rows.dtype.names or ())
    rest = rest_names(path, names)
    wanted = [*POSITION, *ROTATION, *SCALE, "opacity", *SH0, *rest]
    check_properties(path, names, wanted)
    count, bases = len(rows), len(rest) // 3
    scene = Gaussians.empty(count, bases)
    bad = 0
    for first, part in row_blocks(path, rows):
        columns = torch.from_numpy(as_floats(part, wanted))
        bad += int((~columns.isfinite().all(dim=1)).sum())
        place = slice(first, first + len(part))
        means, quats, log_scales, opacity, sh0, flat = columns.split([3, 4, 3, 1, 3, len(rest)], dim=1)
        scene.means[place], scene.quats[place], scene.log_scales[place] = means, quats, log_scales
        scene.logit_opacities[place], scene.sh0[place] = opacity[:, 0], sh0
        scene.sh_rest[place] = flat.reshape(len(part), 3, bases).transpose(1, 2)
    warn_about_rows_not_finite(path, bad, count)
    return scene


def save(gaussians: Gaussians, path: str | Path) -> None:
    """Write Gaussians as a binary `point_cloud.ply`, atomically, creating missing folders.

    Values are stored as float32, so `load(save(...))` returns the same bits. An existing file is replaced.

    Raises:
        ValueError: `path` does not end in .ply.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    path = ply_path(path)
    count = len(gaussians)
    rest = [f"f_rest_{index}" for index in range(3 * gaussians.sh_rest.shape[1])]
    names = [*POSITION, *NORMAL, *SH0, *rest, "opacity", *SCALE, *ROTATION]
    bad = 0

    def tables() -> Iterator[NDArray[np.float32]]:
        nonlocal bad
        for first in range(0, count, BLOCK):
            part = gaussians[first : first + BLOCK].detach().to("cpu", torch.float32)
            flat, opacity = part.sh_rest.transpose(1, 2).flatten(1), part.logit_opacities[:, None]
            normals = torch.zeros(len(part), 3)
            columns = torch.cat([part.means, normals, part.sh0, flat, opacity, part.log_scales, part.quats], dim=1)
            bad += int((~columns.isfinite().all(dim=1)).sum())
            yield columns.numpy()

    with replacing(path) as temporary:
        write_blocks(temporary, "vertex", names, count, tables())
    warn_about_rows_not_finite(path, bad, count)


def load_points(
    path: str | Path, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:  # [P, 3] `dtype` world units, [P, 3] uint8
    """Read a point cloud; points that are not finite are left out, those without color are gray.

    Raises:
        InputError: the file cannot be read, or has no positions.
    """
    path = Path(path)
    rows = read_rows(path, "vertex")
    names = rows.dtype.names or ()
    if not set(POSITION) <= set(names):
        raise InputError(f"{path}: expected the properties x, y and z, got {', '.join(names) or 'none'}")
    points = torch.from_numpy(np.stack([rows[name].astype(np.float64) for name in POSITION], axis=1)).to(dtype)
    colors = np.full((len(rows), 3), 128, dtype=np.uint8)
    if {"red", "green", "blue"} <= set(names):
        channels = [rows[name] for name in ("red", "green", "blue")]
        scale = 255.0 if all(channel.dtype.kind == "f" for channel in channels) else 1.0
        colors = np.stack([np.clip(scale * channel.astype(np.float64), 0, 255) for channel in channels], axis=1)
    finite = points.isfinite().all(1)
    return points[finite], torch.from_numpy(colors[finite.numpy()].astype(np.uint8))


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
    layout = [(name, "<f4") for name in (*POSITION, *NORMAL)] + [(name, "u1") for name in ("red", "green", "blue")]
    table: NDArray[np.void] = np.zeros(len(points), dtype=layout)
    xyz, rgb = points.detach().cpu().float().numpy(), colors.cpu().numpy()
    for axis in range(3):
        table[POSITION[axis]] = xyz[:, axis]
        table[("red", "green", "blue")[axis]] = rgb[:, axis]
    with replacing(path) as temporary:
        write_binary(temporary, vertex=table)


def ply_path(path: str | Path) -> Path:
    """The path, which must end in .ply: other programs refuse anything else."""
    path = Path(path)
    if path.suffix.lower() != ".ply":
        raise ValueError(f"expected a file name ending in .ply, got {path}")
    return path


def rest_names(path: Path, names: set[str]) -> list[str]:
    """The f_rest properties in the order of their numbers."""
    count = sum(name.startswith("f_rest_") for name in names)
    rest = [f"f_rest_{index}" for index in range(count)]
    if count not in REST_COUNTS or not names.issuperset(rest):
        raise InputError(
            f"{path}: expected 0, 9, 24, 45 or 72 properties numbered f_rest_0, f_rest_1, ... (degree 0 to 4), "
            f"got {count}. Export the scene again from the program that made it."
        )
    return rest


def as_floats(rows: NDArray[np.void], wanted: list[str]) -> NDArray[np.float32]:  # [rows, len(wanted)]
    """Some of the properties as float32."""
    table = np.empty((len(rows), len(wanted)), dtype=np.float32)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a double too large for a float becomes infinite, and is reported
        for column, name in enumerate(wanted):
            table[:, column] = rows[name]
    return table


def check_properties(path: Path, names: set[str], wanted: list[str]) -> None:
    """Say what kind of PLY this is when it is not one of Gaussians."""
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    if "packed_position" in names:
        reason = "this is a compressed PLY (SuperSplat): `splat convert` makes a plain one of it"
    elif missing == ["scale_2"]:
        reason = "this is a PLY of 2D surfels, which have two scales. Only 3D Gaussians can be read"
    elif "f_dc_0" not in names and "opacity" not in names:
        reason = "this is a point cloud or mesh, not Gaussians. Train on its capture to get a point_cloud.ply"
    else:
        reason = "export the scene again from the program that made it"
    shown = ", ".join(missing[:6]) + (", ..." if len(missing) > 6 else "")
    raise InputError(f"{path}: properties missing: {shown}; {reason}.")


def warn_about_rows_not_finite(path: Path, bad: int, count: int) -> None:
    if bad:
        warnings.warn(
            f"{path}: {bad} of {count} Gaussians have values that are not finite; they are not drawn", stacklevel=3
        )
