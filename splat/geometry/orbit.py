"""A smooth, upright turn around what a capture looks at, for pictures and videos."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.geometry.viewpoints import outside

FULL_TURN_GAP = math.radians(75)
"""A capture goes all around its subject when no two neighboring cameras are farther apart than this, seen from there."""


def orbit(cameras: Sequence[Camera], points: Tensor, count: int) -> list[Camera]:
    """`count` cameras on a closed path among the capture's own, looking where those look.

    A scene falls apart where no photo was taken. So around a subject the path keeps to the angles that the cameras cover:
    a full turn where they go all around, otherwise a swing to and fro. Where they look in parallel, as from a drone, it is
    an ellipse in their plane.

    Args:
        cameras: single cameras of the capture; the size and K of the first one are used.
        points: [P, 3] sparse points or Gaussian centers, to say how far away the subject is.
    """
    positions = torch.stack([camera.position for camera in cameras]).double()
    forwards = torch.stack([camera.forward for camera in cameras]).double()
    up = torch.stack([camera.up for camera in cameras]).double().mean(0)
    target = _meeting_point(positions, forwards)
    if target is None:
        ahead = torch.nn.functional.normalize(forwards.mean(0), dim=0)
        depths = (points.double() - positions.mean(0)) @ ahead
        depth = float(depths[depths > 0].median()) if bool((depths > 0).any()) else 1.0
        target = positions.mean(0) + depth * ahead
        eyes = _ellipse(positions, depth, count)
    else:
        eyes = _swing(positions - target, up, count) + target
    first = cameras[0]
    looking = [Camera.look_at(eye, target, up, width=first.width, height=first.height) for eye in eyes]
    return [Camera(camera.viewmat, first.K, first.width, first.height) for camera in looking]


def _meeting_point(positions: Tensor, forwards: Tensor) -> Tensor | None:  # [3]
    """The point with the least sum of squared distances to all viewing rays; None where they are nearly parallel."""
    across = torch.eye(3, dtype=torch.float64) - forwards[:, :, None] * forwards[:, None, :]  # [F, 3, 3]
    matrix, vector = across.sum(0), (across @ positions[:, :, None]).sum(0)[:, 0]
    if float(torch.linalg.eigvalsh(matrix)[0]) < 1e-2 * len(positions):
        return None
    meeting = torch.linalg.solve(matrix, vector)
    in_front = ((meeting - positions) * forwards).sum(1) > 0
    return meeting if float(in_front.double().mean()) > 0.8 else None


def _ellipse(positions: Tensor, distance: float, count: int) -> Tensor:  # [count, 3]
    """In the plane of the cameras. The 70th percentile of their spread keeps it away from the outermost ones."""
    center = positions.mean(0)
    offsets = positions - center
    _, _, axes = torch.linalg.svd(offsets if len(offsets) > 2 else torch.eye(3, dtype=torch.float64))
    turn = 2 * math.pi * torch.arange(count, dtype=torch.float64)[:, None] / count
    radii = [max(float((offsets @ axis).abs().quantile(0.7)), 0.02 * distance) for axis in axes[:2]]
    return center + radii[0] * turn.cos() * axes[0] + radii[1] * turn.sin() * axes[1]


def _swing(offsets: Tensor, up: Tensor, count: int) -> Tensor:  # [count, 3]
    """Around the origin, at the cameras' median distance and within the angles that they cover."""
    up = torch.nn.functional.normalize(up, dim=0)
    level = offsets - (offsets @ up)[:, None] * up
    front = torch.nn.functional.normalize(level.mean(0) if float(level.mean(0).norm()) > 1e-9 else level[0], dim=0)
    side = torch.linalg.cross(up, front)
    azimuth = torch.atan2(offsets @ side, offsets @ front)
    distance = offsets.norm(dim=1)
    elevation = ((offsets @ up) / distance).clamp(-1, 1).asin()
    turn = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    ordered = azimuth.sort().values
    gaps = torch.cat([ordered.diff(), ordered[:1] + 2 * math.pi - ordered[-1:]])
    if float(gaps.max()) < FULL_TURN_GAP:
        path_azimuth, tilt = turn, torch.zeros_like(turn)
    else:
        low, high = azimuth.quantile(0.1), azimuth.quantile(0.9)
        path_azimuth = (low + high) / 2 + (high - low) / 2 * turn.sin()
        tilt = (elevation.quantile(0.8) - elevation.quantile(0.2)) / 2 * turn.cos()
    path_elevation = (elevation.median() + tilt).clamp(-1.4, 1.4)
    flat = path_azimuth.cos()[:, None] * front + path_azimuth.sin()[:, None] * side
    return distance.median() * (path_elevation.cos()[:, None] * flat + path_elevation.sin()[:, None] * up)


def orbit_around(points: Tensor, count: int, width: int, height: int) -> list[Camera]:
    """A horizontal circle around Gaussians of which nothing else is known, from `viewpoints.outside` on."""
    first = outside(points)
    return [first.turned(2 * math.pi * step / count).camera(width, height) for step in range(count)]
