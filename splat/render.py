"""render: Gaussians and cameras in, images out, differentiable in everything that makes sense to differentiate."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.autograd import rasterize
from splat.gaussians import Gaussians
from splat.normals import facing_normals, unit_or_zero
from splat.settings import RenderSettings


@dataclass
class Statistics:
    """What adaptive density control needs to know about one render. Shapes have the leading C of the cameras, if any."""

    radii: Tensor  # [..., N] larger half-extent of the footprint in pixels; 0 where the Gaussian was not drawn
    mean2d: Tensor  # [..., N, 2] zeros whose .grad becomes the gradient by the projected mean
    mean2d_abs: Tensor  # [..., N, 2] zeros whose .grad becomes the sum over pixels of the absolute gradient

    @property
    def visible(self) -> Tensor:  # [..., N] bool
        """Which Gaussians have a footprint on the image."""
        return self.radii > 0

    @property
    def mean2d_grad(self) -> Tensor:  # [..., N, 2]
        """Gradient of the loss by the projected mean, in NDC-scaled units: per pixel, times (width / 2, height / 2).
        The published densification thresholds assume this scale. Available after backward()."""
        return self._gradient(self.mean2d)

    @property
    def mean2d_absgrad(self) -> Tensor:  # [..., N, 2]
        """As `mean2d_grad`, but the absolute values of the pixels' gradients are summed (Ye et al. 2024, AbsGS)."""
        return self._gradient(self.mean2d_abs)

    @staticmethod
    def _gradient(probe: Tensor) -> Tensor:
        if probe.grad is None:
            raise RuntimeError("Statistics: gradients by the projected means exist only after backward()")
        return probe.grad


@dataclass
class RenderResult:
    """The images. Shapes have a leading C when several cameras were given, none for a single camera."""

    rgb: Tensor  # [..., H, W, 3] colour over the background; not clamped above 1
    alpha: Tensor  # [..., H, W] 1 - transmittance
    depth: Tensor | None = None  # [..., H, W] expected depth along the viewing axis: sum(w z) / sum(w); 0 where empty
    median_depth: Tensor | None = None  # [..., H, W] depth at which transmittance falls to 1/2 or below; 0 where never
    normals: Tensor | None = None  # [..., H, W, 3] unit normals in world space, facing the camera; 0 where empty
    features: Tensor | None = None  # [..., H, W, F] composited like colour, over zero
    statistics: Statistics | None = None


def render(
    gaussians: Gaussians,
    cameras: Camera | Sequence[Camera],
    *,
    background: Tensor | Sequence[float] | None = None,  # [3] or [C, 3]
    features: Tensor | None = None,  # [N, F]
    sh_degree: int | None = None,
    depth: bool = False,
    normals: bool = False,
    statistics: bool = False,
    settings: RenderSettings | None = None,
) -> RenderResult:
    """Draw Gaussians as the cameras see them (Kerbl et al. 2023; sorted alpha compositing of projected Gaussians).

    Gradients flow to every tensor of `gaussians`, to `features`, to `background`, and to the cameras' `viewmat` and
    `K`. Gaussians with a value that is not finite, or with a zero quaternion, are not drawn.

    Args:
        gaussians: the scene.
        cameras: one camera, a batched one, or a sequence of cameras of one size.
        background: colour behind the scene, one for all or one per camera. Black unless given.
        features: any number of further channels per Gaussian, composited like colour over zero.
        sh_degree: highest degree of spherical harmonics to evaluate; all that the scene has unless given.
        depth: whether to return `depth` and `median_depth`.
        normals: whether to return `normals`: of each Gaussian, the direction of its shortest axis.
        statistics: whether to return `statistics`.
        settings: thresholds and the antialiased mode.

    Raises:
        ValueError: a shape, dtype or device does not fit; the message names the argument, what was expected and came.
        RuntimeError: the scene needs more pairs than `settings.max_pairs`, or memory ran out.
    """
    settings = settings or RenderSettings()
    single = isinstance(cameras, Camera) and not cameras.batched
    camera = _as_batch(cameras)
    count, channels = camera.viewmat.shape[0], 0 if features is None else features.shape[-1]
    extra = features
    if normals:
        facing = facing_normals(gaussians, camera)  # [C, N, 3]
        extra = facing if features is None else torch.cat([facing, features.expand(count, *features.shape)], dim=-1)
    probes = [gaussians.means.new_zeros(count, len(gaussians), 2) for _ in range(2)] if statistics else [None, None]
    for probe in probes:
        if probe is not None and torch.is_grad_enabled():
            probe.requires_grad_()
    image = rasterize(
        means=gaussians.means,
        quats=gaussians.quats,
        log_scales=gaussians.log_scales,
        logit_opacities=gaussians.logit_opacities,
        sh0=gaussians.sh0,
        sh_rest=gaussians.sh_rest,
        features=extra,
        viewmats=camera.viewmat,
        Ks=camera.K,
        background=_as_background(background, gaussians, count),
        mean2d_probe=probes[0],
        mean2d_abs_probe=probes[1],
        width=camera.width,
        height=camera.height,
        sh_degree=gaussians.sh_degree if sh_degree is None else sh_degree,
        with_depth=depth,
        settings=settings,
    )
    result = RenderResult(rgb=image.rgb, alpha=image.alpha)
    if depth:
        result.depth = image.depth / image.alpha.clamp_min(torch.finfo(image.alpha.dtype).tiny)
        result.median_depth = image.median_depth
    if normals:
        result.normals = unit_or_zero(image.features[..., :3])
    if channels:
        result.features = image.features[..., -channels:]
    if statistics:
        result.statistics = Statistics(image.radii, *probes)
    return _without_batch(result) if single else result


def _as_batch(cameras: Camera | Sequence[Camera]) -> Camera:
    if not isinstance(cameras, Camera):
        return Camera.stack(cameras)
    return cameras if cameras.batched else Camera.stack([cameras])
