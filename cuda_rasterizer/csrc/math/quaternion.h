// Rotation matrix of a quaternion (w, x, y, z) of any length but zero, and its derivative.
#pragma once

#include "math/vec.h"

SPLAT_NAMESPACE_BEGIN

template <class S> struct Quat {
    S w, x, y, z;
};

template <class S> SPLAT_HD Quat<S> load_quat(const S* p) { return {p[0], p[1], p[2], p[3]}; }
template <class S> SPLAT_HD S squared_norm(Quat<S> q) { return q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z; }
template <class S> SPLAT_HD Quat<S> scaled(Quat<S> q, S s) { return {s * q.w, s * q.x, s * q.y, s * q.z}; }

// R of a unit quaternion.
template <class S> SPLAT_HD Mat3<S> rotation(Quat<S> q) {
    const S xx = q.x * q.x, yy = q.y * q.y, zz = q.z * q.z;
    const S xy = q.x * q.y, xz = q.x * q.z, yz = q.y * q.z;
    const S wx = q.w * q.x, wy = q.w * q.y, wz = q.w * q.z;
    return {{S(1) - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy)},
            {2 * (xy + wz), S(1) - 2 * (xx + zz), 2 * (yz - wx)},
            {2 * (xz - wy), 2 * (yz + wx), S(1) - 2 * (xx + yy)}};
}

// Gradient with respect to the raw quaternion, given its unit version, 1 / its length, and the gradient with respect to R.
template <class S> SPLAT_HD Quat<S> rotation_vjp(Quat<S> q, S inverse_norm, Mat3<S> v) {
    const S a = v.row2.y - v.row1.z, b = v.row0.z - v.row2.x, c = v.row1.x - v.row0.y;  // antisymmetric part
    const S d = v.row0.y + v.row1.x, e = v.row0.z + v.row2.x, f = v.row1.z + v.row2.y;  // symmetric part
    const Quat<S> v_unit = {2 * (q.x * a + q.y * b + q.z * c),
                            2 * (q.w * a + q.y * d + q.z * e - 2 * q.x * (v.row1.y + v.row2.z)),
                            2 * (q.w * b + q.x * d + q.z * f - 2 * q.y * (v.row0.x + v.row2.z)),
                            2 * (q.w * c + q.x * e + q.y * f - 2 * q.z * (v.row0.x + v.row1.y))};
    const S along = q.w * v_unit.w + q.x * v_unit.x + q.y * v_unit.y + q.z * v_unit.z;
    return {inverse_norm * (v_unit.w - along * q.w), inverse_norm * (v_unit.x - along * q.x),
            inverse_norm * (v_unit.y - along * q.y), inverse_norm * (v_unit.z - along * q.z)};
}

SPLAT_NAMESPACE_END
