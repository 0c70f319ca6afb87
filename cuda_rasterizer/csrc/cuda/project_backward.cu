// The derivative of projection: from the sums over pixels back to the parameters of the Gaussians and of the cameras.
//
// A thread takes one Gaussian through all cameras, so every gradient has one writer. The coefficients of spherical
// harmonics and the gradients with respect to them, most of all that is read and written, pass through shared memory, a
// row per Gaussian of the warp, so that a warp reads and writes whole lines. With a single camera, as in most training,
// the coefficients arrive while the projection is differentiated, and their gradients take their places. Gradients with
// respect to the cameras are summed over a block in double, and over the blocks by a last small kernel, always in the
// same order. On request the gradients with respect to the Gaussians are not written at all: each is used for an Adam
// step on the spot, which saves writing and reading them once. Bound by memory.
#include "cuda/stages.h"
#include "math/adam.h"

namespace splat {

namespace {

// Fewer in double: shared memory holds a warp's coefficients.
template <class S> constexpr int THREADS = sizeof(S) == 4 ? 128 : 64;
// Blocks at once on a multiprocessor, by which the compiler counts out registers: as many as spill none.
template <class S, bool ALONE> constexpr int BLOCKS = sizeof(S) == 8 ? 1 : ALONE ? 5 : 3;
constexpr int MOMENTS = Footprint<float>::MOMENTS;
constexpr int REST_MAX = 3 * (SH_BASES_MAX - 1);

int64_t blocks_of(const RenderArguments& a) {
    return blocks_for(a.gaussians, a.is_double ? THREADS<double> : THREADS<float>);
}

// A lane's way over the rows of a warp in shared memory, [WARP][floats] in global memory: WARP on at every step.
struct RowWalk {
    int floats, row_step, k_step, row, k, number;

    SPLAT_DEVICE explicit RowWalk(int floats)
        : floats(floats),
          row_step(floats ? WARP / floats : WARP),
          k_step(WARP - row_step * floats),
          row(floats ? lane_index() / floats : WARP),
          k(lane_index() - row * floats),
          number(lane_index()) {}
    SPLAT_DEVICE void next() {
        row += row_step, k += k_step, number += WARP;
        if (k >= floats) k -= floats, ++row;
    }
};

// Rows of shared memory begin an odd number apart: no two lanes meet in a bank when each works on its own row.
SPLAT_HD int row_stride(const RenderArguments& a) { return int(3 * a.sh_rest_count) | 1; }

// One band of harmonics: adds to v_rest or, where that is `rest` itself, puts the gradient in place of the coefficient.
template <int BAND, bool IN_PLACE, class S>
SPLAT_DEVICE void band_backward(const S* rest, const S* Y, Vec3<S> v_rgb, S* v_rest, S* v_Y) {
#pragma unroll
    for (int k = BAND * BAND; k < (BAND + 1) * (BAND + 1); ++k) {
        S* v = v_rest + 3 * (k - 1);
        v_Y[k] = dot(load3(rest + 3 * (k - 1)), v_rgb);
        store3(v, IN_PLACE ? Y[k] * v_rgb : load3(v) + Y[k] * v_rgb);
    }
}

// The same for all bands; adds to v_sh0 and returns the gradient with respect to the direction. Nothing is indexed by a
// variable, so that both arrays stay in registers.
template <bool IN_PLACE, class S>
SPLAT_DEVICE Vec3<S> shade_backward(int degree, const S* rest, Vec3<S> direction, Vec3<S> v_rgb, Vec3<S>& v_sh0,
                                    S* v_rest) {
    static_assert(SH_DEGREE_MAX == 4, "a line per band");
    S Y[SH_BASES_MAX], v_Y[SH_BASES_MAX];
    sh_basis(degree, direction, Y);
    v_sh0 = v_sh0 + Y[0] * v_rgb;
    if (degree >= 1) band_backward<1, IN_PLACE>(rest, Y, v_rgb, v_rest, v_Y);
    if (degree >= 2) band_backward<2, IN_PLACE>(rest, Y, v_rgb, v_rest, v_Y);
    if (degree >= 3) band_backward<3, IN_PLACE>(rest, Y, v_rgb, v_rest, v_Y);
    if (degree >= 4) band_backward<4, IN_PLACE>(rest, Y, v_rgb, v_rest, v_Y);
    return sh_basis_vjp(degree, direction, v_Y);
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

// COUNT sums of a row's gradients, from `first` on: those of its intersections in order if deterministic, one row
// otherwise.
template <int COUNT, class S>
SPLAT_DEVICE void gather(const RenderArguments& a, int64_t row, uint32_t tiles, int floats, int first,
                         S (&sums)[COUNT]) {
    const S* gradients = at<const S>(a.intersection_gradients) + first;
    if (!a.deterministic) {
#pragma unroll
        for (int k = 0; k < COUNT; ++k) sums[k] = gradients[row * floats + k];
        return;
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k) sums[k] = S(0);
    const int64_t begin = at<const int64_t>(a.intersection_offsets)[row];
    const int64_t end =
        begin + tiles < a.intersection_count ? begin + tiles : a.intersection_count;  // beyond a capacity nothing is
#pragma unroll 1
    for (int64_t intersection = begin; intersection < end; ++intersection)
#pragma unroll
        for (int k = 0; k < COUNT; ++k) sums[k] += gradients[intersection * floats + k];
}
template <class S> SPLAT_DEVICE S gathered(const RenderArguments& a, int64_t row, uint32_t tiles, int floats, int k) {
    S sums[1];
    gather(a, row, tiles, floats, k, sums);
    return sums[0];
}

// Gradients with respect to the features and the projected mean, which few ask for; zeros where tiles is 0.
template <bool ALONE, class S>
SPLAT_DEVICE void store_image_gradients(const RenderArguments& a, int64_t row, int64_t i, uint32_t tiles, int floats,
                                        S v_x, S v_y) {
    const S half_width = S(a.width) / 2, half_height = S(a.height) / 2;
    if (a.v_mean2d) {
        S* v_mean2d = at<S>(a.v_mean2d) + 2 * row;
        v_mean2d[0] = v_x * half_width, v_mean2d[1] = v_y * half_height;
    }
    if (a.v_mean2d_abs) {
        S* v_mean2d_abs = at<S>(a.v_mean2d_abs) + 2 * row;
        S v[2] = {};
        if (tiles > 0) gather(a, row, tiles, floats, floats - 2, v);
        v_mean2d_abs[0] = v[0] * half_width, v_mean2d_abs[1] = v[1] * half_height;
    }
    if (a.v_features) {
        S* v_features = at<S>(a.v_features) + (a.features_per_camera ? row : i) * a.features_count;
        for (int k = 0; k < a.features_count; ++k) {
            const int first = MOMENTS + channels_of(a) - int(a.features_count);
            const S v = tiles > 0 ? gathered<S>(a, row, tiles, floats, first + k) : S(0);
            v_features[k] = ALONE || a.features_per_camera ? v : v_features[k] + v;
        }
    }
}

// Sums a camera's gradients over the block, always in the same order; all threads must come here.
template <class S> SPLAT_DEVICE void sum_camera(const CameraGradient<S>& v, double* sums) {
    constexpr int WARPS = THREADS<S> / WARP;
    __shared__ double by_warp[WARPS][CAMERA_NUMBERS];
    double numbers[CAMERA_NUMBERS];
    camera_numbers(v, numbers);
    const int lane = lane_index(), owned = owned_sum<CAMERA_NUMBERS>(lane);
    TransposedSum<CAMERA_NUMBERS>::run(numbers, lane);
    if (owned >= 0) by_warp[threadIdx.x / WARP][owned] = numbers[0];
    __syncthreads();
    if (threadIdx.x < CAMERA_NUMBERS) {
        double sum = 0;
        for (int w = 0; w < WARPS; ++w) sum += by_warp[w][threadIdx.x];
        sums[threadIdx.x] = sum;
    }
    __syncthreads();
}

struct FusedAdam {
    AdamStep steps[6];  // of means, quats, log_scales, logit_opacities, sh0, sh_rest
};

// An Adam step of COUNT numbers in two parts, so that the loads of several need not wait for one another: for all that
// the compiler knows, what is loaded after a store might have been stored by it.
template <int COUNT> struct Stepping {
    float *parameter, *exp_avg, *exp_avg_sq;
    float p[COUNT], m[COUNT], v[COUNT];

    SPLAT_DEVICE Stepping(const RenderArguments& a, int which, uint64_t parameter, int64_t first)
        : parameter(at<float>(parameter) + first),
          exp_avg(at<float>(a.exp_avg[which]) + first),
          exp_avg_sq(at<float>(a.exp_avg_sq[which]) + first) {}
    SPLAT_DEVICE void load(int c, int offset) {
        p[c] = parameter[offset], m[c] = exp_avg[offset], v[c] = exp_avg_sq[offset];
    }
    SPLAT_DEVICE void step(const AdamStep& adam, int c, int offset, float gradient) {
        adam_update(adam, gradient, p[c], m[c], v[c]);
        parameter[offset] = p[c], exp_avg[offset] = m[c], exp_avg_sq[offset] = v[c];
    }
    SPLAT_DEVICE void load() {
#pragma unroll
        for (int c = 0; c < COUNT; ++c) load(c, c);
    }
    SPLAT_DEVICE void step(const AdamStep& adam, const float (&gradient)[COUNT]) {
#pragma unroll
        for (int c = 0; c < COUNT; ++c) step(adam, c, c, gradient[c]);
    }
};

// Steps everything of Gaussian i but its harmonics, in two halves: registers are few.
SPLAT_DEVICE void step_gaussian(const RenderArguments& a, const FusedAdam& adam, int64_t i,
                                const GaussianGradient<float>& v, Vec3<float> v_sh0) {
    Stepping<3> mean(a, 0, a.means, 3 * i), log_scale(a, 2, a.log_scales, 3 * i), sh0(a, 4, a.sh0, 3 * i);
    Stepping<4> quat(a, 1, a.quats, 4 * i);
    Stepping<1> logit_opacity(a, 3, a.logit_opacities, i);
    mean.load(), quat.load();
    mean.step(adam.steps[0], {v.mean.x, v.mean.y, v.mean.z});
    quat.step(adam.steps[1], {v.quat.w, v.quat.x, v.quat.y, v.quat.z});
    log_scale.load(), logit_opacity.load(), sh0.load();
    log_scale.step(adam.steps[2], {v.log_scale.x, v.log_scale.y, v.log_scale.z});
    logit_opacity.step(adam.steps[3], {v.logit_opacity});
    sh0.step(adam.steps[4], {v_sh0.x, v_sh0.y, v_sh0.z});
}

// ALONE: a single camera, and no gradients with respect to it.
template <class S, bool FUSED, bool ALONE>
__global__ __launch_bounds__(THREADS<S>, BLOCKS<S, ALONE>) void project_backward_rows(RenderArguments a,
                                                                                      double* camera_sums,
                                                                                      FusedAdam adam) {
    SPLAT_DYNAMIC_SHARED(shared);
    const int warp = int(threadIdx.x / WARP), lane = lane_index();
    const int rest_floats = int(3 * a.sh_rest_count), stride = row_stride(a);
    const int degree = int(a.sh_degree), rest_used = 3 * (sh_bases(degree) - 1);
    S* const rest_rows = reinterpret_cast<S*>(shared) + warp * WARP * stride;
    S* const v_rest = rest_rows + lane * stride;
    const int64_t i = int64_t(blockIdx.x) * THREADS<S> + threadIdx.x, first = i - lane;
    const bool exists = i < a.gaussians;
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const int floats = MOMENTS + channels_of(a) + (a.v_mean2d_abs ? 2 : 0);
    if constexpr (!ALONE) {
        for (int k = 0; k < rest_floats; ++k) v_rest[k] = S(0);
        if (exists && a.v_features && !a.features_per_camera)
            for (int64_t k = 0; k < a.features_count; ++k) at<S>(a.v_features)[i * a.features_count + k] = S(0);
    }

    GaussianGradient<S> v{};
    Vec3<S> v_sh0{};
    bool seen = false;
    for (int64_t c = 0; c < (ALONE ? 1 : a.cameras); ++c) {
        const int64_t row = c * a.gaussians + i;
        const Projected<Footprint<S>>* projected = at<const Projected<Footprint<S>>>(a.projected) + row;
        const PinholeCamera<S> camera = camera_of<S>(a, c);
        CameraGradient<S> v_camera{};
        S v_x = S(0), v_y = S(0);
        const uint32_t tiles = exists ? projected->tiles : 0;
        seen |= tiles > 0;
        if constexpr (ALONE) {
            const S* rest = at<const S>(a.sh_rest) + first * rest_floats;
            for (unsigned rows = __ballot_sync(ALL_LANES, seen); rows; rows &= rows - 1) {
                const int r = __ffs(int(rows)) - 1;
#pragma unroll
                for (int k = 0; k < REST_MAX; k += WARP)
                    if (k + lane < rest_used)
                        __pipeline_memcpy_async(rest_rows + r * stride + lane + k, rest + r * rest_floats + lane + k,
                                                sizeof(S));
            }
            __pipeline_commit();
        }
        // Adds to the gradients with respect to the harmonics; returns the one with respect to the mean.
        const auto shade = [&] {
            S sums[3], length;
            gather(a, row, tiles, floats, MOMENTS, sums);
            const Vec3<S> v_rgb = {projected->rgb[0] > S(0) ? sums[0] : S(0), projected->rgb[1] > S(0) ? sums[1] : S(0),
                                   projected->rgb[2] > S(0) ? sums[2] : S(0)};
            const Vec3<S> direction = normalize(load3(at<const S>(a.means) + 3 * i) - camera.position, length);
            const S* rest = ALONE ? v_rest : at<const S>(a.sh_rest) + i * rest_floats;
            return normalize_vjp(direction, length,
                                 shade_backward<ALONE>(degree, rest, direction, v_rgb, v_sh0, v_rest));
        };
        Vec3<S> v_direction{};
        if (!ALONE && tiles > 0) v_direction = shade();  // early, while registers are left for it
        bool drawn = false;
        if (tiles > 0) {
            S sums[MOMENTS], v_depth;
            const auto gather_sums = [&] {
                gather(a, row, tiles, floats, 0, sums);
                v_depth = a.with_depth ? gathered<S>(a, row, tiles, floats, MOMENTS + 3) : S(0);
            };
            if (ALONE) gather_sums();  // early, where registers are left for what arrives
            const GaussianParameters<S> in = gaussian_of<S>(a, i);
            ProjectedGaussian<S> full;
            drawn = project_gaussian(in, camera, settings, full);
            if (drawn) {
                if (!ALONE) gather_sums();
                const FootprintMoments<S> moments = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
                project_gaussian_vjp(in, camera, settings, full, moments, v_depth, v_x, v_y, v, v_camera);
            }
        }
        if (exists) store_image_gradients<ALONE>(a, row, i, drawn ? tiles : 0, floats, v_x, v_y);
        if constexpr (ALONE) {
            __pipeline_wait_prior(0);
            __syncwarp();  // every lane's copies have arrived, and are there for all
        }
        if (ALONE && drawn) v_direction = shade();
        v.mean = v.mean + v_direction;
        camera_position_vjp(camera, S(-1) * v_direction, v_camera);
        if constexpr (ALONE)
            for (int k = drawn ? rest_used : 0; k < rest_floats; ++k) v_rest[k] = S(0);
        if constexpr (!ALONE)
            if (a.v_viewmats)
                sum_camera(v_camera, camera_sums + (int64_t(blockIdx.x) * a.cameras + c) * CAMERA_NUMBERS);
    }

    const bool stepped = exists && (seen || !a.adam_visible_only);
    if constexpr (FUSED) {
        if (stepped) step_gaussian(a, adam, i, v, v_sh0);
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
    if constexpr (FUSED) {
        constexpr int BATCH = 4;  // loads on their way at once, of each of the three arrays
        Stepping<BATCH> rest(a, 5, a.sh_rest, first * rest_floats);
        for (RowWalk at(rest_floats); at.row < WARP;) {
            int numbers[BATCH];
            float gradients[BATCH];
#pragma unroll
            for (int b = 0; b < BATCH; ++b, at.next()) {
                numbers[b] = at.row < WARP && (rows_stepped >> at.row & 1) ? at.number : -1;
                if (numbers[b] < 0) continue;
                gradients[b] = rest_rows[at.row * stride + at.k];
                rest.load(b, numbers[b]);
            }
#pragma unroll
            for (int b = 0; b < BATCH; ++b)
                if (numbers[b] >= 0) rest.step(adam.steps[5], b, numbers[b], gradients[b]);
        }
    } else {
        const int rows = int(a.gaussians - first < WARP ? a.gaussians - first : WARP), numbers = rows * rest_floats;
        S* const to = at<S>(a.v_sh_rest) + first * rest_floats;
        if (stride == rest_floats) {  // shared memory looks just as global memory shall
#pragma unroll 8
            for (int number = lane; number < numbers; number += WARP) to[number] = rest_rows[number];
        } else {
            for (RowWalk at(rest_floats); at.number < numbers; at.next())
                to[at.number] = rest_rows[at.row * stride + at.k];
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

template <class S, bool FUSED, bool ALONE> void run(const RenderArguments& a) {
    double* camera_sums = at<double>(a.scratch);
    FusedAdam adam = {};
    for (int k = 0; FUSED && k < 6; ++k)
        adam.steps[k] = make_adam_step(a.adam_beta1, a.adam_beta2, a.adam_eps, double(a.adam_step), a.adam_lr[k]);
    SPLAT_LAUNCH_SHARED((project_backward_rows<S, FUSED, ALONE>), dim3(unsigned(blocks_of(a))), dim3(THREADS<S>),
                        THREADS<S> * size_t(row_stride(a)) * sizeof(S), stream_of(a), a, camera_sums, adam);
    if (a.v_viewmats && a.cameras)
        SPLAT_LAUNCH((write_cameras<S>), dim3(unsigned(a.cameras)), dim3(WARP), stream_of(a), a, camera_sums,
                     blocks_of(a));
}

template <class S, bool FUSED> void run(const RenderArguments& a) {
    a.cameras == 1 && !a.v_viewmats ? run<S, FUSED, true>(a) : run<S, FUSED, false>(a);
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
