// One Adam step (Kingma and Ba 2015), fused: each number of parameter, gradient and both moments is read once and
// written once, which is all that bounds it. Rows that are not visible are left alone, moments included, when asked for.
#include "cpu/optimization.h"
#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

struct AdamStep {
    float beta1, beta2, eps, step_size, inverse_root_correction2;

    void update(float* parameter, const float* gradient, float* exp_avg, float* exp_avg_sq, int64_t count) const {
        const float rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
#pragma GCC ivdep
        for (int64_t i = 0; i < count; ++i) {
            const float g = gradient[i];
            const float m = beta1 * exp_avg[i] + rest1 * g;
            const float v = beta2 * exp_avg_sq[i] + rest2 * (g * g);
            exp_avg[i] = m, exp_avg_sq[i] = v;
            parameter[i] -= step_size * (m / (square_root(v) * inverse_root_correction2 + eps));
        }
    }
};

}  // namespace

void adam(const AdamArguments& a) {
    const double correction1 = 1.0 - pow(a.beta1, double(a.step)), correction2 = 1.0 - pow(a.beta2, double(a.step));
    const AdamStep step = {float(a.beta1), float(a.beta2), float(a.eps), float(a.lr / correction1),
                           float(1.0 / sqrt(correction2))};
    const uint8_t* visible = at<const uint8_t>(a.visible);
    const int64_t rows_per_task = a.columns < 16384 ? 16384 / a.columns : 1;
    parallel_chunks(a.threads, a.rows, rows_per_task, [&](int64_t begin, int64_t end, int) {
        const auto update = [&](int64_t first, int64_t last) {
            const int64_t offset = first * a.columns;
            step.update(at<float>(a.parameter) + offset, at<const float>(a.gradient) + offset,
                        at<float>(a.exp_avg) + offset, at<float>(a.exp_avg_sq) + offset, (last - first) * a.columns);
        };
        if (!visible) return update(begin, end);
        for (int64_t row = begin; row < end;) {  // runs of visible rows
            while (row < end && !visible[row]) ++row;
            const int64_t first = row;
            while (row < end && visible[row]) ++row;
            if (row > first) update(first, row);
        }
    });
}

SPLAT_NAMESPACE_END
