"""Ctrl-C while a run trains: the iteration under way is finished first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupt_flag() -> Iterator[threading.Event]:
    """Ctrl-C sets the flag, so that an iteration is finished before the run stops; a second Ctrl-C stops at once.

    The command line calls the same handler for SIGTERM and SIGHUP, of which a second one changes nothing: programs send them
    repeatedly. Where Ctrl-C is ignored, as in a shell's background jobs, it stays so.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and previous is signal.SIG_IGN:
            return
        if number == signal.SIGINT and flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
