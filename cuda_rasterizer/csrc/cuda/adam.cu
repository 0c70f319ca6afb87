// One Adam step, fused: each number of parameter, gradient and both moments is read once and written once, a thread per
// number, which is all that bounds it. Rows that are not visible are left alone when asked for. The step's constants are
// computed once per block: their inputs may lie on the device.
#include "cuda/stages.h"
#include "math/adam.h"

namespace splat {

namespace {

constexpr int THREADS = 256;

__global__ __launch_bounds__(THREADS) void adam_numbers(AdamArguments a) {
    __shared__ AdamStep step;
    if (threadIdx.x == 0) step = adam_step_of(a);
    __syncthreads();
    const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= a.rows * a.columns) return;
    if (a.visible && !at<const uint8_t>(a.visible)[i / a.columns]) return;
    adam_update(step, at<const float>(a.gradient)[i], at<float>(a.parameter)[i], at<float>(a.exp_avg)[i],
                at<float>(a.exp_avg_sq)[i]);
}

}  // namespace

void cuda::adam(const AdamArguments& a) {
    const DeviceScope scope(a.device);
    SPLAT_LAUNCH(adam_numbers, dim3(blocks_for(a.rows * a.columns, THREADS)), dim3(THREADS), stream_of(a), a);
}

}  // namespace splat
