#include "cpu/dispatch.h"

namespace splat {

extern const Kernels kernels_baseline;
#if defined(SPLAT_HAS_AVX2)
extern const Kernels kernels_avx2;
#endif
#if defined(SPLAT_HAS_AVX512)
extern const Kernels kernels_avx512;
#endif

const Kernels* const* supported_kernels() {
    static const Kernels* list[4] = {};
    static const bool filled = [] {
        int n = 0;
#if defined(SPLAT_HAS_AVX512)
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
            list[n++] = &kernels_avx512;
#endif
#if defined(SPLAT_HAS_AVX2)
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
            list[n++] = &kernels_avx2;
#endif
        list[n++] = &kernels_baseline;
        return n > 0;
    }();
    (void)filled;
    return list;
}

const char* compiled_variants() {
    return "baseline"
#if defined(SPLAT_HAS_AVX2)
           " avx2"
#endif
#if defined(SPLAT_HAS_AVX512)
           " avx512"
#endif
        ;
}

}  // namespace splat
