"""`splat compress`: what it says of a file is true of the file, targets are kept, and what cannot be is said."""

import json
import os
from types import SimpleNamespace

import pytest

from scenes import cloud
from splat.compression.formats import registry as formats
from splat.datasets.load import load_capture
from splat.datasets.split import split
from splat.run import find_scene
from splat.training.compress.compress_scene import Compression
from splat.training.compress.judge import PhotoJudge
from splat.training.config import TrainConfig


@pytest.fixture
def compress(small_run, run_splat, tmp_path):
    """Compress the small run; returns the file and what was found."""

    def call(*flags: object, name: str = "scene.spz") -> tuple:
        out = tmp_path / name
        assert run_splat("compress", small_run[1], "-o", out, *flags) == 0
        return out, json.loads((tmp_path / f"{name}.json").read_text())

    return call


def test_the_steps_are_measured_on_the_file_itself(compress, small_run):
    out, facts = compress("--prune", 0.4, "--sh-degree", 0)
    assert [step["step"] for step in facts["steps"]] == ["as trained", "prune 40 %", "degree 0", "write SPZ"]
    first, last = facts["steps"][0], facts["steps"][-1]
    scene = formats.load(out)
    assert last["size"] == out.stat().st_size and last["gaussians"] == len(scene)
    assert len(scene) == pytest.approx(0.6 * first["gaussians"], abs=1) and scene.sh_degree == 0
    _, held_out = split(load_capture(small_run[0]), 8)
    found = PhotoJudge(held_out, [], TrainConfig(), True)(scene)
    assert last["psnr"] == pytest.approx(found.psnr, abs=1e-6)
    assert last["ssim"] == pytest.approx(found.ssim, abs=1e-6)
    assert facts["against"] == "2 held-out photos"
    metrics = json.loads((small_run[1] / "metrics.json").read_text())
    assert first["psnr"] == pytest.approx(metrics["psnr"], abs=0.02)


def test_a_page_and_a_plot_lie_beside_the_file(compress):
    out, _ = compress()
    page = out.with_name(f"{out.name}.html").read_text()
    assert (
        "write SPZ" in page and "data:image/png;base64" in page and "http" not in page.replace("http://www.w3.org", "")
    )
    assert out.with_name(f"{out.name}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_size_is_kept(compress):
    _, whole = compress(name="whole.spz")
    limit = int(0.6 * whole["steps"][-1]["size"])
    out, facts = compress("--max-bytes", limit)
    assert 0.5 * limit < out.stat().st_size <= limit
    assert len(facts["trials"]) > 4
    fitting = [trial["psnr"] for trial in facts["trials"] if trial["size"] <= limit]
    assert facts["steps"][-1]["psnr"] == max(fitting)


def test_a_loss_is_kept(compress):
    out, facts = compress("--max-psnr-drop", 0.5)
    first, last = facts["steps"][0], facts["steps"][-1]
    assert first["psnr"] - last["psnr"] <= 0.5
    assert last["size"] == out.stat().st_size
    fitting = [trial["size"] for trial in facts["trials"] if first["psnr"] - trial["psnr"] <= 0.5]
    assert last["size"] == min(fitting)


def test_a_scene_without_photos_is_measured_by_its_own_renders(small_run, run_splat, tmp_path):
    scene = find_scene(small_run[1])
    out = tmp_path / "scene.spz"
    assert run_splat("compress", scene, "-o", out) == 0
    facts = json.loads((tmp_path / "scene.spz.json").read_text())
    assert "renders of the scene as it was" in facts["against"]
    assert facts["steps"][0]["psnr"] > 58 > facts["steps"][-1]["psnr"] > 30


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--max-bytes", "1MB", "--max-psnr-drop", 0.1), "two targets"),
        (("--max-bytes", "1MB", "--prune", 0.1), "--prune cannot go with a target"),
        (("--max-bytes", "10 stones"), "--max-bytes"),
        (("--max-bytes", 100), "smallest file that was tried"),
        (("--max-psnr-drop", 0), "above 0 dB"),
        (("--prune", 1), "--prune must be"),
        (("--finetune", -1), "--finetune must be"),
        (("--sh-degree", 7), "--sh-degree must be"),
        (("--precision", 9), "--precision must be 0 to"),
        (("--order", "grid"), "has an order of its own"),
    ],
)
def test_what_cannot_be_is_said(flags, message, small_run, run_splat, tmp_path, capsys):
    assert run_splat("compress", small_run[1], "-o", tmp_path / "scene.spz", *flags) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "scene.spz").exists()


def test_photos_are_asked_for_where_they_are_needed(small_run, run_splat, tmp_path, capsys):
    scene = find_scene(small_run[1])
    for flags in (("--finetune", 10), ("--max-psnr-drop", 0.3)):
        assert run_splat("compress", scene, "-o", tmp_path / "scene.spz", *flags) == 1
        assert "needs photos" in capsys.readouterr().err


def test_an_existing_file_is_not_replaced(small_run, run_splat, tmp_path, capsys):
    (tmp_path / "scene.spz").write_bytes(b"mine")
    assert run_splat("compress", small_run[1], "-o", tmp_path / "scene.spz") == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "scene.spz").read_bytes() == b"mine"


def test_a_folder_is_put_into_place_as_a_whole(tmp_path, monkeypatch):
    for name, count in (("trial", 20), ("out", 10)):
        formats.save(cloud(count), tmp_path / name / "meta.json")
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    work, trial = SimpleNamespace(output=tmp_path / "out/meta.json"), tmp_path / "trial/meta.json"
    with monkeypatch.context() as context:
        renames = [os.replace] * 3  # and then the disk is full
        context.setattr("os.replace", lambda *names: renames.pop()(*names))
        with pytest.raises(IndexError):
            Compression.install(work, trial)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    Compression.install(work, trial)
    assert len(formats.load(tmp_path / "out")) == 20 and len([*(tmp_path / "out").iterdir()]) == len(before)
