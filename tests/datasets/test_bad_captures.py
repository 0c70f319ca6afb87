"""Captures that are damaged or not captures at all: one message that names the file and the remedy, never a crash."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from captures import write_capture
from PIL import Image

from splat.datasets.load import PhotoOptions, load_capture
from splat.errors import InputError


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_capture(folder, photos=12)
    return folder


@pytest.fixture
def capture(tmp_path) -> Path:
    write_capture(tmp_path, photos=12)
    return tmp_path


def refused(capture: Path, *parts: str) -> str:
    with pytest.raises(InputError) as error:
        load_capture(capture)
    for part in parts:
        assert part in str(error.value)
    return str(error.value)


def test_no_such_folder(tmp_path):
    refused(tmp_path / "nowhere", "nowhere", "no such folder")


def test_a_file_is_not_a_capture(tmp_path):
    (tmp_path / "x").write_text("")
    refused(tmp_path / "x", "not a file of cameras", "a .zip")


def test_an_empty_folder(tmp_path):
    refused(tmp_path, "no cameras here", "sparse/0", "splat photos")


def test_photos_without_a_model(capture):
    shutil.rmtree(capture / "sparse")
    refused(capture, "no cameras here")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
def test_a_missing_model_file(capture, name):
    (capture / "sparse/0" / name).unlink()
    refused(capture, name, "export it again")


def test_missing_points_are_fine(capture):
    (capture / "sparse/0/points3D.bin").unlink()
    assert load_capture(capture).points.shape == (0, 3)


def test_missing_text_file(tmp_path):
    write_capture(tmp_path, photos=2, text=True)
    (tmp_path / "sparse/0/images.txt").unlink()
    refused(tmp_path, "images.txt")


def test_unknown_camera_model_in_text(tmp_path):
    write_capture(tmp_path, photos=2, text=True)
    path = tmp_path / "sparse/0/cameras.txt"
    path.write_text(path.read_text().replace("PINHOLE", "WATERDROP"))
    refused(tmp_path, str(tmp_path / "sparse/0/cameras.txt"), "unknown camera model 'WATERDROP'")


def test_unknown_camera_model_in_binary(capture):
    path = capture / "sparse/0/cameras.bin"
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 12, 999)
    path.write_bytes(data)
    refused(capture, "cameras.bin", "unknown model number 999")


FUZZ = """
import random, sys
from pathlib import Path
from splat.datasets.load import PhotoOptions, load_capture
from splat.errors import InputError
good, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
read = 0
for _ in range(40):
    for name in ("cameras.bin", "images.bin", "points3D.bin", "rigs.bin", "frames.bin"):
        if (good / "sparse/0" / name).is_file():
            (folder / "sparse/0" / name).write_bytes((good / "sparse/0" / name).read_bytes())
    name = chance.choice(["cameras.bin", "images.bin", "points3D.bin", "images.bin", "rigs.bin", "frames.bin"])
    path = folder / "sparse/0" / name
    data = bytearray(path.read_bytes() if path.is_file() else b"")
    for _ in range(chance.choice([1, 1, 3, 20])):
        if data:
            data[chance.randrange(min(len(data), chance.choice([40, 200, 10**9])))] = chance.randrange(256)
    path.write_bytes(data)
    try:
        load_capture(folder)
        read += 1
    except InputError:
        pass
print("survived", read)
"""


@pytest.mark.parametrize("seed", range(1))
def test_random_bytes_never_end_the_process(good, tmp_path, seed):
    """In a process of its own, for lenses and undistortion behind the parsers are compiled code."""
    (tmp_path / "sparse/0").mkdir(parents=True)
    (tmp_path / "images").symlink_to(good / "images")
    result = subprocess.run(
        [sys.executable, "-c", FUZZ, str(good), str(tmp_path), str(seed)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "survived" in result.stdout


def test_one_bad_photo_is_left_out_and_named(capture):
    path = capture / "images/003.png"
    path.write_bytes(path.read_bytes()[:100])
    scene = load_capture(capture)
    assert len(scene) == 11 and [name for name, _ in scene.skipped] == ["003.png"]


@pytest.mark.parametrize("break_it", ["truncate", "text", "shape", "empty"])
def test_many_bad_photos_are_an_error_that_lists_them(capture, break_it):
    for number in (2, 5, 9):
        path = capture / f"images/{number:03d}.png"
        if break_it == "truncate":
            path.write_bytes(path.read_bytes()[:100])
        elif break_it == "text":
            path.write_text("not an image")
        elif break_it == "empty":
            path.write_bytes(b"")
        else:
            Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(path)
    refused(capture, "3 of 12 photos", "002.png", "005.png", "009.png", "more than a tenth")


def test_poses_that_are_not_finite_are_left_out(tmp_path):
    write_capture(tmp_path, photos=12, text=True)
    path = tmp_path / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if line.endswith("004.png"))
    fields = lines[index].split()
    fields[5] = "nan"
    lines[index] = " ".join(fields)
    path.write_text("\n".join(lines) + "\n")
    scene = load_capture(tmp_path)
    assert [name for name, _ in scene.skipped] == ["004.png"] and len(scene) == 11


def test_points_that_are_not_finite_are_dropped(capture):
    path = capture / "sparse/0/points3D.bin"
    data = bytearray(path.read_bytes())
    struct.pack_into("<d", data, 16, float("nan"))
    path.write_bytes(data)
    assert len(load_capture(capture).points) == 299


def test_ambiguous_names_are_not_guessed(tmp_path):
    write_capture(tmp_path, photos=3, prefix="a/")
    for other in ("b", "c"):
        (tmp_path / "images" / other).mkdir()
        (tmp_path / f"images/{other}/001.png").write_bytes((tmp_path / "images/a/001.png").read_bytes())
    (tmp_path / "images/a/001.png").unlink()
    refused(tmp_path, "ambiguous")


@pytest.mark.parametrize("options", [{"resolution": 0}, {"resolution": -2}, {"max_image_size": 0}])
def test_impossible_sizes(good, options):
    with pytest.raises(InputError, match="at least 1"):
        load_capture(good, PhotoOptions(**options))
