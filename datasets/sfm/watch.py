"""A step of COLMAP in a thread, so that what is done can be counted and Ctrl-C ends it."""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pycolmap

from splat.datasets.readers.colmap_library import in_words
from splat.errors import InputError
from splat.io.progress import Counter

LEAST_ROOM = 64 << 20
"""Bytes that must be free on a disk while COLMAP writes to it."""
PATIENCE = 5.0
"""Seconds that a step may take to end when it is interrupted."""

Result = TypeVar("Result")


class StepFailed(InputError):
    """A step of COLMAP has failed, maybe for want of memory or disk: what was done before it is still good."""


def watched(
    work: Callable[[pycolmap.CancellationToken], Result],
    counter: Counter,
    look: Callable[[], None],
    disk: Path | None = None,
) -> Result:
    """Run in a thread, and meanwhile let `look` tell the counter what is done; stop when interrupted.

    Args:
        disk: a folder that the work writes a database into. Where the disk is nearly full it is stopped: COLMAP would end the
            whole process.

    Raises:
        StepFailed: the work has failed, or the disk is nearly full.
    """
    _check_room(disk)
    token = pycolmap.CancellationToken()
    results: list[Result] = []
    failures: list[Exception] = []
    over = threading.Event()

    def run() -> None:
        try:
            results.append(work(token))
        except Exception as error:
            failures.append(error)
        finally:
            over.set()

    try:
        with counter:
            threading.Thread(target=run, daemon=True).start()
            while not over.wait(0.5):
                look()
                _check_room(disk)
            look()
    except StepFailed:
        token.cancel()
        over.wait(PATIENCE)
        raise
    except KeyboardInterrupt:
        token.cancel()
        over.wait(PATIENCE)  # matching looks at the token once a block of photos
        raise
    if failures:
        raise StepFailed(f"structure from motion failed: {in_words(failures[0])}") from failures[0]
    return results[0]


def _check_room(folder: Path | None) -> None:
    free = LEAST_ROOM if folder is None else shutil.disk_usage(folder).free
    if free < LEAST_ROOM:
        raise StepFailed(f"the disk is nearly full ({free >> 20} MiB are free in {folder}); make room on it")


def rows(database: Path, table: str) -> int:
    """How many rows a table has, as far as they have reached the file.

    Takes no lock: one of ours would make a write of COLMAP's fail, which ends the whole process. So it may see half of a
    write, and be wrong for a moment.
    """
    if not database.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
    except sqlite3.Error:  # not made yet, or just being written
        return 0


@contextmanager
def log_file(folder: Path) -> Iterator[Callable[[], str]]:
    """What the library says meanwhile goes to a file in `folder` instead of nowhere; yields a function that reads it.

    Some of its steps report what they do in no other way.
    """
    log = pycolmap.logging
    before = {name: getattr(log, name) for name in ("minloglevel", "stderrthreshold", "logtostderr", "alsologtostderr")}
    start = folder / "log."
    for old in folder.glob("log.*"):
        old.unlink()

    def read() -> str:
        texts = [path.read_text(errors="replace") for path in sorted(folder.glob("log.*"))]
        return "".join(texts)

    log.logtostderr = log.alsologtostderr = False
    log.stderrthreshold = log.Level.FATAL.value
    log.minloglevel = log.Level.INFO.value
    log.set_log_destination(log.Level.INFO, start)
    for level in (log.Level.WARNING, log.Level.ERROR, log.Level.FATAL):
        log.set_log_destination(level, "")  # each is in the file of INFO, too
    try:
        yield read
    finally:
        log.set_log_destination(log.Level.INFO, "")
        for name, value in before.items():
            setattr(log, name, value)
