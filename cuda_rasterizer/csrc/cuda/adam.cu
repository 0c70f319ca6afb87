// One Adam step (Kingma and Ba 2015), fused: each number of parameter, gradient and both moments is read once and written
// once, a thread per number, which is all that bounds it. Rows that are not visible are left alone when asked for.
#include <cmath>

#include "cuda/stages.h"

namespace splat {

namespace {

constexpr int THREADS = 256;

struct AdamStep {
    float beta1, beta2, eps, step_size, inverse_root_correction2;
};

__global__ __launch_bounds__(THREADS) void adam_numbers(AdamArguments a, AdamStep step) {
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= a.rows * a.columns) return;
    if (a.visible && !reinterpret_cast<const uint8_t*>(a.visible)[i / a.columns]) return;
    float &m = reinterpret_cast<float*>(a.exp_avg)[i], &v = reinterpret_cast<float*>(a.exp_avg_sq)[i];
    const float g = reinterpret_cast<const float*>(a.gradient)[i];
    m = step.beta1 * m + (1.0f - step.beta1) * g;
    v = step.beta2 * v + (1.0f - step.beta2) * (g * g);
    reinterpret_cast<float*>(a.parameter)[i] -=
        step.step_size * (m / (square_root(v) * step.inverse_root_correction2 + step.eps));
}

}  // namespace

void cuda::adam(const AdamArguments& a) {
    check_cuda(cudaSetDevice(int(a.device)), "adam");
    const double correction1 = 1.0 - std::pow(a.beta1, double(a.step)), correction2 = 1.0 - std::pow(a.beta2, double(a.step));
    const AdamStep step = {float(a.beta1), float(a.beta2), float(a.eps), float(a.lr / correction1),
                           float(1.0 / std::sqrt(correction2))};
    SPLAT_LAUNCH(adam_numbers, dim3(blocks_for(a.rows * a.columns, THREADS)), dim3(THREADS), stream_of(a), a, step);
}

}  // namespace splat
