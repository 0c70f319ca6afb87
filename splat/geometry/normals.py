"""Normals of Gaussians: the direction of the shortest axis, turned toward the camera."""

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians


def facing_normals(gaussians: Gaussians, camera: Camera) -> Tensor:  # [C, N, 3]
    """Unit vectors in world space along each Gaussian's shortest axis, facing each camera of a batch."""
    # Gaussians that are not drawn, for a value that is not finite or a zero quaternion, must not poison the gradient.
    drawn = (gaussians.quats.isfinite().all(-1) & gaussians.means.isfinite().all(-1) & gaussians.quats.any(-1))[:, None]
    identity = gaussians.quats.new_tensor([1.0, 0.0, 0.0, 0.0])
    quats = torch.nn.functional.normalize(torch.where(drawn, gaussians.quats, identity), dim=-1)
    means = torch.where(drawn, gaussians.means, 0.0)
    axis = torch.nn.functional.one_hot(gaussians.log_scales.argmin(dim=-1), 3).to(quats.dtype)  # [N, 3]
    w, v = quats[:, :1], quats[:, 1:]
    twice = 2 * torch.linalg.cross(v, axis)
    normals = axis + w * twice + torch.linalg.cross(v, twice)  # rotation of the axis by the quaternion
    view = camera.position[:, None, :] - means  # [C, N, 3]
    return torch.where((view * normals).sum(-1, keepdim=True) < 0, -normals, normals)


def unit_or_zero(vectors: Tensor) -> Tensor:  # [..., 3]
    """Vectors of length one; zero stays zero, with a finite gradient."""
    squared = (vectors * vectors).sum(-1, keepdim=True)
    empty = squared == 0
    return torch.where(
        empty, torch.zeros_like(vectors), vectors / torch.where(empty, torch.ones_like(squared), squared).sqrt()
    )
