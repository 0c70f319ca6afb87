"""Corrections of the cameras' poses, learned with the scene and bounded: a rotation and a shift per photo."""

import math

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.training.per_photo import PerPhoto

RATE, FINAL_RATE = 2e-2, 2e-4
"""Of numbers that the limits scale: a fiftieth of the limit in a step at first."""


class PoseCorrections:
    """Six numbers per photo: rotation vector and shift in the camera's axes, as shares of their limits before a tanh.

    Args:
        angle_limit: radians.
        shift_limit: world units.
    """

    def __init__(self, photos: int, angle_limit: float, shift_limit: float, device: torch.device) -> None:
        self.rows = PerPhoto(torch.zeros(photos, 6, device=device), RATE, FINAL_RATE)
        self.angle_limit, self.shift_limit = angle_limit, shift_limit

    def apply(self, row: Tensor, camera: Camera) -> Camera:
        """The corrected camera; differentiable by the row."""
        bounded = row.tanh()
        motion = rigid_motion(self.angle_limit * bounded[:3], self.shift_limit * bounded[3:])
        return Camera(motion @ camera.viewmat, camera.K, camera.width, camera.height)

    def corrected(self, photo: int, camera: Camera) -> Camera:
        """The camera of a photo as it is now."""
        with torch.no_grad():
            return self.apply(self.rows.values[photo], camera)

    def sizes(self) -> tuple[Tensor, Tensor]:  # [F] degrees, [F] world units
        """How much every camera has been moved."""
        bounded = self.rows.values.tanh()
        return (
            math.degrees(self.angle_limit) * bounded[:, :3].norm(dim=1),
            self.shift_limit * bounded[:, 3:].norm(dim=1),
        )


def rigid_motion(rotation: Tensor, shift: Tensor) -> Tensor:  # [4, 4]
    """The motion by a rotation vector [3] (radians; Rodrigues' formula) and a shift [3], smooth at zero."""
    square = rotation.square().sum()
    angle = (square + 1e-16).sqrt()
    x, y, z = rotation.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    near = square < 1e-6
    first = torch.where(near, 1 - square / 6, angle.sin() / angle)
    second = torch.where(near, 0.5 - square / 24, (1 - angle.cos()) / angle.square())
    matrix = torch.eye(3, dtype=rotation.dtype, device=rotation.device) + first * cross + second * (cross @ cross)
    bottom = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=rotation.dtype, device=rotation.device)
    return torch.cat([torch.cat([matrix, shift[:, None]], dim=1), bottom])
