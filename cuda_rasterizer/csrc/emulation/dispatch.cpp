// In the emulated module the CUDA kernels are what runs on the CPU.
#include "cpu/dispatch.h"

#include "cuda/kernels.h"

namespace splat {

const Kernels* const* supported_kernels() {
    static const Kernels* const list[] = {&kernels_cuda, nullptr};
    return list;
}

const char* compiled_variants() { return "cuda"; }

}  // namespace splat
