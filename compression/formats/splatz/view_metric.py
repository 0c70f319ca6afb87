"""Which errors of spherical harmonics are seen: those toward cameras. Photos cover a part of all directions, so that most
combinations of harmonics show little in any of them, and need few bits."""

from collections.abc import Sequence

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.spherical_harmonics import basis

UNSEEN = 0.05
"""Fraction of the most visible combination's weight that the invisible ones have at least: new views look from elsewhere."""


@torch.no_grad()
def view_metric(gaussians: Gaussians, cameras: Sequence[Camera], weights: Tensor) -> Tensor:  # [K, K] float64
    """Mean square of the color's error by the error of a Gaussian's K harmonics: e^T metric e, in each channel.

    The mean is over the Gaussians, by weight, in front of each camera and inside its picture.

    Args:
        weights: [N] how much each Gaussian matters.
    """
    degree, count = gaussians.sh_degree, gaussians.sh_rest.shape[1]
    total, moments = 0.0, torch.zeros(count, count, dtype=torch.float64, device=gaussians.device)
    for camera in cameras:
        pixels, depth = camera.project(gaussians.means)
        x, y = pixels.unbind(1)
        seen = (depth > 0) & (x >= 0) & (x <= camera.width) & (y >= 0) & (y <= camera.height)
        directions = torch.nn.functional.normalize(gaussians.means[seen] - camera.position, dim=1)
        rows = basis(degree, directions)[:, 1:].double()
        moments += (rows * weights[seen, None]).T @ rows
        total += float(weights[seen].double().sum())
    if total <= 0:
        return isotropic_metric(count).to(moments)
    metric = moments / total
    floor = UNSEEN * float(torch.linalg.eigvalsh(metric)[-1].clamp_min(1e-9)) if count else 0.0
    return metric + floor * torch.eye(count).to(metric)


def isotropic_metric(count: int) -> Tensor:  # [K, K] float64
    """The same, seen from everywhere alike: harmonics are orthonormal on the sphere."""
    return torch.eye(count, dtype=torch.float64) / (4 * torch.pi)
