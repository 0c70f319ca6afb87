"""Cameras that are a little wrong are put right while the scene is learned. On real photos: test_real_captures.py."""

import json
import shutil

from captures import turn_cameras, write_capture


def test_turned_cameras_are_put_right(tmp_path, run_splat):
    right, turned = tmp_path / "right", tmp_path / "turned"
    write_capture(right, photos=24, width=64, height=48)
    shutil.copytree(right, turned)
    turn_cameras(turned, degrees=2)
    psnr = []
    for capture, flags in ((right, ()), (turned, ()), (turned, ("--refine-poses",))):
        out = tmp_path / f"run{len(psnr)}"
        assert run_splat("train", capture, "-o", out, "--eval", "--iterations", 600, "--sh-degree", 0, *flags) == 0
        psnr.append(json.loads((out / "metrics.json").read_text())["psnr"])
    good, bad, refined = psnr
    assert bad < good - 1 and refined > bad + 0.2 * (good - bad)
