"""The specification: a slow, exact renderer in plain torch, of any dtype, differentiable by autograd.

Every backend is tested against it. It takes every Gaussian at every pixel, in depth order, with no tiles and no early
exit, so there is nothing to get wrong but the formulas. `render` has the signature of `splat.render`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.contribution import Contribution
from splat.gaussians import Gaussians
from splat.geometry.normals import facing_normals, unit_or_zero
from splat.reference.projection import project
from splat.render import ALPHA_TINY, as_background, as_batch
from splat.result import RenderResult, Statistics
from splat.settings import RenderSettings
from splat.spherical_harmonics import color

CHUNK = 1 << 21
"""Pixels times Gaussians that are held at a time."""


def render(
    gaussians: Gaussians,
    cameras: Camera | Sequence[Camera],
    *,
    background: Tensor | Sequence[float] | None = None,
    features: Tensor | None = None,
    sh_degree: int | None = None,
    depth: bool = False,
    normals: bool = False,
    statistics: bool = False,
    absgrad: bool = False,
    settings: RenderSettings | None = None,
) -> RenderResult:
    """As `splat.render`, by the definitions. Absolute gradients: see `absolute_gradients`."""
    if absgrad:
        raise ValueError("the reference gives absolute gradients by absolute_gradients(), not with a render")
    settings = settings or RenderSettings()
    single = isinstance(cameras, Camera) and not cameras.batched
    camera = as_batch(cameras)
    batch = camera.viewmat.shape[0]
    backgrounds = as_background(background, gaussians.means, batch)
    degree = gaussians.sh_degree if sh_degree is None else sh_degree
    facing = facing_normals(gaussians, camera) if normals else None
    probe_shape = (len(gaussians), 2) if single else (batch, len(gaussians), 2)
    probe = gaussians.means.new_zeros(probe_shape, requires_grad=True) if statistics else None
    views = []
    for index in range(batch):
        one = Camera(camera.viewmat[index], camera.K[index], camera.width, camera.height)
        extra = [] if facing is None else [facing[index]]
        extra += [] if features is None else [features if features.ndim == 2 else features[index]]
        shift = probe if probe is None or single else probe[index]
        views.append(_render_one(gaussians, one, backgrounds[index], extra, degree, depth, shift, settings))

    def gather(name: str) -> Tensor:
        stacked = torch.stack([view[name] for view in views])
        return stacked[0] if single else stacked

    result = RenderResult(rgb=gather("rgb"), alpha=gather("alpha"))
    if depth:
        result.depth = gather("depth") / result.alpha.clamp_min(ALPHA_TINY)
        result.median_depth = gather("median_depth")
    if normals:
        result.normals = unit_or_zero(gather("extra")[..., :3])
    if features is not None:
        result.features = gather("extra")[..., 3 if normals else 0 :]
    if probe is not None:
        result.statistics = Statistics(gather("radii"), probe)
    return result


def _render_one(
    gaussians: Gaussians,
    camera: Camera,
    background: Tensor,  # [3]
    extra: list[Tensor],  # each [N, F]
    sh_degree: int,
    depth: bool,
    shift: Tensor | None,  # [N, 2] zeros in NDC-scaled units, to differentiate with respect to
    settings: RenderSettings,
) -> dict[str, Tensor]:
    width, height = camera.width, camera.height
    p = project(gaussians, camera.viewmat, camera.K, width, height, settings)
    direction = torch.nn.functional.normalize(gaussians.means - camera.position, dim=-1, eps=0)
    rgb = color(sh_degree, gaussians.sh0, gaussians.sh_rest, direction)
    mean2d = p.mean2d
    if shift is not None:
        mean2d = mean2d + shift * shift.new_tensor([width / 2, height / 2])
    with torch.no_grad():
        low, high = p.mean2d - p.half_extent, p.mean2d + p.half_extent
        on_image = (high > 0).all(-1) & (low[:, 0] < width) & (low[:, 1] < height)
        radii = torch.where(p.drawn & on_image, p.half_extent.max(-1).values, 0.0)
    order = torch.where(p.drawn, p.depth, torch.inf).argsort(stable=True)[: int(p.drawn.sum())]
    values = torch.cat([rgb, p.depth[:, None], *extra], dim=-1)[order]  # [M, 4 + F]
    mean2d, conic, opacity = mean2d[order], p.conic[order], p.opacity[order]

    pixels = pixel_centers(width, height).to(gaussians.means)
    accumulated, transmittance, median = [], [], []
    for chunk in pixels.split(max(1, CHUNK // max(1, len(order)))):
        weights, behind, final = blend_weights(chunk, mean2d, conic, opacity, settings)
        accumulated.append(weights @ values)
        transmittance.append(final)
        before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1) if len(order) else behind
        crosses = (before > 0.5) & (behind <= 0.5)  # true at one Gaussian at most
        median.append((crosses * values[:, 3]).sum(-1))
    image = torch.cat(accumulated).view(height, width, -1)
    final = torch.cat(transmittance).view(height, width)
    return {
        "rgb": image[..., :3] + final[..., None] * background,
        "alpha": 1 - final,
        "depth": image[..., 3],
        "median_depth": torch.cat(median).view(height, width),
        "extra": image[..., 4:],
        "radii": radii,
    }


def pixel_centers(width: int, height: int) -> Tensor:  # [H * W, 2]
    """(column + 0.5, row + 0.5), row by row."""
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([columns, rows], dim=-1).view(-1, 2)


def blend_weights(
    pixels: Tensor,  # [P, 2]
    mean2d: Tensor,  # [M, 2] front to back
    conic: Tensor,  # [M, 3]
    opacity: Tensor,  # [M]
    settings: RenderSettings,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [P, M] of the Gaussians in every pixel, transmittance [P, M] behind each, and final transmittance [P].

    A Gaussian that would take the transmittance to transmittance_min or below is left out, and everything behind it too.
    """
    dx, dy = (pixels[:, None] - mean2d[None]).unbind(-1)
    a, b, c = conic.unbind(-1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    unclamped = opacity * torch.exp(-sigma)
    alpha = torch.where(unclamped < settings.alpha_max, unclamped, settings.alpha_max)
    alpha = torch.where(alpha >= settings.alpha_min, alpha, 0.0)
    behind = torch.cumprod(1 - alpha, dim=1)
    # cumprod only falls, so the pixel ends at the first Gaussian that would take it to the minimum.
    alpha = torch.where(behind > settings.transmittance_min, alpha, 0.0)
    behind = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1) if behind.shape[1] else behind
    final = behind[:, -1] if behind.shape[1] else pixels.new_ones(len(pixels))
    return alpha * before, behind, final


def contribution(
    gaussians: Gaussians,
    camera: Camera,
    pixel_weights: Tensor | None = None,  # [H, W]
    background: Sequence[float] | None = None,
    settings: RenderSettings | None = None,
) -> Contribution:
    """As `splat.contribution` for one camera; `removal` by drawing the scene once more without each Gaussian.

    The two agree only where no pixel ends early, as with a tiny RenderSettings.transmittance_min.
    """
    settings = settings or RenderSettings()
    factor = 1.0 if pixel_weights is None else pixel_weights.reshape(-1, 1)
    p = project(gaussians, camera.viewmat, camera.K, camera.width, camera.height, settings)
    order = torch.where(p.drawn, p.depth, torch.inf).argsort(stable=True)[: int(p.drawn.sum())]
    pixels = pixel_centers(camera.width, camera.height).to(gaussians.means)
    weights = blend_weights(pixels, p.mean2d[order], p.conic[order], p.opacity[order], settings)[0] * factor  # [P, M]
    sums, peak = gaussians.means.new_zeros(2, len(gaussians)).unbind()
    counts = torch.zeros_like(sums, dtype=torch.int64)
    sums[order], counts[order] = weights.sum(dim=0), (weights > 0).sum(dim=0)
    if len(pixels):
        peak[order] = weights.amax(dim=0)
    every = torch.arange(len(gaussians), device=gaussians.device)
    whole = render(gaussians, camera, background=background, settings=settings).rgb
    changes = [
        (render(gaussians[every != i], camera, background=background, settings=settings).rgb - whole).square()
        for i in every.tolist()
    ]
    removal = torch.stack([(change.view(-1, 3) * factor).sum() for change in changes])
    return Contribution(sums.double(), peak, counts, removal.double())


def absolute_gradients(
    gaussians: Gaussians, camera: Camera, v_rgb: Tensor, settings: RenderSettings | None = None
) -> Tensor:  # [N, 2]
    """Sum over pixels of the absolute gradient with respect to the projected mean, NDC-scaled, by one backward per pixel.

    Args:
        camera: one camera.
        v_rgb: [H, W, 3] gradient of the loss by the image.
    """
    total = torch.zeros_like(gaussians.means[:, :2])
    for row in range(camera.height):
        for column in range(camera.width):
            result = render(gaussians, camera, statistics=True, settings=settings)
            (result.rgb[row, column] * v_rgb[row, column]).sum().backward()
            assert result.statistics is not None
            total += result.statistics.mean2d_grad.abs()
    return total
