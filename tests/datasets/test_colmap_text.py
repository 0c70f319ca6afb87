"""COLMAP's text files as people and other programs write them: read right, or an error that names file and line.

tests/datasets/test_colmap_images.py is about images.txt.
"""

import struct
from pathlib import Path

import numpy as np
import pytest
from colmap_models import PHOTOS, POINTS, assert_poses, assert_same, data_lines, edit, refused, rewrite, tracked, write

from splat.datasets.readers.colmap import read_model
from splat.datasets.readers.model import Model


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tracked(), tmp_path, text=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Model:
    return read_model(write(tracked(), tmp_path_factory.mktemp("expected"), text=True))


# --- Cameras


@pytest.mark.parametrize("model", ["opencv", "OpenCV", "Opencv"])
def test_camera_models_in_any_case(folder, expected, model):
    edit(folder / "cameras.txt", ("3 OPENCV", f"3 {model}"))
    assert_same(read_model(folder), expected)


@pytest.mark.parametrize(
    "line, parts",
    [
        ("3 WATERDROP 640 480 1 2 3", ["unknown camera model 'WATERDROP'", "SIMPLE_PINHOLE", "FULL_OPENCV", "EUCM"]),
        ("3 PINHOLE 640 480 500 320 240", ["4 parameters (fx, fy, cx, cy), got 3", "missing"]),
        ("3 SIMPLE_RADIAL 640 480 500 320 240 0.1 0.2", ["4 parameters (f, cx, cy, k), got 5", "take out"]),
        ("3 OPENCV 640 480", ["8 parameters", "got 0"]),
        ("3 PINHOLE 0 480 500 500 320 240", ["0 x 480 pixels"]),
        ("3 PINHOLE 640 -480 500 500 320 240", ["640 x -480 pixels"]),
        ("3 PINHOLE 99999999999 480 500 500 320 240", ["pixels"]),
        ("-3 PINHOLE 640 480 500 500 320 240", ["camera id", "-3"]),
        ("3 PINHOLE 640 480 nan 500 320 240", ["fx = nan"]),
        ("3 PINHOLE 640 480 500 -500 320 240", ["fy = -500, expected a focal length above 0"]),
        ("3 PINHOLE 640 480 0 500 320 240", ["fx = 0"]),
        ("3 PINHOLE 640 480 500 500 1e300 240", ["cx = 1e+300"]),
        ("3 PINHOLE 640.5 480 500 500 320 240", ["expected a camera"]),
        ("x PINHOLE 640 480 500 500 320 240", ["expected a camera"]),
        ("3 PINHOLE", ["expected a camera"]),
        ("3 PINHOLE inf 480 500 500 320 240", ["expected a camera"]),
        ("3 PINHÖLE 640 480 500 500 320 240", ["expected a camera"]),
        ("3 PINHOLE 640 480 500,5 500 320 240", ["decimal comma", "500,5"]),
        ("3,PINHOLE,640,480,500,500,320,240", ["commas between its columns"]),
        ("3, PINHOLE, 640, 480, 500, 500, 320, 240", ["commas between its columns"]),
    ],
)
def test_cameras_that_cannot_be(folder, line, parts):
    rewrite(folder / "cameras.txt", ["# a comment", "", line])
    refused(folder, "cameras.txt, line 3", *parts)


def test_whole_numbers_with_a_point(folder, expected):
    edit(folder / "cameras.txt", (" 640 480 ", " 640.0 4.8e2 "))
    assert_same(read_model(folder), expected)


FAULTS = {
    "PINHOLE 0 0 1 1 0 0": "states an image of 0 x 0 pixels",
    "MYCAM 100 100 1 1 0 0": "is of the unknown camera model 'MYCAM'",
    "PINHOLE 100 100 1 1 0": "is PINHOLE, which has 4 parameters",
    "PINHOLE 100 100 nan 1 0 0": "has fx = nan",
}


@pytest.mark.parametrize("camera", FAULTS)
def test_a_camera_that_cannot_be_and_is_of_no_photo(folder, expected, camera):
    path = folder / "cameras.txt"
    rewrite(path, [*data_lines(path), f"9 {camera}"])
    model = read_model(folder)
    assert_same(model, expected, notes=1)
    said = f"1 camera that cannot be used was ignored, for no photo is of it: in line 2, camera 9 {FAULTS[camera]}"
    assert said in model.notes[0]


@pytest.mark.parametrize("camera", FAULTS)
def test_a_camera_that_cannot_be_and_is_of_one_photo(folder, camera):
    path = folder / "cameras.txt"
    rewrite(path, [*data_lines(path), f"9 {camera}"])
    edit(folder / "images.txt", (" 3 002.jpg", " 9 002.jpg"))
    model = read_model(folder)
    ((name, reason),) = model.skipped
    assert len(model.images) == PHOTOS - 1 and name == "002.jpg"
    assert reason.startswith(f"is of camera 9 (cameras.txt, line 2), which {FAULTS[camera]}")


def test_a_camera_without_pixels_in_binary(tmp_path):
    write(tracked(), tmp_path, text=False)
    path = tmp_path / "cameras.bin"
    added = struct.pack("<IiQQ4d", 9, 1, 0, 0, 1, 1, 0, 0)
    path.write_bytes(struct.pack("<Q", 2) + path.read_bytes()[8:] + added)
    model = read_model(tmp_path)
    assert len(model.images) == PHOTOS and "camera 9 states an image of 0 x 0 pixels" in model.notes[0]


@pytest.mark.parametrize("end", [" # main", "\t#", " # 1 2 3"])
def test_a_comment_behind_a_camera(folder, expected, end):
    path = folder / "cameras.txt"
    path.write_text(path.read_text().rstrip() + f"{end}\n")
    assert_same(read_model(folder), expected)


def test_a_camera_that_is_there_twice_alike(folder, expected):
    path = folder / "cameras.txt"
    rewrite(path, data_lines(path) * 2)
    model = read_model(folder)
    assert_same(model, expected, notes=1)
    assert "says the same of 1 camera twice (camera ids 3)" in model.notes[0]


# --- Points


@pytest.mark.parametrize("track", ["0 0", "0 0 0 0", "-1 -1", "99 3", "4294967295 4294967295"])
def test_tracks_of_photos_that_are_not_there(folder, expected, track):
    lines = [" ".join([*line.split()[:8], track]) for line in data_lines(folder / "points3D.txt")]
    rewrite(folder / "points3D.txt", lines)
    model = read_model(folder)
    np.testing.assert_array_equal(model.points, expected.points)
    (note,) = model.notes
    assert f"tracks of 1 photo that the model lacks were ignored (image ids {track.split()[0]})" in note
    assert all(posed.observed is not None and not len(posed.observed) for posed in model.images)


@pytest.mark.parametrize("track", ["5 0", "5 0 7 0", "5 99", "5 -1", "5 4294967295 5 0"])
def test_tracks_that_do_not_fit_the_2d_points(folder, expected, track):
    """The dummies that exporters write: every point claims the same 2D point, or one that is not there."""
    lines = [" ".join([*line.split()[:8], track]) for line in data_lines(folder / "points3D.txt")]
    rewrite(folder / "points3D.txt", lines)
    model = read_model(folder)
    np.testing.assert_array_equal(model.points, expected.points)
    every = POINTS * len(track.split()) // 2
    (note,) = model.notes
    assert f"{every} of {every} observations in tracks did not fit the 2D points of images.txt" in note
    assert all(posed.observed is not None and not len(posed.observed) for posed in model.images)


def test_tracks_that_fit_are_kept_beside_those_that_do_not(folder, expected):
    lines = data_lines(folder / "points3D.txt")
    rewrite(folder / "points3D.txt", [f"{line} 5 4000" for line in lines])
    assert_same(read_model(folder), expected, notes=1)


def test_empty_lines_of_2d_points_with_tracks(folder, expected):
    lines = [line if index % 2 == 0 else "" for index, line in enumerate(data_lines(folder / "images.txt"))]
    rewrite(folder / "images.txt", lines)
    model = read_model(folder)
    np.testing.assert_array_equal(model.points, expected.points)
    assert_poses(model, expected)
    assert len(model.notes) == 1 and "did not fit the 2D points of images.txt" in model.notes[0]


@pytest.mark.parametrize("tracks", [True, False])
def test_no_column_of_errors(folder, expected, tracks):
    lines = [line.split() for line in data_lines(folder / "points3D.txt")]
    rewrite(folder / "points3D.txt", [" ".join([*line[:7], *(line[8:] if tracks else [])]) for line in lines])
    model = read_model(folder)
    assert "has no column of errors" in model.notes[0]
    np.testing.assert_array_equal(model.colors, expected.colors)
    if tracks:
        assert_same(model, expected, notes=1)


@pytest.mark.parametrize("columns", [4, 5])
def test_no_colors(folder, expected, columns):
    lines = [line.split()[:columns] for line in data_lines(folder / "points3D.txt")]
    rewrite(folder / "points3D.txt", [" ".join(line) for line in lines])
    model = read_model(folder)
    np.testing.assert_array_equal(model.points, expected.points)
    assert (model.colors == 128).all()
    assert model.notes[0].endswith("the 40 points have no colors and became gray")


@pytest.mark.parametrize(
    "form, note",
    [
        (lambda value: f"{value / 255:.6f}", "fractions of 1 and were scaled to 0..255"),
        (lambda value: f"{value:.1f}", None),
        (lambda value: f"{value + 0.25}", None),
        (lambda value: f"{value * 3 + 300}", "40 colors outside of 0..255 were clipped"),
        (lambda value: "nan", "40 colors made of no numbers became gray"),
    ],
)
def test_colors_of_any_kind(folder, expected, form, note):
    lines = [line.split() for line in data_lines(folder / "points3D.txt")]
    changed = [" ".join([*line[:4], *(form(int(value)) for value in line[4:7]), *line[7:]]) for line in lines]
    rewrite(folder / "points3D.txt", changed)
    model = read_model(folder)
    assert_same(model, expected, notes=int(note is not None))
    if note is None or "fractions" in note:
        np.testing.assert_array_equal(model.colors, expected.colors)
    if note is not None:
        assert note in model.notes[0]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e13"])
def test_points_whose_position_is_not_finite(folder, expected, value):
    lines = [line.split() for line in data_lines(folder / "points3D.txt")]
    for index in (0, 7, 39):
        lines[index][1 + index % 3] = value
    rewrite(folder / "points3D.txt", [" ".join(line) for line in lines])
    model = read_model(folder)
    assert len(model.points) == POINTS - 3
    assert "3 points of 40 whose position is not finite" in model.notes[0] and len(model.notes) == 1
    for posed, other in zip(model.images, expected.images, strict=True):
        assert posed.observed is not None and other.observed is not None
        kept = [row for row in other.observed if row not in (0, 7, 39)]
        np.testing.assert_array_equal(model.points[posed.observed], expected.points[kept])


def test_points_of_one_id(folder, expected):
    lines = data_lines(folder / "points3D.txt")
    rewrite(folder / "points3D.txt", [*lines, lines[0].rsplit(" ", 2)[0], " ".join(lines[1].split()[:8])])
    model = read_model(folder)
    assert len(model.points) == POINTS + 2
    assert any("2 points with the id of an earlier one; all of them are used" in note for note in model.notes)


def test_tracks_that_are_no_whole_numbers(folder, expected):
    lines = data_lines(folder / "points3D.txt")
    whole = [" ".join([*line.split()[:8], *(f"{field}.0" for field in line.split()[8:])]) for line in lines]
    rewrite(folder / "points3D.txt", whole)
    assert_same(read_model(folder), expected)
    lines[3] += " 5 x"
    lines[4] += f" 5 {10**30}"
    rewrite(folder / "points3D.txt", lines)
    assert read_model(folder).notes[0].endswith("tracks of 2 points are not pairs of whole numbers and were ignored")


@pytest.mark.parametrize(
    "line, wrong",
    [
        ("99 0.5 0.5", "has 3 columns, not 8"),
        ("99 0.5 0.5 0.5 1 2 3", "has 7 columns, not 8"),
        ("99 0.5 0.5 0.5 1 2 3 0.1 5", "has 1 number in its track, an odd number"),
        ("99 0.5 x 0.5 1 2 3 0.1", "has 'x' as its Y"),
        ("99 0.5 0.5 0.5 1 2 x 0.1", "has 'x' as its B"),
        ("x 0.5 0.5 0.5 1 2 3 0.1", "has 'x' as its POINT3D_ID"),
        ("0.5 0.5 0.5 0.5 1 2 3 0.1", "has '0.5' as its POINT3D_ID"),
        ("99 0.5 0,5 0.5 1 2 3 0.1", "has a decimal comma, 0,5"),
        ("99,0.5,0.5,0.5,1,2,3,0.1", "has commas between its columns"),
        ("99, 0.5, 0.5, 0.5, 1, 2, 3, 0.1", "has commas between its columns"),
    ],
)
@pytest.mark.parametrize("place", [0, 8])
def test_lines_that_are_no_points(folder, expected, line, wrong, place):
    """A few are left out, wherever they stand; more are an error."""
    lines = data_lines(folder / "points3D.txt")
    lines.insert(place, line)
    rewrite(folder / "points3D.txt", lines)
    model = read_model(folder)
    assert_same(model, expected, notes=1)
    said = f"1 line of 41 is no point and was left out; the first, line {place + 1}, {wrong}"
    assert said in model.notes[0]
    rewrite(folder / "points3D.txt", [*lines, line, line, line, line])
    refused(folder, f"points3D.txt, line {place + 1}: {wrong}")


@pytest.mark.parametrize("point_id", ["-1", "18446744073709551615", "1e3", "99999999999999999999999"])
def test_ids_of_points_are_not_needed(folder, expected, point_id):
    lines = data_lines(folder / "points3D.txt")
    lines[0] = " ".join([point_id, *lines[0].split()[1:]])
    rewrite(folder / "points3D.txt", lines)
    assert_same(read_model(folder), expected)


@pytest.mark.parametrize("line", ["1 2 3", "1", "1 0.5 0.5 0.5 1 2"])
def test_points_of_too_few_columns(folder, line):
    rewrite(folder / "points3D.txt", ["# points", line, line])
    refused(folder, "points3D.txt, line 2", "expected a point (POINT3D_ID X Y Z R G B ERROR TRACK[]")


# --- Whole files


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16(folder, name, encoding):
    path = folder / f"{name}.txt"
    path.write_bytes(path.read_text().encode(encoding))
    refused(folder, f"{name}.txt: is text in UTF-16", "UTF-8")


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_binary_and_text_mistaken_for_each_other(tmp_path, name):
    for text, is_named, kind in ((False, "txt", "is binary, not text"), (True, "bin", "is text, not one of COLMAP's")):
        folder = write(tracked(), tmp_path / is_named, text)
        old = folder / f"{name}.{'txt' if text else 'bin'}"
        old.rename(old.with_suffix(f".{is_named}"))
        refused(folder, f"{name}.{is_named}: {kind}", f"rename it to {old.name}")


@pytest.mark.parametrize("name, noun", [("cameras", "camera"), ("images", "photo"), ("points3D", "point")])
def test_what_was_read_is_compared_with_what_the_file_states(folder, name, noun):
    path = folder / f"{name}.txt"
    text = path.read_text()
    stated = {"cameras": 1, "images": PHOTOS, "points3D": POINTS}[name]
    path.write_text(text.replace(f": {stated}", f": {stated + 3}", 1))
    (note,) = read_model(folder).notes
    assert (
        f"has {stated} {noun if stated == 1 else noun + 's'}, but a comment at its top speaks of {stated + 3}" in note
    )


def test_an_empty_model(tmp_path):
    for name in ("cameras", "images", "points3D"):
        (tmp_path / f"{name}.txt").write_text("# nothing\n")
    model = read_model(tmp_path)
    assert not model.images and model.points.shape == (0, 3) and not model.notes
