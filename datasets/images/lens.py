"""Lens distortion taken out: of photos, and alike of the masks and depth maps that belong to them."""

import numpy as np
import pycolmap
from PIL import Image


def is_pinhole(camera: pycolmap.Camera) -> bool:
    return camera.model_name in ("PINHOLE", "SIMPLE_PINHOLE")


def undistort(image: Image.Image, camera: pycolmap.Camera) -> tuple[Image.Image, pycolmap.Camera]:
    """The photo and camera without lens distortion, for every camera model; `camera` has the photo's size."""
    bitmap = pycolmap.Bitmap.from_array(np.ascontiguousarray(np.asarray(image)))
    flat, pinhole = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, camera)
    return Image.fromarray(np.asarray(flat.to_array())), pinhole


def undistort_map(values: np.ndarray, camera: pycolmap.Camera, pinhole: pycolmap.Camera) -> np.ndarray:
    """A mask or depth map as the camera without distortion sees it: the nearest value, for averages mean nothing there.

    Args:
        values: [H, W], of the size of `camera`.
        pinhole: the camera without distortion that `undistort` gave.

    Returns:
        [height, width] of `pinhole`; zero where the photo does not reach.
    """
    columns, rows = np.meshgrid(np.arange(pinhole.width) + 0.5, np.arange(pinhole.height) + 0.5)
    rays = pinhole.cam_from_img(np.stack([columns.ravel(), rows.ravel()], axis=1))
    places = camera.img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], axis=1))
    column, row = (np.floor(np.nan_to_num(places[:, axis], nan=-1.0)).astype(np.int64) for axis in (0, 1))
    inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    result = np.zeros(len(rays), dtype=values.dtype)
    result[inside] = values[row[inside], column[inside]]
    return result.reshape(pinhole.height, pinhole.width)
