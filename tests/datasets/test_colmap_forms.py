"""COLMAP models of which both forms are there, text and binary, or parts of each."""

import shutil
from dataclasses import replace

import pytest
from colmap_models import PHOTOS, POINTS, assert_equal, data_lines, photo_lines, rewrite, tracked, write

from splat.datasets.readers.colmap import read_model


def test_mixed_forms(tmp_path):
    model = tracked()
    write(model, tmp_path, text=False)
    write(model, tmp_path / "text", text=True)
    for name in ("cameras", "images", "points3D"):
        folder = tmp_path / name
        folder.mkdir()
        for other in ("cameras", "images", "points3D"):
            source = tmp_path / "text" / f"{other}.txt" if other == name else tmp_path / f"{other}.bin"
            shutil.copy(source, folder)
        assert_equal(read_model(folder), model)


def test_both_forms_that_differ(tmp_path):
    write(tracked(), tmp_path, text=False)
    write(tracked(), tmp_path, text=True)
    assert not read_model(tmp_path).notes
    lines = photo_lines(tmp_path / "images.txt")
    rewrite(tmp_path / "images.txt", lines[:4])
    model = read_model(tmp_path)
    assert len(model.images) == PHOTOS
    said = "images.bin and images.txt differ in 2 photos (004.jpg, 005.jpg); images.bin was read"
    assert len(model.notes) == 1 and said in model.notes[0]
    # A text model that is whole goes before a binary one that is not.
    (tmp_path / "cameras.bin").unlink()
    model = read_model(tmp_path)
    said = "images.txt and images.bin differ in 2 photos (004.jpg, 005.jpg); images.txt was read"
    assert len(model.images) == 4 and said in model.notes[0]
    # What is not read may be damaged.
    (tmp_path / "images.bin").write_bytes(b"\0")
    assert len(read_model(tmp_path).images) == 4


@pytest.mark.parametrize(
    "name, column, value, said",
    [
        ("images", 6, "7.5", "images.bin and images.txt differ in 1 photo (000.jpg); images.bin was read"),
        ("images", 2, "0.5", "images.bin and images.txt differ in 1 photo (000.jpg); images.bin was read"),
        ("images", 9, "x.jpg", "images.bin and images.txt differ in 2 photos (000.jpg, x.jpg); images.bin was read"),
        ("cameras", 4, "400", "cameras.bin and cameras.txt differ in 1 camera (camera ids 3); cameras.bin was read"),
    ],
)
def test_both_forms_that_say_other_things(tmp_path, name, column, value, said):
    """Fewer digits and a quaternion of the other sign say the same."""
    write(tracked(), tmp_path, text=False)
    write(tracked(), tmp_path, text=True)
    path = tmp_path / f"{name}.txt"
    lines = [line.split() for line in data_lines(path)]
    if name == "images":
        for line in lines[::2]:
            line[1:5] = [f"{-float(field):.9g}" for field in line[1:5]]
    rewrite(path, [" ".join(line) for line in lines])
    assert not read_model(tmp_path).notes
    lines[0][column] = value
    rewrite(path, [" ".join(line) for line in lines])
    (note,) = read_model(tmp_path).notes
    assert said in note


@pytest.mark.parametrize("text", [False, True])
def test_files_in_any_case(tmp_path, text):
    model = tracked()
    write(model, tmp_path, text)
    for path in sorted(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.upper() if path.stem == "cameras" else path.name.lower()))
    assert_equal(read_model(tmp_path), model)


def test_points_of_the_other_form_where_one_has_none(tmp_path):
    model = tracked()
    write(model, tmp_path, text=False)
    write(model, tmp_path, text=True)
    (tmp_path / "points3D.bin").write_bytes(bytes(8))
    read = read_model(tmp_path)
    (note,) = read.notes
    assert f"points3D.bin has no points; the {POINTS} of points3D.txt are used" in note
    assert_equal(replace(read, notes=()), model)
    (tmp_path / "points3D.txt").write_text("1 2")
    read = read_model(tmp_path)
    assert not len(read.points) and "points3D.bin has no points, and" in read.notes[0] and "line 1" in read.notes[0]
