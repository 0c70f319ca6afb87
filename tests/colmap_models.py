"""COLMAP models with tracks, written by pycolmap and taken apart for tests of reading."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from splat.datasets.readers.colmap import read_model
from splat.datasets.readers.model import Model
from splat.errors import InputError

PHOTOS, POINTS = 6, 40


def tracked(photos: int = PHOTOS, points: int = POINTS, lens: str = "OPENCV", seed: int = 0) -> pycolmap.Reconstruction:
    """Photos at random, and points that about half of them see."""
    random = np.random.default_rng(seed)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(3, lens, 500.0, 640, 480)
    model.add_camera_with_trivial_rig(camera)
    seen = random.random((points, photos)) < 0.5
    tracks: list[list[pycolmap.TrackElement]] = [[] for _ in range(points)]
    for photo in range(photos):
        quat = random.normal(size=4)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(quat / np.linalg.norm(quat)), random.normal(size=3))
        places = random.uniform(0, 480, (int(seen[:, photo].sum()) + 2, 2))
        image = pycolmap.Image(f"{photo:03d}.jpg", places, camera_id=3, image_id=2 * photo + 5)
        model.add_image_with_trivial_frame(image, pose)
        for place, point in enumerate(np.flatnonzero(seen[:, photo])):
            tracks[point].append(pycolmap.TrackElement(2 * photo + 5, place))
    for track in tracks:
        color = random.integers(0, 256, 3).astype(np.uint8)
        model.add_point3D(random.normal(size=3), pycolmap.Track(track), color)
    return model


def write(model: pycolmap.Reconstruction, folder: Path, text: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.write_text(folder) if text else model.write_binary(folder)
    return folder


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace parts of a text file, each of which must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{old!r} is not in {path.name}"
        text = text.replace(old, new)
    path.write_bytes(text.encode())


def photo_lines(path: Path) -> list[str]:
    """The lines of images.txt that are photos: COLMAP writes two lines for each."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return lines[::2]


def rewrite(path: Path, lines: list[str], newline: str = "\n") -> None:
    path.write_bytes(newline.join([*lines, ""]).encode())


def assert_equal(model: Model, expected: pycolmap.Reconstruction) -> None:
    """Poses, lenses, points and observations are those that pycolmap has, to the last bit."""
    assert not model.notes and not model.skipped
    images = sorted(expected.images.values(), key=lambda image: image.name)
    assert [posed.name for posed in model.images] == [image.name for image in images]
    points = list(expected.points3D.values())
    xyz = np.array([point.xyz for point in points]).reshape(-1, 3)
    colors = np.array([point.color for point in points]).reshape(-1, 3)
    mine, theirs = np.column_stack([model.points, model.colors]), np.column_stack([xyz, colors])
    np.testing.assert_array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)])
    assert model.points.dtype == np.float64 and model.colors.dtype == np.uint8
    seen: dict[int, set[int]] = {}
    for row, point in enumerate(points):
        for element in point.track.elements:
            seen.setdefault(element.image_id, set()).add(row)
    for posed, image in zip(model.images, images, strict=True):
        np.testing.assert_array_equal(posed.viewmat[:3], image.cam_from_world().matrix())
        camera = expected.cameras[image.camera_id]
        assert (posed.camera.model, posed.camera.width) == (camera.model, camera.width)
        assert (posed.camera.camera_id, posed.camera.height) == (camera.camera_id, camera.height)
        np.testing.assert_array_equal(posed.camera.params, camera.params)
        assert posed.observed is not None and posed.observed.dtype == np.int64
        assert (np.diff(posed.observed) > 0).all()
        rows = sorted(seen.get(image.image_id, ()))
        assert sorted(map(tuple, model.points[posed.observed])) == sorted(map(tuple, xyz[rows]))


def assert_poses(model: Model, expected: Model) -> None:
    assert not model.skipped
    for posed, other in zip(model.images, expected.images, strict=True):
        np.testing.assert_array_equal(posed.viewmat, other.viewmat)
        np.testing.assert_array_equal(posed.camera.params, other.camera.params)


def assert_same(model: Model, expected: Model, notes: int = 0) -> None:
    assert_poses(model, expected)
    assert len(model.notes) == notes, model.notes
    np.testing.assert_array_equal(model.points, expected.points)
    for posed, other in zip(model.images, expected.images, strict=True):
        assert posed.observed is not None and other.observed is not None
        np.testing.assert_array_equal(posed.observed, other.observed)


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(InputError) as error:
        read_model(folder)
    for part in parts:
        assert part in str(error.value)


def data_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]
