// Real spherical harmonics up to degree 4, in the order and with the signs of the published scenes (Kerbl et al. 2023;
// Sloan 2013), as polynomials of a unit direction, and their derivative with respect to the direction.
#pragma once

#include "math/vec.h"

SPLAT_NAMESPACE_BEGIN

constexpr int SH_DEGREE_MAX = 4;
constexpr int SH_BASES_MAX = (SH_DEGREE_MAX + 1) * (SH_DEGREE_MAX + 1);

SPLAT_HD int sh_bases(int degree) { return (degree + 1) * (degree + 1); }

// Fills Y[(degree + 1)^2].
template <class S> SPLAT_HD void sh_basis(int degree, Vec3<S> d, S* Y) {
    const S x = d.x, y = d.y, z = d.z;
    Y[0] = S(0.28209479177387814);
    if (degree < 1) return;
    Y[1] = S(-0.4886025119029199) * y;
    Y[2] = S(0.4886025119029199) * z;
    Y[3] = S(-0.4886025119029199) * x;
    if (degree < 2) return;
    const S xx = x * x, yy = y * y, zz = z * z;
    Y[4] = S(1.0925484305920792) * x * y;
    Y[5] = S(-1.0925484305920792) * y * z;
    Y[6] = S(0.31539156525252005) * (2 * zz - xx - yy);
    Y[7] = S(-1.0925484305920792) * x * z;
    Y[8] = S(0.5462742152960396) * (xx - yy);
    if (degree < 3) return;
    Y[9] = S(-0.5900435899266435) * y * (3 * xx - yy);
    Y[10] = S(2.890611442640554) * x * y * z;
    Y[11] = S(-0.4570457994644658) * y * (4 * zz - xx - yy);
    Y[12] = S(0.3731763325901154) * z * (2 * zz - 3 * xx - 3 * yy);
    Y[13] = S(-0.4570457994644658) * x * (4 * zz - xx - yy);
    Y[14] = S(1.445305721320277) * z * (xx - yy);
    Y[15] = S(-0.5900435899266435) * x * (xx - 3 * yy);
    if (degree < 4) return;
    Y[16] = S(2.5033429417967046) * x * y * (xx - yy);
    Y[17] = S(-1.7701307697799304) * y * z * (3 * xx - yy);
    Y[18] = S(0.9461746957575601) * x * y * (7 * zz - 1);
    Y[19] = S(-0.6690465435572892) * y * z * (7 * zz - 3);
    Y[20] = S(0.10578554691520431) * (zz * (35 * zz - 30) + 3);
    Y[21] = S(-0.6690465435572892) * x * z * (7 * zz - 3);
    Y[22] = S(0.47308734787878004) * (xx - yy) * (7 * zz - 1);
    Y[23] = S(-1.7701307697799304) * x * z * (xx - 3 * yy);
    Y[24] = S(0.6258357354491761) * (xx * (xx - 3 * yy) - yy * (3 * xx - yy));
}

// Gradient with respect to the direction, given the gradients v by the bases.
template <class S> SPLAT_HD Vec3<S> sh_basis_vjp(int degree, Vec3<S> d, const S* v) {
    const S x = d.x, y = d.y, z = d.z;
    Vec3<S> g = {S(0), S(0), S(0)};
    if (degree < 1) return g;
    g.x += S(-0.4886025119029199) * v[3];
    g.y += S(-0.4886025119029199) * v[1];
    g.z += S(0.4886025119029199) * v[2];
    if (degree < 2) return g;
    const S xx = x * x, yy = y * y, zz = z * z;
    const S a4 = S(1.0925484305920792) * v[4], a5 = S(-1.0925484305920792) * v[5];
    const S a6 = S(0.31539156525252005) * v[6], a7 = S(-1.0925484305920792) * v[7];
    const S a8 = S(0.5462742152960396) * v[8];
    g.x += a4 * y - 2 * a6 * x + a7 * z + 2 * a8 * x;
    g.y += a4 * x + a5 * z - 2 * a6 * y - 2 * a8 * y;
    g.z += a5 * y + 4 * a6 * z + a7 * x;
    if (degree < 3) return g;
    const S a9 = S(-0.5900435899266435) * v[9], a10 = S(2.890611442640554) * v[10];
    const S a11 = S(-0.4570457994644658) * v[11], a12 = S(0.3731763325901154) * v[12];
    const S a13 = S(-0.4570457994644658) * v[13], a14 = S(1.445305721320277) * v[14];
    const S a15 = S(-0.5900435899266435) * v[15];
    g.x += 6 * a9 * x * y + a10 * y * z - 2 * a11 * x * y - 6 * a12 * x * z + a13 * (4 * zz - 3 * xx - yy) +
           2 * a14 * x * z + 3 * a15 * (xx - yy);
    g.y += 3 * a9 * (xx - yy) + a10 * x * z + a11 * (4 * zz - xx - 3 * yy) - 6 * a12 * y * z - 2 * a13 * x * y -
           2 * a14 * y * z - 6 * a15 * x * y;
    g.z += a10 * x * y + 8 * a11 * y * z + a12 * (6 * zz - 3 * xx - 3 * yy) + 8 * a13 * x * z + a14 * (xx - yy);
    if (degree < 4) return g;
    const S a16 = S(2.5033429417967046) * v[16], a17 = S(-1.7701307697799304) * v[17];
    const S a18 = S(0.9461746957575601) * v[18], a19 = S(-0.6690465435572892) * v[19];
    const S a20 = S(0.10578554691520431) * v[20], a21 = S(-0.6690465435572892) * v[21];
    const S a22 = S(0.47308734787878004) * v[22], a23 = S(-1.7701307697799304) * v[23];
    const S a24 = S(0.6258357354491761) * v[24];
    g.x += a16 * y * (3 * xx - yy) + 6 * a17 * x * y * z + a18 * y * (7 * zz - 1) + a21 * z * (7 * zz - 3) +
           2 * a22 * x * (7 * zz - 1) + 3 * a23 * z * (xx - yy) + 4 * a24 * x * (xx - 3 * yy);
    g.y += a16 * x * (xx - 3 * yy) + 3 * a17 * z * (xx - yy) + a18 * x * (7 * zz - 1) + a19 * z * (7 * zz - 3) -
           2 * a22 * y * (7 * zz - 1) - 6 * a23 * x * y * z + 4 * a24 * y * (yy - 3 * xx);
    g.z += a17 * y * (3 * xx - yy) + 14 * a18 * x * y * z + a19 * y * (21 * zz - 3) + a20 * z * (140 * zz - 60) +
           a21 * x * (21 * zz - 3) + 14 * a22 * z * (xx - yy) + a23 * x * (xx - 3 * yy);
    return g;
}

SPLAT_NAMESPACE_END
