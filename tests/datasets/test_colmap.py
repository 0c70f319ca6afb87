"""COLMAP models: the same as pycolmap reads, wherever they lie and in whichever form."""

import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from captures import write_capture
from colmap_models import PHOTOS, POINTS, assert_equal, edit, photo_lines, rewrite, tracked, write

from splat.datasets.load import load_capture
from splat.datasets.readers.colmap import find_models, read_model
from splat.datasets.readers.colmap_lens import known_models
from splat.errors import InputError
from splat.io.ply import save_points


@pytest.mark.parametrize("name", ["fox", "brighton"])
@pytest.mark.parametrize("text", [False, True])
def test_real_captures_as_pycolmap_reads_them(capture_path, tmp_path, name, text):
    expected = pycolmap.Reconstruction(capture_path(name) / "sparse/0")
    if text:
        expected.write_text(tmp_path)
        expected = pycolmap.Reconstruction()
        expected.read_text(tmp_path)
    assert_equal(read_model(tmp_path if text else capture_path(name)), expected)


@pytest.mark.parametrize("lens", [name for name in known_models() if name != "EQUIRECTANGULAR"])
@pytest.mark.parametrize("text", [False, True])
def test_every_camera_model(tmp_path, lens, text):
    model = tracked(lens=lens)
    assert_equal(read_model(write(model, tmp_path, text)), model)


def test_rigs_of_several_cameras(tmp_path):
    """The pose of an image is that in images.bin, which COLMAP composes of its rig and frame."""
    model = pycolmap.Reconstruction()
    rig, frame = pycolmap.Rig(rig_id=1), pycolmap.Frame(frame_id=1, rig_id=1)
    turn = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.6, 0, 0, 0.8])), np.array([1.0, 2, 3]))
    for index in (1, 2):
        camera = pycolmap.Camera.create_from_model_name(index, "PINHOLE", 500.0, 640, 480)
        model.add_camera(camera)
        rig.add_ref_sensor(camera.sensor_id) if index == 1 else rig.add_sensor(camera.sensor_id, turn)
    model.add_rig(rig)
    images = [pycolmap.Image(f"{index}.jpg", camera_id=index, image_id=index) for index in (1, 2)]
    for image in images:
        frame.add_data_id(image.data_id)
    frame.rig_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0, 0.28, 0, 0.96])), np.array([4.0, 5, 6]))
    model.add_frame(frame)
    for image in images:
        image.frame_id = 1
        model.add_image(image)
    for text in (False, True):
        read = read_model(write(model, tmp_path / str(text), text))
        for posed in read.images:
            pose = model.find_image_with_name(posed.name).cam_from_world().matrix()
            np.testing.assert_allclose(posed.viewmat[:3], pose, atol=1e-14)


PLACES = (
    "sparse/0",
    "sparse",
    ".",
    "sparse/aligned",
    "colmap/sparse/0",
    "dense/sparse",
    "dense/0/sparse",
    "undistorted/sparse",
    "sfm",
    "model",
    "sparse_txt",
    "colmap_text",
    "colmap",
    "distorted/sparse/0",
)


@pytest.mark.parametrize("place", PLACES)
def test_places(tmp_path, place):
    write(tracked(), tmp_path / place, text=place.endswith("t"))
    assert find_models(tmp_path) == [tmp_path / place]
    assert read_model(tmp_path).source == tmp_path / place


def test_several_places_are_named(tmp_path):
    write(tracked(3), tmp_path / "sparse/0", text=False)
    write(tracked(5), tmp_path / "dense/0/sparse", text=False)
    write(tracked(4), tmp_path / "sparse_txt", text=True)
    model = read_model(tmp_path)
    assert model.source == tmp_path / "sparse/0" and len(model.images) == 3
    (note,) = model.notes
    assert "using sparse/0, not dense/0/sparse, sparse_txt" in note
    write(tracked(3), tmp_path / "sparse/aligned", text=True)
    assert "using sparse/0, not sparse/aligned, dense/0/sparse, sparse_txt" in read_model(tmp_path).notes[0]
    shutil.move(tmp_path / "sparse", tmp_path / "aside")
    assert read_model(tmp_path).source == tmp_path / "dense/0/sparse"


@pytest.mark.parametrize("place", ["dense/0", "dense", "undistorted", "colmap"])
def test_photos_beside_the_model(tmp_path, place):
    """Undistorted photos have the names of the originals: those that go with the model are taken."""
    write_capture(tmp_path / place, photos=12)
    shutil.copytree(tmp_path / place / "images", tmp_path / "images")
    capture = load_capture(tmp_path)
    assert any(f"12 photos were taken from {place}/images, beside the model" in note for note in capture.notes)
    model = read_model(tmp_path)
    assert [posed.path for posed in model.images] == sorted((tmp_path / place / "images").iterdir())
    assert all(posed.path is None for posed in read_model(tmp_path, "pictures").images)
    (tmp_path / place / "images/003.png").unlink()
    model = read_model(tmp_path)
    assert model.missing == ("003.png",) and len(model.images) == 11


def test_the_largest_sub_model(tmp_path):
    for index, photos in enumerate((2, 5, 4)):
        write(tracked(photos), tmp_path / f"sparse/{index}", text=index == 1)
    model = read_model(tmp_path)
    assert model.source.name == "1" and len(model.images) == 5
    assert "3 sub-models (photos in 0: 2, 1: 5, 2: 4); using the largest, 1" in model.notes[0]


def test_equal_sub_models_in_the_order_of_their_numbers(tmp_path):
    for index in (10, 0, 2):
        write(tracked(3), tmp_path / f"sparse/{index}", text=True)
    (note,) = read_model(tmp_path).notes
    assert "3 sub-models (photos in 0: 3, 2: 3, 10: 3); using the first of the largest, 0" in note


@pytest.mark.parametrize("is_there", [False, True])
def test_a_sub_model_that_cannot_be_read(tmp_path, is_there):
    """It does not keep the others from being read."""
    write(tracked(5), tmp_path / "sparse/0", text=True)
    write(tracked(3), tmp_path / "sparse/1", text=True)
    broken = tmp_path / "sparse/0/images.txt"
    broken.write_text("garbage") if is_there else broken.unlink()
    model = read_model(tmp_path)
    assert model.source.name == "1" and len(model.images) == 3
    assert "2 sub-models (photos in 1: 3); using the only one that can be read, 1" in model.notes[0]
    reason = "images.txt, line 1: expected a photo" if is_there else "has no images.bin or images.txt"
    assert "sub-model 0 was left out" in model.notes[1] and reason in model.notes[1]
    (tmp_path / "sparse/1/images.txt").write_text("garbage")
    with pytest.raises(InputError, match=r"sparse/0.*images\.txt"):
        read_model(tmp_path)


@pytest.mark.parametrize("name", ["points3D.ply", "points3d.ply"])
@pytest.mark.parametrize("text", [False, True])
def test_points_from_a_ply(tmp_path, text, name):
    import torch

    write(tracked(), tmp_path, text)
    points, colors = torch.rand(7, 3), torch.arange(21, dtype=torch.uint8).view(7, 3)
    save_points(tmp_path / name, points, colors)
    assert len(read_model(tmp_path).points) == POINTS  # COLMAP's own go first
    assert not read_model(tmp_path).notes
    (tmp_path / f"points3D.{'txt' if text else 'bin'}").unlink()
    model = read_model(tmp_path)
    np.testing.assert_array_equal(model.points, points.double().numpy())
    np.testing.assert_array_equal(model.colors, colors.numpy())
    (note,) = model.notes
    assert name in note and "7 points were read from it" in note
    assert all(posed.observed is not None and len(posed.observed) == 0 for posed in model.images)
    points[2, 1] = float("nan")
    save_points(tmp_path / name, points, colors)
    model = read_model(tmp_path)
    assert len(model.points) == 6 and "1 point of 7 was left out: not finite" in model.notes[1]


@pytest.mark.parametrize(
    "name, content", [("points3D.ply", b"ply\nnot"), ("points3D.bin", b"\5\0\0"), ("points3D.txt", b"1 2\n")]
)
def test_damaged_points_are_an_error(tmp_path, name, content):
    write(tracked(), tmp_path, text=False)
    (tmp_path / "points3D.bin").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_model(tmp_path)


def test_no_points_at_all(tmp_path):
    write(tracked(), tmp_path, text=True)
    (tmp_path / "points3D.txt").unlink()
    model = read_model(tmp_path)
    assert model.points.shape == (0, 3) and len(model.images) == PHOTOS and not model.notes


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("removed", [["000.jpg"], ["001.jpg", "004.jpg"], [f"{index:03d}.jpg" for index in range(5)]])
def test_photos_taken_out_of_the_model(tmp_path, text, removed):
    """Their tracks stay in the points; those of the other photos are still good."""
    full = tracked()
    write(full, tmp_path, text)
    before = {posed.name: posed.observed for posed in read_model(tmp_path).images}
    less = tracked()
    for image in list(less.images.values()):
        if image.name in removed:
            less.deregister_frame(image.frame_id)
    write(less, tmp_path / "less", text)
    suffix = "txt" if text else "bin"
    shutil.copy(tmp_path / f"less/images.{suffix}", tmp_path)
    model = read_model(tmp_path)
    assert len(model.images) == PHOTOS - len(removed) and len(model.points) == POINTS
    (note,) = model.notes
    plural = "s" if len(removed) > 1 else ""
    assert f"tracks of {len(removed)} photo{plural} that the model lacks were ignored" in note
    for posed in model.images:
        assert posed.observed is not None
        np.testing.assert_array_equal(posed.observed, before[posed.name])


def panoramas(folder: Path, cameras: list[str]) -> Path:
    """One photo of each camera."""
    folder.mkdir(exist_ok=True)
    rewrite(folder / "cameras.txt", [f"{index} {camera}" for index, camera in enumerate(cameras)])
    lines = [f"{index} 1 0 0 0 0 0 {index} {index} {index}.jpg" for index in range(len(cameras))]
    rewrite(folder / "images.txt", lines)
    return folder


PANORAMA_LINES = [
    "EQUIRECTANGULAR 4096 2048 4096 2048",
    "SPHERICAL 4096 2048 4096 2048",
    "SPHERE 4096 2048 1 2048 1024",
]


@pytest.mark.parametrize("line", [*PANORAMA_LINES, "equirectangular 4096 2048 4096 2048"])
def test_panoramas_are_named_with_the_way_out(tmp_path, line):
    with pytest.raises(InputError, match=rf"2 panoramas \({line.split()[0].upper()}\).*panorama_sfm\.py"):
        read_model(panoramas(tmp_path, [line] * 2))


def test_panoramas_in_binary(tmp_path):
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "EQUIRECTANGULAR", 1.0, 400, 200)
    model.add_camera_with_trivial_rig(camera)
    model.add_image_with_trivial_frame(pycolmap.Image("a.jpg", camera_id=1, image_id=1), pycolmap.Rigid3d())
    with pytest.raises(InputError, match=r"1 panorama \(EQUIRECTANGULAR\) cannot be trained on yet"):
        read_model(write(model, tmp_path, text=False))


def test_panoramas_beside_other_photos(tmp_path):
    model = read_model(panoramas(tmp_path, ["PINHOLE 64 48 50 50 32 24", *PANORAMA_LINES]))
    assert [posed.name for posed in model.images] == ["0.jpg"] and not model.skipped
    (note,) = model.notes
    assert "3 panoramas" in note and "1.jpg, 2.jpg, 3.jpg" in note and "panorama_sfm.py" in note


def test_photos_of_a_camera_that_is_not_there(tmp_path):
    write(tracked(), tmp_path, text=True)
    lines = photo_lines(tmp_path / "images.txt")
    lines[2] = lines[2].replace(" 3 002.jpg", " 9 002.jpg")
    rewrite(tmp_path / "images.txt", lines)
    (tmp_path / "points3D.txt").unlink()
    model = read_model(tmp_path)
    assert model.skipped == [("002.jpg", "is of camera 9, which cameras.txt does not have (images.txt, line 3)")]
    assert len(model.images) == PHOTOS - 1


@pytest.mark.parametrize(
    "quat, reason",
    [
        ("0 0 0 0", "has a rotation that is zero"),
        ("nan 0 0 0", "has a rotation that is not finite"),
        ("1 0 0 inf", "has a rotation that is not finite"),
        ("1 0 0 -1e200", "has a rotation that is not finite"),
    ],
)
def test_quaternions_that_are_no_rotation(tmp_path, quat, reason):
    panoramas(tmp_path, ["PINHOLE 64 48 50 50 32 24"] * 3)
    edit(tmp_path / "images.txt", ("1 1 0 0 0 0", f"1 {quat} 0"))
    model = read_model(tmp_path)
    assert model.skipped == [("1.jpg", f"{reason} (images.txt, line 2)")]
    assert [posed.name for posed in model.images] == ["0.jpg", "2.jpg"]


@pytest.mark.parametrize("place", ["nan 0 0", "0 -inf 0", "0 0 1e30"])
def test_positions_that_cannot_be(tmp_path, place):
    panoramas(tmp_path, ["PINHOLE 64 48 50 50 32 24"] * 3)
    edit(tmp_path / "images.txt", ("1 1 0 0 0 0 0 1 1", f"1 1 0 0 0 {place} 1"))
    assert read_model(tmp_path).skipped == [
        ("1.jpg", "has a position that is not finite, or beyond 1e+12 (images.txt, line 2)")
    ]


@pytest.mark.parametrize("quat", ["2 0 0 0", "0 0.01 0 0", "3 4 0 0", "1.002 0 0 0"])
def test_quaternions_that_are_not_of_unit_length(tmp_path, quat):
    panoramas(tmp_path, ["PINHOLE 64 48 50 50 32 24"] * 3)
    edit(tmp_path / "images.txt", ("1 1 0 0 0 0", f"1 {quat} 0"))
    model = read_model(tmp_path)
    (note,) = model.notes
    assert "quaternions of 1 photo are not of unit length and were normalized: 1.jpg" in note
    rotation = model.images[1].viewmat[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_names_that_no_file_can_have(tmp_path):
    panoramas(tmp_path, ["PINHOLE 64 48 50 50 32 24"] * 3)
    edit(tmp_path / "images.txt", ("1.jpg", "x" * 300), ("2.jpg", "folder/"))
    assert [reason.split(" (")[0] for _, reason in read_model(tmp_path).skipped] == [
        "has a name that no file can have"
    ] * 2
