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
from splat.io.images import read_image


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


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("render", ("--frames", "1", "--size", "24x16")),
        ("compress", ("--prune", "0", "-o", "small.splatz")),
        ("eval", ()),
        ("mesh", ()),
    ],
)
def test_verbs_that_draw_take_the_gpu_by_themselves(run_of_white, monkeypatch, verb, options):
    """They ask for the automatic device, and draw where the answer is."""
    asked: list[str] = []

    def choose(name: str) -> torch.device:
        asked.append(name)
        raise InputError(f"would take the device {name}")

    monkeypatch.chdir(run_of_white)
    for module in ("splat.training.open_run", "splat.training.compress.source", "splat.training.evaluation"):
        monkeypatch.setattr(f"{module}.choose_device", choose)
    monkeypatch.setattr("splat.training.commands.mesh.open3d", lambda: None)
    for device in ("auto", "cuda:1"):
        with pytest.raises(SystemExit):
            cli.main([verb, "run", *options, *(() if device == "auto" else ("--device", device))])
    assert asked == ["auto", "cuda:1"]


@pytest.fixture
def run_of_white(capture, tmp_path) -> Path:
    flags = ("--iterations", "5", "--background", "white", "--eval", "--device", "cpu")
    cli.main(["train", str(capture), "-o", str(tmp_path / "run"), *flags])
    return tmp_path


def test_render_remembers_the_background_of_the_run(run_of_white):
    run, pictures = str(run_of_white / "run"), []
    for number, background in enumerate(((), ("--background", "white"), ("--background", "black"))):
        out = run_of_white / f"out{number}"
        cli.main(["render", run, "--frames", "1", "-o", str(out), *background])
        pictures.append(read_image(out / "0000.png"))
    assert torch.equal(pictures[0], pictures[1]) and not torch.equal(pictures[0], pictures[2])
