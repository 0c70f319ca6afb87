"""contribution: what every Gaussian does in the images, from the forward's stages and one more."""

from typing import NamedTuple

import torch
from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.checks import check_device, check_floats, check_shape
from splat.cuda_rasterizer.ops import launch, memory
from splat.cuda_rasterizer.ops.forward import draw
from splat.cuda_rasterizer.ops.inputs import check_inputs
from splat.cuda_rasterizer.ops.schema import Inputs, Limits, Options, Settings, register


class _Counting(NamedTuple):
    pixel_weights: Tensor | None  # [C, H, W], not negative
    max_intersections: int


class Contributions(NamedTuple):
    """Over all images, per Gaussian. The names are those of RenderArguments in csrc/arguments.h."""

    weight_sums: Tensor  # [N] float64, of the blend weights
    weight_maxima: Tensor  # [N]
    pixel_counts: Tensor  # [N] int64, pixels that it contributes to
    removal_changes: Tensor  # [N] float64, sum of the images' squared changes if only this Gaussian were left out


def _empty(inputs: Inputs) -> Contributions:
    like, count = inputs.means, inputs.means.shape[0]
    return Contributions(
        weight_sums=memory.empty(like, count, dtype=torch.float64),
        weight_maxima=memory.empty(like, count),
        pixel_counts=memory.empty(like, count, dtype=torch.int64),
        removal_changes=memory.empty(like, count, dtype=torch.float64),
    )


def _contribution(inputs: Inputs, options: Options, counting: _Counting) -> Contributions:
    drawn = draw(inputs, options, Limits(counting.max_intersections, intersection_capacity=0))
    arguments, kept = drawn.arguments, drawn.kept
    found = _empty(inputs)
    if not native.is_cuda(inputs.means.device):
        with memory.explained(options, arguments.intersection_count):
            intersections = memory.empty(
                inputs.means, max(1, arguments.intersection_count), native.load().CONTRIBUTIONS
            )
        kept += launch.addresses(arguments, {"intersection_gradients": intersections})
    kept += launch.addresses(arguments, {**found._asdict(), "pixel_weights": counting.pixel_weights})
    launch.run("contribution", arguments)
    del drawn, kept
    return found


def _fake(inputs: Inputs, options: Options, counting: _Counting) -> Contributions:
    return _empty(inputs)


_operator = register("contribution", _contribution, _fake, takes=(Inputs, Options, _Counting), gives=Contributions)


def contribution(
    inputs: Inputs,  # features: None
    *,
    pixel_weights: Tensor | None,  # [C, H, W], not negative
    width: int,
    height: int,
    sh_degree: int,
    settings: Settings,
) -> Contributions:
    """What every Gaussian does in the images. `splat.contribution` is the comfortable way.

    Raises:
        ValueError: a shape, dtype or device does not fit, or a weight is negative.
        TooManyIntersectionsError: more than settings.max_intersections intersections.
        RuntimeError: no kernels for the tensors' device.
    """
    check_inputs(inputs, width, height, sh_degree)
    if pixel_weights is not None:
        check_shape("pixel_weights", pixel_weights, (inputs.viewmats.shape[0], height, width), "one image per camera")
        check_floats({"means": inputs.means, "pixel_weights": pixel_weights})
        check_device({"means": inputs.means, "pixel_weights": pixel_weights})
        if bool((pixel_weights < 0).any()):
            raise ValueError("pixel_weights: expected no negative number, got " + f"{float(pixel_weights.min()):.3g}")
    options = Options.of(settings, width=width, height=height, sh_degree=sh_degree, with_depth=False)
    counting = _Counting(pixel_weights, Limits.of(settings).max_intersections)
    return _operator(inputs, options, counting)
