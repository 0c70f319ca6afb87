"""Which photos were taken by one camera, and what it may be: what mapping begins with."""

import math
import sqlite3
from collections import Counter as Counted
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
import pycolmap

Sharing = Literal["size", "photo"]
"""Photos whose EXIF tells nothing share a camera if they have one size, or each has its own.

Where EXIF names camera and focal length, photos that agree in them and in their size share a camera in any case.
"""
FOCAL_LENGTHS = 0.4, 5.0
"""Focal lengths that a single photo's matches may tell, relative to its longer side: what lies beyond is noise."""
USUAL = 1.2
"""Focal length that takes the place of such a one."""


def write_mapping_database(
    features: Path, target: Path, sharing: Sharing, seed: int, without: Sequence[int] = ()
) -> None:
    """Everything that mapping needs of a database: matches that agree, and cameras with focal lengths as good as known.

    The focal lengths that EXIF does not tell follow from the fundamental matrices of all pairs (the view graph).

    Args:
        features: database with features and matches; it is left as it is.
        target: database to write.
        without: ids of pairs that are left out.
    """
    for suffix in ("", "-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    _copy(features, target, _groups(features, sharing), without)
    options = pycolmap.ViewGraphCalibrationOptions()
    options.random_seed = seed
    options.reestimate_relative_pose = False  # with a focal length that is still wrong it would drop good pairs
    pycolmap.calibrate_view_graph(target, options)
    _keep_geometry(features, target)
    with pycolmap.Database.open(target) as opened:
        for camera in opened.read_all_cameras():
            side = max(camera.width, camera.height)
            if not FOCAL_LENGTHS[0] < camera.mean_focal_length() / side < FOCAL_LENGTHS[1]:
                camera.focal_length = USUAL * side
                opened.update_camera(camera)


def has_unknown(features: Path) -> bool:
    """Whether there are several photos whose EXIF does not tell their focal length."""
    with pycolmap.Database.open(features) as opened:
        return sum(not camera.has_prior_focal_length for camera in opened.read_all_cameras()) > 1


def shares_cameras(database: Path) -> bool:
    """Whether most photos of a database share their camera with others."""
    with pycolmap.Database.open(database) as opened:
        taken = Counted(image.camera_id for image in opened.read_all_images())
    return 2 * sum(count for count in taken.values() if count > 1) > sum(taken.values())


def _groups(features: Path, sharing: Sharing) -> list[tuple[pycolmap.Camera, list[pycolmap.Image]]]:
    """Photos that share a camera."""
    with pycolmap.Database.open(features) as opened:
        cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
        groups: dict[tuple[int, ...], tuple[pycolmap.Camera, list[pycolmap.Image]]] = {}
        for image in opened.read_all_images():
            camera = cameras[image.camera_id]
            known = camera.has_prior_focal_length
            own = (image.image_id, 0, 0) if sharing == "photo" else (0, camera.width, camera.height)
            groups.setdefault((camera.camera_id,) if known else own, (camera, []))[1].append(image)
    return list(groups.values())


def _copy(
    features: Path,
    target: Path,
    groups: Sequence[tuple[pycolmap.Camera, Sequence[pycolmap.Image]]],
    without: Sequence[int],
) -> None:
    with pycolmap.Database.open(target) as opened:
        for camera, images in groups:
            camera.camera_id = opened.write_camera(camera)
            rig = pycolmap.Rig(rig_id=camera.camera_id)
            rig.add_ref_sensor(camera.sensor_id)
            opened.write_rig(rig)
            for image in images:
                own = pycolmap.Image(name=image.name, camera_id=camera.camera_id, image_id=image.image_id)
                opened.write_image(own, use_image_id=True)
                frame = pycolmap.Frame(rig_id=rig.rig_id)
                frame.add_data_id(own.data_id)
                opened.write_frame(frame)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("attach ? as features", (str(features),))
        connection.execute("insert into keypoints select * from features.keypoints")
        connection.execute("insert into two_view_geometries select * from features.two_view_geometries where rows > 0")
        connection.executemany("delete from two_view_geometries where pair_id = ?", [(pair,) for pair in without])


def _keep_geometry(features: Path, target: Path) -> None:
    """Undo that pairs which disagree with the focal lengths found were struck out: the mappers see for themselves."""
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("attach ? as features", (str(features),))
        connection.execute(
            "update two_view_geometries set config = (select config from features.two_view_geometries as found "
            "where found.pair_id = two_view_geometries.pair_id)"
        )


def is_plausible(camera: pycolmap.Camera) -> bool:
    """Whether a lens bends rays as lenses do: from the center outward ever farther, to every edge of the photo."""
    half = math.hypot(camera.width, camera.height) / 2 / camera.mean_focal_length()
    angles = np.linspace(0, 1, 33)[1:, None]
    radii = []
    for direction in ((1.0, 0.0), (0.0, 1.0), (0.7, 0.7), (-0.7, 0.7)):
        rays = np.concatenate([angles * half * np.array(direction), np.ones_like(angles)], axis=1)
        pixels = camera.img_from_cam(rays)
        radii.append(np.linalg.norm(pixels - np.array([camera.principal_point_x, camera.principal_point_y]), axis=1))
    return bool((np.diff(np.array(radii), axis=1) > 0).all())
