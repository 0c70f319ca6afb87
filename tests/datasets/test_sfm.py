"""Photos and videos to captures: real photos are registered, and what cannot be used is said before any work is done."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest
from captures import write_capture
from PIL import Image

from splat.cli import main as cli
from splat.datasets.load import load_capture
from splat.datasets.sfm import features, mapping, watch
from splat.datasets.sfm.pairs import choose_kinds
from splat.datasets.sfm.reconstruct import SfmOptions, reconstruct
from splat.datasets.sfm.source_photos import holds_photos, photo_folder, usable_photos
from splat.errors import InputError
from splat.io.progress import Counter


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, capture_path) -> Path:
    """Eight photos of a real capture, half their size."""
    folder = tmp_path_factory.mktemp("photos")
    source = sorted((capture_path("fox") / "images").iterdir())[:8]
    for path in source:
        with Image.open(path) as image:
            image.resize((336, 598)).save(folder / path.name, quality=95)
    return folder


def test_photos_become_a_capture_although_the_work_was_cut_off(photos, tmp_path, monkeypatch, capsys):
    source = tmp_path / "source"
    shutil.copytree(photos, source / "images")
    (source / "masks").mkdir()
    first, turned, third = sorted((source / "images").iterdir())[:3]
    with Image.open(turned) as image:  # held sideways, as its EXIF says
        exif = Image.Exif()
        exif[0x0112] = 6
        image.rotate(90, expand=True).save(turned, quality=97, exif=exif)
    mask = np.full((598, 336), 255, dtype=np.uint8)
    mask[:200] = 0
    Image.fromarray(mask).save(source / "masks" / f"{third.stem}.png")
    (source / "images/notes.txt").write_text("not a photo")
    (source / "images/broken.jpg").write_bytes(b"\xff\xd8\xff nothing")

    spaced = first.with_name("a photo (1).jpg")  # COLMAP's lists of pairs have no room for blanks
    first.rename(spaced)
    with monkeypatch.context() as patched:
        patched.setattr(mapping, "map_incrementally", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            reconstruct(source, tmp_path / "out")
        patched.setattr(mapping, "map_incrementally", _disk_full)
        with pytest.raises(InputError, match=r"No space left.*is kept in .*work: the same command goes on"):
            reconstruct(source, tmp_path / "out")
    database = tmp_path / "out/work/features.db"
    assert (watch.rows(database, "keypoints"), watch.rows(database, "two_view_geometries")) == (8, 28)
    with pytest.raises(InputError, match="unfinished work on other photos, or on these before they were changed"):
        reconstruct(photos, tmp_path / "out")
    with monkeypatch.context() as patched:  # would find other features, were they looked for again
        patched.setattr(features, "FEATURE_SIDE", 100)
        done = reconstruct(source, tmp_path / "out", SfmOptions(progress=True))
    assert "going on where the work was cut off" in capsys.readouterr().err
    assert (done.photos, done.registered, done.missing) == (8, 8, ())
    assert done.matching == "exhaustive" and done.points > 300 and done.reprojection_error < 1.2
    assert [name for name, _ in done.unusable] == ["broken.jpg"]
    assert "8 of 8 photos registered" in done.describe() and "broken.jpg" in done.describe()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "images",
        "masks",
        "matches.png",
        "photos.json",
        "sparse",
    ]
    said = json.loads((tmp_path / "out/photos.json").read_text())
    assert (said["registered"], said["pairs"]) == (8, 28)

    scene = load_capture(tmp_path / "out")
    assert len(scene) == 8 and len(scene.points) == done.points
    by_name = {frame.name: frame for frame in scene.frames}
    assert by_name[turned.name].camera.height > by_name[turned.name].camera.width  # upright again
    masked = by_name[third.name].photo.mask
    assert 0.2 < float((~masked).float().mean()) < 0.45 and by_name[spaced.name].photo.mask is None


def _cut_off(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _disk_full(*_: object) -> NoReturn:
    def write(_: object) -> None:
        Path("/dev/full").write_text("x")

    watch.watched(write, mapping.Counter("x", None, shown=False, countable=False), lambda: None)
    raise AssertionError("the work has not failed")


@pytest.mark.parametrize("content", [b"", b"\0\0\0\x18ftypmp42 not a film", b"RIFF" + bytes(400)])
def test_an_undecodable_video_is_explained(tmp_path, content):
    (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"film\.mp4: cannot be decoded.*ffmpeg"):
        reconstruct(tmp_path / "film.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_photos_that_do_not_match(tmp_path):
    for index in range(4):
        random = np.random.default_rng(index)
        Image.fromarray(random.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    with pytest.raises(InputError, match=r"no scene can be made of these 4 photos.*What helps"):
        reconstruct(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_with_the_source_is_said_at_once(tmp_path, photos):
    with pytest.raises(InputError, match="no such folder or video"):
        reconstruct(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "few").mkdir()
    shutil.copy(next(photos.iterdir()), tmp_path / "few")
    with pytest.raises(InputError, match=r"1 photo can be read here.*at least 3"):
        reconstruct(tmp_path / "few", tmp_path / "out")
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(InputError, match="neither a folder of photos nor a video"):
        photo_folder(tmp_path / "text.txt")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        reconstruct(photos, tmp_path / "full")
    write_capture(tmp_path / "capture", photos=3)
    with pytest.raises(InputError, match="has a COLMAP model already"):
        reconstruct(tmp_path / "capture", tmp_path / "out")


def test_names_are_sorted_as_people_count(tmp_path):
    for name in ("b10.png", "b2.png", "a.png", "B1.png", "b1²3.png", "b1²20.png"):
        Image.effect_noise((80, 80), 50).save(tmp_path / name)
    Image.new("RGB", (10, 10)).save(tmp_path / "icon.png")
    usable, unusable = usable_photos(tmp_path)
    assert [path.name for path in usable] == ["a.png", "B1.png", "b1²3.png", "b1²20.png", "b2.png", "b10.png"]
    assert unusable == [("icon.png", "is smaller than 64 pixels")]


def test_files_of_systems_are_no_photos(tmp_path):
    for name in ("a.jpg", "sub/b.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", ".trash/c.jpg", "masks/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((80, 80), 50).save(tmp_path / name)
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7")
    usable, unusable = usable_photos(tmp_path)
    assert [path.name for path in usable] == ["a.jpg", "b.jpg"] and unusable == []
    assert holds_photos(tmp_path)
    (tmp_path / "empty/.hidden").mkdir(parents=True)
    Image.new("RGB", (80, 80)).save(tmp_path / "empty/.hidden/a.jpg")
    assert not holds_photos(tmp_path / "empty")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are characters")
def test_names_that_are_not_utf_8_are_said_before_any_work(tmp_path):
    for number in range(4):
        Image.effect_noise((80, 80), 50).save(os.fsdecode(bytes(tmp_path / "caf") + b"\xe9%d.png" % number))
    with pytest.raises(
        InputError, match=r"(?s)0 photos can be read.*caf.0.png.* has a name that is not UTF-8.*rename it"
    ):
        reconstruct(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match=r"is not a name in UTF-8.*choose another"):
        reconstruct(tmp_path, tmp_path / os.fsdecode(b"\xe9"))


def test_choice_of_pairs(tmp_path):
    Image.new("RGB", (80, 80)).save(tmp_path / "a1.png")
    paths = [tmp_path / "a1.png"]
    assert choose_kinds("auto", paths * 50, ordered=False) == ("exhaustive",)
    assert choose_kinds("auto", paths * 50, ordered=True) == ("sequential", "retrieval")
    assert choose_kinds("auto", paths * 500, ordered=False) == ("sequential", "retrieval")
    assert choose_kinds("auto", [tmp_path / "a.png"] * 500, ordered=True) == ("sequential", "retrieval")
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8825] = {1: "N", 2: (50.0, 0.0, 0.0)}
    Image.new("RGB", (80, 80)).save(tmp_path / "g.jpg", exif=exif)
    assert choose_kinds("auto", [tmp_path / "g.jpg"] * 500, ordered=False) == ("retrieval", "spatial")
    assert choose_kinds("spatial", [*paths, tmp_path / "g.jpg"], ordered=True) == ("spatial",)
    assert SfmOptions().matching == "auto"


def test_training_finds_the_cameras_by_itself(photos, tmp_path, capsys):
    cli.main(["train", str(photos), "-o", str(tmp_path / "run"), "--iterations", "5", "-r", "4"])
    assert "8 of 8 photos registered" in capsys.readouterr().out
    assert (tmp_path / "run/point_cloud/iteration_5/point_cloud.ply").is_file()
    cli.main(["train", str(photos), "-o", str(tmp_path / "run"), "--iterations", "6", "-r", "4", "--overwrite"])
    assert "using the cameras found before" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["database.db", "a#b", "a?b", "a%41b", "a b"])
def test_progress_takes_no_lock(tmp_path: Path, name: str) -> None:
    """A lock held by the progress bar once made COLMAP fail to write, and abort."""
    with closing(sqlite3.connect(tmp_path / name, isolation_level=None)) as writer:
        writer.execute("create table keypoints (data blob)")
        writer.executemany("insert into keypoints values (?)", [(b"",)] * 3)
        writer.execute("begin exclusive")  # nobody may take a lock from now on
        assert watch.rows(tmp_path / name, "keypoints") == 3
        writer.execute("commit")
    assert watch.rows(tmp_path / name, "nothing") == watch.rows(tmp_path / "none.db", "keypoints") == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_however_often_it_is_ended(photos: Path, tmp_path: Path, number: signal.Signals) -> None:
    """At five random moments, in any of COLMAP's steps: soon, without a word of a library, and nothing has to be done again."""
    arguments = [sys.executable, "-u", "-m", "splat", "photos", str(photos), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    random = np.random.default_rng(0)
    features_kept = 0
    for _ in range(5):
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        time.sleep(random.uniform(3, 10))
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        if process.returncode == 0:
            break  # it was done before
        assert process.returncode in (128 + number, -number)
        told = (
            "features: ",
            "matches: ",
            "registered: ",
            "photos: ",
            "lenses: ",
            "undistorted: ",
            f"{tmp_path / 'out'}: going on",
        )
        lines = [line for line in output.splitlines() if not line.startswith(told)]
        assert lines in (["interrupted"], [])
        assert not (tmp_path / "out/sparse").exists()
        kept = watch.rows(tmp_path / "out/work/features.db", "keypoints")
        assert kept >= features_kept
        features_kept = kept
    if not (tmp_path / "out/photos.json").is_file():
        subprocess.run(arguments, check=True, env=environment, timeout=120)
    assert json.loads((tmp_path / "out/photos.json").read_text())["registered"] == 8
    assert not (tmp_path / "out/work").exists() and len(load_capture(tmp_path / "out")) == 8


def test_a_disk_that_is_nearly_full_stops_the_work(tmp_path, monkeypatch):
    begun, ended = threading.Event(), threading.Event()
    room = SimpleNamespace(free=1 << 30)
    monkeypatch.setattr(watch.shutil, "disk_usage", lambda path: room)

    def work(token) -> None:
        begun.set()
        room.free = 1 << 20
        while not token.is_cancelled:
            ended.wait(0.01)
        ended.set()

    counter = Counter("x", shown=False, countable=False)
    with pytest.raises(watch.StepFailed, match=r"disk is nearly full \(1 MiB are free"):
        watch.watched(work, counter, lambda: None, tmp_path)
    assert begun.is_set() and ended.is_set()
    begun.clear()
    with pytest.raises(watch.StepFailed, match="make room"):
        watch.watched(work, counter, lambda: None, tmp_path)
    assert not begun.is_set()
