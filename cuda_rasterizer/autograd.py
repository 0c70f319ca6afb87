"""The differentiable stages: one autograd.Function each, around the operators of ops/."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from splat.cuda_rasterizer.checks import check_device, check_shape
from splat.cuda_rasterizer.ops.adam import FusedAdam
from splat.cuda_rasterizer.ops.backward import rasterize_backward
from splat.cuda_rasterizer.ops.backward_adam import rasterize_backward_adam
from splat.cuda_rasterizer.ops.forward import rasterize_forward
from splat.cuda_rasterizer.ops.inputs import check_inputs
from splat.cuda_rasterizer.ops.loss import Comparison, l1_ssim
from splat.cuda_rasterizer.ops.schema import (
    Gradients,
    Inputs,
    Limits,
    Options,
    OtherGradients,
    OutputGradients,
    Outputs,
    Settings,
    State,
    Wanted,
    split,
)


class RasterizedImage(NamedTuple):
    """What `rasterize` returns. C cameras; empty tensors for what was not asked for."""

    rgb: Tensor  # [C, H, W, 3]
    alpha: Tensor  # [C, H, W]
    depth: Tensor  # [C, H, W] sum of weight * depth: not divided by alpha
    median_depth: Tensor  # [C, H, W]
    features: Tensor  # [C, H, W, F]
    radii: Tensor  # [C, N]


class _How(NamedTuple):
    """What `_Rasterize` takes besides tensors."""

    options: Options
    limits: Limits
    adam: FusedAdam | None


class _Needs(NamedTuple):
    """Which of the arguments of `_Rasterize` need a gradient, in their order."""

    how: bool
    mean2d_probe: bool
    mean2d_abs_probe: bool
    means: bool
    quats: bool
    log_scales: bool
    logit_opacities: bool
    sh0: bool
    sh_rest: bool
    features: bool
    viewmats: bool
    Ks: bool
    background: bool


class _Returned(NamedTuple):
    """The gradients with respect to the arguments of `_Rasterize`, in their order."""

    how: None = None
    mean2d_probe: Tensor | None = None
    mean2d_abs_probe: Tensor | None = None
    means: Tensor | None = None
    quats: Tensor | None = None
    log_scales: Tensor | None = None
    logit_opacities: Tensor | None = None
    sh0: Tensor | None = None
    sh_rest: Tensor | None = None
    features: Tensor | None = None
    viewmats: Tensor | None = None
    Ks: Tensor | None = None
    background: Tensor | None = None


assert _Needs._fields == _Returned._fields == ("how", "mean2d_probe", "mean2d_abs_probe", *Inputs._fields)


def _image(outputs: Outputs) -> RasterizedImage:
    return RasterizedImage(
        rgb=outputs.rgb,
        alpha=1 - outputs.transmittance,
        depth=outputs.depth,
        median_depth=outputs.median_depth,
        features=outputs.image_features,
        radii=outputs.radii,
    )


def _needs_gradient(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, how: _How, mean2d_probe: Tensor | None, mean2d_abs_probe: Tensor | None, *inputs: Tensor | None
    ) -> RasterizedImage:
        outputs = rasterize_forward(Inputs._make(inputs), how.options, how.limits)
        ctx.how = how
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(outputs.radii)
        ctx.save_for_backward(*inputs, *outputs.state)
        return _image(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_images: Tensor | None) -> _Returned:
        how: _How = ctx.how
        v = RasterizedImage(*v_images)  # type: ignore[arg-type]  # None of what nothing depends on
        inputs, state = split(ctx.saved_tensors, Inputs, State)
        needs = _Needs(*ctx.needs_input_grad)
        upstream = OutputGradients(
            v_rgb=v.rgb,
            v_alpha=v.alpha,
            v_depth=v.depth if how.options.with_depth else None,
            v_median_depth=v.median_depth if how.options.with_depth else None,
            v_image_features=v.features,
        )
        wanted = Wanted(
            cameras_wanted=needs.viewmats or needs.Ks,
            features_wanted=needs.features,
            mean2d_wanted=needs.mean2d_probe,
            mean2d_abs_wanted=needs.mean2d_abs_probe,
        )
        groups = (inputs, state, upstream, how.options, wanted)
        returned = _Returned()
        others: OtherGradients | Gradients
        if how.adam is None:
            others = gradients = rasterize_backward(*groups)
            returned = _Returned(
                means=gradients.v_means,
                quats=gradients.v_quats,
                log_scales=gradients.v_log_scales,
                logit_opacities=gradients.v_logit_opacities,
                sh0=gradients.v_sh0,
                sh_rest=gradients.v_sh_rest,
            )
        else:
            others = rasterize_backward_adam(*groups, how.adam)
        return returned._replace(
            mean2d_probe=others.v_mean2d if needs.mean2d_probe else None,
            mean2d_abs_probe=others.v_mean2d_abs if needs.mean2d_abs_probe else None,
            features=others.v_features if needs.features else None,
            viewmats=others.v_viewmats if wanted.cameras_wanted else None,
            Ks=others.v_Ks if wanted.cameras_wanted else None,
            background=(
                torch.einsum("chw,chwk->ck", state.transmittance, v.rgb)
                if needs.background and v.rgb is not None
                else None
            ),
        )


def rasterize(
    inputs: Inputs,
    *,
    mean2d_probe: Tensor | None,  # [C, N, 2]
    mean2d_abs_probe: Tensor | None,  # [C, N, 2]
    width: int,
    height: int,
    sh_degree: int,
    with_depth: bool,
    settings: Settings,
    adam: FusedAdam | None = None,
) -> RasterizedImage:
    """Draw the Gaussians by every camera: project, bin, composite. `splat.render` is the comfortable way to call it.

    With `adam` the backward changes the Gaussians in place by an Adam step, and leaves no gradients with respect to them.

    The probes' values are not read; their gradients receive the gradient with respect to the projected means, signed and
    absolute, in NDC-scaled units.

    Raises:
        ValueError: a shape, dtype or device does not fit.
        TooManyIntersectionsError: more than settings.max_intersections intersections.
        RuntimeError: no kernels for the tensors' device.
    """
    check_inputs(inputs, width, height, sh_degree)
    if adam is not None:
        adam.check(inputs.parameters)
    options = Options.of(settings, width=width, height=height, sh_degree=sh_degree, with_depth=with_depth)
    limits = Limits.of(settings)
    if not _needs_gradient(mean2d_probe, mean2d_abs_probe, *inputs):
        return _image(rasterize_forward(inputs, options, limits))
    how = _How(options, limits, adam)
    return RasterizedImage(*_Rasterize.apply(how, mean2d_probe, mean2d_abs_probe, *inputs))


class _L1SSIM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
        image_needs_it, _, _ = ctx.needs_input_grad
        parts = l1_ssim(Comparison(image, target, ssim_weight, gradient_wanted=image_needs_it))
        ctx.save_for_backward(parts.gradient)
        return parts.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_loss: Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * v_loss, None, None


def l1_ssim_loss(
    image: Tensor,  # [C, H, W, 3] float32
    target: Tensor,  # [C, H, W, 3] float32 in 0..1, or uint8
    ssim_weight: float = 0.2,
) -> Tensor:
    """(1 - w) L1 + w (1 - SSIM), fused with its gradient with respect to the image (Kerbl et al. 2023, equation 7).

    SSIM uses an 11 x 11 Gaussian window of sigma 1.5 with zeros outside the image, averaged over all values.

    Raises:
        ValueError: a shape or dtype does not fit.
    """
    if image.ndim != 4 or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(f"image must have shape [C, H, W, 3] with no empty dimension, got {list(image.shape)}")
    check_shape("target", target, image.shape, "as the image")
    if image.dtype != torch.float32:
        raise ValueError(f"image must be float32, got {image.dtype}")
    if target.dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"target must be float32 or uint8, got {target.dtype}")
    check_device({"image": image, "target": target})
    return _L1SSIM.apply(image, target, ssim_weight)
