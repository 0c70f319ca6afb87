// The training loss (1 - w) L1 + w (1 - SSIM) and its gradient, fused (math/ssim.h).
//
// A row of an image is one run of 3 W numbers, so all three colors are blurred alike: a tap along the row is an offset of
// 3. A block takes 192 x 8 numbers. Each thread walks down one column, straight from global memory, and adds every number
// to all sums of its column that it belongs to; what it leaves in shared memory is blurred along the rows, 8 pixels of one
// color per thread, so that a value is read 2.25 times instead of 11. The results go back through shared memory, to be
// written in whole lines.
//
// The first kernel blurs x, y, x^2 + y^2 and x y and leaves three derivatives of the SSIM map, the second blurs those back
// and adds the L1 part. Sums are kept per block and added in one order by a last block. Bound by arithmetic: 22 taps for
// four and for three maps, a sixth more for the border.
#include "cuda/stages.h"
#include "math/ssim.h"

namespace splat {

namespace {

constexpr int COLORS = 3, REACH = COLORS * SSIM_RADIUS;   // how many numbers a blur reaches to each side of a row
constexpr int RUN = 8;                                    // pixels of one color that a thread blurs along a row
constexpr int GROUPS = 8;                                 // such runs side by side
constexpr int WIDTH = COLORS * RUN * GROUPS, HEIGHT = 8;  // numbers of a block
constexpr int WIDE = WIDTH + 2 * REACH;
constexpr int THREADS = 224;
// Blocks at once on a multiprocessor, by which the compiler counts out registers. A thread of ssim_maps spills two numbers
// once on some architectures; with fewer blocks it does so too.
constexpr int BLOCKS_PER_SM = 5;
static_assert(WIDE <= THREADS && COLORS * GROUPS * HEIGHT <= THREADS, "one thread for a column, and for a run");

// An odd pitch: 8 neighboring lanes, one on each row, then read from different banks.
constexpr int PITCH = WIDE % 2 ? WIDE : WIDE + 1;
typedef float4 Tile[HEIGHT][PITCH];

struct LossScratch {
    float* maps[3];  // [C, H, W, 3]: derivatives of the SSIM by the blurred x, x^2, x y
    double* sums;    // [blocks, 2]
    dim3 grid;       // down, across, images
    int64_t blocks, bytes;
    explicit LossScratch(const LossArguments& a)
        : grid(blocks_for(a.height, HEIGHT), blocks_for(a.width * COLORS, WIDTH), unsigned(a.images)) {
        Arena arena(a.scratch);
        blocks = int64_t(grid.x) * grid.y * grid.z;
        for (float*& map : maps) map = arena.take<float>(a.images * a.height * a.width * COLORS);
        sums = arena.take<double>(2 * blocks);
        bytes = arena.bytes();
    }
};

// Where the block is. Offsets count the numbers from the image's first. Pointers and offsets have 64 bits and are advanced
// from row to row: that takes fewer instructions than making an address from a 32-bit offset.
struct Place {
    int64_t image;  // the number of values before this image
    int stride;     // numbers in a row
    int height, left, top;
    SPLAT_DEVICE explicit Place(const LossArguments& a)
        : image(int64_t(blockIdx.z) * a.height * a.width * COLORS),
          stride(int(a.width) * COLORS),
          height(int(a.height)),
          left(int(blockIdx.y) * WIDTH),
          top(int(blockIdx.x) * HEIGHT) {}
    SPLAT_DEVICE bool has_row(int row) const { return uint32_t(row) < uint32_t(height); }
    SPLAT_DEVICE bool has_column(int column) const { return uint32_t(column) < uint32_t(stride); }
    // Whether whatever the block's threads read is inside the image.
    SPLAT_DEVICE bool is_interior() const {
        return top >= SSIM_RADIUS && top + HEIGHT + SSIM_RADIUS <= height && left >= REACH &&
               left + THREADS - REACH <= stride;
    }
    SPLAT_DEVICE int64_t offset(int row, int column) const { return int64_t(row) * stride + column; }
    // The number that the thread reads first, counted from the first image's first; maybe outside.
    SPLAT_DEVICE int64_t first_read() const {
        return image + offset(top - SSIM_RADIUS, left + int(threadIdx.x) - REACH);
    }
};

// A number of the target, which is float, or uint8_t and 255 times as large.
SPLAT_DEVICE float target_value(float number) { return number; }
SPLAT_DEVICE float target_value(uint8_t number) { return float(number) * (1.0f / 255.0f); }

SPLAT_DEVICE void set(float4& to, const float (&values)[4]) { to = {values[0], values[1], values[2], values[3]}; }
// All 16 bytes, in one instruction.
SPLAT_DEVICE void set(float4& to, const float (&values)[3]) { to = {values[0], values[1], values[2], 0.0f}; }

// Blurs N maps down the block's columns, a thread per column. load(row, inside, values) is called for row after row: it
// gives the N numbers there, zeros where that is not inside the image, and goes on to the next row. `row` is counted from
// the block's first. INTERIOR: all are inside.
template <bool INTERIOR, int N, class Load>
SPLAT_DEVICE void sum_columns(const Place& place, float (&sums)[HEIGHT][N], const Load& load) {
    const bool within = int(threadIdx.x) < WIDE && place.has_column(place.left + int(threadIdx.x) - REACH);
#pragma unroll
    for (int r = 0; r < HEIGHT + 2 * SSIM_RADIUS; ++r) {
        float values[N];
        load(r - SSIM_RADIUS, INTERIOR || (within && place.has_row(place.top + r - SSIM_RADIUS)), values);
#pragma unroll
        for (int i = 0; i < HEIGHT; ++i) {
            if (i > r || r - i >= SSIM_TAPS) continue;
#pragma unroll
            for (int m = 0; m < N; ++m) sums[i][m] += ssim_tap(r - i) * values[m];
        }
    }
}
template <int N, class Load> SPLAT_DEVICE void blur_down(const Place& place, Tile& tile, const Load& load) {
    float sums[HEIGHT][N] = {};
    if (place.is_interior())
        sum_columns<true>(place, sums, load);
    else
        sum_columns<false>(place, sums, load);
    const int thread = int(threadIdx.x);
    if (thread >= WIDE) return;
#pragma unroll
    for (int i = 0; i < HEIGHT; ++i) set(tile[i][thread], sums[i]);
}

// What a thread blurs along a row: neighboring lanes take different rows, a warp one color.
struct Run {
    int row, first;  // first number of it in the tile, without the border
    bool there;
    SPLAT_DEVICE Run() {
        const int thread = int(threadIdx.x), group = thread / HEIGHT;
        row = thread % HEIGHT;
        first = group % GROUPS * (COLORS * RUN) + group / GROUPS;
        there = group < COLORS * GROUPS;
    }
};

template <int N> SPLAT_DEVICE void blur_along(const Run& run, const Tile& tile, float (&sums)[RUN][N]) {
    const float4* from = &tile[run.row][run.first];
#pragma unroll
    for (int p = 0; p < RUN + 2 * SSIM_RADIUS; ++p) {
        const float4 here = from[COLORS * p];
        const float values[4] = {here.x, here.y, here.z, here.w};
#pragma unroll
        for (int i = 0; i < RUN; ++i) {
            if (i > p || p - i >= SSIM_TAPS) continue;
#pragma unroll
            for (int m = 0; m < N; ++m) sums[i][m] += ssim_tap(p - i) * values[m];
        }
    }
}

// Calls body(row, offset, inside) for the rows of the thread's column of the tile: neighboring lanes are at neighboring
// numbers.
template <class Body> SPLAT_DEVICE void for_rows(const Place& place, const Body& body) {
    const int thread = int(threadIdx.x), column = place.left + thread;
    if (thread >= WIDTH || !place.has_column(column)) return;
    int64_t offset = place.offset(place.top, column);
    if (place.is_interior()) {
#pragma unroll
        for (int row = 0; row < HEIGHT; ++row, offset += place.stride) body(row, offset, true);
    } else {
#pragma unroll
        for (int row = 0; row < HEIGHT; ++row, offset += place.stride)
            body(row, offset, place.has_row(place.top + row));
    }
}

template <class T>
__global__ __launch_bounds__(THREADS, BLOCKS_PER_SM) void ssim_maps(LossArguments a, LossScratch scratch) {
    __shared__ Tile tile;
    __shared__ double block_sums[2][THREADS / WARP];
    const Place place(a);
    const int thread = int(threadIdx.x);
    const int64_t start = place.first_read();
    const float* image = at<const float>(a.image) + start;
    const T* target = at<const T>(a.target) + start;
    float l1 = 0, ssim = 0;
    blur_down<4>(place, tile, [&](int row, bool inside, float (&values)[4]) {
        const float x = inside ? *image : 0.0f, y = inside ? target_value(*target) : 0.0f;
        image += place.stride, target += place.stride;
        values[0] = x, values[1] = y, values[2] = x * x + y * y, values[3] = x * y;
        if (row >= 0 && row < HEIGHT) l1 += magnitude(x - y);
    });
    if (thread < REACH || thread >= REACH + WIDTH) l1 = 0;  // other blocks' numbers
    __syncthreads();

    const Run run;
    float sums[RUN][4] = {};
    if (run.there) blur_along(run, tile, sums);
    __syncthreads();  // the results take the place of what was blurred
    if (run.there) {
        const bool row_there = place.has_row(place.top + run.row);
#pragma unroll
        for (int i = 0; i < RUN; ++i) {
            const int column = run.first + COLORS * i;
            // Only the sum of the blurred squares matters.
            const Ssim here = ssim_of(sums[i][0], sums[i][1], sums[i][2], 0.0f, sums[i][3]);
            const float results[3] = {here.by_mean, here.by_square, here.by_product};
            set(tile[run.row][column], results);
            if (row_there && place.has_column(place.left + column)) ssim += here.value;
        }
    }
    __syncthreads();
    float *by_mean = scratch.maps[0] + place.image, *by_square = scratch.maps[1] + place.image,
          *by_product = scratch.maps[2] + place.image;
    for_rows(place, [&](int row, int64_t offset, bool inside) {
        if (!inside) return;
        const float4 here = tile[row][thread];
        by_mean[offset] = here.x, by_square[offset] = here.y, by_product[offset] = here.z;
    });

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

constexpr int SUM_THREADS = 512;

// One block: each thread adds every 512th block's sums, then the threads' sums are added, always in the same order.
__global__ __launch_bounds__(SUM_THREADS) void add_sums(LossArguments a, LossScratch scratch) {
    __shared__ double warp_sums[2][SUM_THREADS / WARP];
    const int thread = int(threadIdx.x);
    double l1 = 0, ssim = 0;
    for (int64_t block = thread; block < scratch.blocks; block += SUM_THREADS)
        l1 += scratch.sums[2 * block], ssim += scratch.sums[2 * block + 1];
    l1 = warp_sum(l1), ssim = warp_sum(ssim);
    if (lane_index() == 0) warp_sums[0][thread / WARP] = l1, warp_sums[1][thread / WARP] = ssim;
    __syncthreads();
    if (thread > 0) return;
    l1 = ssim = 0;
    for (int w = 0; w < SUM_THREADS / WARP; ++w) l1 += warp_sums[0][w], ssim += warp_sums[1][w];
    const double count = double(a.images) * double(a.height) * double(a.width) * COLORS;
    l1 /= count, ssim /= count;
    at<double>(a.sums)[0] = l1, at<double>(a.sums)[1] = ssim;
    if (a.loss) *at<float>(a.loss) = float((1.0 - a.ssim_weight) * l1 + a.ssim_weight * (1.0 - ssim));
}

template <class T>
__global__ __launch_bounds__(THREADS, BLOCKS_PER_SM) void ssim_gradient(LossArguments a, LossScratch scratch,
                                                                        float l1_weight, float ssim_weight) {
    __shared__ Tile tile;
    const Place place(a);
    const int64_t start = place.first_read();
    const float *by_mean = scratch.maps[0] + start, *by_square = scratch.maps[1] + start,
                *by_product = scratch.maps[2] + start;
    blur_down<3>(place, tile, [&](int, bool inside, float (&values)[3]) {
        values[0] = inside ? *by_mean : 0.0f, values[1] = inside ? *by_square : 0.0f,
        values[2] = inside ? *by_product : 0.0f;
        by_mean += place.stride, by_square += place.stride, by_product += place.stride;
    });
    __syncthreads();

    const Run run;
    float sums[RUN][3] = {};
    if (run.there) blur_along(run, tile, sums);
    __syncthreads();
    if (run.there) {
#pragma unroll
        for (int i = 0; i < RUN; ++i) set(tile[run.row][run.first + COLORS * i], sums[i]);
    }
    __syncthreads();
    const float* image = at<const float>(a.image) + place.image;
    const T* target = at<const T>(a.target) + place.image;
    float* v_image = at<float>(a.v_image) + place.image;
    float x[HEIGHT] = {}, y[HEIGHT] = {};  // all are on their way before the first is waited for
    for_rows(place, [&](int row, int64_t offset, bool inside) {
        x[row] = inside ? image[offset] : 0.0f, y[row] = inside ? target_value(target[offset]) : 0.0f;
    });
    for_rows(place, [&](int row, int64_t offset, bool inside) {
        if (!inside) return;
        const float4 here = tile[row][threadIdx.x];
        const float difference = x[row] - y[row];
        const float sign = difference > 0 ? 1.0f : difference < 0 ? -1.0f : 0.0f;
        v_image[offset] = l1_weight * sign - ssim_weight * (here.x + 2 * x[row] * here.y + y[row] * here.z);
    });
}

}  // namespace

int64_t cuda::loss_scratch_bytes(const LossArguments& a) { return LossScratch(a).bytes; }

void cuda::loss(const LossArguments& a) {
    const DeviceScope scope(a.device);
    const LossScratch scratch(a);
    const cudaStream_t stream = stream_of(a);
    const auto ssim_maps_kernel = a.target_is_uint8 ? ssim_maps<uint8_t> : ssim_maps<float>;
    SPLAT_LAUNCH(ssim_maps_kernel, scratch.grid, dim3(THREADS), stream, a, scratch);
    SPLAT_LAUNCH(add_sums, dim3(1), dim3(SUM_THREADS), stream, a, scratch);
    if (!a.v_image) return;
    const double count = double(a.images) * double(a.height) * double(a.width) * COLORS;
    const auto ssim_gradient_kernel = a.target_is_uint8 ? ssim_gradient<uint8_t> : ssim_gradient<float>;
    SPLAT_LAUNCH(ssim_gradient_kernel, scratch.grid, dim3(THREADS), stream, a, scratch,
                 float((1.0 - a.ssim_weight) / count), float(a.ssim_weight / count));
}

}  // namespace splat
