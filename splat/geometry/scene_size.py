"""How large a scene is and in which unit it is measured, from its cameras or its points, whatever few of them are far off.

Training, the viewer, renders and files all ask here, so that a scene in micrometers is treated as one in kilometers is.
"""

import math

import torch
from torch import Tensor

OUTLIER_RATIO = 20.0
"""A camera farther from the median position than this times the median distance does not count for the size."""
SMALL_MOTION = 0.01
"""Cameras that move less than this fraction of the distance to the points say nothing of the scene's size."""
USUAL_SIZES = 0.5, 1e4
"""Sizes of scenes, in their own units, that are left as they are: from an object on a desk to a town in meters."""
FAR_AWAY = 10.0
"""A scene whose middle is farther from the origin than this times its size is moved there: at ten sizes a step of float32 is
already as large as the smallest steps of the optimizer."""
NEAR = 0.01
"""Near plane of a scene of a usual size, in its own units: gsplat's value, which `RenderSettings` has too."""
MAX_POINTS = 1 << 19
"""Points whose medians are taken; more change nothing that one sees."""


def camera_extent(positions: Tensor, points: Tensor | None = None) -> float:
    """Radius of the scene by its cameras: 1.1 times the largest distance to their mean (Kerbl et al. 2023), outliers left out.

    Cameras that stay in one place (`SMALL_MOTION`) have the median distance to the points instead.

    Args:
        positions: [C, 3] centers of the cameras.
        points: [P, 3] sparse points, where there are any.

    Returns:
        World units, greater than zero.
    """
    if not len(positions):
        return 1.1 * (point_radius(points) if points is not None else 1.0)
    kept = positions[~outlying(positions)]
    center = kept.mean(0)
    radius = float((kept - center).norm(dim=1).max())
    if points is not None and len(points):
        away = float((usable(points) - center).norm(dim=1).median()) if len(usable(points)) else 0.0
        radius = away if radius < SMALL_MOTION * away else radius
    return 1.1 * radius if radius > 0 else 1.0


def outlying(positions: Tensor) -> Tensor:  # bool [C]
    """Which cameras are so far from all others that their poses are probably wrong."""
    if len(positions) < 3:
        return torch.zeros(len(positions), dtype=torch.bool)
    distance = (positions - positions.median(0).values).norm(dim=1)
    typical = float(distance.median())
    return distance > OUTLIER_RATIO * typical if typical > 0 else torch.zeros_like(distance, dtype=torch.bool)


def point_radius(points: Tensor) -> float:
    """Median distance of points [P, 3] to their median, in world units; 1 where that says nothing."""
    points = usable(points)
    if not len(points):
        return 1.0
    radius = float((points - points.median(0).values).norm(dim=1).median())
    return radius if radius > 0 and math.isfinite(radius) else 1.0


def natural_unit(size: float) -> float:
    """The length to measure a scene of this size with: 1 for usual sizes, else the power of ten that makes it 1 to 10."""
    low, high = USUAL_SIZES
    return 1.0 if low <= size <= high else 10.0 ** math.floor(math.log10(size))


def moved_origin(center: Tensor, size: float) -> tuple[float, float, float]:
    """Where the origin of a scene is put: where it is, or if its middle is too far from there, near that, at round numbers,
    which are easier to handle and as good."""
    if float(center.norm()) <= FAR_AWAY * size:
        return 0.0, 0.0, 0.0
    digits = -math.floor(math.log10(size))
    x, y, z = (round(value, digits) for value in center.tolist())
    return x, y, z


def near_plane(size: float) -> float:
    """Distance nearer than which nothing of a scene of this size is drawn, in world units."""
    return NEAR * natural_unit(size)


def usable(points: Tensor) -> Tensor:  # [P, 3]
    """Finite rows, MAX_POINTS of them at most."""
    points = points.detach()[:: max(1, -(-len(points) // MAX_POINTS))]
    return points[points.isfinite().all(dim=1)]
