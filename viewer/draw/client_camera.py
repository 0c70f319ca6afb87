"""The camera of a browser: what viser reports, made into a camera of ours. viser's axes are OpenCV's, as ours are."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import viser

from splat.cameras import Camera
from splat.geometry.quaternions import rotation_matrix

FOV_RANGE = (math.radians(2), math.radians(150))
"""Vertical field of view."""
LONGEST = 4096
"""Longest side of any picture in pixels, whatever size of window a browser says it has."""


@dataclass(frozen=True)
class ClientCamera:
    """Pose and window of a browser, as plain numbers, so that a change can be told."""

    wxyz: tuple[float, ...]
    position: tuple[float, ...]
    fov: float  # vertical, radians
    width: int  # of the window, pixels
    height: int

    @staticmethod
    def of(handle: viser.CameraHandle) -> "ClientCamera":
        return ClientCamera(
            tuple(float(value) for value in handle.wxyz),
            tuple(float(value) for value in handle.position),
            float(handle.fov),
            int(handle.image_width),
            int(handle.image_height),
        )

    def size(self, longest: int = LONGEST) -> tuple[int, int]:
        """Width and height in pixels of a picture for this window, its longest side at most `longest`."""
        scale = min(1.0, min(longest, LONGEST) / max(self.width, self.height, 1))
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def camera(self, longest: int = LONGEST) -> Camera:
        """A camera for a picture of that size."""
        width, height = self.size(longest)
        rotation = rotation_matrix(torch.tensor(self.wxyz, dtype=torch.float64)).T
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ torch.tensor(self.position, dtype=torch.float64)
        focal = 0.5 * height / math.tan(0.5 * min(max(self.fov, FOV_RANGE[0]), FOV_RANGE[1]))
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
        return Camera(viewmat.float(), K.float(), width, height)


def orientation(camera: Camera) -> np.ndarray:  # [4]
    """How a camera of ours is turned in the world, as viser says it: a quaternion w, x, y, z from its axes to the world's."""
    return viser.transforms.SO3.from_matrix(camera.viewmat[:3, :3].T.double().numpy()).wxyz


def vertical_fov(camera: Camera) -> float:
    """The field of view from top to bottom, in radians, as viser has it: about the middle of the image."""
    return 2 * math.atan(0.5 * camera.height / float(camera.K[1, 1]))
