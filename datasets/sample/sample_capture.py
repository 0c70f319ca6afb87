"""The sample scene photographed and written as a COLMAP capture: photos, exact cameras, sparse points with tracks."""

import math
from pathlib import Path

import numpy as np
import pycolmap
import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.sample.ray_shapes import length
from splat.datasets.sample.ray_tracer import photograph, rays, trace
from splat.datasets.sample.still_life import OBJECTS
from splat.io.images import write_image
from splat.io.progress import counted

FIELD_OF_VIEW = 55.0
"""Degrees, horizontal."""
RAYS_PER_PIXEL_AXIS = 2
POINTS = 6000
"""Points aimed for; those that fewer than three photos show are dropped."""
KEYPOINT_NOISE = 0.3
"""Standard deviation in pixels of the 2D observations, as of a good feature detector."""


def sample_cameras(views: int, width: int, height: int) -> list[Camera]:
    """All around the still life, two thirds of them low and near, one third higher and farther, all upright."""
    cameras = []
    low = views - views // 3
    for index in range(views):
        on_low = index < low
        count, place = (low, index) if on_low else (views - low, index - low)
        turn = 2 * math.pi * (place + (0.0 if on_low else 0.5)) / count
        radius, up = (3.8, 1.35 + 0.25 * math.sin(3 * turn)) if on_low else (4.3, 2.9)
        eye = (radius * math.sin(turn), -up, -radius * math.cos(turn))
        cameras.append(Camera.look_at(eye, (0.05, -0.45, 0.0), width=width, height=height, fov_degrees=FIELD_OF_VIEW))
    return cameras


def write_sample(out: Path, width: int, height: int, views: int, seed: int, *, progress: bool = False) -> int:
    """Write images/ and sparse/0/ into `out`. Returns the number of sparse points.

    Args:
        width, height: size of the photos in pixels.
        seed: of the choice of points and of the noise of their observations.
    """
    generator = torch.Generator().manual_seed(seed)
    cameras = sample_cameras(views, width, height)
    photos = []
    for index, camera in enumerate(counted(cameras, "photographs", unit="photo", shown=progress)):
        photos.append(photograph(camera, RAYS_PER_PIXEL_AXIS))
        write_image(out / "images" / _name(index), photos[-1])
    points, colors = _surface_points(cameras, photos, generator)
    seen = [_observe(camera, points) for camera in cameras]
    shown = torch.stack([visible for _, visible in seen])  # [views, points]
    kept = shown.sum(0) >= min(3, views)
    _write_model(out / "sparse" / "0", cameras, points, colors, seen, kept, generator)
    return int(kept.sum())


def _name(index: int) -> str:
    return f"{index:03d}.png"


def _surface_points(
    cameras: list[Camera], photos: list[Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:  # [P, 3] float32, [P, 3] uint8
    """What rays through random pixels of every photo meet, and the pixels' colors. Not on metal: a mirror image has no
    place that several photos agree on."""
    fraction = math.ceil(POINTS / len(cameras))
    metal = torch.tensor([index for index, item in enumerate(OBJECTS) if item.metal])
    points, colors = [], []
    for camera, photo in zip(cameras, photos, strict=True):
        columns = torch.randint(camera.width, (fraction,), generator=generator)
        rows = torch.randint(camera.height, (fraction,), generator=generator)
        origins, directions = rays(camera, columns + 0.5, rows + 0.5)
        distance, met = trace(origins, directions)
        matt = ~torch.isin(met, metal)
        points.append((origins + distance * directions).T[matt])
        colors.append(photo[rows, columns][matt])
    return torch.cat(points), torch.cat(colors)


def _observe(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Image positions [P, 2] of points, and whether the camera sees them [P]: inside the picture, nothing in front."""
    place, depth = camera.project(points)
    inside = (depth > 0.05) & (place > 1).all(1)
    inside &= (place[:, 0] < camera.width - 1) & (place[:, 1] < camera.height - 1)
    origins, directions = rays(camera, place[:, 0], place[:, 1])
    distance, _ = trace(origins, directions)
    expected = length(points.T - origins)
    return place, inside & ((distance - expected).abs() < 5e-3 * expected)


def _write_model(
    folder: Path,
    cameras: list[Camera],
    points: Tensor,
    colors: Tensor,
    seen: list[tuple[Tensor, Tensor]],
    kept: Tensor,
    generator: torch.Generator,
) -> None:
    """cameras.bin, images.bin, points3D.bin, with every observation in both directions."""
    reconstruction = pycolmap.Reconstruction()
    first = cameras[0]
    K = first.K.double()
    camera = pycolmap.Camera.create_from_model_name(1, "PINHOLE", 1.0, first.width, first.height)
    camera.params = [float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])]
    reconstruction.add_camera_with_trivial_rig(camera)
    tracks: dict[int, list[pycolmap.TrackElement]] = {int(index): [] for index in kept.nonzero()}
    for image, (view, (place, visible)) in enumerate(zip(cameras, seen, strict=True), start=1):
        mine = (visible & kept).nonzero()[:, 0]
        noise = KEYPOINT_NOISE * torch.randn(len(mine), 2, generator=generator)
        keypoints = (place[mine] + noise).double().numpy()
        pose = pycolmap.Rigid3d(np.ascontiguousarray(view.viewmat[:3].double().numpy()))
        posed = pycolmap.Image(name=_name(image - 1), keypoints=keypoints, camera_id=1, image_id=image)
        reconstruction.add_image_with_trivial_frame(posed, pose)
        for row, index in enumerate(mine.tolist()):
            tracks[index].append(pycolmap.TrackElement(image, row))
    for index, track in tracks.items():
        reconstruction.add_point3D(points[index].double().numpy(), pycolmap.Track(track), colors[index].numpy())
    reconstruction.update_point_3d_errors()
    folder.mkdir(parents=True, exist_ok=True)
    reconstruction.write_binary(folder)
