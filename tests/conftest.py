"""What all tests share: devices, real captures, and settings of hypothesis."""

import functools
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

# As splat itself does, which the tests import after torch: on a busy machine torch's spinning threads cost most of the time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from hypothesis import HealthCheck, settings

from splat.cli import main as cli
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.native import build_info

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "tests"))  # for `from scenes import ...`

settings.register_profile(
    "splat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("splat")


# A shell's background jobs ignore Ctrl-C, those of nohup a closed terminal, and so would what the tests send them to.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def devices() -> list[str]:
    """Every device that has kernels in this build and hardware in this machine, and the CUDA kernels on the CPU; or those
    of them that SPLAT_TEST_DEVICES names."""
    cuda = build_info()["cuda"] is not None and torch.cuda.is_available()
    every = ["cpu", "emulated", "cuda"] if cuda else ["cpu", "emulated"]
    wanted = os.environ.get("SPLAT_TEST_DEVICES", " ".join(every)).split()
    return [device for device in every if device in wanted]


@functools.lru_cache(maxsize=1)
def emulated_module() -> ModuleType | None:
    """The CUDA kernels compiled for the CPU (`make emulation`), if they are there."""
    folder = Path(os.environ.get("SPLAT_EMULATION", ROOT / "build" / "emulation"))
    for path in folder.glob("_splat_emulated*.so"):
        spec = importlib.util.spec_from_file_location("_splat_emulated", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if module.ABI == native.ABI:
            return module
    return None


@pytest.fixture
def emulation() -> Iterator[ModuleType]:
    """Everything on the CPU goes through the CUDA kernels for the time of a test, in an order of threads of its own."""
    module = emulated_module()
    if module is None:
        message = "the emulated CUDA kernels are not built, or not from this source: run `make emulation`"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    module.set_seed(1)
    with native.using(module):
        yield module


@pytest.fixture(params=[device for device in devices() if device != "cpu"])
def gpu(request: pytest.FixtureRequest) -> torch.device:
    """A device that the CUDA kernels run on."""
    return select(request)


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> torch.device:
    return select(request)


def select(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "emulated":
        request.getfixturevalue("emulation")
        return torch.device("cpu")
    return torch.device(request.param)


@pytest.fixture(scope="session")
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


def _run(*arguments: object) -> int:
    try:
        cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="session")
def run_splat() -> Callable[..., int]:
    """Exit status of `splat ...`."""
    return _run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, run_splat: Callable[..., int]) -> tuple[Path, Path]:
    """A capture of 16 photos, and a finished run on it with held-out views."""
    from captures import write_capture  # found by the path above only

    folder = tmp_path_factory.mktemp("small")
    write_capture(folder / "capture", photos=16)
    flags = ("--iterations", 300, "--eval", "--sh-degree", 1)
    assert run_splat("train", folder / "capture", "-o", folder / "run", *flags) == 0
    return folder / "capture", folder / "run"
