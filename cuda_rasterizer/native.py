"""Loads _splat_native, checks that it belongs to this source, and says what it was built with.

Nothing is loaded until a kernel is first needed, so importing the package works even where the build is broken, and
`splat doctor` can say why.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

ABI = 8
"""Number of the layout shared with csrc/bindings.cpp."""


class NativeModuleError(ImportError):
    """The compiled module is missing or does not fit. The message says what to do."""


_instead: ModuleType | None = None


def load() -> ModuleType:
    """The compiled module.

    Raises:
        NativeModuleError: see `_load`.
    """
    return _instead or _load()


@contextmanager
def using(module: ModuleType) -> Iterator[None]:
    """Use another module of the same layout for a while: the emulated CUDA kernels, in tests."""
    global _instead
    before, _instead = _instead, module
    try:
        yield
    finally:
        _instead = before


@functools.lru_cache(maxsize=1)
def _load() -> ModuleType:
    """Import the installed module.

    The environment variable SPLAT_CPU (baseline, avx2, avx512) overrides the choice of instruction set.

    Raises:
        NativeModuleError: the module cannot be imported, is of another version, or lacks the instruction set asked for.
    """
    try:
        import _splat_native as module
    except ImportError as error:
        raise NativeModuleError(
            f"the compiled module _splat_native cannot be loaded ({error}). Build it with `pip install .` in the "
            "checkout; it needs a C++17 compiler (Debian: apt install g++). `splat doctor` tells more."
        ) from error
    if module.ABI != ABI:
        raise NativeModuleError(
            f"the compiled module _splat_native ({module.__file__}) is of layout {module.ABI}, this source needs {ABI}. "
            "Run `pip install .` again in the checkout."
        )
    wanted = os.environ.get("SPLAT_CPU", "")
    if wanted:
        if wanted not in module.supported_variants():
            choices = ", ".join(module.supported_variants())
            raise NativeModuleError(f"SPLAT_CPU={wanted}: this build and processor offer {choices}")
        module.choose_variant(wanted)
    return module


def is_cuda(device: torch.device) -> bool:
    """Whether the CUDA kernels draw what lies on this device; those of the emulated module also do on the CPU."""
    return device.type == "cuda" or hasattr(load(), "set_seed")


def has_cuda(module: ModuleType) -> bool:
    """Whether a build has kernels for GPUs. Asked for every launch, so nothing of the driver is."""
    return hasattr(module, "CUDA_TOOLKIT")


def describe_cuda(module: ModuleType) -> dict[str, Any] | None:
    """The CUDA half of a build: toolkit, architectures, driver; None where there are no CUDA kernels."""
    if not has_cuda(module):
        return None

    def version(number: int) -> str | None:
        return f"{number // 1000}.{number % 1000 // 10}" if number else None

    return {
        "toolkit": version(module.CUDA_TOOLKIT),
        "architectures": module.CUDA_ARCHITECTURES.split(),
        "driver": version(module.cuda_driver_version()),
    }


def build_info() -> dict[str, Any]:
    """What the module was built with and what it chose on this processor.

    Returns:
        file, abi, compiler; cpu_isas: compiled instruction sets; cpu_isas_supported: those this processor runs, best
        first; cpu_isa: the one in use; cuda: toolkit, architectures and driver, or None without CUDA kernels.
    """
    module = load()
    return {
        "file": module.__file__,
        "abi": module.ABI,
        "compiler": module.COMPILER,
        "cpu_isas": module.COMPILED_VARIANTS.split(),
        "cpu_isas_supported": list(module.supported_variants()),
        "cpu_isa": module.variant(),
        "cuda": describe_cuda(module),
    }
