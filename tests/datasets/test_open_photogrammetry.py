"""OpenSfM's, OpenMVG's and Bundler's results: known cameras written as these programs do, projected by their formulas."""

import numpy as np
import pytest
from photogrammetry_files import (
    MVG,
    OPENSFM_KEYS,
    bundle,
    bundler_pixels,
    openmvg,
    openmvg_pixels,
    opensfm,
    opensfm_pixels,
    write_json,
)
from PIL import Image
from posed_photos import POINTS, SIZE, Known, assert_projects, ring, write_photos

from splat.datasets.load import load_capture
from splat.datasets.readers.choose import read_model
from splat.errors import InputError


@pytest.mark.parametrize("kind", OPENSFM_KEYS)
def test_opensfm(tmp_path, kind):
    cameras = ring()
    write_json(tmp_path / "reconstruction.json", [opensfm(cameras, kind)])
    model = read_model(tmp_path)
    assert_projects(model, cameras, opensfm_pixels(kind))
    np.testing.assert_array_equal(model.points, POINTS)
    assert model.colors[0].tolist() == [10, 20, 30] and not model.skipped and not model.notes


def test_the_folder_of_opendronemap(tmp_path):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    write_json(tmp_path / "opensfm" / "reconstruction.json", [opensfm(cameras)])
    for path in (tmp_path, tmp_path / "opensfm" / "reconstruction.json"):
        capture = load_capture(path)
        assert len(capture.frames) == 5 and capture.path == tmp_path


def test_the_largest_of_several_reconstructions_and_its_place_on_earth(tmp_path):
    cameras = ring()
    small, large = opensfm(cameras[:2]), opensfm(cameras)
    large["reference_lla"] = {"latitude": 52.5, "longitude": 13.4, "altitude": 34.0}
    write_json(tmp_path / "reconstruction.json", [small, large])
    model = read_model(tmp_path)
    assert len(model.images) == 5
    assert any("2 reconstructions (photos: 2, 5)" in note for note in model.notes)
    assert any("latitude 52.5" in note for note in model.notes)


def test_shots_of_opensfm_that_cannot_be_used_say_why(tmp_path):
    cameras = ring(7)
    values = opensfm(cameras)
    for name, kind in (("dual", "dual"), ("ball", "spherical")):
        values["cameras"][name] = {**values["cameras"]["v2 phone"], "projection_type": kind}
    names = [camera.name for camera in cameras]
    values["shots"][names[0]]["camera"] = "dual"
    values["shots"][names[1]]["camera"] = "ball"
    values["shots"][names[2]]["camera"] = "none"
    del values["shots"][names[3]]["rotation"]
    values["shots"][names[4]]["translation"] = [0, float("nan"), 0]
    values["points"]["0"]["coordinates"] = [1, 2]
    write_json(tmp_path / "reconstruction.json", [values])
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == names[5:] and len(model.points) == 59
    reasons = dict(model.skipped)
    for name, part in zip(names, ("type dual", "panorama", "lacks", "no rotation", "not finite"), strict=False):
        assert part in reasons[name]
    assert any("1 points" in note for note in model.notes)


@pytest.mark.parametrize("kind", MVG)
@pytest.mark.parametrize("each", [False, True])
def test_openmvg(tmp_path, kind, each):
    cameras = ring()
    write_json(tmp_path / "sfm_data.json", openmvg(cameras, kind, each))
    model = read_model(tmp_path)
    assert_projects(model, cameras, openmvg_pixels(kind))
    np.testing.assert_array_equal(model.points, POINTS)
    assert model.images[1].observed.tolist() == list(range(1, 60, 5))


def test_points_of_openmvg_have_the_colors_of_the_photos(tmp_path):
    cameras = ring()
    (tmp_path / "images").mkdir()
    for place, camera in enumerate(cameras[:4]):  # the fifth is not there
        left, right = Image.new("RGB", (32, 48), (40 * place, 0, 0)), Image.new("RGB", (32, 48), (0, 40 * place, 0))
        whole = Image.new("RGB", SIZE)
        whole.paste(left, (0, 0))
        whole.paste(right, (32, 0))
        whole.save(tmp_path / "images" / camera.name)
    values = openmvg(cameras)
    for point in values["structure"][30:]:
        point["value"]["observations"][0]["value"]["x"] = [60.0, 40.0]
    values["structure"][7]["value"]["observations"][0]["value"] = None
    write_json(tmp_path / "sfm_data.json", values)
    colors = read_model(tmp_path).colors
    assert colors[[0, 1, 2, 3]].tolist() == [[0, 0, 0], [40, 0, 0], [80, 0, 0], [120, 0, 0]]
    assert colors[[31, 32]].tolist() == [[0, 40, 0], [0, 80, 0]]
    assert colors[[4, 7]].tolist() == [[128] * 3] * 2


@pytest.mark.parametrize("place", ["", "reconstruction_sequential"])
def test_where_openmvg_leaves_its_result(tmp_path, place):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    write_json(tmp_path / place / "sfm_data.json", openmvg(cameras))
    assert len(load_capture(tmp_path).frames) == 5
    assert len(load_capture(tmp_path / place / "sfm_data.json").frames) == 5


def test_views_of_openmvg_that_cannot_be_used_say_why(tmp_path):
    cameras = ring()
    values = openmvg(cameras, each=True)
    del values["extrinsics"][0]
    del values["intrinsics"][1]
    values["intrinsics"][1]["value"] |= {"polymorphic_id": 2147483650, "polymorphic_name": "pinhole_subpose"}
    values["extrinsics"][2]["value"]["rotation"] = [[1, 0, 0], [0, 1, 0], [0, 0, -1]]
    write_json(tmp_path / "sfm_data.json", values)
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == [cameras[4].name]
    reasons = dict((*model.skipped, *model.unposed))
    for camera, part in zip(
        cameras, ("no pose", "no intrinsics", "type pinhole_subpose", "not a rotation"), strict=False
    ):
        assert part in reasons[camera.name]


@pytest.mark.parametrize("place", ["bundle.out", "bundle/bundle.out"])
@pytest.mark.parametrize("text", ["{}", "./photos/{}", "photos\\{} 0 58.0"])
def test_bundler(tmp_path, place, text):
    cameras = ring()
    write_photos(tmp_path / "photos", cameras)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(bundle(cameras))
    (tmp_path / "list.txt").write_text("".join(text.format(camera.name) + "\n" for camera in cameras))
    names = ["photos/" * ("photos" in text) + camera.name for camera in cameras]
    for path in (tmp_path, tmp_path / place):
        model = read_model(path)
        assert_projects(model, cameras, bundler_pixels, names=names)
        np.testing.assert_array_equal(model.points, POINTS)
        assert model.colors[0].tolist() == [10, 20, 30]
        assert model.images[1].observed.tolist() == sorted([*range(1, 60, 5), *range(0, 60, 5)])


def test_bundler_without_a_list_takes_photos_by_name_and_says_so(tmp_path):
    cameras = [Known(f"{index}.png", one.rotation, one.center) for index, one in enumerate(ring(11))]
    write_photos(tmp_path / "images", cameras)
    (tmp_path / "bundle.out").write_text(bundle(cameras))
    model = read_model(tmp_path)
    assert_projects(model, cameras, bundler_pixels)
    assert any("order of their names" in note for note in model.notes)
    (tmp_path / "images" / "3.png").unlink()
    with pytest.raises(InputError, match=r"list\.txt"):
        read_model(tmp_path)


def test_cameras_that_bundler_did_not_place(tmp_path):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    (tmp_path / "bundle.out").write_text(bundle([cameras[0], None, *cameras[2:]]))
    (tmp_path / "list.txt").write_text("".join(camera.name + "\n" for camera in cameras))
    model = read_model(tmp_path)
    assert len(model.images) == 4 and model.unposed == (("IMG_002.png", "has no pose"),)


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda lines: lines[1:], "does not begin with"),
        (lambda lines: lines[:40], "before all was said|more than the file"),
        (lambda lines: [lines[0], "5 99999999999999", *lines[2:]], "line 2 promises"),
        (lambda lines: [lines[0], "nan 3", *lines[2:]], "line 2"),
        (lambda lines: [*lines[:4], "1 0", *lines[5:]], "line 5 has 2 numbers"),
        (lambda lines: [*lines[:4], "1 x 0", *lines[5:]], "line 5 is not made of numbers"),
        (lambda lines: [*lines[:-1], "2 0 1 2 3 9 1 2 3"], "names the camera 9 of 5"),
        (lambda lines: [*lines[:-1], "3 0 1 2 3"], "list of views"),
    ],
)
def test_damaged_bundles(tmp_path, change, part):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    (tmp_path / "bundle.out").write_text("\n".join(change(bundle(cameras).splitlines())))
    with pytest.raises(InputError, match=part) as error:
        read_model(tmp_path / "bundle.out" if part != "does not begin with" else tmp_path)
    assert "bundle.out" in str(error.value)


def test_points_and_views_that_cannot_be_read_are_counted(tmp_path):
    cameras = ring()
    values = opensfm(cameras)
    values["points"]["1"]["color"] = [9, 9]
    write_json(tmp_path / "reconstruction.json", [values])
    model = read_model(tmp_path)
    np.testing.assert_array_equal(model.points, np.delete(POINTS, 1, axis=0))
    assert len(model.colors) == len(POINTS) - 1 and any("1 points cannot be read" in note for note in model.notes)
    values = openmvg(cameras)
    values["views"].append("x")
    values["structure"].append(7)
    write_json(tmp_path / "mvg" / "sfm_data.json", values)
    model = read_model(tmp_path / "mvg")
    assert len(model.images) == 5 and [name for name, _ in model.skipped] == ["view None"]
    assert any("1 points cannot be read" in note for note in model.notes)


def test_drives_and_folders_above_keep_photos_apart(tmp_path):
    cameras = ring(4)
    values = opensfm(cameras)
    names = ["C:/x/a.jpg", "D:/x/a.jpg", "../left/a.jpg", "left/a.jpg"]
    values["shots"] = dict(zip(names, values["shots"].values(), strict=True))
    write_json(tmp_path / "reconstruction.json", [values])
    model = read_model(tmp_path)
    assert {image.name for image in model.images} == {"C/x/a.jpg", "D/x/a.jpg", "up/left/a.jpg", "left/a.jpg"}


def test_bundler_as_colmap_names_it_with_names_relative_to_the_list(tmp_path):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    (tmp_path / "fox.bundle.out").write_text(bundle(cameras[::-1]))
    names = [f"./images/{camera.name}" for camera in cameras[::-1]]
    (tmp_path / "fox.list.txt").write_text("\n".join(names))
    for path in (tmp_path, tmp_path / "fox.bundle.out"):
        model = read_model(path)
        assert_projects(model, cameras, bundler_pixels, names=[f"images/{camera.name}" for camera in cameras])
        assert not model.notes


def test_names_of_bundler_that_are_not_utf8(tmp_path):
    cameras = ring()
    write_photos(tmp_path / "images", cameras)
    for index, camera in enumerate(cameras):
        (tmp_path / "images" / camera.name).rename(tmp_path / "images" / f"\xfcber {index}.png")
    (tmp_path / "bundle.out").write_text(bundle(cameras))
    (tmp_path / "list.txt").write_bytes(b"".join(b"\xfcber %d.png 0 55.1\n" % index for index in range(len(cameras))))
    model = read_model(tmp_path)
    assert len(model.images) == len(cameras) and any("Windows-1252" in note for note in model.notes)
