"""The structs of arguments that the kernels take (csrc/arguments.h), and running a kernel with one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch._C._autograd import _profiler_enabled

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops.schema import Inputs, Options


def run(stage: str, arguments: Any) -> Any:
    """Run one kernel, under its own name in torch.profiler's traces."""
    kernel = getattr(native.load(), stage)
    if not _profiler_enabled():  # entering an empty record_function costs more than a small kernel's launch
        return kernel(arguments)
    with torch.profiler.record_function(f"splat::{stage}"):
        return kernel(arguments)


def on(device: torch.device, arguments: Any) -> Any:
    """Address the kernels for a device: torch's current stream of a GPU, or the CPU's threads.

    Raises:
        RuntimeError: the build has no CUDA kernels.
    """
    if device.type == "cuda":
        if not native.has_cuda(native.load()):
            raise RuntimeError(
                "the tensors are on a CUDA device, and this build has no CUDA kernels. Install the CUDA toolkit (nvcc) and "
                "run `pip install .` again, or move the scene to the CPU with .to('cpu'); `splat doctor` tells more"
            )
        arguments.device = torch.cuda.current_device() if device.index is None else device.index
        # What torch.cuda.current_stream wraps in an object, which takes ten times as long.
        arguments.stream = torch._C._cuda_getCurrentRawStream(arguments.device)
    elif hasattr(arguments, "threads"):
        arguments.threads = torch.get_num_threads()
    return arguments


def addresses(arguments: Any, tensors: Mapping[str, Tensor | None]) -> list[Tensor]:
    """Write the tensors' addresses; returns the tensors, contiguous, which must outlive the call."""
    kept = []
    for name, tensor in tensors.items():
        if tensor is not None:
            kept.append(tensor.contiguous())
            setattr(arguments, name, kept[-1].data_ptr())
    return kept


def render_arguments(inputs: Inputs, options: Options) -> tuple[Any, list[Tensor]]:
    """What all stages of a render take, and the tensors that must outlive the stages."""
    arguments = native.load().RenderArguments()
    arguments.gaussians = inputs.means.shape[0]
    arguments.cameras = inputs.viewmats.shape[0]
    arguments.sh_rest_count = inputs.sh_rest.shape[1]
    arguments.features_count = 0 if inputs.features is None else inputs.features.shape[-1]
    arguments.features_per_camera = inputs.features is not None and inputs.features.ndim == 3
    arguments.is_double = inputs.means.dtype == torch.float64
    for name, value in options._asdict().items():
        setattr(arguments, name, value)
    return on(inputs.means.device, arguments), addresses(arguments, inputs._asdict())
