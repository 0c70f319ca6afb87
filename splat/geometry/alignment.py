"""Which way is up, and where the ground is: from how the cameras were held, and from a plane through the points."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera, Vector3
from splat.geometry.similarity import Similarity

UP = (0.0, -1.0, 0.0)
"""Up in a scene that stands upright: worlds here are y-down, as COLMAP's mostly are."""
MAX_POINTS = 20_000
"""Points that a plane is searched in; more say nothing new."""
TRIALS = 500
"""Planes tried; with a quarter of the points on the ground, the chance to miss it is 1 in 2500."""

MIN_FRACTION = 0.1
"""A plane with a smaller fraction of the points is not the ground."""


@dataclass(frozen=True)
class Plane:
    """All points with normal @ p = offset."""

    normal: Tensor  # [3] float64, of length one, up
    offset: float  # world units
    fraction: float  # of the points that lie on it

    def heights(self, points: Tensor) -> Tensor:  # [...]
        """How far above the plane points are, world units."""
        return points.double() @ self.normal.to(points.device) - self.offset


def up_of_cameras(cameras: Sequence[Camera]) -> Tensor:  # [3] float64
    """The direction that was up for the people who took the photos.

    They tilt a camera but seldom roll it, so up is what is at right angles to all the cameras' x axes, however far down
    they look. Where those axes are all alike it is the mean of what is up in the pictures.

    Raises:
        ValueError: no camera, or their ups cancel out.
    """
    if not cameras:
        raise ValueError("up_of_cameras: expected at least one camera")
    views = torch.stack([camera.viewmat[:3, :3].double().cpu() for camera in cameras])
    right, mean = views[:, 0], -views[:, 1].mean(0)
    if not mean.isfinite().all() or float(mean.norm()) < 1e-3:
        raise ValueError("up_of_cameras: the cameras do not agree on which way is up")
    spread, axes = torch.linalg.eigh(right.T @ right / len(right))
    # Right axes fill a plane: two large eigenvalues, one near zero, whose axis is up.
    up = axes[:, 0] if float(spread[1]) > 0.02 and float(spread[0]) < 0.25 * float(spread[1]) else mean
    return torch.nn.functional.normalize(up if float(up @ mean) >= 0 else -up, dim=0)


def ground(
    points: Tensor,
    up: Vector3 | None = None,
    *,
    above: Tensor | None = None,
    max_tilt_degrees: float = 30.0,
    seed: int = 0,
) -> Plane:
    """The plane that most points lie on (RANSAC, Fischler and Bolles 1981, refined by least squares).

    Args:
        points: [N, 3] positions; rows that are not finite are left out.
        up: about which way is up; only planes tilted by less than `max_tilt_degrees` from it count. Without it the
            largest plane is the ground.
        above: [F, 3] positions that are above the ground, as cameras mostly are, to say which side of the largest plane is
            up. Without them it is the one with more of the points.

    Raises:
        ValueError: fewer than three points, all on a line, or no plane that is tilted little enough.
    """
    generator = torch.Generator().manual_seed(seed)
    points = points.detach().cpu().double()
    points = points[points.isfinite().all(1)]
    if len(points) < 3:
        raise ValueError(f"ground: expected at least 3 points, got {len(points)}")
    if len(points) > MAX_POINTS:
        points = points[torch.randperm(len(points), generator=generator)[:MAX_POINTS]]
    center = points.median(0).values
    points = points - center
    tolerance = 0.02 * float(points.norm(dim=1).median())
    corners = points[torch.randint(len(points), (TRIALS, 3), generator=generator)]  # [T, 3, 3]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sizes = normals.norm(dim=1)
    usable = sizes > 1e-12 * float(points.norm(dim=1).max()) ** 2
    normals = normals / sizes.clamp_min(1e-300)[:, None]
    if up is not None:
        hint = torch.nn.functional.normalize(torch.as_tensor(up, dtype=torch.float64), dim=0)
        normals = torch.where(((normals @ hint) < 0)[:, None], -normals, normals)
        usable &= normals @ hint > torch.tensor(max_tilt_degrees).deg2rad().cos()
    if not bool(usable.any()):
        raise ValueError("ground: the points lie on a line, or on no plane that is nearly level")
    normals, offsets = normals[usable], (normals * corners[:, 0]).sum(1)[usable]
    counts = torch.stack([((points @ n - d).abs() <= tolerance).sum() for n, d in zip(normals, offsets, strict=True)])
    best = int(counts.argmax())
    normal, offset = normals[best], float(offsets[best])
    for _ in range(3):
        near = points[(points @ normal - offset).abs() <= max(tolerance, 1e-300)]
        middle = near.mean(0)
        axes = torch.linalg.eigh((near - middle).T @ (near - middle)).eigenvectors
        normal = axes[:, 0] if float(axes[:, 0] @ normal) >= 0 else -axes[:, 0]
        offset = float(middle @ normal)
    heights = points @ normal - offset
    if up is None:
        judges = heights if above is None else (above.detach().cpu().double() - center) @ normal - offset
        if int((judges > tolerance).sum()) < int((judges < -tolerance).sum()):
            normal, offset = -normal, -offset
    fraction = float((heights.abs() <= tolerance).double().mean())
    return Plane(normal, offset + float(center @ normal), fraction)


def find_ground(points: Tensor, up: Vector3, above: Tensor | None = None) -> Plane:
    """The ground where it is not known for sure which way is up: photos that look straight down do not say so.

    It is the nearly level plane, unless hardly any points lie on that; then it is the largest plane of all.

    Args:
        points, up, above: see `ground`.

    Raises:
        ValueError: fewer than three points, or all on a line.
    """
    try:
        level = ground(points, up)
    except ValueError:
        return ground(points, above=above)
    return level if level.fraction >= MIN_FRACTION else ground(points, above=above)


def turning(start: Vector3, end: Vector3) -> Tensor:  # [3, 3] float64
    """The smallest rotation that takes one direction to another."""
    a, b = (torch.nn.functional.normalize(torch.as_tensor(v, dtype=torch.float64), dim=0) for v in (start, end))
    cosine = float(a @ b)
    if cosine < -1 + 1e-12:  # opposite: half a turn around any axis across
        across = torch.linalg.svd(a[None]).Vh[1]
        return 2 * torch.outer(across, across) - torch.eye(3, dtype=torch.float64)
    x, y, z = torch.linalg.cross(a, b).tolist()
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + skew + skew @ skew / (1 + cosine)


def standing_up(up: Vector3) -> Similarity:
    """Turn a scene around the origin so that `up` becomes the world's up, -y."""
    return Similarity(turning(up, UP), torch.zeros(3))


def standing_on(plane: Plane) -> Similarity:
    """Turn and lift a scene so that its ground is level, at height 0."""
    turn = turning(plane.normal, UP)
    return Similarity(turn, -plane.offset * torch.tensor(UP, dtype=torch.float64))
