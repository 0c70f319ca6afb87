// Where a function may run, and under which name.
//
// SPLAT_HD marks mathematics that the CPU kernels, the CUDA kernels and the emulated CUDA kernels all compile.
// SPLAT_VARIANT (baseline, avx2, avx512) is set by the build for the CPU kernels: it names an inline namespace, so that
// functions compiled for different instruction sets have different symbols and the linker can never mix them.
#pragma once

#if defined(__CUDACC__)
#define SPLAT_HD __host__ __device__ __forceinline__
#else
#define SPLAT_HD inline __attribute__((always_inline))
#endif

#if defined(SPLAT_VARIANT)
#define SPLAT_NAMESPACE_BEGIN \
    namespace splat {         \
    inline namespace SPLAT_VARIANT {
#define SPLAT_NAMESPACE_END \
    }                       \
    }
#else
#define SPLAT_NAMESPACE_BEGIN namespace splat {
#define SPLAT_NAMESPACE_END }
#endif
