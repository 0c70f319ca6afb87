// Pinhole projection of a point, and the Jacobian that carries covariances to the image, each with its derivative.
#pragma once

#include "math/vec.h"

SPLAT_NAMESPACE_BEGIN

template <class S> struct PinholeCamera {
    Mat3<S> rotation;              // world to camera
    Vec3<S> translation;           // world to camera
    S fx, fy, cx, cy;              // pixels
    S x_min, x_max, y_min, y_max;  // limits of x/z and y/z where the Jacobian is evaluated
    Vec3<S> position;              // center of projection in the world, -R^T t
};

// Reads viewmat [4, 4] and K [3, 3]. The limits are the image plus `margin` tan(fov / 2) on every side; they count as
// constants when differentiating.
template <class S>
SPLAT_HD PinholeCamera<S> load_camera(const S* viewmat, const S* K, int width, int height, S margin) {
    PinholeCamera<S> camera;
    camera.rotation = {load3(viewmat), load3(viewmat + 4), load3(viewmat + 8)};
    camera.translation = {viewmat[3], viewmat[7], viewmat[11]};
    camera.fx = K[0], camera.fy = K[4], camera.cx = K[2], camera.cy = K[5];
    const S margin_x = margin * S(width) / (2 * camera.fx), margin_y = margin * S(height) / (2 * camera.fy);
    camera.x_min = -camera.cx / camera.fx - margin_x, camera.x_max = (S(width) - camera.cx) / camera.fx + margin_x;
    camera.y_min = -camera.cy / camera.fy - margin_y, camera.y_max = (S(height) - camera.cy) / camera.fy + margin_y;
    camera.position = S(-1) * (transpose(camera.rotation) * camera.translation);
    return camera;
}

// Gradients with respect to the camera, summed over Gaussians.
template <class S> struct CameraGradient {
    Mat3<S> rotation;
    Vec3<S> translation;
    S fx, fy, cx, cy;
};

template <class S> SPLAT_HD void project_point(const PinholeCamera<S>& camera, Vec3<S> p, S& u, S& v) {
    const S inverse_z = S(1) / p.z;
    u = camera.fx * p.x * inverse_z + camera.cx;
    v = camera.fy * p.y * inverse_z + camera.cy;
}
template <class S>
SPLAT_HD void project_point_vjp(const PinholeCamera<S>& camera, Vec3<S> p, S v_u, S v_v, Vec3<S>& v_p,
                                CameraGradient<S>& v_camera) {
    const S inverse_z = S(1) / p.z, x = p.x * inverse_z, y = p.y * inverse_z;
    const S v_x = camera.fx * v_u * inverse_z, v_y = camera.fy * v_v * inverse_z;
    v_p = v_p + Vec3<S>{v_x, v_y, -(v_x * x + v_y * y)};
    v_camera.fx += v_u * x, v_camera.fy += v_v * y;
    v_camera.cx += v_u, v_camera.cy += v_v;
}

// d(u, v) / d(x, y, z) = [[xx, 0, xz], [0, yy, yz]].
template <class S> struct Jacobian {
    S xx, xz, yy, yz;
};

template <class S> SPLAT_HD Jacobian<S> projection_jacobian(const PinholeCamera<S>& camera, Vec3<S> p) {
    const S inverse_z = S(1) / p.z;
    const S x = clamp(p.x * inverse_z, camera.x_min, camera.x_max);
    const S y = clamp(p.y * inverse_z, camera.y_min, camera.y_max);
    return {camera.fx * inverse_z, -camera.fx * x * inverse_z, camera.fy * inverse_z, -camera.fy * y * inverse_z};
}
template <class S>
SPLAT_HD void projection_jacobian_vjp(const PinholeCamera<S>& camera, Vec3<S> p, const Jacobian<S>& v_J, Vec3<S>& v_p,
                                      CameraGradient<S>& v_camera) {
    const S inverse_z = S(1) / p.z, x = p.x * inverse_z, y = p.y * inverse_z;
    const S x_clamped = clamp(x, camera.x_min, camera.x_max), y_clamped = clamp(y, camera.y_min, camera.y_max);
    v_camera.fx += (v_J.xx - v_J.xz * x_clamped) * inverse_z;
    v_camera.fy += (v_J.yy - v_J.yz * y_clamped) * inverse_z;
    // By z through the visible 1 / z, and by x and z through the slope where it is not clamped.
    v_p.z -=
        (camera.fx * (v_J.xx - v_J.xz * x_clamped) + camera.fy * (v_J.yy - v_J.yz * y_clamped)) * inverse_z * inverse_z;
    if (x == x_clamped) {
        const S v_x = -camera.fx * v_J.xz * inverse_z * inverse_z;
        v_p.x += v_x, v_p.z -= v_x * x;
    }
    if (y == y_clamped) {
        const S v_y = -camera.fy * v_J.yz * inverse_z * inverse_z;
        v_p.y += v_y, v_p.z -= v_y * y;
    }
}

SPLAT_NAMESPACE_END
