"""What nvcc makes of the CUDA kernels. Needs the compiler and no GPU."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch

import splat
from scenes import cameras, cloud
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops import launch, memory

ROOT = Path(__file__).resolve().parent.parent.parent
spec = importlib.util.spec_from_file_location("cuda_resources", ROOT / "benchmarks" / "cuda_resources.py")
cuda_resources = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cuda_resources)


@pytest.mark.skipif(not shutil.which("nvcc"), reason="nvcc is not installed")
def test_no_kernel_uses_more_than_is_recorded():
    """A change that needs more registers or spills shows here; `benchmarks/cuda_resources.py --write` accepts it."""
    assert cuda_resources.excesses(cuda_resources.measure(), json.loads(cuda_resources.RECORD.read_text())) == []


def test_the_float_kernels_do_not_spill():
    """But for a few bytes that ssim_maps spills once, where all of its loops are unrolled."""
    recorded = json.loads(cuda_resources.RECORD.read_text())
    for architecture, kernels in recorded.items():
        assert {"composite<float, 3>", "composite_backward<float, 3, false, false, false>"} <= kernels.keys()
        for name, fields in kernels.items():
            allowed = 16 if name.startswith("ssim_maps") else 0
            assert fields["spills"] <= allowed or "double" in name, (architecture, name)


def test_excesses_are_found():
    recorded = {"sm_90": {"kernel": {"registers": 40, "shared": 0, "stack": 0, "spills": 0}}}
    now = {"sm_90": {"kernel": {"registers": 41, "shared": 0, "stack": 0, "spills": 0}, "other": {}}}
    assert cuda_resources.excesses(now, recorded) == [
        "sm_90 kernel: registers 41, recorded 40",
        "sm_90 other: not recorded",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_a_build_with_cuda_works_without_a_gpu():
    """The runtime is linked in, and nothing of it is touched for the CPU."""
    assert splat.render(cloud(5), cameras(1)).rgb.shape[-1] == 3
    cuda = native.build_info()["cuda"]
    assert cuda is None or (cuda["toolkit"] and cuda["architectures"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_no_gpu_is_explained():
    """What a CUDA call says where there is no driver, or no CUDA in the build."""
    module = native.load()
    if native.describe_cuda(module) is None:
        pytest.skip("this build has no CUDA kernels")
    arguments = module.AdamArguments()
    arguments.device = 0
    arguments.add(rows=1, columns=1, lr=1.0, parameter=0, gradient=0, exp_avg=0, exp_avg_sq=0)
    with pytest.raises(RuntimeError, match=r"CUDA reports for \w+: .*(driver|GPU)"):
        module.adam(arguments)


def test_a_build_without_cuda_names_the_remedy(monkeypatch):
    monkeypatch.setattr(native, "has_cuda", lambda module: False)
    with pytest.raises(RuntimeError, match=r"no CUDA kernels.*nvcc.*\.to\('cpu'\)"):
        launch.on(torch.device("cuda", 0), native.load().RenderArguments())


def test_memory_that_runs_out_is_explained(monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(memory, "empty", refuse)
    with pytest.raises(torch.OutOfMemoryError, match=r"37 x 29.*fewer Gaussians.*torch says: CUDA out of memory"):
        splat.render(cloud(5), cameras(1))
