// One Adam step of one number (Kingma and Ba 2015).
#pragma once

#include "arguments.h"
#include "math/scalar.h"

SPLAT_NAMESPACE_BEGIN

struct AdamStep {
    float beta1, beta2, eps, step_size, inverse_root_correction2;
};

SPLAT_HD AdamStep make_adam_step(double beta1, double beta2, double eps, double step, double lr) {
    const double correction1 = 1.0 - pow(beta1, step), correction2 = 1.0 - pow(beta2, step);
    return {float(beta1), float(beta2), float(eps), float(lr / correction1), float(1.0 / sqrt(correction2))};
}

SPLAT_HD void adam_update(const AdamStep& step, float gradient, float& parameter, float& exp_avg, float& exp_avg_sq) {
    const float m = step.beta1 * exp_avg + (1.0f - step.beta1) * gradient;
    const float v = step.beta2 * exp_avg_sq + (1.0f - step.beta2) * (gradient * gradient);
    exp_avg = m, exp_avg_sq = v;
    parameter -= step.step_size * (m / (square_root(v) * step.inverse_root_correction2 + step.eps));
}

SPLAT_NAMESPACE_END
