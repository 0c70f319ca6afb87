"""View-dependent color: real spherical harmonics in the order and with the signs of published scenes.

Degree l has 2 l + 1 functions, m = -l..l; the sign is (-1)^m times the usual one without the Condon-Shortley phase
(Sloan 2013, as used by Kerbl et al. 2023).
"""

import math

import torch
from torch import Tensor


def basis(degree: int, directions: Tensor) -> Tensor:  # [..., (degree + 1)^2] from unit vectors [..., 3]
    """Values of all spherical harmonics up to `degree` (at most 4) in the given directions."""
    if not 0 <= degree <= 4:
        raise ValueError(f"degree must be 0 to 4, got {degree}")
    x, y, z = directions.unbind(-1)
    pi = math.pi
    values = [torch.full_like(x, math.sqrt(1 / (4 * pi)))]
    if degree >= 1:
        c = math.sqrt(3 / (4 * pi))
        values += [-c * y, c * z, -c * x]
    xx, yy, zz = x * x, y * y, z * z
    if degree >= 2:
        c = math.sqrt(15 / (4 * pi))
        values += [
            c * x * y,
            -c * y * z,
            math.sqrt(5 / (16 * pi)) * (2 * zz - xx - yy),
            -c * x * z,
            c / 2 * (xx - yy),
        ]
    if degree >= 3:
        c3, c2, c1 = math.sqrt(35 / (32 * pi)), math.sqrt(105 / (4 * pi)), math.sqrt(21 / (32 * pi))
        values += [
            -c3 * y * (3 * xx - yy),
            c2 * x * y * z,
            -c1 * y * (4 * zz - xx - yy),
            math.sqrt(7 / (16 * pi)) * z * (2 * zz - 3 * xx - 3 * yy),
            -c1 * x * (4 * zz - xx - yy),
            c2 / 2 * z * (xx - yy),
            -c3 * x * (xx - 3 * yy),
        ]
    if degree >= 4:
        c4, c3 = 3 / 4 * math.sqrt(35 / pi), 3 / 4 * math.sqrt(35 / (2 * pi))
        c2, c1 = 3 / 4 * math.sqrt(5 / pi), 3 / 4 * math.sqrt(5 / (2 * pi))
        values += [
            c4 * x * y * (xx - yy),
            -c3 * y * z * (3 * xx - yy),
            c2 * x * y * (7 * zz - 1),
            -c1 * y * z * (7 * zz - 3),
            3 / 16 / math.sqrt(pi) * (zz * (35 * zz - 30) + 3),
            -c1 * x * z * (7 * zz - 3),
            c2 / 2 * (xx - yy) * (7 * zz - 1),
            -c3 * x * z * (xx - 3 * yy),
            c4 / 4 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
        ]
    return torch.stack(values, dim=-1)


def color(degree: int, sh0: Tensor, sh_rest: Tensor, directions: Tensor) -> Tensor:  # [N, 3]
    """max(0, 0.5 + sum_k Y_k sh_k) for unit `directions` [N, 3]; no gradient where it is cut off."""
    coefficients = torch.cat([sh0[:, None], sh_rest[:, : (degree + 1) ** 2 - 1]], dim=1)  # [N, K, 3]
    return ((basis(degree, directions)[..., None] * coefficients).sum(1) + 0.5).clamp_min(0)
