"""The sparse points of a transforms.json: found, said, and in the coordinates of its cameras."""

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from captures import subject, write_capture

from splat.datasets.load import load_capture
from splat.datasets.readers.transforms_json import read_model
from splat.errors import InputError
from splat.io.ply import load_points, save, save_points

SWAP = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0.0]])  # what nerfstudio did to COLMAP's world
TURN = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0.0]])  # what it does now


def nerfstudio(folder: Path, transform: np.ndarray = TURN, scale: float = 1.0, **more) -> np.ndarray:
    """A capture as ns-process-data writes it, without its points; returns these as COLMAP has them."""
    write_capture(folder, photos=6)
    model = pycolmap.Reconstruction(folder / "sparse/0")
    frames = []
    for image in sorted(model.images.values(), key=lambda image: image.name):
        to_world = np.eye(4)
        to_world[:3] = image.cam_from_world().inverse().matrix()
        to_world[:3, 1:3] *= -1
        to_world = np.vstack([transform, [0, 0, 0, 1]]) @ to_world
        to_world[:3, 3] *= scale
        frames.append({"file_path": f"images/{image.name}", "transform_matrix": to_world.tolist()})
    fx, fy, cx, cy = next(iter(model.cameras.values())).params
    values = {"w": 48, "h": 32, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": frames, **more}
    (folder / "transforms.json").write_text(json.dumps(values))
    for path in (folder / "sparse/0").iterdir():
        path.unlink()
    return subject().means.double().numpy()


def cloud(path: Path, xyz: np.ndarray) -> None:
    save_points(path, torch.from_numpy(xyz), torch.full((len(xyz), 3), 9, dtype=torch.uint8))


def assert_in_the_photos(folder: Path) -> None:
    """Every point projects into the photos where the subject is drawn in them: onto pixels that are not black."""
    scene = load_capture(folder)
    hits = []
    for frame in scene.frames:
        pixel, depth = frame.camera.project(scene.points)
        assert (depth > 0).all()
        column, row = pixel.long().T
        inside = (column >= 0) & (column < 48) & (row >= 0) & (row < 32)
        hits.append((frame.image[row[inside], column[inside]].amax(1) > 0).float().mean())
    assert len(scene.points) == 300 and min(hits) > 0.97


@pytest.mark.parametrize("transform", [TURN, SWAP, np.eye(4)[:3]])
@pytest.mark.parametrize("named", [True, False])
def test_points_in_the_coordinates_of_the_frames(tmp_path, transform, named):
    more = {"ply_file_path": "sparse_pc.ply"} if named else {}
    points = nerfstudio(tmp_path, transform, applied_transform=transform.tolist(), **more)
    cloud(tmp_path / "sparse_pc.ply", points @ transform[:, :3].T + transform[:, 3])
    assert_in_the_photos(tmp_path)
    notes = read_model(tmp_path).notes
    assert not any("applied_transform" in note for note in notes)
    assert any("sparse_pc.ply is used for the points (300)" in note for note in notes) == (not named)


def shifted(transform: np.ndarray, axis: int, by: float) -> np.ndarray:
    result = transform.copy()
    result[axis, 3] = by
    return result


@pytest.mark.parametrize(
    "transform, scale",
    [(shifted(TURN, 0, 9), 1.0), (shifted(SWAP, 1, -7), 1.0), (shifted(np.eye(4)[:3], 0, 20), 0.5)],
)
def test_points_in_the_coordinates_before(tmp_path, transform, scale):
    """As early versions of nerfstudio wrote them: they have to be moved as the cameras were."""
    points = nerfstudio(
        tmp_path,
        transform,
        scale,
        applied_transform=transform.tolist(),
        applied_scale=scale,
        ply_file_path="sparse_pc.ply",
    )
    cloud(tmp_path / "sparse_pc.ply", points)
    assert_in_the_photos(tmp_path)
    assert any("the applied_transform of transforms.json is applied" in note for note in read_model(tmp_path).notes)


@pytest.mark.parametrize(
    "override",
    [{"orientation_override": "none"}, {"applied_transform": "x"}, {"applied_transform": [[1]], "applied_scale": -1}],
)
def test_what_is_of_no_use_is_ignored(tmp_path, override):
    cloud(tmp_path / "sparse_pc.ply", nerfstudio(tmp_path, np.eye(4)[:3], ply_file_path="sparse_pc.ply", **override))
    assert_in_the_photos(tmp_path)


@pytest.mark.parametrize("name", ["sparse_pc.ply", "points3d.ply", "points3D.PLY", "anything.ply"])
def test_points_that_nothing_names(tmp_path, name):
    cloud(tmp_path / "a.ply", nerfstudio(tmp_path, np.eye(4)[:3]))
    (tmp_path / "a.ply").rename(tmp_path / name)
    save(subject(), tmp_path / "trained.ply")  # Gaussians are not points of the capture
    assert_in_the_photos(tmp_path)
    assert any(
        f"{name} is used for the points (300), though transforms.json does not" in n for n in read_model(tmp_path).notes
    )


def test_several_that_could_be_the_points(tmp_path):
    points = nerfstudio(tmp_path, np.eye(4)[:3])
    for name in ("one.ply", "two.ply"):
        cloud(tmp_path / name, points)
    model = read_model(tmp_path)
    assert (
        not len(model.points)
        and "2 files could be them (one.ply, two.ply); name one as ply_file_path" in model.notes[0]
    )
    values = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({**values, "ply_file_path": "two.ply"}))  # the remedy
    assert len(read_model(tmp_path).points) == 300


@pytest.mark.parametrize("named", ["C:\\data\\garden\\sparse_pc.ply", "/home/x/garden/sparse_pc.ply", "Sparse_PC.PLY"])
def test_points_of_another_machine(tmp_path, named):
    cloud(tmp_path / "sparse_pc.ply", nerfstudio(tmp_path, np.eye(4)[:3], ply_file_path=named))
    assert_in_the_photos(tmp_path)


def test_points_that_are_not_there(tmp_path):
    points = nerfstudio(tmp_path, np.eye(4)[:3], ply_file_path="gone.ply")
    model = read_model(tmp_path)
    assert not len(model.points) and len(model.images) == 6
    assert "names the points gone.ply, which are not there; it goes on without points" in model.notes[0]
    cloud(tmp_path / "sparse_pc.ply", points)
    notes = read_model(tmp_path).notes
    assert "gone.ply" in notes[0] and "without points" not in notes[0] and "sparse_pc.ply is used" in notes[1]


def test_damaged_points(tmp_path):
    nerfstudio(tmp_path, np.eye(4)[:3])
    (tmp_path / "sparse_pc.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 9\n")
    assert any("sparse_pc.ply" in note and "goes on without points" in note for note in read_model(tmp_path).notes)
    values = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps({**values, "ply_file_path": "sparse_pc.ply"}))
    with pytest.raises(InputError, match=r"sparse_pc\.ply"):
        read_model(tmp_path)


def test_points_far_from_the_origin_keep_their_digits(tmp_path):
    nerfstudio(tmp_path, np.eye(4)[:3])
    text = (
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty double x\nproperty double y\nproperty double z\nend_header\n"
    )
    (tmp_path / "points3d.ply").write_text(text + "500000.123 4649776.456 7.5\n")
    assert read_model(tmp_path).points.tolist() == [[500000.123, 4649776.456, 7.5]]
    assert load_points(tmp_path / "points3d.ply").points.dtype == torch.float32
