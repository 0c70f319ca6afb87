"""Known cameras and points, for tests that write them in the format of a program and look at what is read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from splat.datasets.readers.model import Model

SIZE = (64, 48)
POINTS = np.random.default_rng(5).uniform(-0.7, 0.7, (60, 3))
"""[60, 3] around the origin, seen by every camera of `ring`."""


@dataclass(frozen=True)
class Known:
    """A camera: OpenCV axes."""

    name: str
    rotation: np.ndarray  # [3, 3] world to camera
    center: np.ndarray  # [3] in the world

    @property
    def translation(self) -> np.ndarray:
        return -self.rotation @ self.center

    @property
    def to_world(self) -> np.ndarray:  # [4, 4], OpenCV axes
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation.T, self.center
        return pose

    @property
    def opengl(self) -> np.ndarray:  # [4, 4] to world, axes x right, y up, z backward
        return self.to_world @ np.diag([1.0, -1.0, -1.0, 1.0])

    def local(self, points: np.ndarray) -> np.ndarray:
        return (points - self.center) @ self.rotation.T


def ring(count: int = 5, at: tuple[float, float, float] = (0.0, 0.0, 0.0), suffix: str = ".png") -> list[Known]:
    """Cameras around a place, each with another tilt."""
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count
        eye = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0 + 0.3 * np.sin(3 * angle)])
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, [0.1 * index, 0.2, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        cameras.append(Known(f"IMG_{index + 1:03d}{suffix}", rotation, eye + at))
    return cameras


def write_photos(folder: Path, cameras: list[Known], size: tuple[int, int] = SIZE) -> None:
    """Gray photos of the names of these cameras."""
    for camera in cameras:
        path = folder / camera.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((size[1], size[0], 3), 99, dtype=np.uint8)).save(path)


def write_ply(path: Path, points: np.ndarray, kind: str = "double") -> None:
    """Points with colors 10, 20, 30."""
    lines = ["ply", "format ascii 1.0", f"element vertex {len(points)}"]
    lines += [f"property {kind} {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    rows = [f"{x!r} {y!r} {z!r} 10 20 30" for x, y, z in points.tolist()]
    path.write_text("\n".join([*lines, "end_header", *rows]) + "\n")


def assert_projects(
    model: Model,
    cameras: list[Known],
    pixels: Callable[[np.ndarray], np.ndarray],
    *,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    names: list[str] | None = None,
    tolerance: float = 1e-6,
) -> None:
    """That the model's cameras put the points where the program's formula does.

    Args:
        pixels: points in the camera's axes [N, 3] to pixels [N, 2], by the program's documentation.
        names: of the photos, those of the cameras unless given.
    """
    names = [camera.name for camera in cameras] if names is None else names
    assert [image.name for image in model.images] == sorted(names), model.skipped
    by_name = dict(zip(names, cameras, strict=True))
    for image in model.images:
        points = POINTS + at
        local = points @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
        wanted = pixels(by_name[image.name].local(points))
        np.testing.assert_allclose(image.camera.img_from_cam(local), wanted, atol=tolerance, rtol=0)
