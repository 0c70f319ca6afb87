"""pycolmap, imported such that it stays silent and leaves this process's signals alone.

Its logging library takes over SIGTERM and the signals of crashes when it is loaded: the process would then end with a C++
stack trace in place of what Python, or the program that uses this library, does on them. `splat.datasets` imports this module
first of all.
"""

import ctypes
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

TAKEN = ("SIGTERM", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
"""Signals whose handlers the library replaces."""
LOG_BUFFER = "GLOG_logbufsecs"
SIGACTION_BYTES = 1024
"""More than any system's struct sigaction has."""


@contextmanager
def handlers_kept() -> Iterator[None]:
    """What handles the signals afterwards is what handled them before, were it Python or not."""
    action = getattr(ctypes.CDLL(None), "sigaction", None) if hasattr(signal, "pthread_sigmask") else None
    if action is None:  # Windows, where the library takes none of them
        yield
        return
    numbers = [int(getattr(signal, name)) for name in TAKEN]
    before = {number: ctypes.create_string_buffer(SIGACTION_BYTES) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # one that comes meanwhile waits
    for number, kept in before.items():
        action(number, None, kept)
    try:
        yield
    finally:
        for number, kept in before.items():
            action(number, kept, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def unbuffered_log() -> Iterator[None]:
    """Where a step's log is read while it runs (`splat.datasets.sfm.watch`), lines reach the file at once, not after 30 s."""
    given = os.environ.get(LOG_BUFFER)
    os.environ[LOG_BUFFER] = given or "0"
    try:
        yield
    finally:
        if given is None:
            del os.environ[LOG_BUFFER]


with handlers_kept(), unbuffered_log():
    import pycolmap

pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value  # errors come as exceptions, not on stderr


def in_words(error: BaseException) -> str:
    """What an error of pycolmap says, without its places in C++ sources."""
    lines = [re.sub(r"^\[[\w./-]+:\d+\]\s*", "", line).strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line)
    text = re.sub(r"^Check failed: \S.*?(?=[A-Z][a-z]+ )", "", text) if text.startswith("Check failed: ") else text
    return text or type(error).__name__
