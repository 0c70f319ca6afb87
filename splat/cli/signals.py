"""What ends the program from outside: SIGTERM (a cluster, a container) and SIGHUP (a terminal that closes) act as Ctrl-C."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

NAMES = ("SIGTERM", "SIGHUP")
AGAIN = 2.0
"""Seconds for which a further one counts as the same: `timeout`, shells and terminals send it to a process and to its group."""
CTRL_C = 128 + signal.SIGINT
"""Exit status of a program that Ctrl-C ended."""


class Ending:
    """Which signal has asked the program to end, if any has."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.time = 0.0

    @property
    def status(self) -> int:
        """Exit status of a program that was asked to end: 128 and the signal; Ctrl-C's where none has come."""
        return CTRL_C if self.number is None else 128 + self.number

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Do what Ctrl-C does now: end at once, or whatever a verb has put in place of that."""
        if self.number is not None and time.monotonic() - self.time < AGAIN:
            return
        self.number, self.time = number, time.monotonic()
        as_ctrl_c = signal.getsignal(signal.SIGINT)
        if callable(as_ctrl_c):
            as_ctrl_c(number, frame)
        else:
            raise KeyboardInterrupt


@contextmanager
def ending(*, program: bool) -> Iterator[Ending]:
    """SIGTERM and SIGHUP as Ctrl-C, except where they are ignored (`nohup`).

    Args:
        program: whether this process is the program, not one that has called it. What it was asked for is then done or has
            failed at the end, and it said which: a signal that comes while Python is torn down no longer changes that. In
            another process signals act afterwards as they did before.
    """
    found = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    numbers = [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]  # Windows has no SIGHUP
    replaced = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, found.handle)
    try:
        yield found
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_IGN if program else signal.SIG_DFL)


def leave(status: str | int | None, *, program: bool) -> NoReturn:
    """Exit; of a program that was ended from outside, without waiting for threads that still work, and without C++ tearing
    down what they use.

    Args:
        program: whether this process is the program, not one that has called it.
    """
    if program and isinstance(status, int) and status >= CTRL_C - signal.SIGINT:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def say(text: str) -> None:
    """A last line, if there is still anybody to read it; a terminal that has closed takes none."""
    try:
        print(text, file=sys.stderr)
        sys.stdout.flush()
    except OSError:
        fall_silent()


def fall_silent() -> None:
    """Nothing can be said any more: the terminal has closed, or the reader of a pipe has left. Without this, flushing while
    the interpreter ends would fail again."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())
