"""Rotations as quaternions (w, x, y, z) of any length but zero."""

import torch
from torch import Tensor


def unit(quats: Tensor) -> Tensor:  # [..., 4]
    """Quaternions of length 1, also of those whose squares are too large or too small for their dtype."""
    largest = quats.detach().abs().amax(dim=-1, keepdim=True)
    return torch.nn.functional.normalize(quats / torch.where(largest > 0, largest, 1), dim=-1)


def rotation_matrix(quats: Tensor) -> Tensor:  # [..., 3, 3] from [..., 4]
    """The rotation matrices of quaternions, which are normalized first."""
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


def product(first: Tensor, second: Tensor) -> Tensor:  # [..., 4]
    """The rotation by `second`, then by `first` (Hamilton's product)."""
    # Sums one after the other, so that every machine rounds alike: `.splatz` depends on it.
    aw, ax, ay, az = first.unbind(-1)
    bw, bx, by, bz = second.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def from_rotation_vector(vector: Tensor) -> Tensor:  # [..., 4] from [..., 3]
    """The unit quaternion of a turn by the vector's length (radians) around it."""
    half = vector.norm(dim=-1, keepdim=True) / 2
    return torch.cat([half.cos(), torch.sinc(half / torch.pi) / 2 * vector], dim=-1)


def from_rotation_matrix(matrix: Tensor) -> Tensor:  # [..., 4] from [..., 3, 3]
    """The unit quaternions of rotation matrices, w not negative: the largest eigenvectors of Bar-Itzhack's matrix (2000),
    which also takes matrices that are a little off to the nearest rotation."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in matrix.unbind(-2))
    rows = [
        torch.stack([a + e + i, h - f, c - g, d - b], -1),
        torch.stack([h - f, a - e - i, b + d, c + g], -1),
        torch.stack([c - g, b + d, e - a - i, f + h], -1),
        torch.stack([d - b, c + g, f + h, i - a - e], -1),
    ]
    quats = torch.linalg.eigh(torch.stack(rows, -2)).eigenvectors[..., -1]
    return torch.where(quats[..., :1] < 0, -quats, quats)
