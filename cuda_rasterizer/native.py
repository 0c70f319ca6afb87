"""Loads _splat_native, checks that it belongs to this source, and says what it was built with.

Nothing is loaded until a kernel is first needed, so importing the package works even where the build is broken, and
`splat doctor` can say why.
"""

import functools
import os
from types import ModuleType
from typing import Any

ABI = 1
"""Number of the layout shared with csrc/bindings.cpp."""


class NativeModuleError(ImportError):
    """The compiled module is missing or does not fit. The message says what to do."""


@functools.lru_cache(maxsize=1)
def load() -> ModuleType:
    """The compiled module.

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


def build_info() -> dict[str, Any]:
    """What the module was built with and what it chose on this processor.

    Returns:
        file, abi, compiler; cpu_isas: compiled instruction sets; cpu_isas_supported: those this processor runs, best
        first; cpu_isa: the one in use; cuda: None where there are no CUDA kernels in the build.
    """
    module = load()
    return {
        "file": module.__file__,
        "abi": module.ABI,
        "compiler": module.COMPILER,
        "cpu_isas": module.COMPILED_VARIANTS.split(),
        "cpu_isas_supported": list(module.supported_variants()),
        "cpu_isa": module.variant(),
        "cuda": None,
    }
