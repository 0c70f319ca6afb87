"""How far long work is, for a person: a bar on a terminal or in a notebook, elsewhere a line now and then.

Bars and lines go to standard error, so that standard output holds results only:

    features: 37 of 292, 2 min left
"""

import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm

FIRST_LINE, NEXT_LINE = 10.0, 30.0
"""Seconds until the first line, and between further ones, where there is no bar."""

Item = TypeVar("Item")


def shows_bars() -> bool:
    """Whether there is somebody to see a progress bar: standard error is a terminal, or a notebook shows it."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Bar(tqdm):
    """A bar that vanishes, and raises nothing, where the terminal closes."""

    def display(self, *args: Any, **options: Any) -> bool | None:
        try:
            return super().display(*args, **options)
        except OSError:
            self.disable = True
            return False


class Counter:
    """Counts what is done of some work, and tells a person of it while the body of its `with` runs.

    Args:
        name: of the work.
        total: how much there is to do; None where nobody knows.
        shown: whether anybody is told at all.
        delay: seconds before a bar appears.
        leave: whether the bar stays when the work is done.
        countable: False for work without parts: it has no bar, but on a terminal too a line now and then.
    """

    def __init__(
        self,
        name: str,
        total: int | None = None,
        *,
        unit: str = "",
        shown: bool = True,
        delay: float = 0.0,
        leave: bool = True,
        countable: bool = True,
    ) -> None:
        self.name, self.total, self.count = name, total, 0
        bars = shows_bars() and countable
        self.bar = Bar(
            desc=name, total=total, unit=unit or "it", disable=not (shown and bars), delay=delay, leave=leave
        )
        self.begun = time.monotonic()
        self.over = threading.Event()
        self.teller = threading.Thread(target=self._tell, daemon=True) if shown and not bars else None

    def __enter__(self) -> "Counter":
        if self.teller is not None:
            self.teller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self.over.set()
        if self.teller is not None and kind is None:
            self.teller.join()
        self.bar.close()

    def add(self, count: int = 1) -> None:
        """So much more is done."""
        self.to(self.count + count)

    def to(self, count: int, total: int | None = None) -> None:
        """So much is done by now.

        Args:
            total: how much there is to do, where that was not known or has changed.
        """
        if total is not None:
            self.bar.total = self.total = total
        self.bar.update(count - self.count)
        self.count = count

    def name_as(self, name: str) -> None:
        """The work goes by another name from now on."""
        if name != self.name:
            self.name = name
            self.bar.set_description(name)

    def _tell(self) -> None:
        """Say now and then how far the work is, also while nothing new is done; at the end what it was, if lines were said."""
        wait = FIRST_LINE
        try:
            while not self.over.wait(wait):
                wait = NEXT_LINE
                print(self.line(), file=sys.stderr, flush=True)
            if wait == NEXT_LINE:
                print(self.line(), file=sys.stderr, flush=True)
        except OSError:  # nobody reads it any more
            pass

    def line(self) -> str:
        """What is done and how long the rest will take."""
        seconds, count, total = time.monotonic() - self.begun, self.count, self.total
        if total is None:
            return f"{self.name}: " + (f"{count:,}, " if count else "") + f"{in_time(seconds)} so far"
        if count >= total:
            return f"{self.name}: {count:,} of {total:,} in {in_time(seconds)}"
        left = f"{in_time(seconds * (total - count) / count)} left" if count else f"{in_time(seconds)} so far"
        return f"{self.name}: {count:,} of {total:,}, {left}"


def counted(
    items: Iterable[Item], name: str, *, total: int | None = None, unit: str = "", shown: bool = True
) -> Iterator[Item]:
    """The items, each counted as done when the next one is asked for.

    Args:
        total: how many there are; the length of `items`, where they have one, unless given.
    """
    if total is None and isinstance(items, Collection):
        total = len(items)
    with Counter(name, total, unit=unit, shown=shown) as counter:
        for item in items:
            yield item
            counter.add()


def in_time(seconds: float) -> str:
    """90 s, 12 min or 2.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
