"""pycolmap, imported such that it stays silent and leaves this process's signals alone.

Its logging library takes over SIGTERM and the signals of crashes when it is loaded: the process would then end with a C++
stack trace in place of what Python, or the program that uses this library, does on them. `splat.datasets` imports this module
first of all.
"""

import ctypes
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

TAKEN = ("SIGTERM", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
"""Signals whose handlers the library replaces."""
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


with handlers_kept():
    import pycolmap

pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value  # errors come as exceptions, not on stderr


def in_words(error: BaseException) -> str:
    """What an error of pycolmap says, without its places in C++ sources."""
    lines = [re.sub(r"^\[[\w./-]+:\d+\]\s*", "", line).strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line)
    text = re.sub(r"^Check failed: \S.*?(?=[A-Z][a-z]+ )", "", text) if text.startswith("Check failed: ") else text
    return text or type(error).__name__
