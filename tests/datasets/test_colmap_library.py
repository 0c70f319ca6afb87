"""pycolmap stays silent, leaves the process's signals alone, and its errors become words."""

import signal
import subprocess
import sys

import pycolmap
import pytest

from splat.datasets.readers.colmap_library import in_words

HANDLERS = """
import faulthandler, sys, torch
faulthandler.enable()
def caught():
    return [line for line in open("/proc/self/status") if line.startswith(("SigCgt", "SigIgn", "SigBlk"))]
before = caught()
import splat.datasets.capture
assert caught() == before, (before, caught())
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    return subprocess.run([sys.executable, "-c", path + program], capture_output=True, text=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_handlers_of_signals_are_what_they_were() -> None:
    done = run(HANDLERS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV])
def test_no_stack_trace_of_a_library(number: int) -> None:
    done = run(f"import os, splat.datasets.load; os.kill(os.getpid(), {int(number)})")
    assert done.returncode == -number and done.stderr == ""


def test_a_handler_of_ours_stays() -> None:
    done = run(
        "import os, signal; signal.signal(signal.SIGTERM, lambda *_: print('ours', flush=True));"
        "import splat.datasets.load; os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ours\n", "")


def test_it_may_be_loaded_in_a_thread() -> None:
    done = run(
        "import threading; t = threading.Thread(target=lambda: __import__('splat.datasets.load'));"
        "t.start(); t.join(); import pycolmap; print(pycolmap.logging.minloglevel)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[extract.cc:33] Check failed: ExistsDir(path) Directory "/a" does not exist.',
            'Directory "/a" does not exist.',
        ),
        (
            "[camera.cc:43] Check failed: ExistsCameraModelWithId(model_id) ",
            "Check failed: ExistsCameraModelWithId(model_id)",
        ),
        ("[a/b.cc:1] one\n[c.cc:22]   two", "one two"),
        ("plain", "plain"),
        ("", "ValueError"),
    ],
)
def test_errors_become_words(text: str, words: str) -> None:
    assert in_words(ValueError(text)) == words


def test_its_own_errors_are_read_so() -> None:
    with pytest.raises(ValueError, match="cc:") as error:
        pycolmap.Reconstruction("/nowhere")
    assert in_words(error.value).endswith('do not exist at "/nowhere"') and ".cc" not in in_words(error.value)
