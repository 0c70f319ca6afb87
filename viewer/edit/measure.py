"""Distances in a scene, between points that were picked on what it shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.render import render
from splat.settings import RenderSettings

MAX_POINTS = 100


@torch.no_grad()
def depth_seen(gaussians: Gaussians, camera: Camera, settings: RenderSettings | None = None) -> Tensor:  # [H, W]
    """How deep what a camera sees is: where half of the light has been stopped (median depth); 0 where nothing is."""
    camera = camera.to(gaussians.device)
    depth = render(gaussians, camera, depth=True, sh_degree=0, settings=settings).median_depth
    assert depth is not None
    return depth


def pick(
    gaussians: Gaussians, camera: Camera, pixel: tuple[float, float], settings: RenderSettings | None = None
) -> Tensor | None:  # [3] float64
    """The point of the scene that is seen at a pixel.

    Args:
        pixel: x and y in pixels of the camera, from its upper left corner; need not be whole numbers.

    Returns:
        World coordinates; None where nothing is seen, or outside the picture.
    """
    column, row = math.floor(pixel[0]), math.floor(pixel[1])
    if not (0 <= column < camera.width and 0 <= row < camera.height):
        return None
    found = float(depth_seen(gaussians, camera, settings)[row, column])
    if not found > 0:
        return None
    return camera.unproject(torch.tensor(pixel, dtype=torch.float64), torch.tensor(found, dtype=torch.float64))


@dataclass(frozen=True)
class Measurement:
    """Points in the order in which they were picked, world units."""

    points: tuple[tuple[float, float, float], ...] = ()

    def adding(self, point: Tensor | Sequence[float]) -> "Measurement":
        """One point more.

        Raises:
            ValueError: it is not finite, or there are MAX_POINTS.
        """
        x, y, z = torch.as_tensor(point, dtype=torch.float64).tolist()
        if not torch.tensor([x, y, z]).isfinite().all():
            raise ValueError("a measured point must be finite")
        if len(self.points) >= MAX_POINTS:
            raise ValueError(f"a measurement has at most {MAX_POINTS} points; clear it first")
        return Measurement((*self.points, (x, y, z)))

    @property
    def lengths(self) -> list[float]:
        """From each point to the next."""
        points = torch.tensor(self.points, dtype=torch.float64).reshape(-1, 3)
        return points.diff(dim=0).norm(dim=1).tolist()

    @property
    def total(self) -> float:
        return sum(self.lengths)

    @property
    def angle(self) -> float | None:
        """Degrees at the middle one of the last three points; None with fewer, or where two are the same."""
        if len(self.points) < 3:
            return None
        a, b, c = (torch.tensor(point, dtype=torch.float64) for point in self.points[-3:])
        if not float((a - b).norm()) * float((c - b).norm()) > 0:
            return None
        return float(torch.nn.functional.cosine_similarity(a - b, c - b, dim=0).clamp(-1, 1).acos().rad2deg())

    def scale_to(self, length: float) -> float:
        """By how much to scale the scene so that the total becomes a length that is known from the real thing.

        Raises:
            ValueError: nothing was measured, or the length is not positive.
        """
        if not self.total > 0 or not 0 < length < float("inf"):
            raise ValueError("pick two points first, and give the length between them, larger than 0")
        return length / self.total
