"""Training on real photos reaches the quality that the README states, less a margin for other machines' rounding."""

import json

import pytest

from splat import cli


def trained(capture, out, *flags: object) -> dict:
    cli.main([str(a) for a in ("train", capture, "-o", out, "--eval", *flags)])
    return json.loads((out / "metrics.json").read_text())


def test_fox_in_a_few_seconds(capture_path, tmp_path):
    metrics = trained(capture_path("fox"), tmp_path / "run", "--iterations", 500, "-r", 4)
    assert metrics["psnr"] > 25.3 and metrics["ssim"] > 0.84
    assert min(view["psnr"] for view in metrics["views"]) > 21


@pytest.mark.slow
def test_fox_at_full_size(capture_path, tmp_path):
    metrics = trained(capture_path("fox"), tmp_path / "run", "--iterations", 7000)
    assert metrics["psnr"] > 31 and metrics["ssim"] > 0.88


@pytest.mark.slow
def test_brighton_within_a_budget(capture_path, tmp_path):
    metrics = trained(capture_path("brighton"), tmp_path / "run", "--iterations", 3000, "--budget", 150_000)
    assert metrics["psnr"] > 17.8 and metrics["gaussians"] <= 150_000
