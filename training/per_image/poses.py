"""Corrections of the cameras' poses, learned with the scene and bounded: a rotation and a shift per photo."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.geometry.quaternions import from_rotation_vector, product, rotate
from splat.training.per_image.parameters import PerPhoto

RATE, FINAL_RATE = 5e-3, 5e-5
PUBLISHED_VISITS = 150
RATE_MAX = 2e-2
"""Largest learning rate. Corrections are stored as fractions of their limits, so a rate is a fraction of the limit a step; it
is higher where photos are used less often."""
HOLD, HOLD_RANGE = 0.02, 0.05
"""Weight of the numbers' size, squared within this range and absolute beyond (pseudo-Huber). A small turn and the shift that
makes up for it change a photo hardly at all: where photos cannot tell, the pose stays what the capture says."""


class PoseCorrections:
    """Six numbers per photo: rotation vector and shift in the camera's axes, as fractions of their limits before a tanh.

    Args:
        visits: how often the run will use each photo.
        angle_limit: radians.
        shift_limit: world units.
    """

    def __init__(
        self, photos: int, visits: float, angle_limit: float, shift_limit: float, device: torch.device
    ) -> None:
        rate = min(RATE_MAX, RATE * max(1.0, PUBLISHED_VISITS / visits))
        self.rows = PerPhoto(torch.zeros(photos, 6, device=device), rate, rate * FINAL_RATE / RATE)
        self.angle_limit, self.shift_limit = angle_limit, shift_limit

    def apply(self, row: Tensor, camera: Camera) -> Camera:
        """The corrected camera; differentiable by the row."""
        bounded = row.tanh()
        motion = rigid_motion(self.angle_limit * bounded[:3], self.shift_limit * bounded[3:])
        return Camera(motion @ camera.viewmat, camera.K, camera.width, camera.height)

    def regularization(self, row: Tensor) -> Tensor:
        """Term of the loss for one photo's row."""
        return HOLD * ((row / HOLD_RANGE).square() + 1).sqrt().sum() * HOLD_RANGE

    def corrected(self, photo: int, camera: Camera) -> Camera:
        """The camera of a photo as it is now."""
        with torch.no_grad():
            return self.apply(self.rows.values[photo], camera)

    @torch.no_grad()
    def recenter(self, cameras: Sequence[Camera]) -> "WorldMotion":
        """Take out of all corrections what is common to them: a motion and change of size of the whole world.

        Photos cannot tell it from one of the scene, and a scene that wanders is no longer where the held-out cameras are.
        What is returned must be done to the scene, which then looks as before.

        Args:
            cameras: of all photos, as the capture gives them.
        """
        limits = torch.tensor([self.angle_limit] * 3 + [self.shift_limit] * 3).to(self.rows.values)
        corrections = self.rows.values.tanh() * limits  # [F, 6]
        viewmats = torch.stack([camera.viewmat for camera in cameras]).to(corrections)
        rotation, shift = viewmats[:, :3, :3], viewmats[:, :3, 3]
        center = -(rotation.transpose(1, 2) @ shift[:, :, None])[:, :, 0].mean(0)
        shift = shift + rotation @ center  # of the world with its origin among the cameras
        # A small turn d, motion m and growth s of the world move what camera (R, t) sees by the turn R d and the shift
        # R m + t x R d - s t.
        motions = torch.zeros(len(cameras), 6, 7).to(corrections)
        motions[:, :3, :3] = rotation
        motions[:, 3:, :3] = torch.linalg.cross(shift[:, :, None].expand_as(rotation), rotation, dim=1)
        motions[:, 3:, 3:6] = rotation
        motions[:, 3:, 6] = -shift
        weight = 1 / limits.clamp_min(1e-12)
        system = (motions * weight[:, None]).reshape(-1, 7).double()
        common = torch.linalg.lstsq(system.cpu(), (corrections * weight).reshape(-1, 1).double().cpu(), driver="gelsd")
        solution = common.solution.to(corrections)
        left = corrections - (motions @ solution)[:, :, 0]
        self.rows.values.copy_(torch.atanh((left / limits.clamp_min(1e-12)).clamp(-0.999, 0.999)))
        turn, move, growth = solution[:, 0].split([3, 3, 1])
        return WorldMotion(center, turn, move, growth)

    def sizes(self) -> tuple[Tensor, Tensor]:  # [F] degrees, [F] world units
        """How much every camera has been moved."""
        bounded = self.rows.values.tanh()
        return (
            math.degrees(self.angle_limit) * bounded[:, :3].norm(dim=1),
            self.shift_limit * bounded[:, 3:].norm(dim=1),
        )


@dataclass(frozen=True)
class WorldMotion:
    """A small motion of everything: around `center` by the rotation vector `turn`, by `shift`, larger by `growth`."""

    center: Tensor  # [3]
    turn: Tensor  # [3] radians
    shift: Tensor  # [3]
    growth: Tensor  # [1], 0 for none

    @torch.no_grad()
    def move(self, gaussians: Gaussians) -> None:
        """Move Gaussians in place. Their view-dependent colors are not turned: all turns are small."""
        quat, size = from_rotation_vector(self.turn), 1 + self.growth
        away = gaussians.means - self.center
        gaussians.means.copy_(self.center + size * rotate(quat, away) + self.shift)
        gaussians.quats.copy_(product(quat, gaussians.quats))
        gaussians.log_scales.add_(size.log())


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
