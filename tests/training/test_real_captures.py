"""Training on real photos reaches the quality that the README states, less a margin for other machines' rounding."""

import json
import shutil

import pytest
from captures import turn_cameras

from splat.cli import main as cli


def trained(capture, out, *flags: object) -> dict:
    cli.main([str(a) for a in ("train", capture, "-o", out, "--eval", *flags)])
    return json.loads((out / "metrics.json").read_text())


def test_fox_in_a_few_seconds(capture_path, tmp_path):
    metrics = trained(capture_path("fox"), tmp_path / "run", "--iterations", 500, "-r", 4)
    assert metrics["psnr"] > 25.3 and metrics["ssim"] > 0.84
    assert min(view["psnr"] for view in metrics["views"]) > 21


@pytest.mark.slow
def test_turned_cameras_are_put_right_and_right_ones_left(capture_path, tmp_path):
    fox, turned = capture_path("fox"), tmp_path / "turned"
    shutil.copytree(fox, turned)
    turn_cameras(turned, degrees=0.6)
    flags = ("--iterations", 600, "-r", 4)
    right, wrong = (trained(path, tmp_path / f"plain-{path.name}", *flags)["psnr"] for path in (fox, turned))
    right_refined, wrong_refined = (
        trained(path, tmp_path / f"refined-{path.name}", *flags, "--refine-poses")["psnr"] for path in (fox, turned)
    )
    assert wrong < right - 1
    assert wrong_refined > wrong + 0.4 * (right - wrong)
    assert right_refined > right - 0.4 * (right - wrong)


@pytest.mark.slow
def test_fox_at_full_size(capture_path, tmp_path):
    metrics = trained(capture_path("fox"), tmp_path / "run", "--iterations", 7000)
    assert metrics["psnr"] > 31 and metrics["ssim"] > 0.88


@pytest.mark.slow
def test_brighton_within_a_budget(capture_path, tmp_path):
    metrics = trained(capture_path("brighton"), tmp_path / "run", "--iterations", 3000, "--budget", 150_000)
    assert metrics["psnr"] > 17.8 and metrics["gaussians"] <= 150_000
