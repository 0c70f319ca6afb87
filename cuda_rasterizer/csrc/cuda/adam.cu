// One Adam step of several parameters in one launch, fused: each number of parameter, gradient and both moments is read
// once and written once. Bound by memory, so that a thread takes four numbers in one piece where addresses allow it. Rows
// that are not visible are left alone when asked for. The step's constants come from the host, unless there is a clock on
// the device: then each block computes them.
#include "cuda/stages.h"
#include "math/adam.h"

namespace splat {

namespace {

constexpr int THREADS = 256, FOUR = 4;

// A parameter as the kernel sees it.
struct AdamPart {
    float* parameter;
    const float* gradient;
    float *exp_avg, *exp_avg_sq;
    int64_t count, columns;
    double lr;
    AdamStep step;         // without a clock
    unsigned first_block;  // the first of the blocks that take this parameter
    bool aligned;          // four numbers may be read at once
    bool narrow;           // 32 bits can count the numbers
};
struct AdamParts {
    AdamPart part[ADAM_PARAMETERS_MAX];
    int count;
    const uint8_t* visible;
    const double* clock;
    double beta1, beta2, eps;
};

// Which of the numbers first, first + 1, ... belong to visible rows: a bit for each of four.
SPLAT_DEVICE unsigned visible_numbers(const uint8_t* visible, const AdamPart& part, int64_t first) {
    int64_t row = part.narrow ? int64_t(uint32_t(first) / uint32_t(part.columns)) : first / part.columns;
    int64_t column = first - row * part.columns;
    unsigned numbers = 0;
#pragma unroll
    for (int k = 0; k < FOUR && first + k < part.count; ++k) {
        if (visible[row]) numbers |= 1u << k;
        if (++column == part.columns) column = 0, ++row;
    }
    return numbers;
}

SPLAT_DEVICE void update_four(const AdamStep& step, const AdamPart& part, int64_t first, unsigned numbers) {
    const float4 gradient = *reinterpret_cast<const float4*>(part.gradient + first);
    float4& at_parameter = *reinterpret_cast<float4*>(part.parameter + first);
    float4& at_exp_avg = *reinterpret_cast<float4*>(part.exp_avg + first);
    float4& at_exp_avg_sq = *reinterpret_cast<float4*>(part.exp_avg_sq + first);
    float4 parameter = at_parameter, exp_avg = at_exp_avg, exp_avg_sq = at_exp_avg_sq;
    if (numbers & 1) adam_update(step, gradient.x, parameter.x, exp_avg.x, exp_avg_sq.x);
    if (numbers & 2) adam_update(step, gradient.y, parameter.y, exp_avg.y, exp_avg_sq.y);
    if (numbers & 4) adam_update(step, gradient.z, parameter.z, exp_avg.z, exp_avg_sq.z);
    if (numbers & 8) adam_update(step, gradient.w, parameter.w, exp_avg.w, exp_avg_sq.w);
    at_parameter = parameter, at_exp_avg = exp_avg, at_exp_avg_sq = exp_avg_sq;
}

template <bool CLOCK> __global__ __launch_bounds__(THREADS) void adam_numbers(AdamParts parts) {
    int k = 0;
#pragma unroll
    for (int i = 1; i < ADAM_PARAMETERS_MAX; ++i)
        if (i < parts.count && blockIdx.x >= parts.part[i].first_block) k = i;
    const AdamPart& part = parts.part[k];
    AdamStep step = part.step;
    if (CLOCK) {
        __shared__ AdamStep shared_step;
        if (threadIdx.x == 0)
            shared_step = make_adam_step(parts.beta1, parts.beta2, parts.eps, parts.clock[0], part.lr * parts.clock[1]);
        __syncthreads();
        step = shared_step;
    }
    const int64_t first = (int64_t(blockIdx.x - part.first_block) * THREADS + threadIdx.x) * FOUR;
    if (first >= part.count) return;
    const unsigned numbers = parts.visible ? visible_numbers(parts.visible, part, first) : ~0u;
    if (numbers == 0) return;
    if (part.aligned && first + FOUR <= part.count) return update_four(step, part, first, numbers);
    for (int i = 0; i < FOUR && first + i < part.count; ++i)
        if (numbers >> i & 1)
            adam_update(step, part.gradient[first + i], part.parameter[first + i], part.exp_avg[first + i],
                        part.exp_avg_sq[first + i]);
}

}  // namespace

void cuda::adam(const AdamArguments& a) {
    const DeviceScope scope(a.device);
    AdamParts parts = {};
    parts.visible = at<const uint8_t>(a.visible), parts.clock = at<const double>(a.clock);
    parts.beta1 = a.beta1, parts.beta2 = a.beta2, parts.eps = a.eps;
    unsigned blocks = 0;
    for (int64_t k = 0; k < a.parameters; ++k) {
        const AdamParameter& p = a.parameter[k];
        const int64_t count = p.rows * p.columns;
        if (count == 0) continue;
        const bool aligned = (p.parameter | p.gradient | p.exp_avg | p.exp_avg_sq) % sizeof(float4) == 0;
        parts.part[parts.count++] = {at<float>(p.parameter),
                                     at<const float>(p.gradient),
                                     at<float>(p.exp_avg),
                                     at<float>(p.exp_avg_sq),
                                     count,
                                     p.columns,
                                     p.lr,
                                     make_adam_step(a.beta1, a.beta2, a.eps, double(a.step), p.lr),
                                     blocks,
                                     aligned,
                                     count <= UINT32_MAX};
        blocks += blocks_for(count, THREADS * FOUR);
    }
    if (blocks == 0) return;
    const auto adam_kernel = a.clock ? adam_numbers<true> : adam_numbers<false>;
    SPLAT_LAUNCH(adam_kernel, dim3(blocks), dim3(THREADS), stream_of(a), parts);
}

}  // namespace splat
