// GaussianFootprint: how a projected Gaussian covers pixels. The compositors are templates over a footprint and know
// nothing else about a primitive; a new primitive is a new header with the same functions.
//
// The exponent is kept in base 2 and as a Cholesky factor of the conic:
//     alpha = 2^(log2_opacity - u^2 - v^2),  u = l11 dx + l12 dy,  v = l22 dy.
// Two fused multiply-adds per pixel, as for the plain quadratic form, but never positive whatever the rounding, so a
// needle of a thousand pixels cannot light up where it should be dark.
#pragma once

#include "math/covariance.h"

SPLAT_NAMESPACE_BEGIN

template <class S> struct GaussianFootprint {
    typedef S Scalar;
    static constexpr int FIELDS = 6;   // numbers below, which a compositor may lay out as it likes
    static constexpr int MOMENTS = 6;  // numbers of FootprintMoments

    S x, y;           // center, pixels
    S l11, l12, l22;  // Cholesky factor of log2(e) / 2 times the conic
    S log2_opacity;
};

// An interval of pixel coordinates; empty when last < first.
template <class S> struct Interval {
    S first, last;
};

template <class S>
SPLAT_HD GaussianFootprint<S> make_footprint(S x, S y, const Covariance2<S>& cov, S opacity) {
    const S half_log2e = S(0.72134752044448170);
    GaussianFootprint<S> f;
    f.x = x, f.y = y;
    f.l22 = square_root(half_log2e / cov.yy);
    f.l11 = square_root(half_log2e * cov.yy / cov.determinant);
    f.l12 = -(cov.xy / cov.yy) * f.l11;
    f.log2_opacity = log_base2(opacity);
    return f;
}

// What is constant along one row of pixels. V is a number for one row, or a vector of rows.
template <class V> struct FootprintRow {
    V u, log2_peak;
};
template <class S, class V> SPLAT_HD FootprintRow<V> footprint_row(const GaussianFootprint<S>& f, V dy) {
    const V v = f.l22 * dy;
    return {f.l12 * dy, f.log2_opacity - v * v};
}
// A footprint at a pixel, or at a vector of pixels along a row: alpha before any clamping, and what the derivative needs.
template <class V> struct FootprintSample {
    V u, alpha;
};
template <class S, class V>
SPLAT_HD FootprintSample<V> footprint_sample(const GaussianFootprint<S>& f, const FootprintRow<S>& row, V dx) {
    const V u = f.l11 * dx + row.u;
    return {u, exp2_of(row.log2_peak - u * u)};
}

// What a compositor adds up over a footprint's pixels for its derivative: sums of v_sigma = -alpha dL/dalpha times these.
// In u and dy, not dx and dy: along a needle dx and dy are large and nearly cancel, u stays small.
template <class V> struct FootprintMoments {
    V one, u, dy, u_u, u_dy, dy_dy;

    // Those of one pixel, or of a vector of pixels.
    template <class S> static SPLAT_HD FootprintMoments of(V v_sigma, const FootprintSample<V>& sample, S y) {
        const V v_u = v_sigma * sample.u, v_dy = v_sigma * y;
        return {v_sigma, v_u, v_dy, v_u * sample.u, v_u * y, v_dy * y};
    }
    template <class S> SPLAT_HD void add(V v_sigma, const FootprintSample<V>& sample, S y) {
        const V v_u = v_sigma * sample.u, v_dy = v_sigma * y;
        one += v_sigma, u += v_u, dy += v_dy;
        u_u += v_u * sample.u, u_dy += v_u * y, dy_dy += v_dy * y;
    }
};

// With d = pixel - center and C the conic, sigma = d C d / 2 has the slope C d = (slope_u u, slope_v u + slope_w dy).
template <class S> struct FootprintSlopes {
    S u, v, w;
};
template <class S>
SPLAT_HD FootprintSlopes<S> footprint_slopes(const GaussianFootprint<S>& f) {
    const S scale = S(1.3862943611198906);  // 2 ln 2: from base 2 back to e
    return {scale * f.l11, scale * f.l12, scale * f.l22 * f.l22};
}

// Adds |v_sigma C d|: the absolute gradients with respect to the center.
template <class S, class V>
SPLAT_HD void add_absolute_gradient(const FootprintSlopes<S>& s, const FootprintSample<V>& sample, V v_sigma, S dy,
                                    V& x, V& y) {
    x += magnitude(s.u * (v_sigma * sample.u));
    y += magnitude(v_sigma * (s.v * sample.u + s.w * dy));
}

// By the center: the sum of -v_sigma C d. By the opacity: alpha is proportional to it.
template <class S>
SPLAT_HD void footprint_vjp(const GaussianFootprint<S>& f, S opacity, const FootprintMoments<S>& m, S& v_x, S& v_y,
                            S& v_opacity) {
    const FootprintSlopes<S> s = footprint_slopes(f);
    v_x = -s.u * m.u;
    v_y = -(s.v * m.u + s.w * m.dy);
    v_opacity = -m.one / opacity;
}

// By the axes M of which the covariance is M M^T: the sum of -v_sigma (C d)(C d)^T M. The axes are brought to the
// footprint's own frame first, where those of a needle are of ordinary size.
template <class S>
SPLAT_HD ProjectedAxes<S> footprint_axes_vjp(const GaussianFootprint<S>& f, const ProjectedAxes<S>& axes,
                                             const FootprintMoments<S>& m) {
    const S scale = S(1.9218120556728056);  // (2 ln 2)^2
    const Vec3<S> w0 = f.l11 * axes.row0 + f.l12 * axes.row1, w1 = f.l22 * axes.row1;
    const S u_u = scale * m.u_u, u_v = scale * f.l22 * m.u_dy, v_v = scale * f.l22 * f.l22 * m.dy_dy;
    const Vec3<S> p0 = u_u * w0 + u_v * w1, p1 = u_v * w0 + v_v * w1;
    return {-f.l11 * p0, -f.l12 * p0 - f.l22 * p1};
}

// u^2 + v^2 up to which a footprint still counts (alpha >= alpha_min), widened by less than a thousandth so that
// rounding in the tests below can only keep too much. Negative: the footprint is invisible.
template <class S> SPLAT_HD S footprint_reach(const GaussianFootprint<S>& f, S log2_alpha_min) {
    return f.log2_opacity - log2_alpha_min + S(1e-3);
}

// Half-extents of the footprint: sqrt(2 ln(opacity / alpha_min) Sxx) and the same for Syy.
template <class S> SPLAT_HD void footprint_extent(const GaussianFootprint<S>& f, S reach, S& half_x, S& half_y) {
    const S root = square_root(reach);
    half_x = root * square_root(f.l12 * f.l12 + f.l22 * f.l22) / (f.l11 * f.l22);
    half_y = root / f.l22;
}

template <class S> SPLAT_HD Interval<S> widened(S first, S last) {
    const S slack = S(1e-3) + S(1e-6) * (magnitude(first) + magnitude(last));
    return {first - slack, last + slack};
}

// Exact: the x that the ellipse covers between the rows y0 and y1 (pixel coordinates).
template <class S> SPLAT_HD Interval<S> footprint_columns(const GaussianFootprint<S>& f, S reach, S y0, S y1) {
    const S half_y = square_root(reach) / f.l22;
    const S low = larger(y0 - f.y, -half_y), high = smaller(y1 - f.y, half_y);
    if (!(low <= high)) return {S(1), S(0)};
    // The ellipse is widest at dy = +-peak; between two rows it is widest at the nearest dy to that.
    const S peak = -f.l12 * half_y / square_root(f.l12 * f.l12 + f.l22 * f.l22);
    const S right = clamp(peak, low, high), left = clamp(-peak, low, high);
    const S inverse = S(1) / f.l11;
    const S root_right = square_root(larger(reach - f.l22 * f.l22 * right * right, S(0)));
    const S root_left = square_root(larger(reach - f.l22 * f.l22 * left * left, S(0)));
    return widened(f.x - (root_left + f.l12 * left) * inverse, f.x + (root_right - f.l12 * right) * inverse);
}

// Exact: the y that the ellipse covers between the columns x0 and x1 (pixel coordinates).
template <class S> SPLAT_HD Interval<S> footprint_rows(const GaussianFootprint<S>& f, S reach, S x0, S x1) {
    const S g = f.l12 * f.l12 + f.l22 * f.l22, half_x = square_root(reach * g) / (f.l11 * f.l22);
    const S low = larger(x0 - f.x, -half_x), high = smaller(x1 - f.x, half_x);
    if (!(low <= high)) return {S(1), S(0)};
    const S peak = -f.l12 * square_root(reach) / (f.l22 * f.l11);
    const S bottom = clamp(peak, low, high), top = clamp(-peak, low, high);
    const S inverse = S(1) / g, shear = f.l11 * f.l12, area = f.l11 * f.l22;
    const S root_bottom = square_root(larger(reach * g - area * area * bottom * bottom, S(0)));
    const S root_top = square_root(larger(reach * g - area * area * top * top, S(0)));
    return widened(f.y - (root_top + shear * top) * inverse, f.y + (root_bottom - shear * bottom) * inverse);
}

// Exact: whether the ellipse reaches into the rectangle of pixel centers x0..x1, y0..y1. If the center is outside the
// rectangle, the nearest point of the rectangle lies on an edge that faces the center. Along an edge u^2 + v^2 is a
// parabola; its minimum (foot_x, foot_y) is clamped to the edge.
template <class S> SPLAT_HD bool footprint_touches(const GaussianFootprint<S>& f, S reach, S x0, S x1, S y0, S y1) {
    const S left = x0 - f.x, right = x1 - f.x, top = y0 - f.y, bottom = y1 - f.y;
    const S dx = clamp(S(0), left, right), dy = clamp(S(0), top, bottom);
    const S foot_y = clamp(approximate_quotient(-f.l11 * f.l12 * dx, f.l12 * f.l12 + f.l22 * f.l22), top, bottom);
    const S foot_x = clamp(approximate_quotient(-f.l12 * dy, f.l11), left, right);
    const S u0 = f.l11 * dx + f.l12 * foot_y, v0 = f.l22 * foot_y, u1 = f.l11 * foot_x + f.l12 * dy, v1 = f.l22 * dy;
    const S nearest = smaller(u0 * u0 + v0 * v0, u1 * u1 + v1 * v1);
    // Far from the center of a needle u is a small difference of large numbers: allow for their rounding.
    const S rounding = S(1e-6) * (magnitude(f.l11 * foot_x) + magnitude(f.l12 * foot_y) + magnitude(f.l11 * dx));
    return nearest <= reach + rounding * (S(1) + approximate_root(nearest));
}

SPLAT_NAMESPACE_END
