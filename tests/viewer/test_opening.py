"""What `splat view` opens, and what it says when it cannot."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from captures import subject, write_capture

from splat.compression.formats import registry as formats
from splat.errors import InputError
from splat.geometry.viewpoints import first_view
from splat.io.checkpoint_file import write_checkpoint
from splat.run import Run as RunFolder
from splat.viewer.address import address, is_local
from splat.viewer.opening import open_capture, open_scene, open_scenes, saved_iterations

CPU = torch.device("cpu")
Run = Callable[..., int]


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply", "a.splat", "a.spz", "a.sog"])
def test_every_format(tmp_path: Path, name: str) -> None:
    formats.save(subject(), tmp_path / name)
    slot = open_scene(tmp_path / name, CPU)
    assert (len(slot.gaussians), slot.name) == (300, name)
    assert saved_iterations(slot) == {}


def fake_run(folder: Path, capture: Path | None = None) -> Path:
    for iteration in (100, 20):
        formats.save(subject(iteration), folder / f"point_cloud/iteration_{iteration}/point_cloud.ply")
    settings = {
        "capture": str(capture or folder / "gone"),
        "data": {"resolution": 2, "images": "images", "masks": "masks"},
        "optimization": {"antialiased": True, "background": "white"},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_run_opens_its_latest_scene_and_its_capture(tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=5)
    slot = open_scene(fake_run(tmp_path / "run", tmp_path / "capture"), CPU)
    assert len(slot.gaussians) == 100
    assert slot.settings.antialiased
    assert list(saved_iterations(slot)) == [20, 100]
    capture, missing = open_capture(None, [slot])
    assert missing is None
    assert capture is not None
    assert (len(capture), capture.frames[0].camera.width) == (5, 24)
    assert RunFolder(tmp_path / "run").settings().background_bytes == (255, 255, 255)


def test_checkpoints_between_point_clouds(tmp_path: Path) -> None:
    """Also of a run that was killed before it saved any scene."""
    run, tensors = fake_run(tmp_path / "run"), subject(60).tensors()
    (run / "ckpts").mkdir()
    write_checkpoint(run / "ckpts" / "ckpt_000150.pt", {"optimizer": {"parameters": tensors}})
    write_checkpoint(run / "ckpts" / "ckpt_000100.pt", {"optimizer": {"parameters": tensors}})
    slot = open_scene(run, CPU)
    assert {iteration: file.suffix for iteration, file in saved_iterations(slot).items()} == {
        20: ".ply",
        100: ".ply",
        150: ".pt",
    }
    assert torch.equal(slot.gaussians.means, tensors["means"])
    shutil.rmtree(run / "point_cloud")
    assert len(open_scene(run, CPU).gaussians) == 60


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\x00" * 100, b"x" * 1000, pickle.dumps({"optimizer": 1})])
def test_checkpoints_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ckpts").mkdir()
    (tmp_path / "ckpts" / "ckpt_000001.pt").write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint"):
        open_scene(tmp_path, CPU)
    torch.save({"optimizer": {"parameters": {"means": torch.zeros(3, 3)}}}, tmp_path / "ckpts" / "ckpt_000001.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        open_scene(tmp_path, CPU)


def test_a_capture_that_is_gone_is_said_and_one_that_was_named_must_be_there(tmp_path: Path) -> None:
    slot = open_scene(fake_run(tmp_path / "run"), CPU)
    capture, missing = open_capture(None, [slot])
    assert capture is None
    assert missing is not None
    assert "not shown" in missing
    with pytest.raises(InputError):
        open_capture(tmp_path / "nowhere", [slot])
    assert open_capture(None, []) == (None, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"capture": 7, "data": {}, "optimization": {}}', "\x00"])
def test_settings_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert RunFolder(tmp_path).settings().capture is None


def test_one_bad_scene_among_several(tmp_path: Path) -> None:
    formats.save(subject(), tmp_path / "good.ply")
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999\n")
    slots, problems = open_scenes([tmp_path / "good.ply", tmp_path / "bad.ply", tmp_path / "good.ply"], CPU)
    assert [slot.name for slot in slots] == ["good.ply (1)", "good.ply (2)"]
    assert len(problems) == 1
    assert "bad.ply" in problems[0]
    with pytest.raises(InputError, match=r"bad\.ply"):
        open_scenes([tmp_path / "bad.ply"], CPU)
    with pytest.raises(InputError, match="none of the scenes"):
        open_scenes([tmp_path / "bad.ply", tmp_path / "none.ply"], CPU)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "which scene?"),
        (("nothing.ply",), "no such file"),
        (("nothing.ply", "--port", 0), "--port"),
        (("nothing.ply", "--max-image-size", 9), "--max-image-size"),
    ],
)
def test_what_cannot_be_viewed(
    run_splat: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...], says: str
) -> None:
    assert run_splat("view", *arguments) == 1
    assert says in capsys.readouterr().err


def test_an_open_address_is_told() -> None:
    assert "warning" not in address("127.0.0.1", 8080)
    assert "no password" in address("0.0.0.0", 8080)
    assert is_local("localhost")
    assert not is_local("0.0.0.0")


def test_the_first_view_sees_the_scene(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=6)
    capture, _ = open_capture(tmp_path, [])
    assert capture is not None
    view = first_view(subject().means, [frame.camera for frame in capture.frames], capture.extent)
    assert float(view.target.norm()) < 1.5  # of cameras 4 away from the origin that look at it
    assert float(view.up @ torch.tensor([0.0, -1.0, 0.0])) > 0.9
    alone = first_view(subject().means)
    assert 1 < float((alone.position - alone.target).norm()) < 10
    assert first_view(subject().means[:0]).extent == 1


def test_the_program_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    formats.save(subject(), tmp_path / "a.ply")
    command = [sys.executable, "-m", "splat", "view", str(tmp_path / "a.ply"), "--port", "18080", "--no-browser"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),  # as in a terminal: tests in the background ignore it
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://127.0.0.1:18" in line
            url = line.split()[2]
            with urllib.request.urlopen(url, timeout=20) as page:
                assert page.status == 200
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
