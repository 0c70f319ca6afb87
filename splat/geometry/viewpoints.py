"""Where to look at a scene from: through the middle one of a capture's cameras, or from outside where none is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.geometry.alignment import UP, up_of_cameras
from splat.geometry.scene_size import near_plane, point_radius, usable

DISTANCE = 2.5
"""How far away the outside is: this many times the median distance of points to their center."""
ELEVATION = 0.35
"""Height of the eye above the center, as a fraction of that distance."""


@dataclass(frozen=True)
class Viewpoint:
    """An eye, what it looks at, and the size of the scene. Tensors are float32 on the CPU, world coordinates."""

    position: Tensor  # [3]
    target: Tensor  # [3] what a mouse turns around
    up: Tensor  # [3] unit length
    extent: float  # world units; distances are judged by it

    def camera(self, width: int, height: int, fov_degrees: float = 60.0) -> Camera:
        """A camera there; sizes in pixels, the field of view across the width."""
        return Camera.look_at(self.position, self.target, self.up, width=width, height=height, fov_degrees=fov_degrees)

    def turned(self, angle: float) -> "Viewpoint":
        """The same with the eye carried around the vertical axis through the target, by an angle in radians (Rodrigues).

        Seen from above that is counterclockwise.
        """
        offset = self.position - self.target
        level = offset - (offset @ self.up) * self.up
        turned = offset - level + math.cos(angle) * level + math.sin(angle) * torch.linalg.cross(self.up, level)
        return replace(self, position=self.target + turned)


def first_view(points: Tensor, cameras: Sequence[Camera] = (), extent: float | None = None) -> Viewpoint:
    """Through the central one of some cameras, at what it sees; from outside where there are none.

    Args:
        points: [P, 3] centers of Gaussians, or sparse points; rows that are not finite are left out.
        cameras: single cameras of the capture.
        extent: of the capture in world units; twice the median distance of points to their center unless given.
    """
    around = outside(points)
    extent = around.extent if extent is None else extent
    if not cameras:
        return Viewpoint(around.position, around.target, around.up, extent)
    camera = cameras[central(cameras)]
    return Viewpoint(camera.position.cpu().float(), ahead(camera, points), up_of(cameras).float(), extent)


def outside(points: Tensor) -> Viewpoint:
    """From outside of points of which nothing else is known, a little from above: y down, as COLMAP's worlds mostly are.

    Args:
        points: [P, 3]; rows that are not finite are left out. Of none at all the origin is the center and 1 the extent.
    """
    points = usable(points)
    if not len(points):
        return Viewpoint(torch.tensor([0.0, 0.0, -4.0]), torch.zeros(3), torch.tensor(UP), 1.0)
    radius = point_radius(points)
    center = points.median(dim=0).values.cpu().float()
    eye = center + DISTANCE * radius * torch.tensor([0.0, -ELEVATION, -1.0])
    return Viewpoint(eye, center, torch.tensor(UP), 2 * radius)


def central(cameras: Sequence[Camera]) -> int:
    """Index of the camera nearest to the middle of all that looks about the way that they do on average."""
    positions = torch.stack([camera.position for camera in cameras])
    forwards = torch.stack([camera.forward for camera in cameras])
    distance = (positions - positions.mean(0)).norm(dim=1)
    turned = 1 - forwards @ torch.nn.functional.normalize(forwards.mean(0), dim=0)
    return int((distance / distance.mean().clamp_min(1e-30) + turned).argmin())


def up_of(cameras: Sequence[Camera]) -> Tensor:  # [3] float64
    """Which way is up, as `up_of_cameras` says; where the cameras do not agree, what is up for the first of them."""
    try:
        return up_of_cameras(cameras)
    except ValueError:
        return cameras[0].up.double().cpu()


def spread(cameras: Sequence[Camera]) -> float:
    """Median distance of cameras to their middle, in world units."""
    positions = torch.stack([camera.position for camera in cameras])
    return float((positions - positions.mean(dim=0)).norm(dim=1).median())


def ahead(camera: Camera, points: Tensor) -> Tensor:  # [3] float32 on the CPU
    """The point on a camera's axis as far away as what the middle of its image shows, by the median."""
    pixels, depth = camera.project(usable(points))
    size = pixels.new_tensor([camera.width, camera.height])
    offset = (pixels - camera.K[:2, 2].to(pixels)).abs()
    seen = (depth > near_plane(point_radius(points))) & (offset < size / 4).all(dim=1)
    far = float(depth[seen].median()) if bool(seen.any()) else point_radius(points)
    return (camera.position + far * camera.forward).cpu().float()
