"""Where to compute."""

import torch

from splat.cuda_rasterizer.native import build_info
from splat.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is the first GPU where the build and the machine have one.

    Raises:
        InputError: there is no such device, or no kernels for it.
    """
    kernels = build_info()["cuda"] is not None
    if name == "auto":
        return torch.device("cuda", 0) if kernels and torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"`device` must be auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda":
        if not kernels:
            raise InputError(
                f"`device` {name}: this build has no CUDA kernels. Install the CUDA toolkit (nvcc) and run "
                "`pip install .` again, or use `device` cpu"
            )
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise InputError(f"`device` {name}: torch sees {torch.cuda.device_count()} GPUs; `splat doctor` tells more")
    return device
