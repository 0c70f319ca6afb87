// One Adam step (Kingma and Ba 2015), fused: each number of parameter, gradient and both moments is read once and
// written once, which is all that bounds it. Rows that are not visible are left alone, moments included, when asked for.
#include "math/adam.h"

#include "cpu/optimization.h"
#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

void update(const AdamStep& step, float* parameter, const float* gradient, float* exp_avg, float* exp_avg_sq,
            int64_t count) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) adam_update(step, gradient[i], parameter[i], exp_avg[i], exp_avg_sq[i]);
}

void adam_of(const AdamArguments& a, const AdamParameter& p) {
    if (p.rows * p.columns == 0) return;
    const double* clock = at<const double>(a.clock);
    const AdamStep step =
        make_adam_step(a.beta1, a.beta2, a.eps, clock ? clock[0] : double(a.step), clock ? p.lr * clock[1] : p.lr);
    const uint8_t* visible = at<const uint8_t>(a.visible);
    const int64_t rows_per_task = p.columns < 16384 ? 16384 / p.columns : 1;
    parallel_chunks(a.threads, p.rows, rows_per_task, [&](int64_t begin, int64_t end, int) {
        const auto update_rows = [&](int64_t first, int64_t last) {
            const int64_t offset = first * p.columns;
            update(step, at<float>(p.parameter) + offset, at<const float>(p.gradient) + offset,
                   at<float>(p.exp_avg) + offset, at<float>(p.exp_avg_sq) + offset, (last - first) * p.columns);
        };
        if (!visible) return update_rows(begin, end);
        for (int64_t row = begin; row < end;) {  // runs of visible rows
            while (row < end && !visible[row]) ++row;
            const int64_t first = row;
            while (row < end && visible[row]) ++row;
            if (row > first) update_rows(first, row);
        }
    });
}

}  // namespace

void adam(const AdamArguments& a) {
    for (int64_t k = 0; k < a.parameters; ++k) adam_of(a, a.parameter[k]);
}

SPLAT_NAMESPACE_END
