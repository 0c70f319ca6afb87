"""Training through the CUDA kernels, on a GPU or emulated, and the choice of a device."""

import json
from pathlib import Path

import pytest
import torch
from captures import write_capture

from splat import device as devices
from splat.cli import main as cli
from splat.cuda_rasterizer import native
from splat.device import choose_device
from splat.errors import InputError


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder, photos=16)
    return folder


def test_a_run_on_the_cuda_kernels_learns_what_the_cpu_learns(capture, tmp_path, gpu):
    """The same command; gradients are summed in another order, so the bits differ and the quality does not."""

    def score(name: str) -> dict:
        out = tmp_path / name
        options = ["--iterations", "60", "--eval", "--sh-degree", "1"]
        cli.main(["train", str(capture), "-o", str(out), *options, "--device", gpu.type if name == "gpu" else "cpu"])
        return json.loads((out / "metrics.json").read_text())

    second = score("gpu")
    with native.using(native._load()):
        first = score("cpu")
    assert abs(first["psnr"] - second["psnr"]) < 0.5
    assert second["psnr"] > 15


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", ""])
def test_no_such_device(name):
    with pytest.raises(InputError, match="`device` must be"):
        choose_device(name)


def test_a_build_without_cuda(monkeypatch):
    monkeypatch.setattr(devices, "build_info", lambda: {"cuda": None})
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="no CUDA kernels"):
        choose_device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_a_machine_without_a_gpu(monkeypatch):
    monkeypatch.setattr(devices, "build_info", lambda: {"cuda": {}})
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="torch sees 0 GPUs"):
        choose_device("cuda:1")
