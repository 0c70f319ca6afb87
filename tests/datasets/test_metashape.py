"""Metashape's cameras.xml: known cameras written as Agisoft writes them are read as its manual's formulas project them."""

import numpy as np
import pytest
from metashape_files import LABELS, LENS, SCALE, SHIFT, TURN, camera, document, project, sensor, write
from posed_photos import POINTS, SIZE, assert_projects, ring, write_photos, write_ply

from splat.datasets.load import load_capture
from splat.datasets.readers.choose import read_model
from splat.datasets.readers.programs import metashape
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.errors import InputError


@pytest.mark.parametrize(
    "kind, lens, tolerance",
    [
        ("frame", {"f": 60.0}, 1e-6),
        ("frame", LENS, 1e-6),
        ("frame", {**LENS, "k3": -0.01}, 1e-6),
        ("frame", {**LENS, "k3": -0.01, "k4": 0.02}, 0.01),
        ("fisheye", {"f": 40.0, "k1": -0.03, "k2": 0.01, "k3": 0.004, "k4": -0.002, "cx": 1.0}, 1e-6),
        ("fisheye", {"f": 40.0, "k1": -0.03, "k2": 0.01, "k3": 0.02, "k4": -0.03, "p1": 0.002, "p2": 0.001}, 1e-6),
        ("equidistant_fisheye", {"f": 40.0, "k1": -0.03}, 1e-6),
        ("equisolid_fisheye", {"f": 40.0, "k1": -0.03, "k2": 0.01, "cy": -1.0}, 0.01),
    ],
)
def test_every_lens(tmp_path, kind, lens, tolerance):
    known = write(tmp_path, kind, lens)
    formula = project("fisheye" if kind == "equidistant_fisheye" else kind, lens)
    assert_projects(read_model(tmp_path), known, formula, names=LABELS, tolerance=tolerance)


def test_photos_are_found_and_trained_on(tmp_path):
    known = write(tmp_path)
    write_photos(tmp_path / "images", known)
    capture = load_capture(tmp_path / "cameras.xml")
    assert len(capture.frames) == 5 and not capture.skipped


def test_the_world_is_that_of_the_chunk(tmp_path):
    known = write(tmp_path, transform=True)
    model = read_model(tmp_path)
    for image, one in zip(model.images, known, strict=True):
        center = -image.viewmat[:3, :3].T @ image.viewmat[:3, 3]
        np.testing.assert_allclose(center, SCALE * TURN @ one.center + SHIFT, atol=1e-9)
        np.testing.assert_allclose(image.viewmat[:3, :3], one.rotation @ TURN.T, atol=1e-9)


@pytest.mark.parametrize("local", [False, True])
def test_points_choose_the_coordinates(tmp_path, local):
    write(tmp_path, transform=True)
    placed = POINTS if local else SCALE * POINTS @ TURN.T + SHIFT
    write_ply(tmp_path / "points.ply", placed)
    model = read_model(tmp_path)
    np.testing.assert_array_equal(model.points, placed)
    assert model.colors[0].tolist() == [10, 20, 30]
    assert any("60 points" in note for note in model.notes)
    center = -model.images[0].viewmat[:3, :3].T @ model.images[0].viewmat[:3, 3]
    assert (np.linalg.norm(center) < 6) == local
    assert any("chunk's own coordinates" in note for note in model.notes) == local


def test_points_of_other_coordinates_are_said_and_left(tmp_path):
    write(tmp_path, transform=True)
    write_ply(tmp_path / "points.ply", POINTS + 1e6)
    model = read_model(tmp_path)
    assert len(model.points) == 0 and any("0 % of its points" in note for note in model.notes)


def test_points_far_ahead_of_some_cameras_are_in_other_coordinates(tmp_path):
    known = write(tmp_path, transform=True)
    ahead = known[0].rotation[2]
    write_ply(tmp_path / "points.ply", POINTS + 3000 * (SCALE * TURN @ ahead))
    model = read_model(tmp_path)
    assert len(model.points) == 0 and any("0 % of its points" in note for note in model.notes)


def test_photos_that_were_taken_out_do_not_refuse_a_capture(tmp_path):
    known = ring(6)
    entries = "".join(camera(place, one, more=' enabled="false"' * (place < 2)) for place, one in enumerate(known))
    (tmp_path / "cameras.xml").write_text(document(sensor(0, "frame", LENS), entries))
    write_photos(tmp_path / "photos", known)
    capture = load_capture(tmp_path)
    assert len(capture.frames) == 4 and [reason for _, reason in capture.skipped] == ["is disabled"] * 2


def test_cameras_that_cannot_be_used_say_why(tmp_path):
    known = ring(9)
    sensors = sensor(0, "frame", LENS) + sensor(1, "spherical", {}) + sensor(2, "rpc", {"f": 3.0})
    sensors += '<sensor id="3" label="x" type="frame"><resolution width="64" height="48"/></sensor>'
    entries = camera(0, known[0]) + camera(1, known[1], more=' enabled="false"') + camera(2, known[2], sensor=1)
    entries += camera(3, known[3], sensor=2) + camera(4, known[4], sensor=3) + camera(5, known[5], sensor=9)
    entries += '<camera id="6" sensor_id="0" label="lost"/><camera id="7" sensor_id="0" label="band" master_id="0"/>'
    entries += camera(8, known[8]).replace('component_id="0"', 'component_id="1"')
    (tmp_path / "cameras.xml").write_text(document(sensors, entries + camera(9, known[7])))
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == ["IMG_001", "IMG_008"]
    reasons = dict((*model.skipped, *model.unposed))
    assert len(reasons) == 8 and {name for name, _ in model.unposed} == {"IMG_002", "lost", "band", "IMG_009"}
    for name, part in {
        "IMG_002": "disabled",
        "IMG_003": "360 degree panorama",
        "IMG_004": "type rpc",
        "IMG_005": "without a calibration",
        "IMG_006": "no sensor",
        "lost": "not aligned",
        "band": "multi-camera",
        "IMG_009": "another component",
    }.items():
        assert part in reasons[name]


def test_equal_labels_are_told_apart_by_their_groups(tmp_path):
    known = ring(4)
    first = camera(0, known[0], "a") + camera(1, known[1], "b")
    groups = f'<group id="0" label="left">{first}</group><group id="1" label="right">{camera(2, known[2], "a")}</group>'
    (tmp_path / "cameras.xml").write_text(document(sensor(0, "frame", LENS), groups + camera(3, known[3], "c")))
    assert [image.name for image in read_model(tmp_path).images] == ["b", "c", "left/a", "right/a"]


def test_equal_labels_without_groups_are_left_out(tmp_path):
    known = ring(3)
    entries = camera(0, known[0], "a") + camera(1, known[1], "a") + camera(2, known[2], "b")
    (tmp_path / "cameras.xml").write_text(document(sensor(0, "frame", LENS), entries))
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == ["b"]
    assert "2 poses" in dict(model.skipped)["a"]


@pytest.mark.parametrize("ignored, part", [({"b2": 1.5}, "skew"), ({"p3": 40.0}, "P3")])
def test_what_colmap_lacks_is_said(tmp_path, ignored, part):
    write(tmp_path, lens={**LENS, **ignored})
    (note,) = read_model(tmp_path).notes
    assert part in note and "5 photos" in note


def test_the_adjusted_calibration_of_two(tmp_path):
    known = ring()
    both = sensor(0, "frame", {"f": 99.0}, "initial").removesuffix("</sensor>")
    both += sensor(0, "frame", LENS)[sensor(0, "frame", LENS).index("<calibration") :]
    (tmp_path / "c.xml").write_text(document(both, "".join(camera(i, one) for i, one in enumerate(known))))
    assert_projects(read_model(tmp_path), known, project("frame", LENS), names=LABELS)


def test_old_files_have_two_focal_lengths(tmp_path):
    known = write(tmp_path, lens={"fx": 61.0, "fy": 60.0, "cx": 33.0, "cy": 23.0, "skew": 0.0, "k1": 0.01})
    formula = project("frame", {"f": 60.0, "b1": 1.0, "cx": 1.0, "cy": -1.0, "k1": 0.01})
    assert_projects(read_model(tmp_path), known, formula, names=LABELS)


@pytest.mark.parametrize(
    "text, part",
    [
        ("<document><chunk><cameras>", "cannot be read as XML"),
        ("<document><chunk/></document>", "no chunk with cameras"),
        ('<!DOCTYPE d [<!ENTITY a "aa">]><document><chunk>&a;</chunk></document>', "document type"),
    ],
)
def test_damaged_files(tmp_path, text, part):
    (tmp_path / "cameras.xml").write_text(text)
    with pytest.raises(InputError, match=part) as error:
        read_model(tmp_path / "cameras.xml")
    assert str(tmp_path / "cameras.xml") in str(error.value)


@pytest.mark.parametrize(
    "label, name",
    [
        ("/home/user/set/IMG_001.png", "home/user/set/IMG_001.png"),
        ("D:\\set\\IMG_001.png", "set/IMG_001.png"),
        ("../set/./IMG_001.png", "set/IMG_001.png"),
    ],
)
def test_labels_may_be_paths_of_another_machine(tmp_path, label, name):
    known = ring(1)
    (tmp_path / "cameras.xml").write_text(document(sensor(0, "frame", LENS), camera(0, known[0], label)))
    write_photos(tmp_path / "photos", known)
    assert [image.name for image in read_model(tmp_path).images] == [name]
    assert len(load_capture(tmp_path).frames) == 1


@pytest.mark.parametrize("identity", [False, True])
def test_the_transform_of_a_component(tmp_path, identity):
    known = ring()
    place = document("", "", transform=True)
    place = place[place.index("<transform>") : place.index("</chunk>")]
    if identity:
        place = "<transform><rotation>1 0 0 0 1 0 0 0 1</rotation><translation>0 0 0</translation><scale>1</scale></transform>"
    text = document(
        sensor(0, "frame", LENS), "".join(camera(i, one) for i, one in enumerate(known)), transform=identity
    )
    component = f'<components next_id="1" active_id="0"><component id="0" label="C">{place}</component></components>'
    (tmp_path / "cameras.xml").write_text(text.replace("<cameras ", f"{component}<cameras "))
    image = read_model(tmp_path).images[0]
    center = -image.viewmat[:3, :3].T @ image.viewmat[:3, 3]
    np.testing.assert_allclose(center, SCALE * TURN @ known[0].center + SHIFT, atol=1e-9)


@pytest.mark.parametrize(
    "lens, part",
    [
        ({"f": 60.0, "k4": -1e30}, "folds the image"),
        ({"f": 30.0, "p1": 0.5}, "pixels only"),
        ({"f": 0.0}, "without a focal length"),
        ({"f": 1e-9}, "focal length of 1e-09"),
        ({"f": 60.0, "k1": 1e300}, "not finite"),
    ],
)
def test_lenses_that_cannot_be_used(tmp_path, lens, part):
    write(tmp_path, "equisolid_fisheye" if "p1" in lens else "frame", lens)
    model = read_model(tmp_path)
    assert not model.images and all(part in reason for _, reason in model.skipped)


@pytest.mark.parametrize("kind", ["frame", "fisheye"])
def test_half_of_the_skew_is_a_turn_of_the_camera(tmp_path, kind):
    """K = [[f + b1, b2], [0, f]] is met to b2 / 2 a unit of the image plane, and the rest stays as it is."""
    lens = {**LENS, "b2": 1.5}
    known = write(tmp_path, kind, lens)
    formula = project(kind, lens)
    for image, one in zip(read_model(tmp_path).images, known, strict=True):
        local = POINTS @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
        wanted = formula(one.local(POINTS))
        wanted[:, 0] += lens["b2"] * (wanted[:, 1] - SIZE[1] / 2 - lens["cy"]) / lens["f"]
        away = np.abs(wanted - np.array(SIZE) / 2 - (lens["cx"], lens["cy"]))[:, ::-1] / lens["f"]
        error = np.abs(image.camera.img_from_cam(local) - wanted)
        assert (error <= 0.5 * 1.02 * lens["b2"] * away + 0.003).all() and error.max() > 0.05


@pytest.mark.parametrize(
    "old, new, reason",
    [
        ('<rotation locked="false">', "<rotation>1 2 3 ", "its rotation"),
        ('<scale locked="false">', "<scale>-", "scale of -2.5"),
    ],
)
def test_a_damaged_place_of_a_chunk_is_not_taken_for_none(tmp_path, old, new, reason):
    write(tmp_path, transform=True)
    file = tmp_path / "cameras.xml"
    file.write_text(file.read_text().replace(old, new))
    model = read_model(tmp_path)
    assert not model.images and all(reason in why and "in a chunk" in why for _, why in model.skipped)


def test_a_transposed_pose_is_none(tmp_path):
    known = ring(3)
    text = document(sensor(0, "frame", LENS), "".join(camera(i, one) for i, one in enumerate(known)))
    pose = text.split("<transform>")[1].split("</transform>")[0]
    turned = " ".join(np.array(pose.split()).reshape(4, 4).T.ravel())
    write_photos(tmp_path / "photos", known)
    (tmp_path / "cameras.xml").write_text(text.replace(pose, turned))
    model = read_model(tmp_path)
    assert len(model.images) == 2 and "it is transposed" in model.skipped[0][1]


def test_xml_of_two_bytes_a_letter_may_not_declare_entities(tmp_path):
    write(tmp_path)
    file = tmp_path / "cameras.xml"
    text = file.read_text().replace('encoding="UTF-8"', 'encoding="UTF-16"')
    head, body = text.split("<document", 1)
    file.write_bytes(f'{head}<!DOCTYPE x [<!ENTITY a "b">]><document{body}'.encode("utf-16"))
    with pytest.raises(InputError, match="declares a document type"):
        metashape.read_model(file, PhotosOfCapture(tmp_path))
