"""adam_step: Adam in place (Kingma and Ba 2015), of one parameter; and what a step inside the backward of a render takes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.checks import check_shape
from splat.cuda_rasterizer.ops import launch
from splat.cuda_rasterizer.ops.schema import PARAMETERS, NoResults, register


class FusedAdam(NamedTuple):
    """An Adam step that the backward of a render takes by itself, where no gradient is needed for anything else.

    The lists are in the order of means, quats, log_scales, logit_opacities, sh0, sh_rest.
    """

    exp_avg: list[Tensor]
    exp_avg_sq: list[Tensor]
    lr: list[float]
    step: int
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-15
    visible_only: bool = False

    def check(self, parameters: Sequence[Tensor]) -> None:
        """Parameters and moments are changed in place.

        Raises:
            ValueError: one is not float32, not contiguous or, a moment, not of its parameter's shape.
        """
        for name, parameter, *moments in zip(PARAMETERS, parameters, self.exp_avg, self.exp_avg_sq, strict=True):
            for tensor in (parameter, *moments):
                if tensor.dtype != torch.float32 or not tensor.is_contiguous():
                    raise ValueError(f"adam: {name} and its moments must be float32 and contiguous, got {tensor.dtype}")
                check_shape(f"a moment of {name}", tensor, parameter.shape, "as the parameter")


class AdamStep(NamedTuple):
    """What `adam_step` takes."""

    parameter: Tensor
    gradient: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    visible: Tensor | None
    clock: Tensor | None
    step: int
    lr: float
    beta1: float
    beta2: float
    eps: float


def step_in_place(take: AdamStep) -> NoResults:
    """Run the kernel."""
    parameter = take.parameter
    if parameter.numel() == 0:
        return NoResults()
    arguments = launch.on(parameter.device, native.load().AdamArguments())
    arguments.rows = parameter.shape[0]
    arguments.columns = parameter.numel() // parameter.shape[0]
    arguments.step, arguments.lr, arguments.eps = take.step, take.lr, take.eps
    arguments.beta1, arguments.beta2 = take.beta1, take.beta2
    tensors = {
        "parameter": parameter,
        "gradient": take.gradient,
        "exp_avg": take.exp_avg,
        "exp_avg_sq": take.exp_avg_sq,
        "visible": take.visible,
        "clock": take.clock,
    }
    kept = launch.addresses(arguments, tensors)
    launch.run("adam", arguments)
    del kept
    return NoResults()


_operator = register(
    "adam_step",
    step_in_place,
    lambda _: NoResults(),
    takes=(AdamStep,),
    gives=NoResults,
    changes=("parameter", "exp_avg", "exp_avg_sq"),
)


def adam_step(
    parameter: Tensor,  # [N, ...] float32, contiguous, changed in place
    gradient: Tensor,  # like parameter
    exp_avg: Tensor,  # like parameter, changed in place
    exp_avg_sq: Tensor,  # like parameter, changed in place
    *,
    step: int = 1,
    lr: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
    visible: Tensor | None = None,  # [N] bool
    clock: Tensor | None = None,  # [2] float64
) -> None:
    """One step of Adam (Kingma and Ba 2015) in place, fused.

    Args:
        step: number of this step, counted from 1, for the bias correction.
        clock: step and lr on the parameter's device, read when the kernel runs instead of the two numbers: a captured
            CUDA graph can be replayed as they change.
        visible: rows that are not are left alone, moments included (sparse Adam); all rows unless given.

    Raises:
        ValueError: a tensor is not float32, not contiguous, or not of the parameter's shape.
    """
    for name, tensor in {
        "parameter": parameter,
        "gradient": gradient,
        "exp_avg": exp_avg,
        "exp_avg_sq": exp_avg_sq,
    }.items():
        if tensor.dtype != torch.float32 or tensor.shape != parameter.shape:
            raise ValueError(
                f"adam_step: {name} must be float32 of shape {list(parameter.shape)}, got {tensor.dtype} {list(tensor.shape)}"
            )
        if name != "gradient" and not tensor.is_contiguous():
            raise ValueError(f"adam_step: {name} is changed in place and must be contiguous")
    if visible is not None and (visible.dtype != torch.bool or visible.shape != parameter.shape[:1]):
        raise ValueError(
            f"adam_step: visible must be bool of shape {list(parameter.shape[:1])}, got {visible.dtype} {list(visible.shape)}"
        )
    if clock is not None and (clock.dtype != torch.float64 or clock.shape != (2,) or clock.device != parameter.device):
        raise ValueError(
            f"adam_step: clock must be float64 [2] on {parameter.device}, got {clock.dtype} {list(clock.shape)} "
            f"on {clock.device}"
        )
    if step < 1:
        raise ValueError(f"adam_step: step is counted from 1, got {step}")
    with torch.no_grad():
        _operator(
            AdamStep(
                parameter=parameter,
                gradient=gradient,
                exp_avg=exp_avg,
                exp_avg_sq=exp_avg_sq,
                visible=visible,
                clock=clock,
                step=step,
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                eps=eps,
            )
        )
