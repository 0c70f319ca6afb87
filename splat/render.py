"""render: Gaussians and cameras in, images out, differentiable in everything that makes sense to differentiate."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.autograd import rasterize
from splat.cuda_rasterizer.ops.adam import FusedAdam
from splat.cuda_rasterizer.ops.schema import Inputs
from splat.gaussians import Gaussians
from splat.geometry.normals import facing_normals, unit_or_zero
from splat.result import RenderResult, Statistics
from splat.settings import RenderSettings

ALPHA_TINY = 1e-6
"""Expected depth divides by alpha, at least this: below any alpha that can occur, so that empty pixels give 0, not NaN."""


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
    absgrad: bool = False,
    settings: RenderSettings | None = None,
    adam: FusedAdam | None = None,
) -> RenderResult:
    """Draw Gaussians as the cameras see them (Kerbl et al. 2023; sorted alpha compositing of projected Gaussians).

    Gradients flow to every tensor of `gaussians`, to `features`, to `background`, and to the cameras' `viewmat` and
    `K`. Gaussians with a value that is not finite, or with a zero quaternion, are not drawn.

    Args:
        gaussians: the scene.
        cameras: one camera, a batched one, or a sequence of cameras of one size.
        background: color behind the scene, one for all or one per camera. Black unless given.
        features: any number of further channels per Gaussian, composited like color over zero.
        sh_degree: highest degree of spherical harmonics to evaluate; all that the scene has unless given.
        depth: whether to return `depth` and `median_depth`.
        normals: whether to return `normals`: of each Gaussian, the direction of its shortest axis.
        statistics: whether to return `statistics`.
        absgrad: whether the statistics include the sum of absolute gradients, which costs a tenth of the backward.
        settings: thresholds and the antialiased mode.
        adam: take this Adam step inside the backward, on the tensors of `gaussians` in place, and leave no gradients for
            them: on a GPU that saves writing and reading them. Not together with `normals`.

    Raises:
        ValueError: a shape, dtype or device does not fit; the message names the argument, what was expected and came.
        RuntimeError: the scene needs more intersections than `settings.max_intersections`, or memory ran out.
    """
    settings = settings or RenderSettings()
    single = isinstance(cameras, Camera) and not cameras.batched
    camera = as_batch(cameras)
    batch = camera.viewmat.shape[0]
    extra = features
    if adam is not None and normals:
        raise ValueError("adam: gradients through normals come after the step; render them without it")
    if normals:
        facing = facing_normals(gaussians, camera)  # [C, N, 3]
        extra = facing if features is None else torch.cat([facing, features.expand(batch, *features.shape)], dim=-1)
    probe_shape = (len(gaussians), 2) if single else (batch, len(gaussians), 2)
    # Nobody reads the probes, only their gradients.
    probe = gaussians.means.new_empty(probe_shape, requires_grad=True) if statistics else None
    abs_probe = gaussians.means.new_empty(probe_shape, requires_grad=True) if statistics and absgrad else None
    image = rasterize(
        Inputs(
            **gaussians.tensors(),
            features=extra,
            viewmats=camera.viewmat,
            Ks=camera.K,
            background=as_background(background, gaussians.means, batch),
        ),
        mean2d_probe=probe[None] if single and probe is not None else probe,
        mean2d_abs_probe=abs_probe[None] if single and abs_probe is not None else abs_probe,
        width=camera.width,
        height=camera.height,
        sh_degree=gaussians.sh_degree if sh_degree is None else sh_degree,
        with_depth=depth,
        settings=settings,
        adam=adam,
    )

    def view(tensor: Tensor) -> Tensor:
        return tensor.squeeze(0) if single else tensor  # whose derivative copies nothing, as that of [0] would

    result = RenderResult(rgb=view(image.rgb), alpha=view(image.alpha))
    if depth:
        result.depth = view(image.depth / image.alpha.clamp_min(ALPHA_TINY))
        result.median_depth = view(image.median_depth)
    if normals:
        result.normals = view(unit_or_zero(image.features[..., :3]))
    if features is not None:
        result.features = view(image.features[..., 3 if normals else 0 :])
    if probe is not None:
        result.statistics = Statistics(view(image.radii), probe, abs_probe)
    return result


def as_batch(cameras: Camera | Sequence[Camera]) -> Camera:
    """Any way of giving cameras, as one batched camera."""
    if not isinstance(cameras, Camera):
        return Camera.stack(cameras)
    return cameras if cameras.batched else replace(cameras, viewmat=cameras.viewmat[None], K=cameras.K[None])


def as_background(background: Tensor | Sequence[float] | None, like: Tensor, batch: int) -> Tensor:  # [C, 3]
    """Any way of giving a background, as one color per camera of the dtype and device of `like`."""
    if background is None:
        return like.new_zeros(batch, 3)
    if not isinstance(background, Tensor):
        background = like.new_tensor(background)
    if background.shape not in ((3,), (batch, 3)):
        raise ValueError(f"background must be [3] or [{batch}, 3], got {list(background.shape)}")
    return background.expand(batch, 3)
