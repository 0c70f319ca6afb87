// One Gaussian seen by one camera: from parameters to footprint, depth and opacity, and all the way back.
#pragma once

#include "math/footprint.h"
#include "math/quaternion.h"

SPLAT_NAMESPACE_BEGIN

// The thresholds of splat/settings.py.
template <class S> struct ProjectionSettings {
    S near, far, eps2d, alpha_min;
    bool antialiased;
};

template <class S> struct GaussianParameters {
    Vec3<S> mean;
    Quat<S> quat;
    Vec3<S> log_scale;
    S logit_opacity;
};

// Everything that the forward computes and the derivative needs again.
template <class S> struct ProjectedGaussian {
    Vec3<S> point;  // in camera space
    S inverse_norm;
    Quat<S> unit_quat;
    Vec3<S> scale;
    Mat3<S> R, RS, A;
    Jacobian<S> J;
    ProjectedAxes<S> axes;
    Covariance2<S> cov;
    S sigmoid_opacity, factor, opacity;
    GaussianFootprint<S> footprint;
};

// False where the Gaussian is not drawn: outside near and far, too faint, or not finite.
template <class S>
SPLAT_HD bool project_gaussian(const GaussianParameters<S>& in, const PinholeCamera<S>& camera,
                               const ProjectionSettings<S>& settings, ProjectedGaussian<S>& out) {
    out.point = camera.rotation * in.mean + camera.translation;
    if (!(out.point.z >= settings.near && out.point.z <= settings.far)) return false;
    const S norm2 = squared_norm(in.quat);
    if (!(norm2 > S(1e-24)) || !is_finite(norm2)) return false;
    if (!is_finite(in.log_scale.x + in.log_scale.y + in.log_scale.z)) return false;
    out.inverse_norm = S(1) / square_root(norm2);
    out.unit_quat = scaled(in.quat, out.inverse_norm);
    out.scale = {exponential(in.log_scale.x), exponential(in.log_scale.y), exponential(in.log_scale.z)};
    out.R = rotation(out.unit_quat);
    const Vec3<S> s = out.scale;
    out.RS = {{out.R.row0.x * s.x, out.R.row0.y * s.y, out.R.row0.z * s.z},
              {out.R.row1.x * s.x, out.R.row1.y * s.y, out.R.row1.z * s.z},
              {out.R.row2.x * s.x, out.R.row2.y * s.y, out.R.row2.z * s.z}};
    out.A = camera.rotation * out.RS;
    out.J = projection_jacobian(camera, out.point);
    out.axes = project_axes(out.J, out.A);
    out.cov = covariance2(out.axes, settings.eps2d);
    out.factor = settings.antialiased ? antialiasing(out.cov) : S(1);
    out.sigmoid_opacity = sigmoid(in.logit_opacity);
    out.opacity = out.sigmoid_opacity * out.factor;
    if (!(out.opacity >= settings.alpha_min)) return false;
    S u, v;
    project_point(camera, out.point, u, v);
    out.footprint = make_footprint(u, v, out.cov, out.opacity);
    const GaussianFootprint<S>& f = out.footprint;
    return f.l11 > S(0) && f.l22 > S(0) && is_finite(f.x) && is_finite(f.y) && is_finite(f.l11) && is_finite(f.l12) &&
           is_finite(f.l22) && is_finite(out.cov.determinant);
}

template <class S> struct GaussianGradient {
    Vec3<S> mean;
    Quat<S> quat;
    Vec3<S> log_scale;
    S logit_opacity;
};

// Adds to v_in and v_camera. v_x, v_y receive the gradient with respect to the projected mean, in pixels.
template <class S>
SPLAT_HD void project_gaussian_vjp(const GaussianParameters<S>& in, const PinholeCamera<S>& camera,
                                   const ProjectionSettings<S>& settings, const ProjectedGaussian<S>& out,
                                   const FootprintMoments<S>& moments, S v_depth, S& v_x, S& v_y,
                                   GaussianGradient<S>& v_in, CameraGradient<S>& v_camera) {
    S v_opacity;
    footprint_vjp(out.footprint, out.opacity, moments, v_x, v_y, v_opacity);
    v_in.logit_opacity += sigmoid_vjp(out.sigmoid_opacity, v_opacity * out.factor);

    ProjectedAxes<S> v_axes = footprint_axes_vjp(out.footprint, out.axes, moments);
    if (settings.antialiased) {
        const ProjectedAxes<S> v =
            antialiasing_vjp(out.axes, out.cov, settings.eps2d, out.factor, v_opacity * out.sigmoid_opacity);
        v_axes = {v_axes.row0 + v.row0, v_axes.row1 + v.row1};
    }
    Jacobian<S> v_J;
    Mat3<S> v_A;
    project_axes_vjp(out.J, out.A, v_axes, v_J, v_A);

    Vec3<S> v_point = {S(0), S(0), v_depth};
    projection_jacobian_vjp(camera, out.point, v_J, v_point, v_camera);
    project_point_vjp(camera, out.point, v_x, v_y, v_point, v_camera);

    v_camera.rotation = v_camera.rotation + v_A * transpose(out.RS) + outer(v_point, in.mean);
    v_camera.translation = v_camera.translation + v_point;
    v_in.mean = v_in.mean + transpose(camera.rotation) * v_point;

    const Mat3<S> v_RS = transpose(camera.rotation) * v_A;
    const Vec3<S> s = out.scale;
    v_in.log_scale = v_in.log_scale +
                     Vec3<S>{v_RS.row0.x * out.RS.row0.x + v_RS.row1.x * out.RS.row1.x + v_RS.row2.x * out.RS.row2.x,
                             v_RS.row0.y * out.RS.row0.y + v_RS.row1.y * out.RS.row1.y + v_RS.row2.y * out.RS.row2.y,
                             v_RS.row0.z * out.RS.row0.z + v_RS.row1.z * out.RS.row1.z + v_RS.row2.z * out.RS.row2.z};
    const Mat3<S> v_R = {{v_RS.row0.x * s.x, v_RS.row0.y * s.y, v_RS.row0.z * s.z},
                         {v_RS.row1.x * s.x, v_RS.row1.y * s.y, v_RS.row1.z * s.z},
                         {v_RS.row2.x * s.x, v_RS.row2.y * s.y, v_RS.row2.z * s.z}};
    const Quat<S> v_quat = rotation_vjp(out.unit_quat, out.inverse_norm, v_R);
    v_in.quat = {v_in.quat.w + v_quat.w, v_in.quat.x + v_quat.x, v_in.quat.y + v_quat.y, v_in.quat.z + v_quat.z};
}

// Gradient with respect to the viewing direction's origin: the camera center is -R^T t.
template <class S>
SPLAT_HD void camera_position_vjp(const PinholeCamera<S>& camera, Vec3<S> v_position, CameraGradient<S>& v_camera) {
    v_camera.translation = v_camera.translation - camera.rotation * v_position;
    v_camera.rotation = v_camera.rotation + outer(S(-1) * camera.translation, v_position);
}

SPLAT_NAMESPACE_END
