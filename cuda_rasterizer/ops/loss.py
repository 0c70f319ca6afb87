"""l1_ssim: the photometric loss and its gradient in one pass."""

from typing import NamedTuple

import torch
from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops import launch, memory
from splat.cuda_rasterizer.ops.schema import register


class Comparison(NamedTuple):
    image: Tensor  # [C, H, W, 3] float32
    target: Tensor  # [C, H, W, 3] float32 or uint8
    ssim_weight: float
    gradient_wanted: bool


class LossParts(NamedTuple):
    """The loss, its two parts, and its gradient."""

    loss: Tensor  # [] float32
    sums: Tensor  # [2] float64: mean absolute error, mean SSIM
    gradient: Tensor  # as the image; empty if not wanted


def _empty(comparison: Comparison) -> LossParts:
    image = comparison.image
    return LossParts(
        loss=memory.empty(image, ()),
        sums=memory.empty(image, 2, dtype=torch.float64),
        gradient=memory.empty(image, image.shape if comparison.gradient_wanted else (0,)),
    )


def _l1_ssim(comparison: Comparison) -> LossParts:
    module, image, target = native.load(), comparison.image, comparison.target
    arguments = launch.on(image.device, module.LossArguments())
    arguments.images, arguments.height, arguments.width = image.shape[:3]
    arguments.target_is_uint8 = target.dtype == torch.uint8
    arguments.ssim_weight = comparison.ssim_weight
    parts = _empty(comparison)
    tensors: dict[str, Tensor | None] = {
        "image": image,
        "target": target,
        "loss": parts.loss,
        "sums": parts.sums,
        "v_image": parts.gradient if comparison.gradient_wanted else None,
        "scratch": memory.scratch(image, module.loss_scratch_bytes(arguments)),
    }
    kept = launch.addresses(arguments, tensors)
    launch.run("loss", arguments)
    del kept
    return parts


l1_ssim = register("l1_ssim", _l1_ssim, _empty, takes=(Comparison,), gives=LossParts)
