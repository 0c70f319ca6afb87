"""adam_step: Adam in place (Kingma and Ba 2015), of several parameters at once; and what a step inside the backward takes."""

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
    """What the operator `adam_step` takes. The lists have an element for every parameter."""

    parameters: list[Tensor]
    gradients: list[Tensor]
    exp_avg: list[Tensor]
    exp_avg_sq: list[Tensor]
    lr: list[float]
    visible: Tensor | None
    clock: Tensor | None
    step: int
    beta1: float
    beta2: float
    eps: float


def step_in_place(take: AdamStep) -> NoResults:
    """Run the kernel, on as many parameters at once as it takes."""
    module = native.load()
    groups = zip(take.parameters, take.gradients, take.exp_avg, take.exp_avg_sq, take.lr, strict=True)
    every = [group for group in groups if group[0].numel() > 0]
    for begin in range(0, len(every), module.ADAM_PARAMETERS_MAX):
        some = every[begin : begin + module.ADAM_PARAMETERS_MAX]
        arguments = launch.on(some[0][0].device, module.AdamArguments())
        arguments.step, arguments.eps = take.step, take.eps
        arguments.beta1, arguments.beta2 = take.beta1, take.beta2
        kept = launch.addresses(arguments, {"visible": take.visible, "clock": take.clock})
        for parameter, gradient, exp_avg, exp_avg_sq, lr in some:
            kept.append(gradient.contiguous())
            arguments.add(
                rows=parameter.shape[0],
                columns=parameter.numel() // parameter.shape[0],
                lr=lr,
                parameter=parameter.data_ptr(),
                gradient=kept[-1].data_ptr(),
                exp_avg=exp_avg.data_ptr(),
                exp_avg_sq=exp_avg_sq.data_ptr(),
            )
        launch.run("adam", arguments)
        del kept
    return NoResults()


_operator = register(
    "adam_step",
    step_in_place,
    lambda _: NoResults(),
    takes=(AdamStep,),
    gives=NoResults,
    changes=("parameters", "exp_avg", "exp_avg_sq"),
)


def adam_steps(
    parameters: Sequence[Tensor],  # each [N, ...] float32, contiguous, changed in place
    gradients: Sequence[Tensor],  # like parameters
    exp_avg: Sequence[Tensor],  # like parameters, changed in place
    exp_avg_sq: Sequence[Tensor],  # like parameters, changed in place
    lr: Sequence[float],  # a learning rate for each
    *,
    step: int = 1,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
    visible: Tensor | None = None,  # [N] bool
    clock: Tensor | None = None,  # [2] float64
) -> None:
    """One step of Adam (Kingma and Ba 2015) of several parameters in place, in one kernel.

    Args:
        step: number of this step, counted from 1, for the bias correction.
        clock: the step, and a factor that all learning rates are multiplied with, on the parameters' device. They are
            read when the kernel runs, instead of `step` and 1: a captured CUDA graph can be replayed as they change.
        visible: rows that are not are left alone, moments included (sparse Adam); all rows unless given. All parameters
            then have the same rows.

    Raises:
        ValueError: a tensor is not float32, not contiguous, or not of its parameter's shape; the lists are not equally
            long; the parameters are not on one device.
    """
    if not len(parameters) == len(gradients) == len(exp_avg) == len(exp_avg_sq) == len(lr):
        raise ValueError(
            f"adam_step: gradients, moments and lr must be as many as parameters, got {len(parameters)} parameters, "
            f"{len(gradients)} gradients, {len(exp_avg)} exp_avg, {len(exp_avg_sq)} exp_avg_sq, {len(lr)} lr"
        )
    if not parameters:
        return
    device = parameters[0].device
    for group in zip(parameters, gradients, exp_avg, exp_avg_sq, strict=True):
        _check(group, device, visible)
    if clock is not None and (clock.dtype != torch.float64 or clock.shape != (2,) or clock.device != device):
        raise ValueError(
            f"adam_step: clock must be float64 [2] on {device}, got {clock.dtype} {list(clock.shape)} on {clock.device}"
        )
    if step < 1:
        raise ValueError(f"adam_step: step is counted from 1, got {step}")
    with torch.no_grad():
        _operator(
            AdamStep(
                parameters=list(parameters),
                gradients=list(gradients),
                exp_avg=list(exp_avg),
                exp_avg_sq=list(exp_avg_sq),
                lr=list(lr),
                visible=visible,
                clock=clock,
                step=step,
                beta1=beta1,
                beta2=beta2,
                eps=eps,
            )
        )


def _check(group: tuple[Tensor, Tensor, Tensor, Tensor], device: torch.device, visible: Tensor | None) -> None:
    """Of a parameter, its gradient and its moments."""
    parameter = group[0]
    for name, tensor in zip(("parameter", "gradient", "exp_avg", "exp_avg_sq"), group, strict=True):
        if tensor.dtype != torch.float32 or tensor.shape != parameter.shape:
            raise ValueError(
                f"adam_step: {name} must be float32 of shape {list(parameter.shape)}, got {tensor.dtype} {list(tensor.shape)}"
            )
        if name != "gradient" and not tensor.is_contiguous():
            raise ValueError(f"adam_step: {name} is changed in place and must be contiguous")
        if tensor.device != device:
            raise ValueError(f"adam_step: {name} must be on {device} as the first parameter, got {tensor.device}")
    if visible is not None and (visible.dtype != torch.bool or visible.shape != parameter.shape[:1]):
        raise ValueError(
            f"adam_step: visible must be bool of shape {list(parameter.shape[:1])}, got {visible.dtype} {list(visible.shape)}"
        )


def adam_step(
    parameter: Tensor,  # [N, ...] float32, contiguous, changed in place
    gradient: Tensor,  # like parameter
    exp_avg: Tensor,  # like parameter, changed in place
    exp_avg_sq: Tensor,  # like parameter, changed in place
    *,
    step: int = 1,
    lr: float | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
    visible: Tensor | None = None,  # [N] bool
    clock: Tensor | None = None,  # [2] float64
) -> None:
    """`adam_steps` of one parameter. With a clock, whose second number `lr` is multiplied with, `lr` may be left out.

    Raises:
        ValueError: as `adam_steps`; neither lr nor a clock is given.
    """
    if lr is None and clock is None:
        raise ValueError("adam_step: give lr, or a clock that holds it")
    adam_steps(
        [parameter],
        [gradient],
        [exp_avg],
        [exp_avg_sq],
        [1.0 if lr is None else lr],
        step=step,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        visible=visible,
        clock=clock,
    )
