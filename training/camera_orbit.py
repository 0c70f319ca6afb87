"""A smooth, upright turn around what a capture looks at, for pictures and videos."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from splat.cameras import Camera


def orbit(cameras: Sequence[Camera], points: Tensor, count: int) -> list[Camera]:
    """`count` cameras on a closed loop near the capture's own, looking where those look.

    A capture rarely goes all around its subject, and a scene falls apart where no photo was taken. So the loop is an
    ellipse in the plane of the capture's cameras, inside the area they cover: their spread along both main directions
    bounds it, and every camera looks at the point closest to all viewing rays.

    Args:
        cameras: single cameras of the capture; the size and K of the first one are used.
        points: [P, 3] sparse points or Gaussian centres, to say how far away the subject is.
    """
    positions = torch.stack([camera.position for camera in cameras]).double()
    forwards = torch.stack([camera.viewmat[2, :3] for camera in cameras]).double()
    downs = torch.stack([camera.viewmat[1, :3] for camera in cameras]).double()
    centre, up = positions.mean(0), -downs.mean(0)
    target = _closest_to_rays(positions, forwards, points.double())
    offsets = positions - centre
    _, _, axes = torch.linalg.svd(offsets if len(offsets) > 2 else torch.eye(3, dtype=torch.float64))
    along, across = axes[0], axes[1]
    # The 70th percentile keeps the loop among the cameras, away from the outermost ones.
    radii = [float((offsets @ axis).abs().quantile(0.7)) for axis in (along, across)]
    distance = float((target - centre).norm())
    radii = [max(radius, 0.02 * distance) for radius in radii]
    first = cameras[0]
    path = []
    for step in range(count):
        angle = 2 * math.pi * step / count
        eye = centre + radii[0] * math.cos(angle) * along + radii[1] * math.sin(angle) * across
        looking = Camera.look_at(eye, target, up, width=first.width, height=first.height)
        path.append(Camera(looking.viewmat, first.K, first.width, first.height))
    return path


def _closest_to_rays(positions: Tensor, forwards: Tensor, points: Tensor) -> Tensor:  # [3]
    """The point with the least sum of squared distances to all viewing rays, where they meet; otherwise the point ahead
    of the mean camera at the median depth of the scene."""
    across = torch.eye(3, dtype=torch.float64) - forwards[:, :, None] * forwards[:, None, :]  # [F, 3, 3]
    matrix, vector = across.sum(0), (across @ positions[:, :, None]).sum(0)[:, 0]
    centre, ahead = positions.mean(0), torch.nn.functional.normalize(forwards.mean(0), dim=0)
    depths = (points - centre) @ ahead
    depth = float(depths[depths > 0].median()) if bool((depths > 0).any()) else 1.0
    fallback = centre + depth * ahead
    if float(torch.linalg.eigvalsh(matrix)[0]) < 1e-2 * len(positions):  # nearly parallel rays
        return fallback
    meeting = torch.linalg.solve(matrix, vector)
    in_front = ((meeting - positions) * forwards).sum(1) > 0
    return meeting if float(in_front.double().mean()) > 0.8 else fallback


def orbit_around(points: Tensor, count: int, width: int, height: int) -> list[Camera]:
    """A horizontal circle around Gaussians of which nothing else is known: y down, as COLMAP's worlds mostly are."""
    centre = points.median(0).values
    radius = (
        2.5 * float((points - centre).norm(dim=1).quantile(0.5))
        if len(points) < 1 << 20
        else 2.5 * float((points[:: len(points) // (1 << 19)] - centre).norm(dim=1).median())
    )
    radius = max(radius, 1e-3)
    path = []
    for step in range(count):
        angle = 2 * math.pi * step / count
        eye = centre + radius * torch.tensor([math.sin(angle), -0.35, -math.cos(angle)])
        path.append(Camera.look_at(eye, centre, width=width, height=height))
    return path
