// The 2D covariance of a projected Gaussian, without ever forming the 3D one.
//
// With A = W R S (camera rotation, Gaussian rotation, scales) the projected covariance is (J A)(J A)^T (Zwicker et al.
// 2001, EWA splatting). Its determinant is the squared cross product of the two rows of J A (Cauchy-Binet): that stays
// accurate in float for needles, where Sxx Syy - Sxy^2 loses every digit.
#pragma once

#include "math/camera.h"

SPLAT_NAMESPACE_BEGIN

template <class S> struct Covariance2 {
    S xx, xy, yy;    // pixels^2, with eps2d on the diagonal
    S determinant;   // of the dilated matrix
    S determinant0;  // before dilation
};

template <class S> struct ProjectedAxes {
    Vec3<S> row0, row1;  // J A, [2, 3]: the images of the three half-axes
};

template <class S> SPLAT_HD ProjectedAxes<S> project_axes(const Jacobian<S>& J, const Mat3<S>& A) {
    return {J.xx * A.row0 + J.xz * A.row2, J.yy * A.row1 + J.yz * A.row2};
}
template <class S>
SPLAT_HD void project_axes_vjp(const Jacobian<S>& J, const Mat3<S>& A, const ProjectedAxes<S>& v, Jacobian<S>& v_J,
                               Mat3<S>& v_A) {
    v_J = {dot(v.row0, A.row0), dot(v.row0, A.row2), dot(v.row1, A.row1), dot(v.row1, A.row2)};
    v_A = {J.xx * v.row0, J.yy * v.row1, J.xz * v.row0 + J.yz * v.row1};
}

template <class S> SPLAT_HD Covariance2<S> covariance2(const ProjectedAxes<S>& axes, S eps2d) {
    const S xx = dot(axes.row0, axes.row0), xy = dot(axes.row0, axes.row1), yy = dot(axes.row1, axes.row1);
    const Vec3<S> area = cross(axes.row0, axes.row1);
    const S determinant0 = dot(area, area);
    return {xx + eps2d, xy, yy + eps2d, determinant0 + eps2d * (xx + yy + eps2d), determinant0};
}
// v.xx, v.xy, v.yy: gradients with respect to the three numbers xx, xy, yy.
template <class S>
SPLAT_HD ProjectedAxes<S> covariance2_vjp(const ProjectedAxes<S>& axes, S v_xx, S v_xy, S v_yy) {
    return {2 * v_xx * axes.row0 + v_xy * axes.row1, 2 * v_yy * axes.row1 + v_xy * axes.row0};
}

// sqrt(det0 / det): what is left of the peak when the dilation adds no light (Yu et al. 2024, Mip-Splatting).
template <class S> SPLAT_HD S antialiasing(const Covariance2<S>& cov) {
    return square_root(cov.determinant0 / cov.determinant);
}
template <class S>
SPLAT_HD ProjectedAxes<S> antialiasing_vjp(const ProjectedAxes<S>& axes, const Covariance2<S>& cov, S eps2d, S factor,
                                           S v_factor) {
    const S half = v_factor * factor / 2, before = half / cov.determinant0, after = half / cov.determinant;
    return covariance2_vjp(axes, before * (cov.yy - eps2d) - after * cov.yy, 2 * cov.xy * (after - before),
                           before * (cov.xx - eps2d) - after * cov.xx);
}

SPLAT_NAMESPACE_END
