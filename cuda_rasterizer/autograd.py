"""The differentiable stages: one autograd.Function each, around the operators of ops.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from splat.cuda_rasterizer import ops
from splat.cuda_rasterizer.checks import check_device, check_floats, check_range, check_shape

IMAGE_SIDE_MAX = 1 << 19
"""Pixels. Tile coordinates are 16-bit."""


class Settings(Protocol):
    """The thresholds that the kernels need; `splat.RenderSettings` has them."""

    @property
    def near(self) -> float: ...
    @property
    def far(self) -> float: ...
    @property
    def eps2d(self) -> float: ...
    @property
    def antialiased(self) -> bool: ...
    @property
    def alpha_max(self) -> float: ...
    @property
    def alpha_min(self) -> float: ...
    @property
    def transmittance_min(self) -> float: ...
    @property
    def frustum_margin(self) -> float: ...
    @property
    def deterministic(self) -> bool: ...
    @property
    def max_pairs(self) -> int: ...
    @property
    def pair_capacity(self) -> int: ...


class RasterizedImage(NamedTuple):
    """What `rasterize` returns. C cameras; empty tensors for what was not asked for."""

    rgb: Tensor  # [C, H, W, 3]
    alpha: Tensor  # [C, H, W]
    depth: Tensor  # [C, H, W] sum of weight * depth: not divided by alpha
    median_depth: Tensor  # [C, H, W]
    features: Tensor  # [C, H, W, F]
    radii: Tensor  # [C, N]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean2d_probe: Any, mean2d_abs_probe: Any, options: tuple, extra: tuple, *inputs: Any) -> Any:
        rgb, transmittance, depth, median, features, radii, *state = torch.ops.splat.rasterize_forward(
            *inputs, *options, *extra[:2]
        )
        ctx.adam = extra[2]
        ctx.options = options
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(radii)
        ctx.save_for_backward(*inputs, rgb, transmittance, depth, features, *state)
        return rgb, 1 - transmittance, depth, median, features, radii

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_rgb: Any, v_alpha: Any, v_depth: Any, v_median: Any, v_features: Any, _: Any) -> Any:
        saved = ctx.saved_tensors
        needs = ctx.needs_input_grad
        features_wanted, cameras_wanted, background_wanted = needs[10], needs[11] or needs[12], needs[13]
        arguments = (
            *saved,
            v_rgb,
            v_alpha,
            v_depth if ctx.options[3] else None,
            v_median if ctx.options[3] else None,
            v_features,
            *ctx.options,
            cameras_wanted,
            features_wanted,
            needs[0],
            needs[1],
        )
        if ctx.adam is None:
            *gradients, v_mean2d, v_mean2d_abs = torch.ops.splat.rasterize_backward(*arguments)
        else:
            kept = torch.ops.splat.rasterize_backward_adam(*arguments, *ctx.adam)
            *gradients, v_mean2d, v_mean2d_abs = [None] * len(ops.PARAMETERS) + list(kept)
        if not features_wanted:
            gradients[6] = None
        if not cameras_wanted:
            gradients[7] = gradients[8] = None
        v_background = None
        if background_wanted and v_rgb is not None:
            v_background = torch.einsum("chw,chwk->ck", saved[11], v_rgb)
        return v_mean2d if needs[0] else None, v_mean2d_abs if needs[1] else None, None, None, *gradients, v_background


def rasterize(
    *,
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    log_scales: Tensor,  # [N, 3]
    logit_opacities: Tensor,  # [N]
    sh0: Tensor,  # [N, 3]
    sh_rest: Tensor,  # [N, (degree + 1)^2 - 1, 3]
    features: Tensor | None,  # [N, F] or [C, N, F]
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    background: Tensor,  # [C, 3]
    mean2d_probe: Tensor | None,  # [C, N, 2]
    mean2d_abs_probe: Tensor | None,  # [C, N, 2]
    width: int,
    height: int,
    sh_degree: int,
    with_depth: bool,
    settings: Settings,
    adam: ops.FusedAdam | None = None,
) -> RasterizedImage:
    """Draw the Gaussians by every camera: project, bin, composite. `splat.render` is the comfortable way to call it.

    With `adam` the backward changes the Gaussians in place by an Adam step, and leaves no gradients by them.

    The probes' values are not read; their gradients receive the gradient by the projected means, signed and absolute,
    in NDC-scaled units.

    Raises:
        ValueError: a shape, dtype or device does not fit.
        RuntimeError: more than settings.max_pairs pairs, or no kernels for the tensors' device.
    """
    named = {
        "means": means,
        "quats": quats,
        "log_scales": log_scales,
        "logit_opacities": logit_opacities,
        "sh0": sh0,
        "sh_rest": sh_rest,
        "features": features,
        "viewmats": viewmats,
        "Ks": Ks,
        "background": background,
    }
    _check(named, width, height, sh_degree)
    options = _options(settings, width, height, sh_degree, with_depth)
    if adam is not None:
        check_fused(adam, [named[name] for name in ops.PARAMETERS])
    limits = (min(settings.max_pairs, (1 << 32) - 1), settings.pair_capacity, adam)
    return RasterizedImage(*_Rasterize.apply(mean2d_probe, mean2d_abs_probe, options, limits, *named.values()))


def _check(named: Mapping[str, Tensor | None], width: int, height: int, sh_degree: int) -> None:
    """Everything about the inputs of a render, by name, that the kernels take for granted."""
    given = {name: tensor for name, tensor in named.items() if tensor is not None}
    means, viewmats, sh_rest = given["means"], given["viewmats"], given["sh_rest"]
    count, cameras = means.shape[0] if means.ndim else 0, viewmats.shape[0] if viewmats.ndim else 0
    check_shape("means", means, (count, 3))
    check_shape("quats", given["quats"], (count, 4), "one per mean: w, x, y, z")
    check_shape("log_scales", given["log_scales"], (count, 3), "one per mean")
    check_shape("logit_opacities", given["logit_opacities"], (count,), "one per mean")
    check_shape("sh0", given["sh0"], (count, 3), "one per mean")
    check_shape("sh_rest", sh_rest, (count, sh_rest.shape[1] if sh_rest.ndim == 3 else 0, 3), "one row per mean")
    check_shape("viewmats", viewmats, (cameras, 4, 4))
    check_shape("Ks", given["Ks"], (cameras, 3, 3), "one per viewmat")
    check_shape("background", given["background"], (cameras, 3), "one per camera")
    if "features" in given:
        features = given["features"]
        expected = (count, features.shape[-1]) if features.ndim < 3 else (cameras, count, features.shape[-1])
        check_shape("features", features, expected, "one row per mean")
    check_range("width", width, 1, IMAGE_SIDE_MAX)
    check_range("height", height, 1, IMAGE_SIDE_MAX)
    check_range(
        "sh_degree", sh_degree, 0, round((sh_rest.shape[1] + 1) ** 0.5) - 1, "the scene has no more coefficients"
    )
    check_floats(named)
    check_device(named)


def _options(settings: Settings, width: int, height: int, sh_degree: int, with_depth: bool) -> tuple[Any, ...]:
    """The operators' options, in their order."""
    return (
        *(width, height, sh_degree, with_depth, settings.antialiased),
        *(settings.near, settings.far, settings.eps2d),
        *(settings.alpha_max, settings.alpha_min, settings.transmittance_min, settings.frustum_margin),
        settings.deterministic,
    )


def contribution(
    *,
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    background: Tensor,  # [C, 3]
    pixel_weights: Tensor | None,  # [C, H, W], not negative
    width: int,
    height: int,
    sh_degree: int,
    settings: Settings,
    **gaussians: Tensor,  # as for `rasterize`
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What every Gaussian does in the images: [N] each of the sum of blend weights (float64), the largest, the number of
    pixels (int64), and the sum of squared changes without it (float64). `splat.contribution` is the comfortable way.

    Raises:
        ValueError: a shape, dtype or device does not fit, or a weight is negative.
        RuntimeError: more than settings.max_pairs pairs, or no kernels for the tensors' device.
    """
    inputs = {name: gaussians[name] for name in ops.PARAMETERS}
    named = {**inputs, "features": None, "viewmats": viewmats, "Ks": Ks, "background": background}
    _check(named, width, height, sh_degree)
    if pixel_weights is not None:
        check_shape("pixel_weights", pixel_weights, (viewmats.shape[0], height, width), "one image per camera")
        check_floats({"means": inputs["means"], "pixel_weights": pixel_weights})
        check_device({"means": inputs["means"], "pixel_weights": pixel_weights})
        if bool((pixel_weights < 0).any()):
            raise ValueError("pixel_weights: expected no negative number, got " + f"{float(pixel_weights.min()):.3g}")
    options = _options(settings, width, height, sh_degree, False)
    return torch.ops.splat.contribution(
        *named.values(), pixel_weights, *options, min(settings.max_pairs, (1 << 32) - 1)
    )


def check_fused(adam: ops.FusedAdam, parameters: Sequence[Tensor | None]) -> None:
    """A fused step changes parameters and moments in place: all must be float32, contiguous and of the same shapes."""
    for name, parameter, *moments in zip(ops.PARAMETERS, parameters, adam.exp_avg, adam.exp_avg_sq, strict=True):
        assert parameter is not None
        for tensor in (parameter, *moments):
            if tensor.dtype != torch.float32 or not tensor.is_contiguous():
                raise ValueError(f"adam: {name} and its moments must be float32 and contiguous, got {tensor.dtype}")
            check_shape(f"a moment of {name}", tensor, parameter.shape, "as the parameter")


class _L1SSIM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
        sums, gradient = torch.ops.splat.l1_ssim(image, target, ssim_weight, ctx.needs_input_grad[0])
        ctx.save_for_backward(gradient)
        l1, ssim = sums[0], sums[1]
        return ((1 - ssim_weight) * l1 + ssim_weight * (1 - ssim)).to(image.dtype)

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
    """(1 - w) L1 + w (1 - SSIM), fused with its gradient by the image (Kerbl et al. 2023, equation 7).

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
