"""From 3D Gaussians to 2D ones: EWA splatting (Zwicker et al. 2001) as in Kerbl et al. 2023, section 4."""

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.quaternions import rotation_matrix
from splat.settings import RenderSettings


@dataclass
class Projection:
    """N Gaussians as one camera sees them. Values of Gaussians that are not drawn are meaningless."""

    drawn: Tensor  # [N] bool
    mean2d: Tensor  # [N, 2] pixels
    depth: Tensor  # [N] z in camera space
    conic: Tensor  # [N, 3] inverse covariance (a, b, c) of [[a, b], [b, c]]
    opacity: Tensor  # [N] with the antialiasing factor
    half_extent: Tensor  # [N, 2] pixels from the center to where alpha falls to alpha_min


def project(
    gaussians: Gaussians, viewmat: Tensor, K: Tensor, width: int, height: int, settings: RenderSettings
) -> Projection:
    """Project by one camera: viewmat [4, 4], K [3, 3]."""
    drawn = finite_rows(gaussians) & ((gaussians.quats**2).sum(-1) > 1e-24)
    safe = gaussians.map(lambda t: torch.where(drawn.view(-1, *[1] * (t.ndim - 1)), t, torch.ones_like(t)))

    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    point = safe.means @ rotation.T + translation  # [N, 3]
    drawn = drawn & (point[:, 2] >= settings.near) & (point[:, 2] <= settings.far)
    z = torch.where(drawn, point[:, 2], 1.0)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y = point[:, 0] / z, point[:, 1] / z
    mean2d = torch.stack([fx * x + cx, fy * y + cy], dim=-1)

    # Far outside the image the linearization would explode: evaluate it at the border of a widened frustum.
    with torch.no_grad():
        margin_x, margin_y = settings.frustum_margin * width / (2 * fx), settings.frustum_margin * height / (2 * fy)
        x_limits = (-cx / fx - margin_x, (width - cx) / fx + margin_x)
        y_limits = (-cy / fy - margin_y, (height - cy) / fy + margin_y)
    x, y = x.clamp(*x_limits), y.clamp(*y_limits)
    zero = torch.zeros_like(z)
    J = torch.stack([torch.stack([fx / z, zero, -fx * x / z], -1), torch.stack([zero, fy / z, -fy * y / z], -1)], 1)

    axes = J @ rotation @ (rotation_matrix(safe.quats) * safe.scales[:, None, :])  # [N, 2, 3]
    cov = axes @ axes.transpose(1, 2)
    a, b, c = cov[:, 0, 0] + settings.eps2d, cov[:, 0, 1], cov[:, 1, 1] + settings.eps2d
    det = a * c - b * b
    opacity = safe.opacities
    if settings.antialiased:
        det0 = cov[:, 0, 0] * cov[:, 1, 1] - b * b
        opacity = opacity * (det0 / det).clamp_min(1e-12).sqrt()  # below that it is culled anyway
    drawn = drawn & (opacity >= settings.alpha_min)
    reach = 2 * torch.log((opacity.detach() / settings.alpha_min).clamp_min(1))
    half_extent = (reach[:, None] * torch.stack([a, c], -1).detach()).sqrt()
    conic = torch.stack([c / det, -b / det, a / det], -1)
    return Projection(drawn, mean2d, point[:, 2], conic, opacity, half_extent)


def finite_rows(gaussians: Gaussians) -> Tensor:  # [N] bool
    """Gaussians all of whose parameters are finite; an infinite logit is an opacity of 0 or 1 and counts as finite."""
    rows = [tensor.flatten(1).isfinite().all(1) for name, tensor in gaussians.tensors().items() if tensor.ndim > 1]
    return torch.stack(rows).all(0) & ~gaussians.logit_opacities.isnan()
