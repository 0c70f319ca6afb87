// The derivative of projection: from the sums over pixels back to the parameters of the Gaussians and of the cameras.
//
// A thread takes one Gaussian through all cameras, so every gradient has one writer. The gradients with respect to the
// coefficients of spherical harmonics, three quarters of all that is written, are collected per warp in shared memory and
// written in whole lines. Gradients with respect to the cameras are summed over a block in double, and over the blocks by
// a last small kernel, always in the same order. On request the gradients with respect to the Gaussians are not written at
// all: each is used for an Adam step on the spot, which saves writing and reading them once. Bound by memory.
#include "cuda/stages.h"
#include "math/adam.h"

namespace splat {

namespace {

// Fewer in double: shared memory holds a warp's coefficients.
template <class S> constexpr int THREADS = sizeof(S) == 4 ? 128 : 64;
constexpr int MOMENTS = Footprint<float>::MOMENTS;
constexpr int REST_MAX = 3 * (SH_BASES_MAX - 1);

int64_t blocks_of(const RenderArguments& a) {
    return blocks_for(a.gaussians, a.is_double ? THREADS<double> : THREADS<float>);
}

// Adds to v_sh0 and v_rest; returns the gradient with respect to the direction's end, the mean.
template <class S>
SPLAT_DEVICE Vec3<S> shade_backward(const RenderArguments& a, int64_t i, const PinholeCamera<S>& camera, Vec3<S> v_rgb,
                                    Vec3<S>& v_sh0, S* v_rest) {
    S Y[SH_BASES_MAX], v_Y[SH_BASES_MAX], length;
    const int degree = int(a.sh_degree), bases = sh_bases(degree);
    const Vec3<S> direction = normalize(load3(at<const S>(a.means) + 3 * i) - camera.position, length);
    sh_basis(degree, direction, Y);
    const S* rest = at<const S>(a.sh_rest) + 3 * a.sh_rest_count * i;
    v_sh0 = v_sh0 + Y[0] * v_rgb;
    for (int k = 1; k < bases; ++k, rest += 3, v_rest += 3) {
        v_Y[k] = dot(load3(rest), v_rgb);
        store3(v_rest, load3(v_rest) + Y[k] * v_rgb);
    }
    return normalize_vjp(direction, length, sh_basis_vjp(degree, direction, v_Y));
}

template <class S> SPLAT_DEVICE void store_row(double* to, Vec3<S> v) {
    to[0] = double(v.x), to[1] = double(v.y), to[2] = double(v.z);
}
template <class S> SPLAT_DEVICE void camera_numbers(const CameraGradient<S>& v, double* numbers) {
    store_row(numbers, v.rotation.row0), store_row(numbers + 3, v.rotation.row1),
        store_row(numbers + 6, v.rotation.row2);
    store_row(numbers + 9, v.translation);
    numbers[12] = double(v.fx), numbers[13] = double(v.fy), numbers[14] = double(v.cx), numbers[15] = double(v.cy);
}

// Sums of a row's gradients: those of its intersections in order if deterministic, one row otherwise.
template <class S> SPLAT_DEVICE S gathered(const RenderArguments& a, int64_t row, uint32_t tiles, int floats, int k) {
    const S* gradients = at<const S>(a.intersection_gradients);
    if (!a.deterministic) return gradients[row * floats + k];
    S sum = S(0);
    const int64_t first = at<const int64_t>(a.intersection_offsets)[row];
    const int64_t last =
        first + tiles < a.intersection_count ? first + tiles : a.intersection_count;  // beyond a capacity nothing is
    for (int64_t intersection = first; intersection < last; ++intersection) sum += gradients[intersection * floats + k];
    return sum;
}

struct FusedAdam {
    AdamStep steps[6];  // of means, quats, log_scales, logit_opacities, sh0, sh_rest
};

// One Adam step of COUNT numbers of Gaussian i; k says of which parameter.
template <int COUNT>
SPLAT_DEVICE void step_row(const RenderArguments& a, const FusedAdam& adam, int k, uint64_t parameter, int64_t i,
                           const float (&gradient)[COUNT]) {
#pragma unroll
    for (int c = 0; c < COUNT; ++c)
        adam_update(adam.steps[k], gradient[c], at<float>(parameter)[COUNT * i + c],
                    at<float>(a.exp_avg[k])[COUNT * i + c], at<float>(a.exp_avg_sq[k])[COUNT * i + c]);
}

template <class S, bool FUSED>
__global__ __launch_bounds__(THREADS<S>) void project_backward_rows(RenderArguments a, double* camera_sums,
                                                                    FusedAdam adam) {
    constexpr int WARPS = THREADS<S> / WARP;
    // [Gaussian of the warp][coefficient], an odd number apart: no two lanes meet in a bank.
    __shared__ S rest_by_warp[WARPS][WARP * (REST_MAX + 1)];
    __shared__ double camera_by_warp[WARPS][CAMERA_NUMBERS];
    const int warp = int(threadIdx.x / WARP), lane = lane_index();
    const int rest_floats = int(3 * a.sh_rest_count), stride = rest_floats | 1;
    const int64_t i = int64_t(blockIdx.x) * THREADS<S> + threadIdx.x;
    const bool exists = i < a.gaussians;
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const int channels = channels_of(a), floats = MOMENTS + channels + (a.v_mean2d_abs ? 2 : 0);
    S* v_rest = rest_by_warp[warp] + lane * stride;
    for (int k = 0; k < rest_floats; ++k) v_rest[k] = S(0);

    GaussianParameters<S> in = {};
    if (exists) in = gaussian_of<S>(a, i);
    GaussianGradient<S> v{};
    Vec3<S> v_sh0{};
    bool seen = false;
    if (exists && a.v_features && !a.features_per_camera)
        for (int64_t k = 0; k < a.features_count; ++k) at<S>(a.v_features)[i * a.features_count + k] = S(0);
    for (int64_t c = 0; c < a.cameras; ++c) {
        const int64_t row = c * a.gaussians + i;
        const Projected<Footprint<S>>* projected = at<const Projected<Footprint<S>>>(a.projected) + row;
        const PinholeCamera<S> camera = camera_of<S>(a, c);
        CameraGradient<S> v_camera{};
        S v_x = S(0), v_y = S(0), v_absolute[2] = {};
        S* v_features = nullptr;
        if (exists && a.v_features) {
            v_features = at<S>(a.v_features) + (a.features_per_camera ? row : i) * a.features_count;
            if (a.features_per_camera)
                for (int64_t k = 0; k < a.features_count; ++k) v_features[k] = S(0);
        }
        const uint32_t tiles = exists ? projected->tiles : 0;
        ProjectedGaussian<S> full;
        seen |= tiles > 0;
        if (tiles > 0 && project_gaussian(in, camera, settings, full)) {
            S sums[MOMENTS + 3];
#pragma unroll
            for (int k = 0; k < MOMENTS + 3; ++k) sums[k] = gathered<S>(a, row, tiles, floats, k);
            const S v_depth = a.with_depth ? gathered<S>(a, row, tiles, floats, MOMENTS + 3) : S(0);
            const FootprintMoments<S> moments = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
            project_gaussian_vjp(in, camera, settings, full, moments, v_depth, v_x, v_y, v, v_camera);
            const Vec3<S> v_rgb = {projected->rgb[0] > S(0) ? sums[MOMENTS] : S(0),
                                   projected->rgb[1] > S(0) ? sums[MOMENTS + 1] : S(0),
                                   projected->rgb[2] > S(0) ? sums[MOMENTS + 2] : S(0)};
            const Vec3<S> v_direction = shade_backward(a, i, camera, v_rgb, v_sh0, v_rest);
            v.mean = v.mean + v_direction;
            camera_position_vjp(camera, S(-1) * v_direction, v_camera);
            if (v_features)
                for (int k = 0; k < a.features_count; ++k)
                    v_features[k] += gathered<S>(a, row, tiles, floats, MOMENTS + channels - int(a.features_count) + k);
            if (a.v_mean2d_abs)
                for (int k = 0; k < 2; ++k) v_absolute[k] = gathered<S>(a, row, tiles, floats, floats - 2 + k);
        }
        const S half_width = S(a.width) / 2, half_height = S(a.height) / 2;
        if (exists && a.v_mean2d) {
            S* v_mean2d = at<S>(a.v_mean2d) + 2 * row;
            v_mean2d[0] = v_x * half_width, v_mean2d[1] = v_y * half_height;
        }
        if (exists && a.v_mean2d_abs) {
            S* v_mean2d_abs = at<S>(a.v_mean2d_abs) + 2 * row;
            v_mean2d_abs[0] = v_absolute[0] * half_width, v_mean2d_abs[1] = v_absolute[1] * half_height;
        }
        if (a.v_viewmats) {
            double numbers[CAMERA_NUMBERS];
            camera_numbers(v_camera, numbers);
#pragma unroll
            for (int k = 0; k < CAMERA_NUMBERS; ++k) {
                const double sum = warp_sum(numbers[k]);
                if (lane == 0) camera_by_warp[warp][k] = sum;
            }
            __syncthreads();
            if (threadIdx.x < CAMERA_NUMBERS) {
                double sum = 0;
                for (int w = 0; w < WARPS; ++w) sum += camera_by_warp[w][threadIdx.x];
                camera_sums[(int64_t(blockIdx.x) * a.cameras + c) * CAMERA_NUMBERS + threadIdx.x] = sum;
            }
            __syncthreads();
        }
    }

    const bool stepped = exists && (seen || !a.adam_visible_only);
    if constexpr (FUSED) {
        if (stepped) {
            const float mean[3] = {v.mean.x, v.mean.y, v.mean.z}, opacity[1] = {v.logit_opacity};
            const float quat[4] = {v.quat.w, v.quat.x, v.quat.y, v.quat.z};
            const float scale[3] = {v.log_scale.x, v.log_scale.y, v.log_scale.z}, sh0[3] = {v_sh0.x, v_sh0.y, v_sh0.z};
            step_row(a, adam, 0, a.means, i, mean);
            step_row(a, adam, 1, a.quats, i, quat);
            step_row(a, adam, 2, a.log_scales, i, scale);
            step_row(a, adam, 3, a.logit_opacities, i, opacity);
            step_row(a, adam, 4, a.sh0, i, sh0);
        }
    } else if (exists) {
        store3(at<S>(a.v_means) + 3 * i, v.mean);
        S* v_quat = at<S>(a.v_quats) + 4 * i;
        v_quat[0] = v.quat.w, v_quat[1] = v.quat.x, v_quat[2] = v.quat.y, v_quat[3] = v.quat.z;
        store3(at<S>(a.v_log_scales) + 3 * i, v.log_scale);
        at<S>(a.v_logit_opacities)[i] = v.logit_opacity;
        store3(at<S>(a.v_sh0) + 3 * i, v_sh0);
    }
    const unsigned rows_stepped = __ballot_sync(ALL_LANES, stepped);
    __syncwarp();  // a ballot orders no memory, and every lane reads what others have written
    const int64_t first = i - lane, rows = a.gaussians - first < WARP ? a.gaussians - first : WARP;
    for (int r = 0; r < rows; ++r) {
        for (int k = lane; k < rest_floats; k += WARP) {
            const int64_t number = (first + r) * rest_floats + k;
            const S v_number = rest_by_warp[warp][r * stride + k];
            if constexpr (!FUSED)
                at<S>(a.v_sh_rest)[number] = v_number;
            else if (rows_stepped >> r & 1)
                adam_update(adam.steps[5], v_number, at<float>(a.sh_rest)[number], at<float>(a.exp_avg[5])[number],
                            at<float>(a.exp_avg_sq[5])[number]);
        }
    }
}

// One block per camera: adds up the blocks' sums in order and writes the gradients with respect to viewmat and K.
template <class S> __global__ __launch_bounds__(WARP) void write_cameras(RenderArguments a, const double* sums,
                                                                         int64_t blocks) {
    const int64_t c = blockIdx.x;
    S* v_viewmat = at<S>(a.v_viewmats) + 16 * c;
    S* v_K = at<S>(a.v_Ks) + 9 * c;
    const int k = int(threadIdx.x);
    if (k < 16) v_viewmat[k] = S(0);
    if (k < 9) v_K[k] = S(0);
    __syncwarp();
    if (k >= CAMERA_NUMBERS) return;
    double total = 0;
    for (int64_t block = 0; block < blocks; ++block) total += sums[(block * a.cameras + c) * CAMERA_NUMBERS + k];
    if (k < 9)
        v_viewmat[k / 3 * 4 + k % 3] = S(total);
    else if (k < 12)
        v_viewmat[(k - 9) * 4 + 3] = S(total);
    else
        v_K[k == 12 ? 0 : k == 13 ? 4 : k == 14 ? 2 : 5] = S(total);
}

template <class S, bool FUSED> void run(const RenderArguments& a) {
    double* camera_sums = at<double>(a.scratch);
    FusedAdam adam = {};
    for (int k = 0; FUSED && k < 6; ++k)
        adam.steps[k] = make_adam_step(a.adam_beta1, a.adam_beta2, a.adam_eps, double(a.adam_step), a.adam_lr[k]);
    SPLAT_LAUNCH((project_backward_rows<S, FUSED>), dim3(unsigned(blocks_of(a))), dim3(THREADS<S>), stream_of(a), a,
                 camera_sums, adam);
    if (a.v_viewmats && a.cameras)
        SPLAT_LAUNCH((write_cameras<S>), dim3(unsigned(a.cameras)), dim3(WARP), stream_of(a), a, camera_sums,
                     blocks_of(a));
}

}  // namespace

int64_t cuda::backward_scratch_bytes(const RenderArguments& a) {
    return blocks_of(a) * a.cameras * CAMERA_NUMBERS * int64_t(sizeof(double));
}

void cuda::project_backward(const RenderArguments& a) {
    const DeviceScope scope(a.device);
    if (a.is_double)
        run<double, false>(a);
    else
        a.fuse_adam ? run<float, true>(a) : run<float, false>(a);
}

}  // namespace splat
