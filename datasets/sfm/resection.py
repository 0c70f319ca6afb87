"""Where photos that mapping has left out were taken from: resection, from the points of a scene that they show."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.sfm.agreement import shown_points
from splat.datasets.sfm.cameras import FOCAL_LENGTHS
from splat.datasets.sfm.matches import compared_pairs

FITTING = 30
"""Points of the scene that must agree with a pose: a wrong one agrees with 15 or 20 of a hundred by chance."""
FITTING_SHARE = 0.25
"""Share of the points that a photo seems to show, by its matches, that must agree with its pose."""

Pose = tuple[pycolmap.Rigid3d, pycolmap.Camera]
"""From the scene's coordinates to the camera's, and the camera."""


def resect(model: pycolmap.Reconstruction, database: Path, seed: int) -> dict[int, Pose]:
    """Poses for photos that a scene lacks.

    A photo whose camera is that of photos in the scene keeps it, and one whose EXIF tells its focal length keeps that. Else
    the focal length is found with the pose; where it comes out as none of a real lens is, the one of the database is kept.

    Args:
        database: with matches, and cameras with focal lengths as good as known.

    Returns:
        By image id. Photos that show too few of the points are not among them.
    """
    points = shown_points(model)
    known = {model.images[key].camera_id for key in points}
    found = {}
    with pycolmap.Database.open(database) as opened:
        cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
        partners: dict[int, list[int]] = {}
        for _, a, b, count in compared_pairs(opened):
            if count and (a in points) != (b in points):
                there, missing = (a, b) if a in points else (b, a)
                partners.setdefault(missing, []).append(there)
        for key, others in partners.items():
            seen = _seen(opened, key, {other: points[other] for other in others})
            if len(seen) < FITTING:
                continue
            pixels = opened.read_keypoints(key)[seen[:, 0].astype(np.int64), :2].astype(np.float64)
            places = np.array([model.points3D[int(point)].xyz for point in seen[:, 1]])
            number = opened.read_image(key).camera_id
            camera = model.cameras[number] if number in known else cameras[number]
            pose = _pose(pixels, places, camera, number in known or camera.has_prior_focal_length, seed)
            if pose is not None:
                found[key] = pose
    return found


def _seen(
    database: pycolmap.Database, key: int, points: Mapping[int, NDArray[np.uint64]]
) -> NDArray[np.uint64]:  # [matches, 2]
    """Features of a photo and the points of the scene that they seem to show: those of the features they match."""
    found = []
    for other, shown in points.items():
        matches = database.read_two_view_geometry(key, other).inlier_matches
        point = shown[matches[:, 1]]
        there = point != pycolmap.INVALID_POINT3D_ID
        found.append(np.stack([matches[there, 0].astype(np.uint64), point[there]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _pose(
    pixels: NDArray[np.float64],  # [n, 2]
    places: NDArray[np.float64],  # [n, 3]
    camera: pycolmap.Camera,
    is_known: bool,
    seed: int,
) -> Pose | None:
    """The pose with which most points agree, if enough do, and the camera; its focal length may change if it is not known."""
    for focal in (False,) if is_known else (True, False):
        own: pycolmap.Camera = copy(camera)
        estimation = pycolmap.AbsolutePoseEstimationOptions()
        estimation.estimate_focal_length = focal
        estimation.ransac.min_inlier_ratio, estimation.ransac.random_seed = FITTING_SHARE, seed
        refinement = pycolmap.AbsolutePoseRefinementOptions()
        refinement.refine_focal_length = focal
        found = pycolmap.estimate_and_refine_absolute_pose(pixels, places, own, estimation, refinement)
        relative = own.mean_focal_length() / max(own.width, own.height)
        if (
            found is not None
            and found["num_inliers"] >= max(FITTING, FITTING_SHARE * len(pixels))
            and FOCAL_LENGTHS[0] < relative < FOCAL_LENGTHS[1]
        ):
            return found["cam_from_world"], own
    return None
