"""The camera of a client: what viser reports, made into a camera of ours. viser's axes are OpenCV's, as ours are."""

import math

import torch
import viser

from splat.cameras import Camera
from splat.quaternions import rotation_matrix

FOV_RANGE = (math.radians(2), math.radians(150))
"""Vertical field of view."""
LONGEST = 4096
"""Longest side of any picture in pixels, whatever size of window a client says it has."""


def camera_of(handle: viser.CameraHandle, longest: int = LONGEST) -> Camera:
    """The camera of a client at the size of its window, or smaller.

    Args:
        longest: side of the picture in pixels, at most.
    """
    return camera_from(
        wxyz=tuple(handle.wxyz),
        position=tuple(handle.position),
        fov=handle.fov,
        width=handle.image_width,
        height=handle.image_height,
        longest=longest,
    )


def camera_from(
    wxyz: tuple[float, ...],
    position: tuple[float, ...],
    fov: float,
    width: int,
    height: int,
    longest: int = LONGEST,
) -> Camera:
    """A camera from its pose in the world, its vertical field of view in radians, and the size of the window."""
    scale = min(1.0, longest / max(width, height, 1))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    rotation = rotation_matrix(torch.tensor(wxyz, dtype=torch.float64)).T
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ torch.tensor(position, dtype=torch.float64)
    focal = 0.5 * height / math.tan(0.5 * min(max(fov, FOV_RANGE[0]), FOV_RANGE[1]))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(viewmat.float(), K.float(), width, height)
