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

}  // namespace

void adam(const AdamArguments& a) {
    const AdamStep step = adam_step_of(a);
    const uint8_t* visible = at<const uint8_t>(a.visible);
    const int64_t rows_per_task = a.columns < 16384 ? 16384 / a.columns : 1;
    parallel_chunks(a.threads, a.rows, rows_per_task, [&](int64_t begin, int64_t end, int) {
        const auto update_rows = [&](int64_t first, int64_t last) {
            const int64_t offset = first * a.columns;
            update(step, at<float>(a.parameter) + offset, at<const float>(a.gradient) + offset,
                   at<float>(a.exp_avg) + offset, at<float>(a.exp_avg_sq) + offset, (last - first) * a.columns);
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

SPLAT_NAMESPACE_END
