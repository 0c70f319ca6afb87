"""Sparse points of a transforms.json: a .ply that it names, or one that lies beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.images.photo_index import PhotoIndex, exact_file
from splat.datasets.readers.model import PosedImage, depths_in_view, lost_points
from splat.errors import InputError
from splat.io.ply import load_points
from splat.io.ply_container import read_rows
from splat.io.wording import listed

USUAL_NAMES = ("sparse_pc", "points3d", "point_cloud", "pointcloud", "sparse", "points")
"""What programs call the points that go with a transforms.json, the most usual first."""
CLEARLY = 2.0
"""How many times as many points a transform must bring before the cameras to be believed."""
LOOKED_AT = 2000, 32
"""Points and cameras that are enough to see whether they belong together."""


@dataclass(frozen=True)
class Points:
    """Points in the coordinates of the cameras."""

    xyz: np.ndarray  # [P, 3] float64
    rgb: np.ndarray  # [P, 3] uint8
    notes: list[str]


def read_points(file: Path, values: Mapping[str, object], images: Sequence[PosedImage]) -> Points:
    """The points that a transforms.json names, or those beside it that nothing names.

    nerfstudio writes its `sparse_pc.ply` in the coordinates of the frames. Early versions wrote it in those of COLMAP, which
    `applied_transform` and `applied_scale` lead from: where only these bring the points before the cameras, they are applied.

    Raises:
        InputError: the file that is named is damaged.
    """
    none = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.uint8)
    notes: list[str] = []
    named = values.get("ply_file_path")
    path = None
    if isinstance(named, str) and named:
        path = exact_file(file.parent, named) or _elsewhere(file.parent, named)
        if path is None:
            notes.append(f"{file} names the points {named}, which are not there")
    unnamed = path is None
    if path is None:
        path, reasons = _beside(file)
        notes += reasons
    if path is None:
        return Points(*none, [f"{note}; it goes on without points" if note in notes[:1] else note for note in notes])
    try:
        cloud = load_points(path, torch.float64)
    except InputError as error:
        if not unnamed:
            raise
        return Points(*none, [*notes, f"{error} It is not named by {file.name}, which goes on without points"])
    if unnamed:
        notes.append(f"{path.name} is used for the points ({len(cloud):,}), though {file.name} does not name it")
    notes += lost_points(path, cloud)
    xyz = cloud.points.numpy()
    moved = _in_frames(xyz, values, images)
    if moved is not None:
        xyz = moved
        notes.append(
            f"{path.name} is not in the coordinates of the frames; the applied_transform of {file.name} is applied"
        )
    return Points(xyz, cloud.colors.numpy(), notes)


def _elsewhere(folder: Path, name: str) -> Path | None:
    """The file that a path of another machine means."""
    try:
        match = PhotoIndex(folder, (".ply",)).find(name)
    except UnusablePhoto:
        return None
    return None if match is None else match.path


def _beside(file: Path) -> tuple[Path | None, list[str]]:
    """The one .ply that can be the points, if nothing names any; and what is to be said where there are several."""
    found = sorted(path for path in file.parent.iterdir() if path.suffix.lower() == ".ply" and path.is_file())
    for name in USUAL_NAMES:
        for path in found:
            if path.stem.lower() == name and _is_cloud(path):
                return path, []
    clouds = [path for path in found if _is_cloud(path)]
    if len(clouds) == 1:
        return clouds[0], []
    if not clouds:
        return None, []
    names = listed(path.name for path in clouds)
    return None, [f"{file} names no points, and {len(clouds)} files could be them ({names}); name one as ply_file_path"]


def _is_cloud(path: Path) -> bool:
    """Whether a .ply holds plain points and neither Gaussians nor a mesh."""
    try:
        names = set(read_rows(path, "vertex").dtype.names or ())
    except InputError:
        return True  # to be named in a message
    if "f_dc_0" in names or not {"x", "y", "z"} <= names:
        return False
    try:
        return not len(read_rows(path, "face"))
    except InputError:
        return True


def _in_frames(xyz: np.ndarray, values: Mapping[str, object], images: Sequence[PosedImage]) -> np.ndarray | None:
    """The points moved as the capture was, if that is clearly what brings them before the cameras."""
    scale = values.get("applied_scale")
    scale = float(scale) if isinstance(scale, int | float) and np.isfinite(scale) and scale > 0 else 1.0
    try:
        transform = np.array(values.get("applied_transform"), dtype=np.float64)[:3]
    except (TypeError, ValueError, IndexError):
        transform = np.eye(4)[:3]
    if transform.shape != (3, 4) or not np.isfinite(transform).all():
        transform = np.eye(4)[:3]
    if not len(xyz) or not images or (scale == 1 and np.array_equal(transform, np.eye(4)[:3])):
        return None
    turned = xyz @ transform[:, :3].T + transform[:, 3]
    best = max((turned, scale * turned, scale * xyz), key=lambda points: _seen(points, images))
    return best if _seen(best, images) > CLEARLY * _seen(xyz, images) else None


def _seen(xyz: np.ndarray, images: Sequence[PosedImage]) -> float:
    """Which part of the points is inside the photos, on average."""
    points = xyz[:: max(1, len(xyz) // LOOKED_AT[0])]
    some = images[:: max(1, len(images) // LOOKED_AT[1])]
    return float(np.mean([~np.isnan(depths_in_view(image, points)) for image in some]))
