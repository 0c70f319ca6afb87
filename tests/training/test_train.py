"""Whole runs of the command line on a small capture: quality, output, resuming, and everything that can go wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from captures import write_capture

import splat
from splat.cli import main as cli
from splat.io.images import read_image


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder, photos=24)
    return folder


def run(*arguments: object) -> int:
    """Exit status of `splat ...`."""
    try:
        cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def train(capture: Path, out: Path, *more: object) -> int:
    defaults = () if "--iterations" in more else ("--iterations", 150)
    return run("train", capture, "-o", out, "--sh-degree", 1, *defaults, *more)


def final_bits(out: Path) -> dict:
    path = max((out / "ckpts").glob("*.pt"))
    state = torch.load(path, weights_only=True)
    return {**state["optimizer"]["parameters"], **{f"m_{k}": v for k, v in state["optimizer"]["exp_avg"].items()}}


def assert_same_bits(a: Path, b: Path) -> None:
    first, second = final_bits(a), final_bits(b)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_run_learns_the_scene_and_leaves_what_users_expect(capture, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(capture, out, "--eval", "--iterations", 600) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["psnr"] > 24 and metrics["ssim"] > 0.75
    assert [view["name"] for view in metrics["views"]] == ["001.png", "009.png", "017.png"]
    scene = splat.load(out / "point_cloud/iteration_600/point_cloud.ply")
    assert len(scene) == metrics["gaussians"] and scene.sh_degree == 1
    # Side by side: photo, render, error.
    picture = read_image(out / "renders/001.png")
    assert picture.shape == (32, 3 * 48, 3)
    assert torch.equal(picture[:, :48], read_image(capture / "images/001.png"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [100, 200, 300, 400, 500, 600] and lines[-1]["loss"] < 0.2
    cameras = json.loads((out / "cameras.json").read_text())
    assert (
        len(cameras) == 24
        and {"id", "img_name", "width", "height", "position", "rotation", "fx", "fy"} <= cameras[0].keys()
    )
    assert json.loads((out / "config.json").read_text())["optimization"]["iterations"] == 600
    assert (out / "input.ply").is_file() and (out / "cfg_args").is_file()
    assert "held out" in capsys.readouterr().out

    # eval measures the same from the saved scene
    (out / "metrics.json").unlink()
    assert run("eval", out) == 0
    again = json.loads((out / "metrics.json").read_text())
    assert again["psnr"] == pytest.approx(metrics["psnr"], abs=1e-4)

    assert run("render", out, "-o", tmp_path / "orbit.mp4", "--frames", 4) == 0
    assert (tmp_path / "orbit.mp4").stat().st_size > 500
    assert run("render", out, "-o", tmp_path / "views", "--along", "test", "--size", "20x10", "--depth") == 0
    assert sorted(p.name for p in (tmp_path / "views").iterdir()) == ["001.png", "009.png", "017.png"]
    assert read_image(tmp_path / "views/001.png").shape == (10, 20, 3)
    assert (
        run("render", out / "point_cloud/iteration_600/point_cloud.ply", "-o", tmp_path / "alone", "--frames", 2) == 0
    )
    assert run("render", out, "-o", tmp_path / "views") == 1  # exists


def test_same_seed_same_bits_and_resuming_changes_nothing(capture, tmp_path):
    assert train(capture, tmp_path / "a", "--background", "random") == 0
    assert train(capture, tmp_path / "b", "--background", "random", "--save-every", 70, "--keep-checkpoints", 5) == 0
    assert_same_bits(tmp_path / "a", tmp_path / "b")
    for path in (tmp_path / "b" / "ckpts").glob("*.pt"):
        if "000070" not in path.name:
            path.unlink()
    assert train(capture, tmp_path / "b", "--resume") == 0
    assert_same_bits(tmp_path / "a", tmp_path / "b")
    iterations = [json.loads(line)["iteration"] for line in (tmp_path / "b/metrics.jsonl").read_text().splitlines()]
    assert iterations == sorted(set(iterations))
    assert train(capture, tmp_path / "c", "--seed", 1) == 0
    assert not torch.equal(final_bits(tmp_path / "a")["means"][:5], final_bits(tmp_path / "c")["means"][:5])


def start(capture: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "splat", "train", capture, "-o", out, "--iterations", "6000", "--save-every", "20"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def wait_for_checkpoint(out: Path, process: subprocess.Popen) -> None:
    for _ in range(600):
        if list((out / "ckpts").glob("ckpt_*.pt")):
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    pytest.fail("no checkpoint after 30 s")


def test_a_kill_loses_nothing_that_was_saved(capture, tmp_path):
    process = start(capture, tmp_path / "killed")
    wait_for_checkpoint(tmp_path / "killed", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = torch.load(max((tmp_path / "killed/ckpts").glob("ckpt_*.pt")), weights_only=True)
    # An uninterrupted run to the same iteration, with the schedules of the long one.
    from splat.datasets.load import load_capture
    from splat.run import Run
    from splat.training.config import load_config
    from splat.training.init.initialize import initial_gaussians
    from splat.training.trainer import Trainer

    config, _ = load_config(Run(tmp_path / "killed"))
    scene = load_capture(capture)
    initial = initial_gaussians(scene, config, torch.Generator().manual_seed(0))
    trainer = Trainer(config, scene.frames, scene.extent, initial, Run(tmp_path / "other"))
    while trainer.iteration < saved["iteration"]:
        trainer.step()
    for name, value in saved["optimizer"]["parameters"].items():
        assert torch.equal(trainer.optimizer.parameters[name], value), name


def test_ctrl_c_saves_and_says_how_to_go_on(capture, tmp_path):
    process = start(capture, tmp_path / "stopped")
    wait_for_checkpoint(tmp_path / "stopped", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = int(re.search(r"stopped at iteration ([\d,]+)", output)[1].replace(",", ""))
    assert "--resume" in output
    assert (tmp_path / f"stopped/point_cloud/iteration_{stopped}/point_cloud.ply").is_file()
    assert (tmp_path / f"stopped/ckpts/ckpt_{stopped:06d}.pt").is_file()


def test_a_broken_checkpoint_is_passed_over(capture, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(capture, out, "--save-every", 50) == 0
    good = final_bits(out)
    (out / "ckpts/ckpt_000150.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    assert train(capture, out, "--resume") == 0
    assert "ckpt_000150.pt cannot be read" in capsys.readouterr().err
    assert all(torch.equal(value, good[name]) for name, value in final_bits(out).items())


def test_budget_caps_the_count(capture, tmp_path):
    out = tmp_path / "run"
    assert train(capture, out, "--budget", 350, "--grad-threshold", 1e-6, "--densify", "classic") == 0
    assert 300 < len(final_bits(out)["means"]) <= 350


@pytest.mark.parametrize(
    "flags",
    [
        ("--antialiased",),
        ("--sparse-adam",),
        ("--fuse-adam",),
        ("--fuse-adam", "--sparse-adam"),
        ("--background", "white"),
        ("-r", 2),
        ("--max-image-size", 30),
    ],
)
def test_options_run(capture, tmp_path, flags):
    assert run("train", capture, "-o", tmp_path / "run", "--iterations", 20, *flags) == 0


def test_published_flag_names(capture, tmp_path):
    assert run("train", "-s", capture, "-m", tmp_path / "run", "-r", 2, "-i", "images", "--iterations", 5) == 0
    assert (tmp_path / "run/point_cloud/iteration_5/point_cloud.ply").is_file()


def test_no_points_start_from_random_ones(tmp_path):
    write_capture(tmp_path / "capture", points=False)
    assert run("train", tmp_path / "capture", "-o", tmp_path / "run", "--iterations", 10) == 0


def test_a_run_is_never_overwritten_unasked(capture, tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", capture, "-o", out, "--iterations", 5) == 0
    (out / "mine.txt").write_text("notes")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run("train", capture, "-o", out, "--iterations", 5) == 1
    message = capsys.readouterr().err
    assert "already holds a run" in message and "--resume" in message and str(out) in message
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert run("train", capture, "-o", out, "--iterations", 6, "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "notes"
    assert not (out / "point_cloud/iteration_5").exists() and (out / "point_cloud/iteration_6").exists()


def test_overwriting_waits_until_the_capture_has_proved_usable(capture, tmp_path):
    out = tmp_path / "run"
    assert run("train", capture, "-o", out, "--iterations", 5) == 0
    assert run("train", tmp_path / "nowhere", "-o", out, "--overwrite") == 1
    assert run("train", capture, "-o", out, "--overwrite", "--images", "pictures") == 1
    assert (out / "point_cloud/iteration_5/point_cloud.ply").is_file() and (out / "ckpts/ckpt_000005.pt").is_file()


def test_renders_go_into_the_run_unless_told(capture, tmp_path):
    out = tmp_path / "run"
    assert run("train", capture, "-o", out, "--iterations", 5) == 0
    assert run("render", out, "--frames", 2) == 0
    assert sorted(path.name for path in (out / "orbit").iterdir()) == ["0000.png", "0001.png"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("train",), "which capture"),
        (("train", "nowhere"), "no such folder"),
        (("train", "CAPTURE", "--iterations", 0), "--iterations must be at least 1"),
        (("train", "CAPTURE", "--sh-degree", 4), "--sh-degree must be 0 to 3"),
        (("train", "CAPTURE", "--resume"), "no run to resume"),
        (("train", "CAPTURE", "--images", "pictures"), "no such folder of photos"),
        (("train", "CAPTURE", "--eval", "--test-every", 1), "--test-every"),
        (("train", "CAPTURE", "--budget", 0), "--budget"),
        (("eval", "OUT"), "config.json: no such file"),
        (("render", "OUT/nothing.ply"), "no such file"),
        (("render", "OUT", "--size", "big"), "--size must look like"),
    ],
)
def test_mistakes_are_explained_at_once(capture, tmp_path, capsys, arguments, message):
    places = {
        "CAPTURE": str(capture),
        "OUT": str(tmp_path / "out"),
        "OUT/nothing.ply": str(tmp_path / "out/nothing.ply"),
    }
    more = ("-o", tmp_path / "out") if arguments[0] == "train" else ()
    assert run(*[places.get(str(a), a) for a in arguments], *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nan_loss_stops_with_the_last_checkpoint_whole(capture, tmp_path, capsys, monkeypatch):
    from splat.training.losses import objective

    real, calls = objective.l1_ssim_loss, []

    def poisoned(*arguments):
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 30 else 1)

    monkeypatch.setattr(objective, "l1_ssim_loss", poisoned)
    assert train(capture, tmp_path / "run", "--save-every", 10) == 1
    assert "loss became nan at iteration 31" in capsys.readouterr().err
    assert torch.load(tmp_path / "run/ckpts/ckpt_000030.pt", weights_only=True)["iteration"] == 30


def test_a_full_disk_is_named_and_older_files_stay(capture, tmp_path, capsys, monkeypatch):
    import errno

    real = torch.save

    def full(state, file):
        if state["iteration"] > 10:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(state, file)

    monkeypatch.setattr(torch, "save", full)
    assert train(capture, tmp_path / "run", "--save-every", 10) == 1
    assert "disk is full" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run/ckpts").iterdir()] == ["ckpt_000010.pt"]


def test_resume_takes_what_may_change_and_refuses_the_rest(capture, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(capture, out, "--iterations", 60) == 0
    assert run("train", "--resume", "-o", out, "--iterations", 90, "--save-every", 20, "--lr", "sh0=1e-3") == 0
    said = capsys.readouterr().out
    assert "goes on at 67% of 90 iterations" in said and "resuming" in said
    assert (out / "point_cloud/iteration_90/point_cloud.ply").is_file()
    assert json.loads((out / "config.json").read_text())["optimization"]["iterations"] == 90
    assert run("train", "--resume", "-o", out, "--lr=sh0=2.5e-3") == 0  # its default, but named
    assert json.loads((out / "config.json").read_text())["lr"]["sh0"] == 2.5e-3
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for flags, named in (
        (("--iterations", 30), "--iterations 30: the run has done 90 already"),
        (("-r", 2), "--resolution 2 (the run has 1)"),
        (("--densify", "mcmc", "--noise", 1), "--densify mcmc (the run has"),
        (("--seed", 3, "--background", "white"), "--background white (the run has black), --seed 3 (the run has 0)"),
        (("--loss", "ssim=0.2", "flat=0.5"), "--loss flat 0.5 (the run has 0.0)"),
        (("--eval",), "--eval True (the run has False)"),
    ):
        assert run("train", "--resume", "-o", out, *flags) == 1
        assert named in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_default_that_is_named_is_asked_for(capture, tmp_path, capsys):
    out = tmp_path / "run"
    assert train(capture, out, "--iterations", 20, "--background", "white") == 0
    assert run("train", "--resume", "-o", out) == 0  # not named: as the run has it
    assert run("train", "--resume", "-o", out, "--background=black") == 1
    assert "--background black (the run has white)" in capsys.readouterr().err
