// Structural similarity at one pixel from blurred products (Wang et al. 2004), and its derivative; the window is that of
// Kerbl et al. 2023: 11 x 11, a Gaussian of sigma 1.5, separable.
#pragma once

#include "math/scalar.h"

SPLAT_NAMESPACE_BEGIN

constexpr int SSIM_RADIUS = 5, SSIM_TAPS = 2 * SSIM_RADIUS + 1;

SPLAT_HD constexpr float ssim_tap(int k) {
    constexpr float taps[SSIM_TAPS] = {0.00102838f, 0.00759876f, 0.03600077f, 0.10936069f, 0.21300554f, 0.26601172f,
                                       0.21300554f, 0.10936069f, 0.03600077f, 0.00759876f, 0.00102838f};
    return taps[k];
}

SPLAT_HD float ssim_reciprocal(float x) {
#if defined(__CUDA_ARCH__)
    float y;  // one instruction, 1 ulp
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return 1.0f / x;
#endif
}

// The value, and its derivatives with respect to the blurred x, x^2 and x y.
struct Ssim {
    float value, by_mean, by_square, by_product;
};

SPLAT_HD Ssim ssim_of(float mean_x, float mean_y, float xx, float yy, float xy) {
    constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
    const float var_x = xx - mean_x * mean_x, var_y = yy - mean_y * mean_y, cov = xy - mean_x * mean_y;
    const float A = 2 * mean_x * mean_y + C1, B = 2 * cov + C2;
    const float D = ssim_reciprocal(mean_x * mean_x + mean_y * mean_y + C1), E = ssim_reciprocal(var_x + var_y + C2);
    const float value = A * B * D * E;
    return {value, 2 * (mean_y * (B - A) * D * E - value * mean_x * (D - E)), -value * E, 2 * A * D * E};
}

SPLAT_NAMESPACE_END
