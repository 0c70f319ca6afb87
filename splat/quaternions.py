"""Rotations as quaternions (w, x, y, z) of any length but zero."""

import torch
from torch import Tensor


def rotation_matrix(quats: Tensor) -> Tensor:  # [..., 3, 3] from [..., 4]
    """The rotation matrices of quaternions, which are normalised first."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def rotate(quats: Tensor, vectors: Tensor) -> Tensor:  # [..., 3] from [..., 4] and [..., 3]
    """Vectors turned by quaternions."""
    return (rotation_matrix(quats) @ vectors[..., None])[..., 0]
