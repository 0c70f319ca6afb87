"""A training that is told to end, at any moment: it ends with a checkpoint, and the resumed run is the uninterrupted one."""

import fcntl
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from captures import write_capture

RUN = ("--iterations", "300", "--save-every", "7", "--eval", "--threads", "1")
STARTED = "starting with"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder)
    return folder


def command(capture: Path, out: Path, *flags: str) -> list[str]:
    return [sys.executable, "-u", "-m", "splat", "train", str(capture), "-o", str(out), *flags]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SPLAT_DEBUG": ""}


def begin(capture: Path, out: Path, *flags: str, until: str = STARTED) -> subprocess.Popen[str]:
    """A training in a process of its own that has come so far."""
    process = subprocess.Popen(
        *(command(capture, out, *flags),),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if until in line:
            return process
    pytest.fail(f"ended with {process.wait()} before it said {until!r}")


def scene(out: Path) -> bytes:
    return (out / "point_cloud/iteration_300/point_cloud.ply").read_bytes()


@pytest.fixture(scope="module")
def whole(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """The scene of the uninterrupted run, and the seconds from its first iteration to its end."""
    out = tmp_path_factory.mktemp("whole")
    process = begin(capture, out, *RUN)
    began = time.monotonic()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return scene(out), time.monotonic() - began


def check_end(process: subprocess.Popen[str], capture: Path, out: Path, whole: bytes, number: int, *ends: int) -> None:
    """End a run, look at what it leaves, go on, and compare.

    Args:
        ends: its exit status is one of these.
    """
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in ends, output
    if process.returncode:
        assert "continue with: splat train" in output
    for noise in ("Traceback", "*** ", "@ 0x", "error:"):
        assert noise not in output, output
    assert not list(out.rglob(".*.tmp*")), "half a file is left"
    done = subprocess.run(command(capture, out, "--resume"), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert scene(out) == whole


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_uninterrupted_one(capture, tmp_path, whole, number) -> None:
    moment = random.Random(int(number))
    process = begin(capture, tmp_path / "run", *RUN, until=f"iteration {15 * moment.randint(1, 10)}/300")
    time.sleep(moment.uniform(0, 0.1))
    check_end(process, capture, tmp_path / "run", whole[0], number, 128 + number)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_at_any_moment(capture, tmp_path, whole, moment) -> None:
    """Also while it evaluates, writes its report or leaves: what is done by then stays done."""
    process = begin(capture, tmp_path / "run", *RUN)
    time.sleep(random.Random(moment).uniform(0, 1.1) * whole[1])
    check_end(process, capture, tmp_path / "run", whole[0], signal.SIGTERM, 0, 128 + signal.SIGTERM)


def test_asked_twice_it_still_saves(capture, tmp_path) -> None:
    """`timeout` and shells send the signal to the process and to its group."""
    process = begin(capture, tmp_path / "run", "--iterations", "20000", "--threads", "1")
    time.sleep(1)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (129, 143), output  # of signals that wait, the lowest number is first
    stopped = int(re.search(r"stopped at iteration ([\d,]+)", output)[1].replace(",", ""))
    assert (tmp_path / f"run/ckpts/ckpt_{stopped:06d}.pt").is_file() and "--resume" in output


def test_before_the_first_iteration_it_ends_at_once(tmp_path) -> None:
    write_capture(tmp_path / "capture", photos=40, width=640, height=480)
    process = begin(
        *(tmp_path / "capture", tmp_path / "run", "--masks", "", "--iterations", "20000"), until="photos to train on"
    )
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in output, output


def test_nohup_is_respected(capture, tmp_path) -> None:
    process = subprocess.Popen(
        *(["nohup", *command(capture, tmp_path / "run", *RUN)],),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    for line in process.stdout:
        if STARTED in line:
            break
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "stopped" not in output, output


def test_a_terminal_that_closes(capture, tmp_path) -> None:
    """Its last bars and lines cannot be written any more, which must not keep the checkpoint from being."""
    arguments = command(capture, tmp_path / "run", "--iterations", "20000", "--threads", "1")
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.execve(sys.executable, arguments, environment())
    seen = b""
    while b"train:" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert list((tmp_path / "run/ckpts").glob("ckpt_*.pt"))


def test_the_reader_of_a_pipe_may_leave(capture, tmp_path) -> None:
    process = begin(capture, tmp_path / "run", *RUN)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert (tmp_path / "run/point_cloud/iteration_300/point_cloud.ply").is_file()
