"""What all tests share: devices, real captures, and settings of hypothesis."""

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from splat.cuda_rasterizer.native import build_info

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "tests"))  # for `from scenes import ...`

settings.register_profile(
    "splat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("splat")


def devices() -> list[str]:
    """Every device that has kernels in this build and hardware in this machine."""
    return ["cpu", "cuda"] if build_info()["cuda"] is not None and torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def capture_path() -> "CaptureFinder":
    """Finds real captures, which lie beside the checkout. Where tests must run them, CI=true makes absence an error."""
    return CaptureFinder()


class CaptureFinder:
    def __call__(self, name: str) -> Path:
        path = CAPTURES / name
        if not path.is_dir():
            message = f"the capture {name} is not at {path}"
            pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
        return path


@pytest.fixture(autouse=True)
def threads() -> None:
    """Tests that change the number of threads do not change it for others."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
