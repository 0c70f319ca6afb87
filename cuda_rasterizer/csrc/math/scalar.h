// Elementary functions under one name for float and double, on the host and on the device.
#pragma once

#include <math.h>

#include "variant.h"

SPLAT_NAMESPACE_BEGIN

SPLAT_HD float square_root(float x) { return sqrtf(x); }
SPLAT_HD double square_root(double x) { return sqrt(x); }
SPLAT_HD float exponential(float x) { return expf(x); }
SPLAT_HD double exponential(double x) { return exp(x); }
SPLAT_HD float log_base2(float x) { return log2f(x); }
SPLAT_HD double log_base2(double x) { return log2(x); }
SPLAT_HD float magnitude(float x) { return fabsf(x); }
SPLAT_HD double magnitude(double x) { return fabs(x); }

template <class S> SPLAT_HD S smaller(S a, S b) { return a < b ? a : b; }
template <class S> SPLAT_HD S larger(S a, S b) { return a > b ? a : b; }
#if defined(__CUDA_ARCH__)
// One instruction each, where the above are two.
SPLAT_HD float smaller(float a, float b) { return fminf(a, b); }
SPLAT_HD float larger(float a, float b) { return fmaxf(a, b); }
#endif
template <class S> SPLAT_HD S clamp(S x, S low, S high) { return smaller(larger(x, low), high); }

SPLAT_HD float exp2_of(float x) {
#if defined(__CUDA_ARCH__)
    float y;  // one instruction, 2 ulp; results below 2^-126 become 0
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}
SPLAT_HD double exp2_of(double x) { return exp2(x); }

// a / b and the square root, on a GPU within 2 ulp and a fraction of the instructions: for tests that allow for rounding,
// and for derivatives. Numbers below 2^-126 count as 0.
template <class V> SPLAT_HD V approximate_quotient(V a, V b) { return a / b; }
template <class S> SPLAT_HD S approximate_root(S x) { return square_root(x); }
#if defined(__CUDA_ARCH__)
SPLAT_HD float approximate_quotient(float a, float b) {
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(b));
    return a * inverse;
}
SPLAT_HD float approximate_root(float x) {
    float root;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
}
#endif

// One pixel's fraction of what compositing does with vectors of pixels (see cpu/simd.h).
template <class S> SPLAT_HD S select(bool condition, S a, S b) { return condition ? a : b; }
template <class S> SPLAT_HD S negative_magnitude(S x) { return -magnitude(x); }

// False for NaN and both infinities.
template <class S> SPLAT_HD bool is_finite(S x) { return x - x == S(0); }

// exp(-x) is infinite for very negative x, and 1 / (1 + inf) is 0: the limits are right without a branch.
template <class S> SPLAT_HD S sigmoid(S x) { return S(1) / (S(1) + exponential(-x)); }
template <class S> SPLAT_HD S sigmoid_vjp(S y, S v_y) { return v_y * y * (S(1) - y); }

SPLAT_NAMESPACE_END
