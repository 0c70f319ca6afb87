// Vectors of pixels: as wide as the instruction set that this file is compiled for, through the vector extensions of
// GCC and Clang, so that one source serves SSE, AVX2, AVX-512 and NEON.
#pragma once

#include <cstdint>
#include <cstring>

#include "math/scalar.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#define SPLAT_VECTOR_BYTES 64
#elif defined(__AVX2__)
#include <immintrin.h>
#define SPLAT_VECTOR_BYTES 32
#else
#define SPLAT_VECTOR_BYTES 16
#endif

SPLAT_NAMESPACE_BEGIN

template <class S> struct Simd;
template <> struct Simd<float> {
    typedef float Vector __attribute__((vector_size(SPLAT_VECTOR_BYTES)));
    typedef int32_t Mask __attribute__((vector_size(SPLAT_VECTOR_BYTES)));
    static constexpr int lanes = SPLAT_VECTOR_BYTES / 4;
};
template <> struct Simd<double> {
    typedef double Vector __attribute__((vector_size(SPLAT_VECTOR_BYTES)));
    typedef int64_t Mask __attribute__((vector_size(SPLAT_VECTOR_BYTES)));
    static constexpr int lanes = SPLAT_VECTOR_BYTES / 8;
};
typedef Simd<float>::Vector VFloat;
typedef Simd<float>::Mask VFloatMask;
typedef Simd<double>::Vector VDouble;
typedef Simd<double>::Mask VDoubleMask;

template <class S> SPLAT_HD typename Simd<S>::Vector load(const S* p) {
    typename Simd<S>::Vector v;
    memcpy(&v, p, sizeof v);
    return v;
}
template <class S, class V> SPLAT_HD void store(S* p, V v) { memcpy(p, &v, sizeof v); }

SPLAT_HD VFloat select(VFloatMask m, VFloat a, VFloat b) { return m ? a : b; }
SPLAT_HD VDouble select(VDoubleMask m, VDouble a, VDouble b) { return m ? a : b; }

#if defined(__AVX512F__)
SPLAT_HD VFloat smaller(VFloat a, VFloat b) { return (VFloat)_mm512_min_ps((__m512)a, (__m512)b); }
SPLAT_HD VFloat larger(VFloat a, VFloat b) { return (VFloat)_mm512_max_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)
SPLAT_HD VFloat smaller(VFloat a, VFloat b) { return (VFloat)_mm256_min_ps((__m256)a, (__m256)b); }
SPLAT_HD VFloat larger(VFloat a, VFloat b) { return (VFloat)_mm256_max_ps((__m256)a, (__m256)b); }
#else
SPLAT_HD VFloat smaller(VFloat a, VFloat b) { return select(a < b, a, b); }
SPLAT_HD VFloat larger(VFloat a, VFloat b) { return select(a > b, a, b); }
#endif
SPLAT_HD VDouble smaller(VDouble a, VDouble b) { return select(a < b, a, b); }

SPLAT_HD VFloat negative_magnitude(VFloat x) { return (VFloat)((VFloatMask)x | INT32_MIN); }
SPLAT_HD VDouble negative_magnitude(VDouble x) { return (VDouble)((VDoubleMask)x | INT64_MIN); }
SPLAT_HD VFloat magnitude(VFloat x) { return (VFloat)((VFloatMask)x & INT32_MAX); }
SPLAT_HD VDouble magnitude(VDouble x) { return (VDouble)((VDoubleMask)x & INT64_MAX); }

SPLAT_HD bool any(VFloatMask m) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)m) != 0;
#else
    int32_t all = 0;
    for (int i = 0; i < Simd<float>::lanes; ++i) all |= m[i];
    return all != 0;
#endif
}
SPLAT_HD bool any(VDoubleMask m) {
    int64_t all = 0;
    for (int i = 0; i < Simd<double>::lanes; ++i) all |= m[i];
    return all != 0;
}

// Sums the lanes by halves: the order is fixed, so the result is the same on every run.
SPLAT_HD float sum(VFloat v) {
    typedef float Four __attribute__((vector_size(16)));
    Four parts[SPLAT_VECTOR_BYTES / 16];
    memcpy(parts, &v, sizeof v);
    for (int width = SPLAT_VECTOR_BYTES / 32; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
    return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
}
SPLAT_HD double sum(VDouble v) {
    double total = 0;
    for (int i = 0; i < Simd<double>::lanes; ++i) total += v[i];
    return total;
}

// 2^x for x up to 126; anything below -64 gives a number below 2^-63. The polynomial is the minimax one of degree 5 on
// [-1/2, 1/2], with a relative error of 7.5e-8.
SPLAT_HD VFloat exp2_of(VFloat x) {
    x = larger(x, VFloat{} - 64.0f);
    const VFloat rounder = VFloat{} + 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    const VFloat shifted = x + rounder;
    const VFloat f = x - (shifted - rounder);
    VFloat p = f * 0.0013276472454890609f + 0.009675540961325169f;
    p = p * f + 0.05550713092088699f;
    p = p * f + 0.24022120237350464f;
    p = p * f + 0.6931469440460205f;
    p = p * f + 1.0000001192092896f;
    return (VFloat)((VFloatMask)p + ((VFloatMask)shifted << 23));
}
SPLAT_HD VDouble exp2_of(VDouble x) {
    for (int i = 0; i < Simd<double>::lanes; ++i) x[i] = exp2(x[i]);
    return x;
}

SPLAT_NAMESPACE_END
