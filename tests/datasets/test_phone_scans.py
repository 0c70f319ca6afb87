"""Polycam's and Record3D's recordings: known cameras written as the apps do."""

import json
import shutil

import numpy as np
import pytest
from phone_files import pinhole, write_polycam, write_record3d
from PIL import Image
from posed_photos import SIZE, assert_projects

from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.readers.choose import read_model
from splat.errors import InputError


@pytest.mark.parametrize("corrected", [True, False])
def test_polycam(tmp_path, corrected):
    cameras = write_polycam(tmp_path, corrected)
    for path in (tmp_path, tmp_path / "keyframes"):
        model = read_model(path)
        assert_projects(model, cameras, pinhole)
        assert any("ARKit" in note for note in model.notes) == (not corrected)
        assert len(load_capture(path).frames) == 5


def test_depth_of_polycam_is_used_as_its_note_says(tmp_path):
    cameras = write_polycam(tmp_path)
    (tmp_path / "keyframes" / "depth").mkdir()
    for camera in cameras:
        depth = Image.fromarray(np.full((SIZE[1] // 2, SIZE[0] // 2), 4000, dtype=np.uint16))
        depth.save((tmp_path / "keyframes" / "depth" / camera.name).with_suffix(".png"))
    (note,) = read_model(tmp_path).notes
    assert "--depths keyframes/depth" in note and "--depth-scale 0.001" in note
    frame = load_capture(tmp_path, PhotoOptions(depths="keyframes/depth")).frames[0]
    assert float(frame.photo.depth.mean()) == 4000.0


def test_keyframes_that_cannot_be_used_say_why(tmp_path):
    cameras = write_polycam(tmp_path)
    place = tmp_path / "keyframes" / "corrected_cameras"
    (place / "IMG_001.json").write_text("{")
    (place / "IMG_002.json").write_text('{"fx": 3}')
    (tmp_path / "keyframes" / "corrected_images" / "IMG_003.jpg").unlink()
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == [camera.name for camera in cameras[3:]]
    reasons = dict(model.skipped)
    assert "not JSON" in reasons["IMG_001.jpg"] and "no width" in reasons["IMG_002.jpg"]
    assert model.missing == ("IMG_003",)


def test_keyframes_without_a_corrected_camera_are_counted(tmp_path):
    write_polycam(tmp_path)
    (tmp_path / "keyframes" / "cameras").mkdir()
    for index in range(7):
        (tmp_path / "keyframes" / "cameras" / f"{index}.json").write_text("{}")
    assert any("2 keyframes have no corrected camera" in note for note in read_model(tmp_path).notes)


@pytest.mark.parametrize(
    "layout", [("metadata.json", "rgb"), ("metadata", "rgbd"), ("EXR_RGBD/metadata.json", "EXR_RGBD/rgb")]
)
@pytest.mark.parametrize("each", [False, True])
def test_record3d(tmp_path, layout, each):
    cameras = write_record3d(tmp_path, *layout, each=each)
    model = read_model(tmp_path)
    assert_projects(model, cameras, pinhole)
    assert len(load_capture(tmp_path).frames) == 12
    assert_projects(read_model(tmp_path / layout[0]), cameras, pinhole)


def test_frames_of_record3d_that_do_not_match(tmp_path):
    write_record3d(tmp_path)
    (tmp_path / "rgb" / "3.jpg").rename(tmp_path / "rgb" / "99.jpg")
    values = json.loads((tmp_path / "metadata.json").read_text())
    values["poses"][4] = [0, 0, 0, 0, 1, 2, 3]
    values["poses"][5] = [0, 0, 1, "x", 1, 2, 3]
    (tmp_path / "metadata.json").write_text(json.dumps(values))
    model = read_model(tmp_path)
    assert len(model.images) == 9
    assert model.missing == ("3",) and "quaternion" in dict(model.skipped)["4.jpg"]
    assert "expected a number" in dict(model.skipped)["5.jpg"]
    assert any("1 pictures have no pose" in note for note in model.notes)


def test_metadata_of_other_things_is_no_capture(tmp_path):
    (tmp_path / "metadata.json").write_text('{"title": "holidays"}')
    with pytest.raises(InputError, match="no cameras here"):
        read_model(tmp_path)


def test_pictures_of_record3d_that_are_no_frames_are_named(tmp_path):
    write_record3d(tmp_path)
    for name in ("00.jpg", "cover.jpg"):
        shutil.copy(tmp_path / "rgb" / "0.jpg", tmp_path / "rgb" / name)
    values = json.loads((tmp_path / "metadata.json").read_text())
    (tmp_path / "metadata.json").write_text(json.dumps({**values, "perFrameIntrinsicCoeffs": [[1, 2, 3, 4]]}))
    model = read_model(tmp_path)
    assert len(model.images) == 12
    assert any("2 pictures not named by a frame" in note and "cover.jpg" in note for note in model.notes)
    assert any("1 for 12 poses" in note for note in model.notes)
