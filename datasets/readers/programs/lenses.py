"""COLMAP cameras from the coefficients of other programs.

Most lens models of photogrammetry are special cases of COLMAP's. Where one is not, its radial part is fitted, and the largest
difference in pixels is measured over the image: beyond `TOLERANCE` the photo is `Unusable`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.readers.programs.entries import Unusable

TOLERANCE = 0.1
"""Pixels by which a fitted lens may differ from what the file says."""

PANORAMA = "is a 360 degree panorama; cut it into perspective views and export those"

Project = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Rays [N, 2], as x / z and y / z, to pixels [N, 2]."""


def image_size(width: float, height: float) -> tuple[int, int]:
    if not (1 <= width < 1 << 20 and 1 <= height < 1 << 20):
        raise Unusable(f"states an image of {width:g} x {height:g} pixels")
    return round(width), round(height)


def camera(model: str, size: tuple[float, float], params: Sequence[float]) -> pycolmap.Camera:
    """A camera of a COLMAP model, whose first parameters are focal lengths in pixels.

    Raises:
        Unusable: a value is not possible.
    """
    width, height = image_size(*size)
    if not all(math.isfinite(value) and abs(value) < 1e12 for value in params):
        raise Unusable("has a lens whose parameters are not finite")
    made = pycolmap.Camera.create_from_model_name(1, model, 1.0, width, height)
    made.params = list(params)
    if min(params[index] for index in made.focal_length_idxs()) <= 1e-3:
        raise Unusable(f"has a focal length of {params[0]:g} pixels")
    return made


def perspective(
    size: tuple[float, float],
    focal: tuple[float, float],
    center: tuple[float, float],
    radial: Sequence[float] = (),
    tangential: tuple[float, float] = (0.0, 0.0),
) -> pycolmap.Camera:
    """Brown's model as OpenCV writes it: x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2).

    Args:
        focal, center: in pixels.
        radial: k1, k2, ... up to k4, the term r^8, which COLMAP has not: it is fitted by a fraction of polynomials.
        tangential: p1, p2 in OpenCV's order. Metashape and RealityScan swap the two.
    """
    k1, k2, k3, k4 = (*radial, 0.0, 0.0, 0.0, 0.0)[:4]
    params = [*focal, *center]
    if k4:
        return _rational(size, focal, center, (k1, k2, k3, k4), tangential)
    if k3:
        return camera("FULL_OPENCV", size, [*params, k1, k2, *tangential, k3, 0.0, 0.0, 0.0])
    if k1 or k2 or any(tangential):
        return camera("OPENCV", size, [*params, k1, k2, *tangential])
    return camera("PINHOLE", size, params)


def division(
    size: tuple[float, float], focal: tuple[float, float], center: tuple[float, float], k: float
) -> pycolmap.Camera:
    """x / (1 + k r^2): the denominator of OpenCV's full model."""
    if not k:
        return camera("PINHOLE", size, [*focal, *center])
    return camera("FULL_OPENCV", size, [*focal, *center, 0.0, 0.0, 0.0, 0.0, 0.0, k, 0.0, 0.0])


def fisheye(
    size: tuple[float, float],
    focal: tuple[float, float],
    center: tuple[float, float],
    radial: Sequence[float] = (),
    tangential: tuple[float, float] = (0.0, 0.0),
) -> pycolmap.Camera:
    """The equidistant model, theta (1 + k1 theta^2 + ... + k4 theta^8), as OpenCV's; with tangential terms THIN_PRISM's."""
    k1, k2, k3, k4 = (*radial, 0.0, 0.0, 0.0, 0.0)[:4]
    if any(tangential):
        return camera("THIN_PRISM_FISHEYE", size, [*focal, *center, k1, k2, *tangential, k3, k4, 0.0, 0.0])
    return camera("OPENCV_FISHEYE", size, [*focal, *center, k1, k2, k3, k4])


def equisolid(
    size: tuple[float, float],
    focal: tuple[float, float],
    center: tuple[float, float],
    radial: Sequence[float] = (),
    tangential: tuple[float, float] = (0.0, 0.0),
) -> pycolmap.Camera:
    """rho (1 + k1 rho^2 + ...) with rho = 2 sin(theta / 2), fitted by a polynomial of theta."""
    k = (*radial, 0.0, 0.0, 0.0, 0.0)[:4]

    def distance(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        rho = 2 * np.sin(theta / 2)
        return np.asarray(rho * polynomial(k, rho))

    theta = _reach(distance, size, focal, center, math.pi * 0.49)
    powers = np.stack([theta**power for power in (2, 4, 6, 8)], axis=1)
    wanted = distance(theta)
    coefficients = np.linalg.lstsq(powers * theta[:, None], wanted - theta, rcond=None)[0]
    made = fisheye(size, focal, center, [float(value) for value in coefficients], tangential)

    def project(rays: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = np.arctan(np.linalg.norm(rays, axis=1))
        flat = rays / np.maximum(np.linalg.norm(rays, axis=1), 1e-12)[:, None] * (2 * np.sin(angle / 2))[:, None]
        return pixels(flat, focal, center, k, tangential)

    return _close_enough(made, project, np.tan(theta))


def pixels(
    flat: NDArray[np.float64],
    focal: tuple[float, float],
    center: tuple[float, float],
    radial: Sequence[float],
    tangential: tuple[float, float],
) -> NDArray[np.float64]:
    """Brown's terms on places [N, 2] of the image plane, and the pixels."""
    x, y = flat.T
    r2 = x * x + y * y
    scale, (p1, p2) = polynomial(radial, np.sqrt(r2)), tangential
    u = x * scale + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * scale + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    return np.stack([focal[0] * u + center[0], focal[1] * v + center[1]], axis=1)


def polynomial(radial: Sequence[float], r: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 + k1 r^2 + k2 r^4 + ..."""
    return np.asarray(1 + sum(k * r ** (2 * power) for power, k in enumerate(radial, start=1)))


def _rational(
    size: tuple[float, float],
    focal: tuple[float, float],
    center: tuple[float, float],
    radial: tuple[float, float, float, float],
    tangential: tuple[float, float],
) -> pycolmap.Camera:
    """A polynomial up to r^8 as (1 + a1 r^2 + a2 r^4 + a3 r^6) / (1 + b1 r^2 + b2 r^4 + b3 r^6): linear in a and b."""
    r = _reach(lambda r: r * polynomial(radial, r), size, focal, center, 3.0)
    wanted = polynomial(radial, r)
    powers = np.stack([r**2, r**4, r**6], axis=1)
    table = np.concatenate([powers, -wanted[:, None] * powers], axis=1) * r[:, None]
    a1, a2, a3, b1, b2, b3 = np.linalg.lstsq(table, (wanted - 1) * r, rcond=None)[0].tolist()
    made = camera("FULL_OPENCV", size, [*focal, *center, a1, a2, *tangential, a3, b1, b2, b3])
    return _close_enough(made, lambda rays: pixels(rays, focal, center, radial, tangential), r)


def _reach(
    distance: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    size: tuple[float, float],
    focal: tuple[float, float],
    center: tuple[float, float],
    most: float,
) -> NDArray[np.float64]:
    """Radii from 0 to that of the farthest corner of the image, where the lens is defined so far."""
    width, height = image_size(*size)
    if min(focal) <= 1e-3:
        raise Unusable(f"has a focal length of {min(focal):g} pixels")
    corner = max(
        math.hypot((x - center[0]) / focal[0], (y - center[1]) / focal[1]) for x in (0, width) for y in (0, height)
    )
    radii = np.linspace(0, most, 3001)
    with np.errstate(over="ignore", invalid="ignore"):
        images = distance(radii)
    beyond = np.flatnonzero(~(images < corner) | np.append(~(np.diff(images) > 0), False))
    last = int(beyond[0]) if len(beyond) else len(radii) - 1
    if last < 2:
        raise Unusable("has a lens whose distortion folds the image")
    return np.linspace(0, radii[last], 200)


def _close_enough(made: pycolmap.Camera, project: Project, radii: NDArray[np.float64]) -> pycolmap.Camera:
    """The camera, after a look at how far it is from what was asked, over the image."""
    angles = np.linspace(0, 2 * np.pi, 25)[:-1]
    rays = np.stack([np.outer(radii, np.cos(angles)).ravel(), np.outer(radii, np.sin(angles)).ravel()], axis=1)
    wanted = project(rays)
    seen = ((wanted > -1) & (wanted < np.array([made.width, made.height]) + 1)).all(axis=1)
    got = made.img_from_cam(np.concatenate([rays[seen], np.ones((int(seen.sum()), 1))], axis=1))
    error = float(np.abs(got - wanted[seen]).max(initial=0.0))
    if not error <= TOLERANCE:
        raise Unusable(f"has a lens that can be met to {error:.2g} pixels only; export undistorted photos")
    return made
