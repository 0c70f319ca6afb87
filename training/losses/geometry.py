"""Losses of shape: depth from sparse points and depth maps, smooth depth, normals that agree with it, flat Gaussians."""

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.result import RenderResult

MIN_ALPHA = 0.5
"""Depth of pixels that are more transparent than this says little."""
MIN_POINTS = 10
"""Fewest sparse points to which a relative depth map is fitted."""
DEPTH_DECAY = 0.01
"""Depth maps count for this fraction of their weight at the end of a run: photos know better by then."""


def points_loss(result: RenderResult, sparse: Tensor, fraction: float, extent: float) -> Tensor:
    """Mean absolute difference of inverse depth, in units of 1 / extent, at the sparse points that the photo has seen.

    Args:
        sparse: [K, 3] pixel x and y at full size, and depth.
        fraction: size of the render as a fraction of the full one.
    """
    assert result.depth is not None
    height, width = result.depth.shape
    column = (sparse[:, 0] * fraction).long().clamp(0, width - 1)
    row = (sparse[:, 1] * fraction).long().clamp(0, height - 1)
    depth, alpha = result.depth[row, column], result.alpha[row, column]
    solid = (alpha.detach() > MIN_ALPHA) & (depth.detach() > 0)
    difference = (1 / depth.clamp_min(1e-6) - 1 / sparse[:, 2]).abs()
    return extent * torch.where(solid, difference, 0.0).sum() / max(1, len(sparse))


def maps_loss(result: RenderResult, inverse: Tensor, extent: float) -> Tensor:
    """Mean absolute difference of inverse depth, in units of 1 / extent, where the map ([H, W], 0 unknown) says something."""
    assert result.depth is not None
    known = (inverse > 0) & (result.alpha.detach() > MIN_ALPHA) & (result.depth.detach() > 0)
    difference = (1 / result.depth.clamp_min(1e-6) - inverse).abs()
    return extent * torch.where(known, difference, 0.0).mean()


def fit_inverse_depth(stored: Tensor, sparse: Tensor) -> Tensor | None:  # [H, W], or None
    """A relative inverse depth map, as networks make them, in the scene's scale: least absolute deviations to the inverse
    depths of the photo's sparse points (medians; Kerbl et al. 2024).

    Args:
        stored: [H, W] values of the file, 0 unknown, larger is nearer.
        sparse: [K, 3] pixel x, y and depth.

    Returns:
        Inverse depth in 1 / world units, 0 unknown; None where too few points are on known pixels, or do not agree.
    """
    height, width = stored.shape
    column, row = sparse[:, 0].long().clamp(0, width - 1), sparse[:, 1].long().clamp(0, height - 1)
    seen = stored[row, column]
    fine = seen > 0
    if int(fine.sum()) < MIN_POINTS:
        return None
    seen, wanted = seen[fine], 1 / sparse[fine, 2]
    offset_seen, offset_wanted = seen.median(), wanted.median()
    spread = (seen - offset_seen).abs().mean()
    if float(spread) <= 0:
        return None
    scale = (wanted - offset_wanted).abs().mean() / spread
    if float(((seen - offset_seen) * (wanted - offset_wanted)).sum()) <= 0:
        return None
    return torch.where(stored > 0, ((stored - offset_seen) * scale + offset_wanted).clamp_min(0), 0.0)


def depth_smoothness_loss(result: RenderResult, image: Tensor, extent: float) -> Tensor:
    """Mean absolute step of inverse depth between neighbors, less where the photo has an edge.

    Args:
        image: [H, W, 3] the photo, uint8 or float32.
    """
    assert result.depth is not None
    inverse = torch.where(result.depth > 0, 1 / result.depth.clamp_min(1e-6), 0.0) * extent
    colors = image.float() / (255 if image.dtype == torch.uint8 else 1)
    loss = inverse.new_zeros(())
    for axis in (0, 1):
        evenness = torch.exp(-10 * colors.diff(dim=axis).abs().mean(-1))
        loss = loss + (inverse.diff(dim=axis).abs() * evenness).mean()
    return loss


def normals_loss(result: RenderResult, camera: Camera) -> Tensor:
    """1 - cosine between the Gaussians' normals and those of the rendered depth, weighted by alpha (Huang et al. 2024)."""
    assert result.depth is not None and result.normals is not None
    slope = depth_normals(result.depth, camera)
    agreement = (result.normals[1:-1, 1:-1] * slope).sum(-1)
    weight = result.alpha.detach()[1:-1, 1:-1] * (slope.detach().norm(dim=-1) > 0.5)
    return (weight * (1 - agreement)).mean()


def depth_normals(depth: Tensor, camera: Camera) -> Tensor:  # [H - 2, W - 2, 3]
    """Unit normals, in world space and facing the camera, of the surface that a depth map [H, W] describes, by central
    differences; zero where the depth is unknown."""
    height, width = depth.shape
    x = (torch.arange(width, device=depth.device) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (torch.arange(height, device=depth.device) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    points = torch.stack([x * depth, y[:, None] * depth, depth], dim=-1)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = torch.nn.functional.normalize(torch.linalg.cross(down, across), dim=-1)
    known = (depth[1:-1, 2:] > 0) & (depth[1:-1, :-2] > 0) & (depth[2:, 1:-1] > 0) & (depth[:-2, 1:-1] > 0)
    return torch.where(known[..., None], normal, 0.0) @ camera.viewmat[:3, :3]


def flatness_loss(gaussians: Gaussians, extent: float) -> Tensor:
    """Mean of the shortest axes, in units of the extent (Chen et al. 2023, NeuSG)."""
    return gaussians.scales.min(dim=1).values.mean() / extent
