// The training loss (1 - w) L1 + w (1 - SSIM) and its gradient, fused (Wang et al. 2004; window and padding as Kerbl et
// al. 2023: 11 x 11 Gaussian of sigma 1.5, zeros outside the image, mean over all values).
//
// A row of the image is one run of 3 W numbers, so a horizontal tap is an offset of 3 and every loop below is a plain
// vector loop. Pass 1 blurs the five products vertically into row buffers, then horizontally, and leaves the three
// partial derivatives of the SSIM map in scratch; pass 2 blurs those and adds the L1 part. A task takes 8 rows.
// Bound by arithmetic: 22 taps for five and for three maps.
#include <cstring>

#include "cpu/optimization.h"
#include "cpu/parallel_for.h"
#include "cpu/stages.h"
#include "math/ssim.h"

SPLAT_NAMESPACE_BEGIN

namespace {

constexpr int RADIUS = SSIM_RADIUS, TAPS = SSIM_TAPS, PAD = 3 * RADIUS, ROWS = 8;

int64_t padded_row(const LossArguments& a) { return (3 * a.width + 2 * PAD + 15) / 16 * 16; }

// Scratch: target as float, three maps, per-row sums, a row of zeros, and five padded rows for each thread.
struct Scratch {
    float *target, *maps[3], *zeros, *workers;
    double* sums;
    int64_t bytes;
    explicit Scratch(const LossArguments& a) {
        const int64_t numbers = (a.images * a.height * a.width * 3 + 15) / 16 * 16, rows = a.images * a.height;
        float* p = at<float>(a.scratch);
        target = p, p += a.target_is_uint8 ? numbers : 0;
        for (float*& map : maps) map = p, p += numbers;
        zeros = p, p += padded_row(a);
        workers = p, p += a.threads * 5 * padded_row(a);
        sums = reinterpret_cast<double*>(p);
        bytes = reinterpret_cast<char*>(sums + 2 * rows) - at<char>(a.scratch);
    }
};

// The vertical blur of x, y, xx, yy and xy, given the rows around of two images.
void blur_products_down(const float* const* x, const float* const* y, int64_t n, float* const* out) {
    float *o0 = out[0], *o1 = out[1], *o2 = out[2], *o3 = out[3], *o4 = out[4];
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
        float s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
#pragma GCC unroll 11
        for (int k = 0; k < TAPS; ++k) {
            const float p = x[k][i], q = y[k][i], wp = ssim_tap(k) * p, wq = ssim_tap(k) * q;
            s0 += wp, s1 += wq, s2 += wp * p, s3 += wq * q, s4 += wp * q;
        }
        o0[i] = s0, o1[i] = s1, o2[i] = s2, o3[i] = s3, o4[i] = s4;
    }
}

void blur_down(const float* const* x, int64_t n, float* out) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
        float s = 0;
#pragma GCC unroll 11
        for (int k = 0; k < TAPS; ++k) s += ssim_tap(k) * x[k][i];
        out[i] = s;
    }
}

// The horizontal blur at number i of a row that is padded by PAD zeros on both sides.
inline float blur_across(const float* padded, int64_t i) {
    float s = 0;
#pragma GCC unroll 11
    for (int k = 0; k < TAPS; ++k) s += ssim_tap(k) * padded[i + 3 * k];
    return s;
}

// Fills rows[TAPS] with the rows around `row` of an image, zeros where there is none.
void rows_around(const LossArguments& a, const float* map, const float* zeros, int64_t image, int64_t row,
                 const float** rows) {
    for (int k = 0; k < TAPS; ++k) {
        const int64_t r = row + k - RADIUS;
        rows[k] = r < 0 || r >= a.height ? zeros : map + (image * a.height + r) * a.width * 3;
    }
}

}  // namespace

int64_t loss_scratch_bytes(const LossArguments& a) { return Scratch(a).bytes; }

void loss(const LossArguments& a) {
    const Scratch scratch(a);
    const int64_t n = 3 * a.width, padded = padded_row(a), total_rows = a.images * a.height;
    const float* image = at<const float>(a.image);
    const float* target = a.target_is_uint8 ? scratch.target : at<const float>(a.target);
    memset(scratch.zeros, 0, (1 + 5 * a.threads) * padded * sizeof(float));
    if (a.target_is_uint8) {
        parallel_chunks(a.threads, total_rows, ROWS, [&](int64_t begin, int64_t end, int) {
            const uint8_t* from = at<const uint8_t>(a.target);
            for (int64_t i = begin * n; i < end * n; ++i) scratch.target[i] = float(from[i]) * (1.0f / 255.0f);
        });
    }

    parallel_chunks(a.threads, total_rows, ROWS, [&](int64_t begin, int64_t end, int worker) {
        float* blurred[5];
        float* inside[5];
        for (int k = 0; k < 5; ++k) {
            blurred[k] = scratch.workers + (worker * 5 + k) * padded;
            inside[k] = blurred[k] + PAD;
        }
        for (int64_t row = begin; row < end; ++row) {
            const float *x[TAPS], *y[TAPS];
            rows_around(a, image, scratch.zeros, row / a.height, row % a.height, x);
            rows_around(a, target, scratch.zeros, row / a.height, row % a.height, y);
            blur_products_down(x, y, n, inside);
            float *by_mean = scratch.maps[0] + row * n, *by_square = scratch.maps[1] + row * n,
                  *by_product = scratch.maps[2] + row * n;
            double ssim_sum = 0, l1_sum = 0;
            for (int64_t block = 0; block < n; block += 256) {
                const int64_t stop = block + 256 < n ? block + 256 : n;
                float ssim = 0, l1 = 0;
#pragma GCC ivdep
                for (int64_t i = block; i < stop; ++i) {
                    const Ssim here =
                        ssim_of(blur_across(blurred[0], i), blur_across(blurred[1], i), blur_across(blurred[2], i),
                                blur_across(blurred[3], i), blur_across(blurred[4], i));
                    by_mean[i] = here.by_mean, by_square[i] = here.by_square, by_product[i] = here.by_product;
                    ssim += here.value;
                    l1 += magnitude(x[RADIUS][i] - y[RADIUS][i]);
                }
                ssim_sum += ssim, l1_sum += l1;
            }
            scratch.sums[2 * row] = l1_sum, scratch.sums[2 * row + 1] = ssim_sum;
        }
    });
    const double count = double(total_rows) * double(n);
    double* sums = at<double>(a.sums);
    sums[0] = sums[1] = 0;
    for (int64_t row = 0; row < total_rows; ++row)
        sums[0] += scratch.sums[2 * row], sums[1] += scratch.sums[2 * row + 1];
    sums[0] /= count, sums[1] /= count;
    if (a.loss) *at<float>(a.loss) = float((1.0 - a.ssim_weight) * sums[0] + a.ssim_weight * (1.0 - sums[1]));
    if (!a.v_image) return;

    const float l1_weight = float((1.0 - a.ssim_weight) / count), ssim_weight = float(a.ssim_weight / count);
    parallel_chunks(a.threads, total_rows, ROWS, [&](int64_t begin, int64_t end, int worker) {
        float* blurred[3];
        for (int k = 0; k < 3; ++k) blurred[k] = scratch.workers + (worker * 5 + k) * padded;
        for (int64_t row = begin; row < end; ++row) {
            for (int k = 0; k < 3; ++k) {
                const float* rows[TAPS];
                rows_around(a, scratch.maps[k], scratch.zeros, row / a.height, row % a.height, rows);
                blur_down(rows, n, blurred[k] + PAD);
            }
            const float *x = image + row * n, *y = target + row * n;
            float* v = at<float>(a.v_image) + row * n;
#pragma GCC ivdep
            for (int64_t i = 0; i < n; ++i) {
                const float by_mean = blur_across(blurred[0], i), by_square = blur_across(blurred[1], i);
                const float by_product = blur_across(blurred[2], i);
                const float difference = x[i] - y[i];
                const float sign = difference > 0 ? 1.0f : difference < 0 ? -1.0f : 0.0f;
                v[i] = l1_weight * sign - ssim_weight * (by_mean + 2 * x[i] * by_square + y[i] * by_product);
            }
        }
    });
}

SPLAT_NAMESPACE_END
