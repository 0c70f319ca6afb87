"""RealityScan's tables and sidecars: known cameras written as it writes them are read as Epic's reference projects them."""

import numpy as np
import pytest
from posed_photos import POINTS, SIZE, Known, assert_projects, ring, write_photos, write_ply
from realityscan_files import HEADING, LENS, project, sidecar, table, write, write_sidecars

from splat.datasets.load import load_capture
from splat.datasets.readers.choose import read_model
from splat.errors import InputError


@pytest.mark.parametrize("lens, tolerance", [(LENS, 1e-6), ({**LENS, "k4": 0.03}, 0.01)])
def test_the_table(tmp_path, lens, tolerance):
    cameras = write(tmp_path, lens)
    assert_projects(read_model(tmp_path), cameras, project(lens), at=(500.0, 300.0, 20.0), tolerance=tolerance)
    assert len(load_capture(tmp_path / "cameras.csv").frames) == 5


def test_the_division_model_is_taken_where_only_k1_is_there_and_said(tmp_path):
    lens = {**LENS, "k1": 0.06, "k2": 0.0, "k3": 0.0, "t1": 0.0, "t2": 0.0}
    cameras = write(tmp_path, lens)
    model = read_model(tmp_path)
    assert_projects(model, cameras, project(lens, division=True), at=(500.0, 300.0, 20.0))
    assert any("division model" in note for note in model.notes)


def test_a_table_of_opencv(tmp_path):
    cameras = ring()
    write_photos(tmp_path / "photos", cameras)
    rows = []
    f, scale = LENS["f"] / 36 * max(SIZE), max(SIZE)
    for camera in cameras:
        pose = [*camera.translation, *camera.rotation.ravel()]
        lens = [f, LENS["px"] * scale + SIZE[0] / 2, LENS["py"] * scale + SIZE[1] / 2]
        lens += [LENS[name] for name in ("k1", "k2", "t2", "t1", "k3", "k4")]
        rows.append(",".join([camera.name, *(repr(float(value)) for value in [*pose, *lens])]))
    heading = "#name,tx,ty,tz,R00,R01,R02,R10,R11,R12,R20,R21,R22,f_pix,px_pix,py_pix,k1,k2,t2,t1,k3,k4"
    (tmp_path / "opencv.csv").write_text("\n".join([heading, *rows]))
    assert_projects(read_model(tmp_path), cameras, project(LENS))


@pytest.mark.parametrize(
    "more",
    [
        {"separator": ";"},
        {"heading": "\ufeff#cameras 5\n" + HEADING},
        {"heading": "# " + HEADING[1:]},
        {"heading": HEADING.replace("alt,heading", "z,yaw")},
    ],
)
def test_habits_of_tables(tmp_path, more):
    cameras = write(tmp_path, **more)
    assert_projects(read_model(tmp_path), cameras, project(LENS), at=(500.0, 300.0, 20.0))


def test_points_beside_are_in_double_precision(tmp_path):
    place = (500000.0, 4649776.0, 100.0)
    cameras = ring(at=place)
    write_photos(tmp_path, cameras)
    (tmp_path / "cameras.csv").write_text(table(cameras))
    write_ply(tmp_path / "sparse.ply", POINTS + place)
    model = read_model(tmp_path)
    np.testing.assert_array_equal(model.points, POINTS + place)


def test_photos_that_are_missing_or_damaged(tmp_path):
    cameras = write(tmp_path)
    (tmp_path / "images" / cameras[0].name).unlink()
    (tmp_path / "images" / cameras[1].name).write_bytes(b"no image")
    text = (tmp_path / "cameras.csv").read_text()
    (tmp_path / "cameras.csv").write_text(text.replace(",34.0,", ",0,", 3))
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == [camera.name for camera in cameras[3:]]
    reasons = dict(model.skipped)
    assert model.missing == (cameras[0].name,)
    assert "not an image" in reasons[cameras[1].name]
    assert "focal length of 0" in reasons[cameras[2].name]


def test_degrees_are_said(tmp_path):
    cameras = [Known(c.name, c.rotation, c.center * (1e-5, 1e-5, 1) + (13.4, 52.5, 40)) for c in ring()]
    write_photos(tmp_path, cameras)
    (tmp_path / "cameras.csv").write_text(table(cameras))
    assert any("longitude and latitude" in note for note in read_model(tmp_path).notes)


@pytest.mark.parametrize(
    "change, part",
    [
        (lambda text: text.replace("0.01,", "0,01,", 1), "line 2 has 17 values"),
        (lambda text: text.replace("heading", "omega"), "no columns heading"),
        (lambda text: text.splitlines()[0], "no line of a camera"),
    ],
)
def test_damaged_tables(tmp_path, change, part):
    write(tmp_path)
    (tmp_path / "cameras.csv").write_text(change((tmp_path / "cameras.csv").read_text()))
    with pytest.raises(InputError, match=part):
        read_model(tmp_path)


def test_tables_of_other_things_are_not_cameras(tmp_path):
    (tmp_path / "prices.csv").write_text("name,price\na,3\n")
    with pytest.raises(InputError, match="no cameras here"):
        read_model(tmp_path)


@pytest.mark.parametrize("elements", [True, False])
def test_sidecars(tmp_path, elements):
    cameras = write_sidecars(tmp_path, elements=elements)
    model = read_model(tmp_path)
    assert_projects(model, cameras, project(LENS))
    assert len(load_capture(tmp_path).frames) == 5


@pytest.mark.parametrize("kind, lens", [("division", {**LENS, "k1": 0.05}), ("perspective", {**LENS, "k1": 0.05})])
def test_lenses_of_sidecars(tmp_path, kind, lens):
    cameras = write_sidecars(tmp_path, kind=kind, lens=lens)
    none = {**LENS, **dict.fromkeys(("k1", "k2", "k3", "k4", "t1", "t2"), 0.0)}
    formula = project(lens, division=True) if kind == "division" else project(none)
    assert_projects(read_model(tmp_path), cameras, formula)


def test_one_sidecar_may_be_named(tmp_path):
    cameras = write_sidecars(tmp_path)
    model = read_model(tmp_path / "images" / "IMG_001.xmp")
    assert_projects(model, cameras, project(LENS))


def test_sidecars_that_cannot_be_used_say_why(tmp_path):
    cameras = write_sidecars(tmp_path)
    files = [(tmp_path / "images" / camera.name).with_suffix(".xmp") for camera in cameras]
    files[0].write_text(sidecar(cameras[0], kind="kannala"))
    files[1].write_text(sidecar(cameras[1]).replace("xcr:Position", "xcr:Other"))
    files[2].write_text(sidecar(cameras[2])[:-30])
    (tmp_path / "images" / cameras[3].name).unlink()
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == [cameras[4].name]
    reasons = " ".join(reason for _, reason in (*model.skipped, *model.unposed))
    assert len(model.skipped) == 2 and len(model.unposed) == 1 and model.missing == ("IMG_004",)
    for part in ("type kannala", "without a pose", "cannot be read"):
        assert part in reasons


def test_sidecars_of_another_component_are_left_out(tmp_path):
    cameras = write_sidecars(tmp_path, attributes='xcr:ComponentId="{A}"')
    (tmp_path / "images" / "IMG_002.xmp").write_text(sidecar(cameras[1], attributes='xcr:ComponentId="{B}"'))
    model = read_model(tmp_path)
    assert len(model.images) == 4 and "component" in dict(model.unposed)["IMG_002.jpg"]


def test_sidecars_of_photo_editors_are_not_cameras(tmp_path):
    write_photos(tmp_path, ring())
    (tmp_path / "IMG_001.xmp").write_text('<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>')
    with pytest.raises(InputError, match="no cameras here"):
        read_model(tmp_path)


def test_angles_are_those_of_an_aircraft(tmp_path):
    """Yaw, pitch, roll in ZYX order turn the body (nose, right wing, down) in north-east-down; the camera looks down, with its
    right to the right wing, as the reference's section 5.1 says."""
    yaw, pitch, roll = np.radians([30.0, 10.0, -20.0])
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    nose, wing, down = (about_z @ about_y @ about_x).T  # in north-east-down
    to_enu = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]])
    right, image_down, forward = to_enu @ wing, to_enu @ -nose, to_enu @ down
    known = Known("a.png", np.stack([right, image_down, forward]), np.array([1.0, 2, 30]))
    write_photos(tmp_path, [known])
    row = "a.png,1,2,30,30,10,-20," + ",".join(str(LENS[name]) for name in HEADING.split(",")[7:])
    (tmp_path / "c.csv").write_text(f"{HEADING}\n{row}\n")
    np.testing.assert_allclose(read_model(tmp_path).images[0].viewmat[:3, :3], known.rotation, atol=1e-12)


def test_a_row_without_distortion_leaves_the_model_of_the_others(tmp_path):
    lens = {**LENS, "k1": 0.06, "k2": 0.0, "k3": 0.0, "t1": 0.0, "t2": 0.0}
    cameras = write(tmp_path, lens)
    lines = (tmp_path / "cameras.csv").read_text().splitlines()
    lines[1] = lines[1].replace(",0.06,", ",0.0,")
    lines[2] = lines[2].replace(",0.06,0.0,", ",0.06,,")
    (tmp_path / "cameras.csv").write_text("\n".join(lines))
    model = read_model(tmp_path)
    assert [image.camera.model_name for image in model.images] == ["PINHOLE", *["FULL_OPENCV"] * 3]
    assert [name for name, _ in model.skipped] == [cameras[1].name]


def test_coefficients_without_a_model_mean_nothing(tmp_path):
    cameras = write_sidecars(tmp_path)
    for camera in cameras:
        file = (tmp_path / "images" / camera.name).with_suffix(".xmp")
        file.write_text(file.read_text().replace('xcr:DistortionModel="brown4t2" ', ""))
    model = read_model(tmp_path)
    assert not model.images and all("not the distortion model" in reason for _, reason in model.skipped)


def test_a_heading_that_only_begins_like_one(tmp_path):
    (tmp_path / "cameras.csv").write_text("#names,x,y\na,1,2\n")
    with pytest.raises(InputError, match="no cameras here"):
        read_model(tmp_path)
