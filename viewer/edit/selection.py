"""Which Gaussians: by shape in space, by region of the picture, by value; and how selections combine.

Every function gives a mask, [N] bool, and changes nothing. A Gaussian counts by its center. Centers that are not finite are
in no region.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.similarity import Similarity

Combination = Literal["replace", "add", "subtract", "intersect"]

COMBINATIONS: dict[Combination, Callable[[Tensor, Tensor], Tensor]] = {
    "replace": lambda old, new: new,
    "add": lambda old, new: old | new,
    "subtract": lambda old, new: old & ~new,
    "intersect": lambda old, new: old & new,
}
"""What a new region does to the selection there is."""

VALUES: dict[str, Callable[[Gaussians], Tensor]] = {
    "opacity": lambda scene: scene.opacities,
    "scale": lambda scene: scene.scales.amax(1),
    "thinness": lambda scene: scene.scales.amin(1) / scene.scales.amax(1),
    "brightness": lambda scene: (scene.sh0 @ scene.sh0.new_tensor([0.2126, 0.7152, 0.0722])) * SH_C0 + 0.5,
}
"""Numbers of each Gaussian to select by: opacity 0..1; largest standard deviation, world units; smallest by largest standard
deviation; luminance of the constant color (Rec. 709), mostly 0..1."""

MAX_STROKE = 4096
"""Points of a stroke; what a client sends beyond is refused."""
DEPTH_SLACK = 0.03
"""A Gaussian is in front when it is no farther than this fraction behind the depth of the picture there: the centers that make
up a surface lie around it."""


def combine(old: Tensor | None, new: Tensor, how: Combination) -> Tensor:  # [N] bool
    """The selection after a new region; `old` is None where nothing was selected."""
    if how not in COMBINATIONS:
        raise ValueError(f"combine: expected one of {', '.join(COMBINATIONS)}, got {how!r}")
    return COMBINATIONS[how](torch.zeros_like(new) if old is None else old, new)


def box(means: Tensor, placed: Similarity, size: Sequence[float]) -> Tensor:  # [N] bool from [N, 3]
    """Inside a box with sides `size`, centered at the origin and then placed."""
    half = means.new_tensor(size).abs() / 2
    return (placed.inverse().points(means).abs() <= half).all(1)


def sphere(means: Tensor, center: Sequence[float], radius: float) -> Tensor:  # [N] bool from [N, 3]
    """No farther than `radius` from `center`."""
    return (means - means.new_tensor(center)).norm(dim=1) <= radius


@dataclass(frozen=True)
class Seen:
    """Where a camera sees every Gaussian, to select in its picture."""

    pixels: Tensor  # [N, 2] of the camera
    z: Tensor  # [N] depth
    visible: Tensor  # [N] bool: before the camera, and where depth was given not hidden

    @staticmethod
    def by(camera: Camera, means: Tensor, depth: Tensor | None = None) -> "Seen":
        """What the camera sees of centers [N, 3].

        Args:
            depth: [H, W] depth of the picture, 0 where it is empty; then only what is in front of that counts, see
                `in_front`.
        """
        pixels, z = camera.project(means)
        visible = z > 0
        if depth is not None:
            visible = visible & in_front(pixels, z, depth)
        return Seen(pixels, z, visible)

    def rectangle(self, first: tuple[float, float], second: tuple[float, float]) -> Tensor:  # [N] bool
        """Within a rectangle, by two opposite corners in pixels."""
        (x0, x1), (y0, y1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
        x, y = self.pixels.unbind(1)
        return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) & self.visible

    def brush(self, stroke: Tensor | Sequence[Sequence[float]], radius: float) -> Tensor:  # [N] bool
        """No farther than `radius` pixels from a stroke.

        Args:
            stroke: [S, 2] pixels in order; one point is a dab.

        Raises:
            ValueError: the stroke has no point, more than MAX_STROKE, or one that is not finite.
        """
        line = torch.as_tensor(stroke, dtype=self.pixels.dtype, device=self.pixels.device)
        if line.ndim != 2 or line.shape[1] != 2 or not 1 <= len(line) <= MAX_STROKE or not bool(line.isfinite().all()):
            raise ValueError(f"brush: a stroke has 1 to {MAX_STROKE} finite points [S, 2], got {list(line.shape)}")
        low, high = line.amin(0) - radius, line.amax(0) + radius
        near = (self.visible & (self.pixels >= low).all(1) & (self.pixels <= high).all(1)).nonzero()[:, 0]
        points = self.pixels[near]
        touched = torch.zeros(len(near), dtype=torch.bool, device=line.device)
        for start, end in zip(line, torch.cat([line[1:], line[-1:]]), strict=True):
            along = end - start
            fraction = ((points - start) @ along / (along @ along).clamp_min(1e-12)).clamp(0, 1)
            touched |= (points - start - fraction[:, None] * along).norm(dim=1) <= radius
        mask = torch.zeros_like(self.visible)
        mask[near[touched]] = True
        return mask


def in_front(pixels: Tensor, z: Tensor, depth: Tensor) -> Tensor:  # [N] bool
    """Not hidden: no farther away than what the picture shows at that pixel, or nothing is shown there.

    Args:
        pixels: [N, 2] where centers are seen; outside the picture nothing is in front.
        z: [N] their depths.
        depth: [H, W] median depth of the picture, 0 where it is empty.
    """
    height, width = depth.shape
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    column, row = (torch.where(inside, pixels[:, axis], 0.0).long() for axis in (0, 1))
    seen = depth.to(z.device)[row, column]
    return inside & ((seen <= 0) | (z <= (1 + DEPTH_SLACK) * seen))


def between(values: Tensor, low: float, high: float) -> Tensor:  # [N] bool
    """Values from `low` to `high`, both included; NaN never is."""
    return (values >= low) & (values <= high)


def floaters(means: Tensor, neighbors: int = 8, factor: float = 4.0) -> Tensor:  # [N] bool
    """Centers that lie alone: the distance to their k-th neighbor is more than `factor` times the median one."""
    from scipy.spatial import cKDTree

    finite = means.isfinite().all(1)
    points = means[finite].detach().cpu().numpy()
    mask = torch.zeros(len(means), dtype=torch.bool)
    if len(points) > neighbors:
        distances = torch.from_numpy(
            cKDTree(points).query(points, k=[neighbors + 1], workers=torch.get_num_threads())[0][:, 0]
        )
        mask[finite.cpu()] = distances > factor * distances.median()
    return mask.to(means.device)
