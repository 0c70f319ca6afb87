"""rasterize_backward: from the gradients with respect to the images to those with respect to all that was drawn."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops import launch, memory
from splat.cuda_rasterizer.ops.adam import FusedAdam
from splat.cuda_rasterizer.ops.schema import (
    Gradients,
    Inputs,
    Options,
    OtherGradients,
    OutputGradients,
    State,
    Wanted,
    register,
)

TAKES = (Inputs, State, OutputGradients, Options, Wanted)
"""What the backwards take, fused with an optimizer or not."""


def backpropagate(
    inputs: Inputs,
    state: State,
    upstream: OutputGradients,
    options: Options,
    wanted: Wanted,
    gradients: Mapping[str, Tensor],
    fused: FusedAdam | None = None,
) -> None:
    """Run the stages of the backward.

    Args:
        gradients: what is written, under the names of `Gradients`.
        fused: a step to take, in place of writing the gradients with respect to the Gaussians' parameters.
    """
    module = native.load()
    arguments, kept = launch.render_arguments(inputs, options)
    if fused is not None:
        _fuse(arguments, fused)
    skipped = {
        "v_features": not wanted.features_wanted,
        "v_viewmats": not wanted.cameras_wanted,
        "v_Ks": not wanted.cameras_wanted,
        "v_mean2d": not wanted.mean2d_wanted,
        "v_mean2d_abs": not wanted.mean2d_abs_wanted,
        "intersection_offsets": not state.intersection_offsets.numel(),
    }
    given = {**state._asdict(), **upstream._asdict(), **gradients}
    kept += launch.addresses(arguments, {name: tensor for name, tensor in given.items() if not skipped.get(name)})
    arguments.intersection_count = state.intersections.shape[0]
    with memory.explained(options, arguments.intersection_count):
        rows, floats = module.gradient_rows(arguments), module.intersection_gradient_floats(arguments)
        intersection_gradients = memory.empty(inputs.means, max(1, rows), floats)
        scratch = memory.scratch(inputs.means, module.backward_scratch_bytes(arguments))
    kept += launch.addresses(arguments, {"intersection_gradients": intersection_gradients, "scratch": scratch})
    launch.run("rasterize_backward", arguments)
    launch.run("project_backward", arguments)


def _fuse(arguments: Any, fused: FusedAdam) -> None:
    for parameter, moments in enumerate(zip(fused.exp_avg, fused.exp_avg_sq, fused.lr, strict=True)):
        exp_avg, exp_avg_sq, lr = moments
        arguments.fuse_adam(parameter, exp_avg.data_ptr(), exp_avg_sq.data_ptr(), lr)
    arguments.adam_step, arguments.adam_visible_only = fused.step, fused.visible_only
    arguments.adam_beta1, arguments.adam_beta2, arguments.adam_eps = fused.beta1, fused.beta2, fused.eps


def gradients_of(inputs: Inputs, wanted: Wanted) -> Gradients:
    """Room for all gradients, uninitialized."""
    own = [memory.empty(inputs.means, parameter.shape) for parameter in inputs.parameters]
    return Gradients._make([*own, *other_gradients_of(inputs, wanted)])


def other_gradients_of(inputs: Inputs, wanted: Wanted) -> OtherGradients:
    """Room for the gradients with respect to everything but the Gaussians' own parameters, uninitialized."""
    like, probe = inputs.means, (inputs.viewmats.shape[0], inputs.means.shape[0], 2)
    features = inputs.features.shape if wanted.features_wanted and inputs.features is not None else (0,)
    return OtherGradients(
        v_features=memory.empty(like, features),
        v_viewmats=memory.empty(like, inputs.viewmats.shape if wanted.cameras_wanted else (0,)),
        v_Ks=memory.empty(like, inputs.Ks.shape if wanted.cameras_wanted else (0,)),
        v_mean2d=memory.empty(like, probe if wanted.mean2d_wanted else (0,)),
        v_mean2d_abs=memory.empty(like, probe if wanted.mean2d_abs_wanted else (0,)),
    )


def all_gradients(
    inputs: Inputs, state: State, upstream: OutputGradients, options: Options, wanted: Wanted
) -> Gradients:
    """All gradients; those that are not wanted are empty."""
    gradients = gradients_of(inputs, wanted)
    backpropagate(inputs, state, upstream, options, wanted, gradients._asdict())
    return gradients


def _fake(inputs: Inputs, state: State, upstream: OutputGradients, options: Options, wanted: Wanted) -> Gradients:
    return gradients_of(inputs, wanted)


rasterize_backward = register("rasterize_backward", all_gradients, _fake, takes=TAKES, gives=Gradients)
