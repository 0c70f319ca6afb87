"""One description of many: a Gaussian stays the same when its axes are exchanged or turned round, in 24 ways. The one whose
rotation is nearest to none needs 4.6 bits less.

Rotations are then Rodrigues vectors (x, y, z) / w, no component of which exceeds sqrt(2) - 1.
"""

import itertools
import math

import torch
from torch import Tensor

from splat.geometry.quaternions import product, rotation_matrix, unit

BOUND = math.sqrt(2) - 1


def _cube_rotations() -> Tensor:  # [24, 4]
    """The rotations that map a cube onto itself, as quaternions (w, x, y, z), one of each sign."""
    found: list[Tensor] = []
    for numbers in itertools.product((1.0, 0.0, -1.0), repeat=4):
        quat = torch.tensor(numbers)
        if int(quat.abs().sum()) in (1, 2, 4):
            quat = quat / quat.norm()
            if all(abs(float(quat @ other)) < 1 - 1e-6 for other in found):
                found.append(quat)
    return torch.stack(found)


CUBE = _cube_rotations()
AXES = rotation_matrix(CUBE).abs().argmax(dim=1)  # [24, 3]: new axis j is old axis AXES[g, j]


def canonical(quats: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:  # [N, 3] Rodrigues vectors, [N, 3]
    """The same Gaussians with the rotation nearest to none. Differentiable; quaternions [N, 4] of any length but zero."""
    quats = unit(quats)
    # w of the product with every rotation of the cube
    w = quats @ (CUBE.to(quats) * torch.tensor([1.0, -1, -1, -1]).to(quats)).T
    best = w.detach().abs().argmax(dim=1)
    turned = product(quats, CUBE.to(quats)[best])
    return turned[:, 1:] / turned[:, :1], log_scales.gather(1, AXES.to(quats.device)[best])


def nearest_equivalent(first: Tensor, second: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:  # [N, 4], [N, 3]
    """Gaussians of rotations `second` [N, 4] in the equivalent description, and of the sign, that is nearest to `first` [N, 4].
    Differentiable. Equally near ones are told apart by their place in CUBE, so that every machine decides alike."""
    first, second = (torch.nn.functional.normalize(quats, dim=1) for quats in (first, second))
    apart = product(first * torch.tensor([1.0, -1, -1, -1]).to(first), second).detach().double()
    cube = CUBE.to(apart) * torch.tensor([1.0, -1, -1, -1]).to(apart)
    w = sum(apart[:, i, None] * cube[:, i] for i in range(4))  # sums one after the other: matmul's order is its own
    assert isinstance(w, Tensor)
    best = (w.abs() - 1e-6 * torch.arange(len(CUBE)).to(w)).argmax(dim=1)
    sign = torch.where(w.gather(1, best[:, None]) < 0, -1.0, 1.0).to(second)
    return sign * product(second, CUBE.to(second)[best]), log_scales.gather(1, AXES.to(second.device)[best])


def quaternions(rodrigues: Tensor) -> Tensor:  # [N, 4] of unit length
    """Rotations (w, x, y, z) from Rodrigues vectors [N, 3]."""
    return torch.nn.functional.normalize(torch.nn.functional.pad(rodrigues, (1, 0), value=1.0), dim=1)
