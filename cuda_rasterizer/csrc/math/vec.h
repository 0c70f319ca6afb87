// Three-vectors and 3x3 matrices (row-major), with the few operations that projection needs.
#pragma once

#include "math/scalar.h"

SPLAT_NAMESPACE_BEGIN

template <class S> struct Vec3 {
    S x, y, z;
};

template <class S> SPLAT_HD Vec3<S> load3(const S* p) { return {p[0], p[1], p[2]}; }
template <class S> SPLAT_HD void store3(S* p, Vec3<S> a) { p[0] = a.x, p[1] = a.y, p[2] = a.z; }
template <class S> SPLAT_HD Vec3<S> operator+(Vec3<S> a, Vec3<S> b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
template <class S> SPLAT_HD Vec3<S> operator-(Vec3<S> a, Vec3<S> b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
template <class S> SPLAT_HD Vec3<S> operator*(S s, Vec3<S> a) { return {s * a.x, s * a.y, s * a.z}; }
template <class S> SPLAT_HD S dot(Vec3<S> a, Vec3<S> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class S> SPLAT_HD Vec3<S> cross(Vec3<S> a, Vec3<S> b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

template <class S> struct Mat3 {
    Vec3<S> row0, row1, row2;
};

template <class S> SPLAT_HD Mat3<S> operator+(Mat3<S> a, Mat3<S> b) {
    return {a.row0 + b.row0, a.row1 + b.row1, a.row2 + b.row2};
}
template <class S> SPLAT_HD Vec3<S> operator*(Mat3<S> m, Vec3<S> v) {
    return {dot(m.row0, v), dot(m.row1, v), dot(m.row2, v)};
}
template <class S> SPLAT_HD Mat3<S> transpose(Mat3<S> m) {
    return {{m.row0.x, m.row1.x, m.row2.x}, {m.row0.y, m.row1.y, m.row2.y}, {m.row0.z, m.row1.z, m.row2.z}};
}
template <class S> SPLAT_HD Mat3<S> operator*(Mat3<S> a, Mat3<S> b) {
    const Mat3<S> columns = transpose(b);
    return {columns * a.row0, columns * a.row1, columns * a.row2};
}
template <class S> SPLAT_HD Mat3<S> outer(Vec3<S> a, Vec3<S> b) { return {a.x * b, a.y * b, a.z * b}; }

// a / |a|, and its derivative: the part of v across the unit vector, divided by the length.
template <class S> SPLAT_HD Vec3<S> normalize(Vec3<S> a, S& length) {
    length = square_root(dot(a, a));
    return (S(1) / length) * a;
}
template <class S> SPLAT_HD Vec3<S> normalize_vjp(Vec3<S> unit, S length, Vec3<S> v) {
    return (S(1) / length) * (v - dot(unit, v) * unit);
}

SPLAT_NAMESPACE_END
