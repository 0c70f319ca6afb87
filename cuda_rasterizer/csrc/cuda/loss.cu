// The training loss (1 - w) L1 + w (1 - SSIM) and its gradient, fused (math/ssim.h).
//
// A block takes 32 x 16 pixels, one color after the other. Both images, with a border of 5, are read into shared memory
// (8-bit photos are converted there), blurred along the rows, then along the columns: 22 taps instead of 121. The first
// kernel leaves the three derivatives of the SSIM map, the second blurs those back and adds the L1 part. Sums are kept per
// block and added in order by a last block. Bound by shared memory and arithmetic alike.
#include "cuda/stages.h"
#include "math/ssim.h"

namespace splat {

namespace {

constexpr int WIDTH = 32, HEIGHT = 16, THREADS = 256, BORDER = 2 * SSIM_RADIUS;
constexpr int WIDE = WIDTH + BORDER, HIGH = HEIGHT + BORDER, PITCH = WIDE + 1;

struct LossScratch {
    float* maps[3];  // [C, 3, H, W]: derivatives of the SSIM by the blurred x, x^2, x y
    double* sums;    // [blocks, 2]
    dim3 grid;
    int64_t blocks, bytes;
    explicit LossScratch(const LossArguments& a)
        : grid(blocks_for(a.width, WIDTH), blocks_for(a.height, HEIGHT), unsigned(a.images)) {
        Arena arena(a.scratch);
        blocks = int64_t(grid.x) * grid.y * grid.z;
        for (float*& map : maps) map = arena.take<float>(a.images * a.height * a.width * 3);
        sums = arena.take<double>(2 * blocks);
        bytes = arena.bytes();
    }
};

SPLAT_DEVICE float target_at(const LossArguments& a, int64_t number) {
    return a.target_is_uint8 ? float(at<const uint8_t>(a.target)[number]) * (1.0f / 255.0f)
                             : at<const float>(a.target)[number];
}

// The number of values of one color before pixel (x, y) of this block's image, in [C, H, W, 3]; -1 outside.
SPLAT_DEVICE int64_t number_of(const LossArguments& a, int x, int y, int color) {
    if (x < 0 || y < 0 || x >= a.width || y >= a.height) return -1;
    return ((int64_t(blockIdx.z) * a.height + y) * a.width + x) * 3 + color;
}
// The same in a map, [C, 3, H, W].
SPLAT_DEVICE int64_t place_of(const LossArguments& a, int x, int y, int color) {
    return ((int64_t(blockIdx.z) * 3 + color) * a.height + y) * a.width + x;
}

SPLAT_DEVICE float blur_column(const float (*rows)[WIDTH], int row, int column) {
    float sum = 0;
#pragma unroll
    for (int k = 0; k < SSIM_TAPS; ++k) sum += ssim_tap(k) * rows[row + k][column];
    return sum;
}

__global__ __launch_bounds__(THREADS) void ssim_maps(LossArguments a, LossScratch scratch) {
    __shared__ float x_pixels[HIGH][PITCH], y_pixels[HIGH][PITCH], blurred[5][HIGH][WIDTH];
    __shared__ double block_sums[2][THREADS / WARP];
    const int left = int(blockIdx.x) * WIDTH, top = int(blockIdx.y) * HEIGHT, thread = int(threadIdx.x);
    float l1 = 0, ssim = 0;
    for (int color = 0; color < 3; ++color) {
        for (int i = thread; i < HIGH * WIDE; i += THREADS) {
            const int row = i / WIDE, column = i - row * WIDE;
            const int64_t number = number_of(a, left + column - SSIM_RADIUS, top + row - SSIM_RADIUS, color);
            x_pixels[row][column] = number < 0 ? 0.0f : at<const float>(a.image)[number];
            y_pixels[row][column] = number < 0 ? 0.0f : target_at(a, number);
        }
        __syncthreads();
        for (int i = thread; i < HIGH * WIDTH; i += THREADS) {
            const int row = i / WIDTH, column = i - row * WIDTH;
            float s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
#pragma unroll
            for (int k = 0; k < SSIM_TAPS; ++k) {
                const float x = x_pixels[row][column + k], y = y_pixels[row][column + k];
                const float wx = ssim_tap(k) * x, wy = ssim_tap(k) * y;
                s0 += wx, s1 += wy, s2 += wx * x, s3 += wy * y, s4 += wx * y;
            }
            blurred[0][row][column] = s0, blurred[1][row][column] = s1, blurred[2][row][column] = s2,
            blurred[3][row][column] = s3, blurred[4][row][column] = s4;
        }
        __syncthreads();
        for (int i = thread; i < HEIGHT * WIDTH; i += THREADS) {
            const int row = i / WIDTH, column = i - row * WIDTH;
            if (left + column >= a.width || top + row >= a.height) continue;
            const Ssim here = ssim_of(blur_column(blurred[0], row, column), blur_column(blurred[1], row, column),
                                      blur_column(blurred[2], row, column), blur_column(blurred[3], row, column),
                                      blur_column(blurred[4], row, column));
            const int64_t place = place_of(a, left + column, top + row, color);
            scratch.maps[0][place] = here.by_mean, scratch.maps[1][place] = here.by_square,
            scratch.maps[2][place] = here.by_product;
            ssim += here.value;
            l1 += magnitude(x_pixels[row + SSIM_RADIUS][column + SSIM_RADIUS] -
                            y_pixels[row + SSIM_RADIUS][column + SSIM_RADIUS]);
        }
        __syncthreads();
    }
    const double l1_sum = warp_sum(double(l1)), ssim_sum = warp_sum(double(ssim));
    if (lane_index() == 0) block_sums[0][thread / WARP] = l1_sum, block_sums[1][thread / WARP] = ssim_sum;
    __syncthreads();
    if (thread < 2) {
        double sum = 0;
        for (int w = 0; w < THREADS / WARP; ++w) sum += block_sums[thread][w];
        const int64_t block = (int64_t(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        scratch.sums[2 * block + thread] = sum;
    }
}

// One block: each thread adds every 256th block's sums, then the threads' sums are added in order.
__global__ __launch_bounds__(THREADS) void add_sums(LossArguments a, LossScratch scratch) {
    __shared__ double thread_sums[2][THREADS];
    const int thread = int(threadIdx.x);
    double sums[2] = {0, 0};
    for (int64_t block = thread; block < scratch.blocks; block += THREADS)
        sums[0] += scratch.sums[2 * block], sums[1] += scratch.sums[2 * block + 1];
    thread_sums[0][thread] = sums[0], thread_sums[1][thread] = sums[1];
    __syncthreads();
    if (thread < 2) {
        double sum = 0;
        for (int t = 0; t < THREADS; ++t) sum += thread_sums[thread][t];
        at<double>(a.sums)[thread] = sum / (double(a.images) * double(a.height) * double(a.width) * 3.0);
    }
}

__global__ __launch_bounds__(THREADS) void ssim_gradient(LossArguments a, LossScratch scratch, float l1_weight,
                                                         float ssim_weight) {
    __shared__ float maps[3][HIGH][PITCH], blurred[3][HIGH][WIDTH];
    const int left = int(blockIdx.x) * WIDTH, top = int(blockIdx.y) * HEIGHT, thread = int(threadIdx.x);
    for (int color = 0; color < 3; ++color) {
        for (int i = thread; i < HIGH * WIDE; i += THREADS) {
            const int row = i / WIDE, column = i - row * WIDE;
            const int x = left + column - SSIM_RADIUS, y = top + row - SSIM_RADIUS;
            const bool inside = number_of(a, x, y, color) >= 0;
            const int64_t place = inside ? place_of(a, x, y, color) : 0;
            for (int m = 0; m < 3; ++m) maps[m][row][column] = inside ? scratch.maps[m][place] : 0.0f;
        }
        __syncthreads();
        for (int i = thread; i < HIGH * WIDTH; i += THREADS) {
            const int row = i / WIDTH, column = i - row * WIDTH;
            for (int m = 0; m < 3; ++m) {
                float sum = 0;
#pragma unroll
                for (int k = 0; k < SSIM_TAPS; ++k) sum += ssim_tap(k) * maps[m][row][column + k];
                blurred[m][row][column] = sum;
            }
        }
        __syncthreads();
        for (int i = thread; i < HEIGHT * WIDTH; i += THREADS) {
            const int row = i / WIDTH, column = i - row * WIDTH;
            const int64_t number = number_of(a, left + column, top + row, color);
            if (number < 0) continue;
            const float x = at<const float>(a.image)[number], y = target_at(a, number), difference = x - y;
            const float sign = difference > 0 ? 1.0f : difference < 0 ? -1.0f : 0.0f;
            const float by_ssim = blur_column(blurred[0], row, column) + 2 * x * blur_column(blurred[1], row, column) +
                                  y * blur_column(blurred[2], row, column);
            at<float>(a.v_image)[number] = l1_weight * sign - ssim_weight * by_ssim;
        }
        __syncthreads();
    }
}

}  // namespace

int64_t cuda::loss_scratch_bytes(const LossArguments& a) { return LossScratch(a).bytes; }

void cuda::loss(const LossArguments& a) {
    const DeviceScope scope(a.device);
    const LossScratch scratch(a);
    const cudaStream_t stream = stream_of(a);
    SPLAT_LAUNCH(ssim_maps, scratch.grid, dim3(THREADS), stream, a, scratch);
    SPLAT_LAUNCH(add_sums, dim3(1), dim3(THREADS), stream, a, scratch);
    if (!a.v_image) return;
    const double count = double(a.images) * double(a.height) * double(a.width) * 3.0;
    SPLAT_LAUNCH(ssim_gradient, scratch.grid, dim3(THREADS), stream, a, scratch, float((1.0 - a.ssim_weight) / count),
                 float(a.ssim_weight / count));
}

}  // namespace splat
