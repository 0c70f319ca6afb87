"""transforms.json: the same capture as COLMAP's, whatever of the habits of its writers; and hostile files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from captures import write_capture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splat.datasets.check_up import check_up
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.readers.transforms_json import read_model
from splat.datasets.split import split
from splat.errors import InputError


def opengl_pose(camera) -> list[list[float]]:
    to_world = np.linalg.inv(camera.viewmat.double().numpy())
    to_world[:3, 1:3] *= -1
    return to_world.tolist()


def write(folder: Path, name: str = "transforms.json", **more) -> list:
    """A COLMAP capture turned into a transforms.json; returns its cameras."""
    cameras = write_capture(folder, photos=8)
    for file in (folder / "sparse" / "0").iterdir():
        file.unlink()
    K = cameras[0].K
    values = {
        "w": 48,
        "h": 32,
        "fl_x": float(K[0, 0]),
        "fl_y": float(K[1, 1]),
        "cx": float(K[0, 2]),
        "cy": float(K[1, 2]),
        "frames": [
            {"file_path": f"images/{i:03d}.png", "transform_matrix": opengl_pose(camera)}
            for i, camera in enumerate(cameras, start=1)
        ],
        **more,
    }
    (folder / name).write_text(json.dumps(values))
    return cameras


def assert_cameras(scene, cameras) -> None:
    for frame, camera in zip(scene.frames, cameras, strict=True):
        torch.testing.assert_close(frame.camera.viewmat, camera.viewmat, atol=1e-5, rtol=0)
        torch.testing.assert_close(frame.camera.K, camera.K, atol=1e-4, rtol=0)


def test_the_same_cameras_as_colmap(tmp_path):
    cameras = write(tmp_path)
    scene = load_capture(tmp_path)
    assert [frame.name for frame in scene.frames][:2] == ["001.png", "002.png"]
    assert_cameras(scene, cameras)
    assert_cameras(load_capture(tmp_path / "transforms.json"), cameras)


def test_blender_names_no_suffix_and_only_an_angle(tmp_path):
    cameras = write(tmp_path)
    values = json.loads((tmp_path / "transforms.json").read_text())
    angle = 2 * np.arctan(0.5 * 48 / values["fl_x"])
    for frame in values["frames"]:
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
    train, test = values["frames"][:6], values["frames"][6:]
    (tmp_path / "transforms.json").unlink()
    (tmp_path / "transforms_train.json").write_text(json.dumps({"camera_angle_x": angle, "frames": train}))
    (tmp_path / "transforms_test.json").write_text(json.dumps({"camera_angle_x": angle, "frames": test}))
    scene = load_capture(tmp_path)
    assert_cameras(scene, cameras)
    training, tested = split(scene)
    assert [frame.name for frame in tested] == ["007.png", "008.png"] and len(training) == 6


def test_intrinsics_masks_and_depth_of_each_frame(tmp_path):
    write(tmp_path)
    values = json.loads((tmp_path / "transforms.json").read_text())
    from PIL import Image

    Image.fromarray(np.zeros((32, 48), dtype=np.uint8)).save(tmp_path / "m.png")
    np.save(tmp_path / "d.npy", np.full((32, 48), 2.0))
    values["frames"][2] |= {"fl_x": 99.0, "mask_path": "m.png", "depth_file_path": "d.npy"}
    (tmp_path / "transforms.json").write_text(json.dumps(values))
    frame = load_capture(tmp_path, PhotoOptions(depths="depths")).frames[2]
    assert float(frame.camera.K[0, 0]) == pytest.approx(99.0)
    assert not frame.photo.mask.any() and float(frame.photo.depth.mean()) == 2.0
    assert load_capture(tmp_path).frames[2].photo.depth is None  # nothing asks for it


@pytest.mark.parametrize(
    "lens", [{"k1": 0.05, "p1": 0.001}, {"camera_model": "OPENCV_FISHEYE", "k1": 0.02}, {"k1": 0.02, "k3": 0.01}]
)
def test_distortion_is_taken_out(tmp_path, lens):
    write(tmp_path, **lens)
    for frame in load_capture(tmp_path).frames:
        assert frame.image.shape[:2] == (frame.camera.height, frame.camera.width)


def test_points_and_splits_of_nerfstudio(tmp_path):
    from splat.io.ply import save_points

    write(tmp_path, ply_file_path="points.ply", test_filenames=["images/003.png"], train_filenames=["images/001.png"])
    save_points(tmp_path / "points.ply", torch.rand(20, 3), torch.full((20, 3), 7, dtype=torch.uint8))
    scene = load_capture(tmp_path)
    assert scene.points.shape == (20, 3) and int(scene.colors[0, 0]) == 7
    assert [frame.name for frame in split(scene)[1]] == ["003.png"]


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda v: v.pop("frames"), "list of frames"),
        (lambda v: v.update(frames=[3]), "frame 0 has no file_path"),
        (lambda v: v.update(fl_x="wide"), "fl_x = 'wide'"),
        (lambda v: v.update(fl_x=-5.0), "focal length of -5"),
        (lambda v: v.update(w=1e9), "image of 1e"),
        (lambda v: v.update(camera_model="EQUIRECTANGULAR"), "is a 360 degree panorama"),
        (
            lambda v: [f.update(file_path="images/x.png") for f in v["frames"]],
            "has none of the 8 photos, such as images/x.png, but 8 photos of other names",
        ),
        (lambda v: [f.update(transform_matrix=[[1]]) for f in v["frames"]], "has 1 numbers as"),
        (lambda v: [f.update(transform_matrix=np.zeros((4, 4)).tolist()) for f in v["frames"]], "last row"),
        (
            lambda v: [f.update(transform_matrix=np.zeros((3, 4)).tolist()) for f in v["frames"]],
            "axes of the lengths 0, 0, 0",
        ),
        (lambda v: [f.update(transform_matrix=np.diag([1e300, 1, 1, 1]).tolist()) for f in v["frames"]], "lengths inf"),
        (lambda v: v.update(fl_x=10**400), "fl_x = '1000"),
        (lambda v: [f.update(transform_matrix="up") for f in v["frames"]], "expected 16"),
        (lambda v: [f.update(file_path="images/001.png") for f in v["frames"]], "names a photo twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, break_it, message):
    write(tmp_path)
    values = json.loads((tmp_path / "transforms.json").read_text())
    break_it(values)
    (tmp_path / "transforms.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=message):
        load_capture(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["w", "fl_x", "cx", "k1", "camera_model", "frames"]), json_values, max_size=3),
    st.dictionaries(st.sampled_from(["file_path", "transform_matrix", "h", "mask_path"]), json_values, max_size=2),
)
def test_hostile_values_are_refused_or_left_out(tmp_path, top, frame):
    first = not (tmp_path / "base.json").exists()
    if first:
        write(tmp_path, "base.json")
    values = json.loads((tmp_path / "base.json").read_text())
    values["frames"][0] |= frame
    (tmp_path / "transforms.json").write_text(json.dumps(values | top))
    try:
        model = read_model(tmp_path)
    except InputError:
        return
    assert all(np.isfinite(posed.viewmat).all() for posed in model.images)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_bytes_that_are_not_json(tmp_path, data):
    (tmp_path / "transforms.json").write_bytes(data)
    with pytest.raises(InputError, match=r"transforms\.json"):
        read_model(tmp_path)


def test_an_angle_in_degrees_is_named(tmp_path):
    write_capture(tmp_path)
    shutil.rmtree(tmp_path / "sparse")
    frames = [{"file_path": f"images/{index:03d}.png", "transform_matrix": np.eye(4).tolist()} for index in (1, 2, 3)]
    text = json.dumps({"camera_angle_x": 50, "frames": frames})
    (tmp_path / "transforms.json").write_text("\ufeff" + text, encoding="utf-8")  # a byte-order mark does no harm
    with pytest.raises(InputError, match="camera_angle_x = 50, expected radians"):
        load_capture(tmp_path)


def test_k4_is_browns_but_where_the_full_model_is_named(tmp_path):
    lens = {"k1": 0.05, "k2": -0.02, "k3": 0.01, "k4": 0.03, "p1": 0.001, "p2": -0.002}
    write(tmp_path, **lens)
    camera = read_model(tmp_path).images[0].camera
    rays = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.4, 0.4, 9)), axis=-1).reshape(-1, 2)
    x, y, r2 = *rays.T, (rays**2).sum(axis=1)
    scale = 1 + 0.05 * r2 - 0.02 * r2**2 + 0.01 * r2**3 + 0.03 * r2**4
    u = x * scale + 2 * 0.001 * x * y - 0.002 * (r2 + 2 * x * x)
    v = y * scale - 2 * 0.002 * x * y + 0.001 * (r2 + 2 * y * y)
    K = camera.calibration_matrix()
    wanted = np.stack([u, v], axis=1) * (K[0, 0], K[1, 1]) + K[:2, 2]
    got = camera.img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], axis=1))
    np.testing.assert_allclose(got, wanted, atol=0.01)
    write(tmp_path / "full", camera_model="FULL_OPENCV", **lens)
    assert read_model(tmp_path / "full").images[0].camera.params[-3] == 0.03
    write(tmp_path / "higher", k5=0.1)
    assert read_model(tmp_path / "higher").images[0].camera.params[-2] == 0.1
    write(tmp_path / "fisheye", camera_model="OPENCV_FISHEYE", **lens)
    assert read_model(tmp_path / "fisheye").images[0].camera.model_name == "THIN_PRISM_FISHEYE"


def test_scaled_axes_and_numbers_as_text_are_read_and_the_first_said(tmp_path):
    cameras = write(tmp_path, w="48", h="32")
    values = json.loads((tmp_path / "transforms.json").read_text())
    pose = np.array(values["frames"][1]["transform_matrix"])
    pose[:3, :3] *= (2.0, 2.0, 0.5)
    values["frames"][1]["transform_matrix"] = pose.tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(values))
    assert_cameras(load_capture(tmp_path), cameras)
    assert any("poses of 1 photo have scaled axes" in note for note in read_model(tmp_path).notes)
    pose = np.array(values["frames"][1]["transform_matrix"])
    pose[:3, :3] = pose[:3, :3] @ np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]])  # a shear
    values["frames"][1]["transform_matrix"] = pose.tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(values))
    (skipped,) = read_model(tmp_path).skipped
    assert "not a rotation" in skipped[1]


def test_photos_of_files_that_are_not_used_are_counted_and_named(tmp_path):
    write(tmp_path)
    values = json.loads((tmp_path / "transforms.json").read_text())
    frames = values.pop("frames")
    for name, part in (("train", frames[:4]), ("test", frames[4:6]), ("val", frames[6:])):
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps({**values, "frames": part}))
    model = read_model(tmp_path)
    assert model.count == 8 and len(model.images) == 8 and len(model.unposed) == 0  # transforms.json goes first
    assert sum("is not used besides transforms.json" in note for note in model.notes) == 3
    (tmp_path / "transforms.json").unlink()
    model = read_model(tmp_path)
    assert (
        len(model.images) == 6
        and model.count == 8
        and [image.held_out for image in model.images] == [False] * 4 + [True] * 2
    )
    assert "is in transforms_val.json, which is not used" in model.unposed[0][1]
    assert check_up(tmp_path).facts["photos without a pose"] == 0
    (tmp_path / "transforms_test.json").unlink()
    model = read_model(tmp_path)
    assert [image.name for image in model.images if image.held_out] == ["007.png", "008.png"]
    (tmp_path / "transforms_train.json").unlink()
    assert len(read_model(tmp_path).images) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_of_any_unicode(tmp_path, encoding):
    cameras = write(tmp_path)
    file = tmp_path / "transforms.json"
    file.write_text(file.read_text(), encoding=encoding)
    assert_cameras(load_capture(tmp_path), cameras)
    file.write_text("{} // comment", encoding=encoding)
    with pytest.raises(InputError, match="line 1, column 4"):
        read_model(tmp_path)
