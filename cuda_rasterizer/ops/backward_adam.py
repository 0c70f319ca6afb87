"""rasterize_backward_adam: the backward, with a step of Adam in place of the gradients that only the step would read."""

import torch

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops.adam import AdamStep, FusedAdam, step_in_place
from splat.cuda_rasterizer.ops.backward import TAKES, all_gradients, backpropagate, other_gradients_of
from splat.cuda_rasterizer.ops.schema import (
    PARAMETERS,
    Inputs,
    Options,
    OtherGradients,
    OutputGradients,
    State,
    Wanted,
    register,
)


def _rasterize_backward_adam(
    inputs: Inputs, state: State, upstream: OutputGradients, options: Options, wanted: Wanted, fused: FusedAdam
) -> OtherGradients:
    """Fused in the CUDA kernels for float32, one after the other elsewhere."""
    if native.is_cuda(inputs.means.device) and inputs.means.dtype == torch.float32:
        others = other_gradients_of(inputs, wanted)
        backpropagate(inputs, state, upstream, options, wanted, others._asdict(), fused)
        return others
    gradients = all_gradients(inputs, state, upstream, options, wanted)
    visible = None
    if fused.visible_only:
        visible = (state.intersection_offsets.diff() > 0).view(-1, len(inputs.means)).any(dim=0)
    step_in_place(
        AdamStep(
            parameters=list(inputs.parameters),
            gradients=list(gradients.parameters),
            exp_avg=fused.exp_avg,
            exp_avg_sq=fused.exp_avg_sq,
            lr=fused.lr,
            visible=visible,
            clock=None,
            step=fused.step,
            beta1=fused.beta1,
            beta2=fused.beta2,
            eps=fused.eps,
        )
    )
    return gradients.others


def _fake(
    inputs: Inputs, state: State, upstream: OutputGradients, options: Options, wanted: Wanted, fused: FusedAdam
) -> OtherGradients:
    return other_gradients_of(inputs, wanted)


rasterize_backward_adam = register(
    "rasterize_backward_adam",
    _rasterize_backward_adam,
    _fake,
    takes=(*TAKES, FusedAdam),
    gives=OtherGradients,
    changes=(*PARAMETERS, "exp_avg", "exp_avg_sq"),
)
