// The derivative of projection: a Gaussian's intersections are added up in a fixed order and carried back to its parameters.
//
// A task takes 512 Gaussians through all cameras, so every parameter's gradient is written by one task. Gradients by
// the cameras are summed per task in double and then over tasks in order. Memory-bound by the spherical harmonics.
#include <cstring>

#include "cpu/parallel_for.h"
#include "cpu/stages.h"

SPLAT_NAMESPACE_BEGIN

namespace {

constexpr int64_t CHUNK = 512;
constexpr int MOMENTS = Footprint<float>::MOMENTS;

int64_t chunks(const RenderArguments& a) { return (a.gaussians + CHUNK - 1) / CHUNK; }

// Writes v_sh0 and v_sh_rest at the first camera that sees the Gaussian and adds to them after that, for the
// coefficients of the evaluated degree; returns the gradient with respect to the direction's end, the mean.
template <class S>
Vec3<S> shade_backward(const RenderArguments& a, int64_t i, const PinholeCamera<S>& camera, Vec3<S> v_rgb, bool first) {
    S Y[SH_BASES_MAX], v_Y[SH_BASES_MAX], length;
    const int degree = int(a.sh_degree), bases = sh_bases(degree);
    const Vec3<S> direction = normalize(load3(at<const S>(a.means) + 3 * i) - camera.position, length);
    sh_basis(degree, direction, Y);
    S* v_sh0 = at<S>(a.v_sh0) + 3 * i;
    S* v_rest = at<S>(a.v_sh_rest) + 3 * a.sh_rest_count * i;
    const S* rest = at<const S>(a.sh_rest) + 3 * a.sh_rest_count * i;
    if (first) {
        store3(v_sh0, Vec3<S>{});
        memset(v_rest, 0, 3 * a.sh_rest_count * sizeof(S));
    }
    store3(v_sh0, load3(v_sh0) + Y[0] * v_rgb);
    for (int k = 1; k < bases; ++k, rest += 3, v_rest += 3) {
        v_Y[k] = dot(load3(rest), v_rgb);
        store3(v_rest, load3(v_rest) + Y[k] * v_rgb);
    }
    return normalize_vjp(direction, length, sh_basis_vjp(degree, direction, v_Y));
}

template <class S> void accumulate(const CameraGradient<S>& v, double* sum) {
    const Mat3<S>& R = v.rotation;
    const S numbers[CAMERA_NUMBERS] = {
        R.row0.x, R.row0.y,        R.row0.z,        R.row1.x,        R.row1.y, R.row1.z, R.row2.x, R.row2.y,
        R.row2.z, v.translation.x, v.translation.y, v.translation.z, v.fx,     v.fy,     v.cx,     v.cy};
    for (int k = 0; k < CAMERA_NUMBERS; ++k) sum[k] += double(numbers[k]);
}

template <class S> void write_camera(const RenderArguments& a, int64_t camera, const double* sum) {
    S* v_viewmat = at<S>(a.v_viewmats) + 16 * camera;
    S* v_K = at<S>(a.v_Ks) + 9 * camera;
    for (int row = 0; row < 3; ++row) {
        for (int column = 0; column < 3; ++column) v_viewmat[4 * row + column] = S(sum[3 * row + column]);
        v_viewmat[4 * row + 3] = S(sum[9 + row]);
        v_viewmat[12 + row] = S(0);
    }
    v_viewmat[15] = S(0);
    for (int k = 0; k < 9; ++k) v_K[k] = S(0);
    v_K[0] = S(sum[12]), v_K[4] = S(sum[13]), v_K[2] = S(sum[14]), v_K[5] = S(sum[15]);
}

}  // namespace

int64_t project_backward_scratch_bytes(const RenderArguments& a) {
    return chunks(a) * a.cameras * CAMERA_NUMBERS * int64_t(sizeof(double)) +
           a.threads * (channels_of(a) + 8) * int64_t(sizeof(double));
}

template <class S> void project_backward(const RenderArguments& a) {
    const ProjectionSettings<S> settings = projection_settings<S>(a);
    const int channels = channels_of(a), floats = MOMENTS + channels + (a.v_mean2d_abs ? 2 : 0);
    const int depth_at = MOMENTS + 3, features_at = depth_at + (a.with_depth ? 1 : 0);
    double* camera_sums = at<double>(a.scratch);
    S* workers = reinterpret_cast<S*>(camera_sums + chunks(a) * a.cameras * CAMERA_NUMBERS);
    memset(camera_sums, 0, chunks(a) * a.cameras * CAMERA_NUMBERS * sizeof(double));

    parallel_chunks(a.threads, a.gaussians, CHUNK, [&](int64_t begin, int64_t end, int worker) {
        S* sums = workers + int64_t(worker) * (channels + 8);
        ProjectedGaussian<S> full;
        for (int64_t i = begin; i < end; ++i) {
            const GaussianParameters<S> in = gaussian_of<S>(a, i);
            GaussianGradient<S> v{};
            bool first = true;  // no camera has written this Gaussian's color gradients yet
            if (a.v_features && !a.features_per_camera)
                memset(at<S>(a.v_features) + i * a.features_count, 0, a.features_count * sizeof(S));
            for (int64_t c = 0; c < a.cameras; ++c) {
                const int64_t row = c * a.gaussians + i;
                const int64_t from = at<const int64_t>(a.intersection_offsets)[row],
                              to = at<const int64_t>(a.intersection_offsets)[row + 1];
                S v_x = S(0), v_y = S(0), v_abs_x = S(0), v_abs_y = S(0);
                S* v_features =
                    a.v_features ? at<S>(a.v_features) + (a.features_per_camera ? row : i) * a.features_count : nullptr;
                if (v_features && a.features_per_camera) memset(v_features, 0, a.features_count * sizeof(S));
                const PinholeCamera<S> camera = camera_of<S>(a, c);
                if (to > from && project_gaussian(in, camera, settings, full)) {
                    for (int k = 0; k < floats; ++k) sums[k] = S(0);
                    for (int64_t p = from; p < to; ++p) {
                        const S* intersection = at<const S>(a.intersection_gradients) + p * floats;
                        for (int k = 0; k < floats; ++k) sums[k] += intersection[k];
                    }
                    CameraGradient<S> v_camera{};
                    const FootprintMoments<S> moments = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
                    const S v_depth = a.with_depth ? sums[depth_at] : S(0);
                    project_gaussian_vjp(in, camera, settings, full, moments, v_depth, v_x, v_y, v, v_camera);

                    const S* rgb = at<const Projected<Footprint<S>>>(a.projected)[row].rgb;
                    const Vec3<S> v_rgb = {rgb[0] > S(0) ? sums[MOMENTS] : S(0),
                                           rgb[1] > S(0) ? sums[MOMENTS + 1] : S(0),
                                           rgb[2] > S(0) ? sums[MOMENTS + 2] : S(0)};
                    const Vec3<S> v_direction = shade_backward(a, i, camera, v_rgb, first);
                    first = false;
                    v.mean = v.mean + v_direction;
                    camera_position_vjp(camera, S(-1) * v_direction, v_camera);
                    if (v_features)
                        for (int64_t k = 0; k < a.features_count; ++k) v_features[k] += sums[features_at + k];
                    if (a.v_viewmats)
                        accumulate(v_camera, camera_sums + (begin / CHUNK * a.cameras + c) * CAMERA_NUMBERS);
                    if (a.v_mean2d_abs) v_abs_x = sums[floats - 2], v_abs_y = sums[floats - 1];
                }
                const S half_width = S(a.width) / 2, half_height = S(a.height) / 2;
                if (a.v_mean2d) {
                    S* v_mean2d = at<S>(a.v_mean2d) + 2 * row;
                    v_mean2d[0] = v_x * half_width, v_mean2d[1] = v_y * half_height;
                }
                if (a.v_mean2d_abs) {
                    S* v_mean2d_abs = at<S>(a.v_mean2d_abs) + 2 * row;
                    v_mean2d_abs[0] = v_abs_x * half_width, v_mean2d_abs[1] = v_abs_y * half_height;
                }
            }
            store3(at<S>(a.v_means) + 3 * i, v.mean);
            S* v_quat = at<S>(a.v_quats) + 4 * i;
            v_quat[0] = v.quat.w, v_quat[1] = v.quat.x, v_quat[2] = v.quat.y, v_quat[3] = v.quat.z;
            store3(at<S>(a.v_log_scales) + 3 * i, v.log_scale);
            at<S>(a.v_logit_opacities)[i] = v.logit_opacity;
            if (first) {  // no camera saw it
                store3(at<S>(a.v_sh0) + 3 * i, Vec3<S>{});
                memset(at<S>(a.v_sh_rest) + 3 * a.sh_rest_count * i, 0, 3 * a.sh_rest_count * sizeof(S));
            }
        }
    });
    if (!a.v_viewmats) return;
    for (int64_t c = 0; c < a.cameras; ++c) {
        double total[CAMERA_NUMBERS] = {};
        for (int64_t chunk = 0; chunk < chunks(a); ++chunk)
            for (int k = 0; k < CAMERA_NUMBERS; ++k)
                total[k] += camera_sums[(chunk * a.cameras + c) * CAMERA_NUMBERS + k];
        write_camera<S>(a, c, total);
    }
}

template void project_backward<float>(const RenderArguments&);
template void project_backward<double>(const RenderArguments&);

SPLAT_NAMESPACE_END
