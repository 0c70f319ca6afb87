"""COLMAP models that are cut off, corrupted or hostile: an error that names file and place, or a result that adds up."""

import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from colmap_models import PHOTOS, POINTS, refused, tracked, write
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.datasets.readers import colmap_binary
from splat.datasets.readers.colmap import read_model
from splat.errors import InputError

NAMES = ("cameras", "images", "points3D")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    """The files of one model in both forms."""
    folder = tmp_path_factory.mktemp("good")
    files = {}
    for text in (False, True):
        write(tracked(), folder, text)
    for path in folder.iterdir():
        if path.stem in NAMES:
            files[path.name] = path.read_bytes()
    return files


def put(folder: Path, good: dict[str, bytes], suffix: str, **changed: bytes) -> Path:
    for name in NAMES:
        (folder / f"{name}{suffix}").write_bytes(changed.get(name, good[f"{name}{suffix}"]))
    return folder


def check(folder: Path, suffix: str) -> bool:
    """Read a model: whether that was possible. What comes out adds up with what the files say is in them."""
    try:
        model = read_model(folder)
    except InputError as error:
        assert re.search(r"(cameras|images|points3D)\.(bin|txt)|panorama", str(error)), error
        return False
    count = len(model.points)
    assert model.points.shape == model.colors.shape == (count, 3) and np.isfinite(model.points).all()
    for posed in model.images:
        assert posed.observed is not None and np.isfinite(posed.viewmat).all()
        np.testing.assert_allclose(np.linalg.det(posed.viewmat), 1, atol=1e-9)
        assert (np.diff(posed.observed) > 0).all() and (posed.observed >= 0).all() and (posed.observed < count).all()
    notes = " ".join(model.notes)
    lost = int(match[1]) if (match := re.search(r"(\d+) points? of \d+ whose position", notes)) else 0
    if suffix == ".bin":
        images, points = (
            struct.unpack_from("<Q", (folder / name).read_bytes())[0] for name in ("images.bin", "points3D.bin")
        )
        left_out = int(match[1]) if (match := re.search(r"(\d+) panoramas? \(", notes)) else 0
        assert len(model.images) + len(model.skipped) + left_out == images
        assert count + lost == points
        if images < PHOTOS or points < POINTS:
            assert "behind the last of its" in notes
    else:
        for path, read in (("images.txt", len(model.images) + len(model.skipped)), ("points3D.txt", count + lost)):
            stated = re.search(rb"Number of \w+: (\d+)", (folder / path).read_bytes())
            if stated and int(stated[1]) != read:
                assert "panorama" in notes or f"{path}: has {read:,}" in notes
    return True


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_of_binary_is_noticed(good, tmp_path, name):
    data = good[f"{name}.bin"]
    for length in range(len(data)):
        if length > 300 and length % 23:
            continue
        put(tmp_path, good, ".bin", **{name: data[:length]})
        with pytest.raises(
            InputError, match=rf"{name}\.bin: .* at byte \d+ of {length}; the file is damaged or cut off"
        ):
            read_model(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_truncations_of_text(good, tmp_path, name):
    """A cut between two records leaves a good file; the comment at its top tells."""
    data = good[f"{name}.txt"]
    for length in range(150, len(data), 37):
        put(tmp_path, good, ".txt", **{name: data[:length]})
        check(tmp_path, ".txt")


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from([".bin", ".txt"]),
    name=st.sampled_from(NAMES),
    flips=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=12),
    cut=st.one_of(st.none(), st.integers(0, 1 << 16)),
)
def test_random_damage(good, tmp_path_factory, suffix, name, flips, cut):
    data = bytearray(good[f"{name}{suffix}"])
    for place, value in flips:
        data[place % len(data)] = value
    folder = put(tmp_path_factory.mktemp("damage"), good, suffix, **{name: bytes(data[:cut])})
    check(folder, suffix)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400), suffix=st.sampled_from([".bin", ".txt"]), name=st.sampled_from(NAMES))
def test_any_bytes(good, tmp_path_factory, data, suffix, name):
    check(put(tmp_path_factory.mktemp("bytes"), good, suffix, **{name: data}), suffix)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(
        st.lists(
            st.sampled_from(
                ["1", "5", "0", "-1", "0.5", "1e3", "nan", "a.jpg", "#", "0,5", "3", "", "1e400", "9" * 30]
            ),
            max_size=14,
        ),
        max_size=6,
    ),
    name=st.sampled_from(NAMES),
)
def test_any_lines(good, tmp_path_factory, lines, name):
    data = "\n".join(" ".join(fields) for fields in lines).encode()
    check(put(tmp_path_factory.mktemp("lines"), good, ".txt", **{name: data}), ".txt")


@pytest.mark.parametrize(
    "name, place, layout",
    [
        ("cameras", 0, "<Q"),
        ("images", 0, "<Q"),
        ("images", 8 + 64 + 8, "<Q"),
        ("points3D", 0, "<Q"),
        ("points3D", 51, "<Q"),
    ],
)
@pytest.mark.parametrize("value", [1 << 20, 1 << 40, 1 << 62, (1 << 64) - 1])
def test_no_count_is_believed(good, tmp_path, name, place, layout, value):
    data = bytearray(good[f"{name}.bin"])
    struct.pack_into(layout, data, place, value)
    put(tmp_path, good, ".bin", **{name: bytes(data)})
    tracemalloc.start()
    refused(tmp_path, f"{name}.bin", "more than it can hold")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name, noun", [("cameras", "camera"), ("images", "image"), ("points3D", "point")])
def test_what_is_left_behind_the_last_record(good, tmp_path, name, noun):
    put(tmp_path, good, ".bin", **{name: good[f"{name}.bin"] + b"\0" * 5})
    (note,) = read_model(tmp_path).notes
    assert f"5 bytes behind the last of its {len(read_model(tmp_path).points) if noun == 'point' else ''}" in note
    data = struct.pack("<Q", struct.unpack_from("<Q", good[f"{name}.bin"])[0] - 1) + good[f"{name}.bin"][8:]
    put(tmp_path, good, ".bin", **{name: data})
    assert any("behind the last of its" in note for note in read_model(tmp_path).notes)


@pytest.mark.parametrize("number", [18, 999, -1, 1 << 30])
def test_unknown_numbers_of_camera_models(good, tmp_path, number):
    data = bytearray(good["cameras.bin"])
    struct.pack_into("<i", data, 12, number)
    put(tmp_path, good, ".bin", cameras=bytes(data))
    refused(tmp_path, "cameras.bin, byte 8", f"unknown model number {number}", "SIMPLE_PINHOLE", "damaged")


def test_points_of_one_id_in_binary(good, tmp_path):
    data = good["points3D.bin"]
    table = colmap_binary.read_points(put(tmp_path, good, ".bin") / "points3D.bin", [])
    second = 8 + 51 + 8 * int(table.lengths[0])
    put(tmp_path, good, ".bin", points3D=data[:second] + data[8:16] + data[second + 8 :])
    model = read_model(tmp_path)
    assert len(model.points) == POINTS and "1 point with the id of an earlier one" in model.notes[0]


def test_positions_and_poses_that_are_not_finite_in_binary(good, tmp_path):
    points, images = bytearray(good["points3D.bin"]), bytearray(good["images.bin"])
    struct.pack_into("<d", points, 16, float("nan"))
    struct.pack_into("<d", images, 8 + 4 + 32, float("inf"))
    model = read_model(put(tmp_path, good, ".bin", points3D=bytes(points), images=bytes(images)))
    assert len(model.points) == POINTS - 1 and "1 point of 40 whose position is not finite" in model.notes[0]
    assert model.skipped == [("000.jpg", "has a position that is not finite, or beyond 1e+12 (images.bin, byte 8)")]


def test_a_file_that_cannot_be_read(good, tmp_path):
    for suffix in (".bin", ".txt"):
        folder = tmp_path / suffix
        folder.mkdir()
        put(folder, good, suffix)
        (folder / f"points3D{suffix}").unlink()
        (folder / f"points3D{suffix}").symlink_to(folder)
        assert read_model(folder).points.shape == (0, 3)  # not a file at all
