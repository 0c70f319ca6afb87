"""images.txt as people and other programs write it: read right, or an error that names the line."""

from pathlib import Path

import numpy as np
import pytest
from colmap_models import assert_poses, assert_same, data_lines, edit, photo_lines, refused, rewrite, tracked, write

from splat.datasets.readers.colmap import read_model
from splat.datasets.readers.colmap_binary import read_images
from splat.datasets.readers.model import Model


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tracked(), tmp_path, text=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Model:
    return read_model(write(tracked(), tmp_path_factory.mktemp("expected"), text=True))


# --- Names


@pytest.mark.parametrize(
    "names",
    [
        ["A map plan 1 ü.jpg", "A map plan 2 ü.jpg", "B.jpg", "C  two  spaces.jpg", "D 1 2 3.jpg", "é.jpg"],
        ["IMG (1).jpg", "IMG (2).jpg", "IMG (3).jpg", "IMG (4).jpg", "IMG (5).jpg", "IMG.jpg"],
        ["0001", "0002", "0003", "10", "2", "3"],
        ["2024 01 01", "2024 01 02", "2024 01 03 7", "2024 01 04 0 0 1", "5 6 7", "8"],
        ["1e3", "nan", "inf 2 3", "x 0 0 -1", "y 1 2 -1", "-1"],
        ["# hash.jpg", "a # b.jpg", "b,c.jpg", "c;d.jpg", "d'e.jpg", "f&g.jpg"],
        ["cam 0/a b.jpg", "cam 0/c.jpg", "cam 1/a b.jpg", "cam1\\x y.jpg", "日本 1.jpg", "日本 2.jpg"],
        ["a\tb.jpg", "b\u00a0c.jpg", "c\u2028d.jpg", "d\u0085e.jpg", "e\x0cf.jpg", "g.jpg"],
    ],
)
@pytest.mark.parametrize("two_lines", [True, False])
def test_a_name_is_the_rest_of_the_line(folder, expected, names, two_lines):
    path = folder / "images.txt"
    lines = data_lines(path)
    for index, name in enumerate(names):
        lines[2 * index] = lines[2 * index].removesuffix(f"{index:03d}.jpg") + name
    rewrite(path, lines if two_lines else lines[::2])
    if not two_lines:
        (folder / "points3D.txt").unlink()
    model = read_model(folder)
    assert {posed.name for posed in model.images} == set(names)
    poses = {name: posed.viewmat for name, posed in zip(names, expected.images, strict=True)}
    for posed in model.images:
        np.testing.assert_array_equal(posed.viewmat, poses[posed.name])
    assert not model.notes


def test_names_in_quotes(folder, expected):
    edit(folder / "images.txt", ("001.jpg", '"a b.jpg"'), ("002.jpg", '"c.jpg"'))
    model = read_model(folder)
    assert [posed.name for posed in model.images][-2:] == ["a b.jpg", "c.jpg"]
    (note,) = model.notes
    assert 'names of 2 photos stand in quotes, which were taken off: "a b.jpg", "c.jpg"' in note


def test_names_that_are_not_utf8(folder):
    path = folder / "images.txt"
    path.write_bytes(path.read_bytes().replace(b"001.jpg", "Straße.jpg".encode("cp1252")))
    model = read_model(folder)
    assert model.images[-1].name == "Straße.jpg"
    assert "names of 1 photo are not UTF-8 and were read as Windows-1252: Straße.jpg" in model.notes[0]


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("old, new, what", [(7, 5, "image 5"), (5, 15, "image 15")])
def test_two_images_of_one_id(tmp_path, text, old, new, what):
    write(tracked(), tmp_path, text)
    path = tmp_path / f"images.{'txt' if text else 'bin'}"
    if text:
        edit(path, (f"\n{old} ", f"\n{new} "))
        refused(tmp_path, "images.txt", f"has {what} twice", "line 5 and line ")
    else:
        (place,) = [int(image.place.split()[1]) for image in read_images(path, []) if image.id == old]
        data = path.read_bytes()
        path.write_bytes(data[:place] + new.to_bytes(4, "little") + data[place + 4 :])
        refused(tmp_path, "images.bin", f"has {what} twice", "byte 8 and byte ")


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("first, second", [("000.jpg", "001.jpg"), ("001.jpg", "005.jpg"), ("004.jpg", "000.jpg")])
def test_two_poses_of_one_name(tmp_path, text, first, second):
    write(tracked(), tmp_path, text)
    path = tmp_path / f"images.{'txt' if text else 'bin'}"
    path.write_bytes(path.read_bytes().replace(first.encode(), second.encode()))
    refused(tmp_path, path.name, f"has a pose of the photo {second} twice", " and line " if text else " and byte ")


@pytest.mark.parametrize("name", ["./000.jpg", ".//000.jpg", ".\\000.jpg"])
def test_two_poses_of_one_photo_by_other_names(folder, name):
    edit(folder / "images.txt", ("001.jpg", name))
    refused(folder, "images.txt", "has a pose of the photo 000.jpg twice, in line 5 and line 7")


@pytest.mark.parametrize("line", ["3 PINHOLE 640 480 500 500 320 240", "3 OPENCV 640 480 1 1 1 1 0 0 0 0"])
def test_two_cameras_of_one_id(folder, line):
    path = folder / "cameras.txt"
    path.write_text(path.read_text() + line)
    refused(folder, "cameras.txt", "camera 3 is there twice, in line 4 and line 5")


# --- Lines of images.txt


def test_ids_with_a_point(folder, expected):
    lines = data_lines(folder / "images.txt")
    for index, line in enumerate(lines[::2]):
        fields = line.split(" ", 9)
        lines[2 * index] = " ".join([f"{fields[0]}.0", *fields[1:8], f"{fields[8]}.0", fields[9]])
    rewrite(folder / "images.txt", lines)
    assert_same(read_model(folder), expected)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n\n", "\r\r\n", " \n", "\t\n"])
def test_line_ends(folder, expected, newline):
    for name in ("cameras", "images", "points3D"):
        path = folder / f"{name}.txt"
        rewrite(path, path.read_text().splitlines(), newline)
    assert_same(read_model(folder), expected)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_byte_order_marks_and_tabs(folder, expected, name):
    path = folder / f"{name}.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b" ", b"\t"))
    assert_same(read_model(folder), expected)


def test_one_line_a_photo(folder, expected):
    rewrite(folder / "images.txt", photo_lines(folder / "images.txt"))
    model = read_model(folder)
    assert_poses(model, expected)
    (note,) = model.notes
    assert "observations in tracks did not fit the 2D points of images.txt and were ignored" in note


def test_some_photos_have_no_second_line(folder, expected):
    lines = data_lines(folder / "images.txt")
    rewrite(folder / "images.txt", [line for index, line in enumerate(lines) if index not in (1, 5, 7)])
    assert_poses(read_model(folder), expected)


@pytest.mark.parametrize("cut", [1, 2])
def test_the_last_empty_line_is_missing(folder, expected, cut):
    lines = [line if index % 2 == 0 else "" for index, line in enumerate(data_lines(folder / "images.txt"))]
    (folder / "images.txt").write_text("\n".join([*lines, ""])[:-cut])
    assert_poses(read_model(folder), expected)


def test_comments_and_empty_lines_anywhere(folder, expected):
    lines = data_lines(folder / "images.txt")
    lines = [part for line in lines for part in ("# a comment", "", line, "  # another one")]
    rewrite(folder / "images.txt", ["", "", *lines, ""])
    assert_same(read_model(folder), expected)


def test_no_end_of_the_last_line(folder, expected):
    for name in ("cameras", "images", "points3D"):
        (folder / f"{name}.txt").write_bytes((folder / f"{name}.txt").read_bytes().rstrip())
    assert_same(read_model(folder), expected)


@pytest.mark.parametrize(
    "keypoints",
    [
        "0 0 -1 0 0 -1 0 0 -1 0 0 -1",
        "1 1 -1 2 2 -1 3 3 -1 4 4 -1",
        "7 1 0 0 0 5 5 5 3 9 9 -1",  # an image id, a unit quaternion, a position, the id of a camera: still 2D points
        "1 0 1 0 0 2 0 0 3 0 0 4",
        "nan nan -1 inf 2.5 -1 1 1 -1 2 2 -1",
        "1.5 2.5 -1",
        "1.0 2.0 -1.0 3.0 4.0 -1.0",
        " ".join(["12.25 7.5 -1"] * 400),
        " ".join(["12 7 -1"] * 1500),
        "",
    ],
)
@pytest.mark.parametrize("where", [1, 3, 11])
def test_lines_of_2d_points(folder, expected, keypoints, where):
    lines = data_lines(folder / "images.txt")
    lines[where] = keypoints
    rewrite(folder / "images.txt", lines)
    assert_poses(read_model(folder), expected)


@pytest.mark.parametrize("name", ["7", "0001", "9 9 -1", "1 2 3 4"])
def test_identity_poses_of_photos_named_by_digits(tmp_path, name):
    """All of the line are whole numbers, also where 2D points have them."""
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 50 50 32 24\n")
    lines = [f"1 1 0 0 0 0 0 0 1 {name}", f"2 1 0 0 0 0 0 0 1 {name}0", f"3 0 1 0 0 5 6 7 1 {name}00"]
    for layout in (lines, [part for line in lines for part in (line, "")]):
        rewrite(tmp_path / "images.txt", layout)
        model = read_model(tmp_path)
        assert sorted(posed.name for posed in model.images) == sorted([name, f"{name}0", f"{name}00"])


@pytest.mark.parametrize(
    "line, parts",
    [
        ("9 1 0 0 0 1 2 3 a.jpg", ["has 'a.jpg' as its CAMERA_ID", "expected a photo"]),
        ("9 1 0 0 0 1 2 x 3 a.jpg", ["has 'x' as its TZ", "expected a photo"]),
        ("-9 1 0 0 0 1 2 3 3 a.jpg", ["has -9 as its IMAGE_ID, but ids are from 0 to 4294967294"]),
        ("99999999999999999999 1 0 0 0 1 2 3 3 a.jpg", ["has 99999999999999999999 as its IMAGE_ID"]),
        ("9 1 0 0 0 1 2 3 4294967295 a.jpg", ["has 4294967295 as its CAMERA_ID"]),
        ("9 1 0 0 0 1 2 3 1.5 a.jpg", ["has '1.5' as its CAMERA_ID"]),
        ("9 1 0 0 0 1 2 3 3", ["has 2D points or is a photo without NAME, but no photo stands before it"]),
        ("1 1 1 2 2 2", ["has 2D points, but no photo stands before them"]),
        ("9 0.6 0.8 0.5 0 1 2 3 3", ["has no NAME", "expected a photo"]),
        ("10.5 20.5 -1 10.5 20.5", ["or its 2D points"]),
        ("10.5 20.5 3.7", ["or its 2D points"]),
        ("a.jpg", ["expected a photo"]),
        ("9 0,6 0,8 0 0 1 2 3 3 a.jpg", ["decimal comma", "0,6", "decimal points"]),
        ("9 1 0 0 0 1 2 -3,25e2 3 a.jpg", ["decimal comma", "-3,25e2"]),
        ("10,5 20,5 -1", ["decimal comma", "10,5"]),
        ("9, 1, 0, 0, 0, 1, 2, 3, 3, a.jpg", ["commas between its columns", "spaces"]),
        ("9,1,0,0,0,1,2,3,3,a.jpg", ["commas between its columns", "spaces"]),
    ],
)
def test_lines_that_are_neither(folder, line, parts):
    path = folder / "images.txt"
    lines = path.read_text().splitlines()
    lines.insert(6, line)  # as line 7, behind the two lines of the first photo
    rewrite(path, lines)
    refused(folder, "images.txt, line 7", *parts)
