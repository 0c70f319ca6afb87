"""What a person sees of long work: bars on a terminal, lines elsewhere, and nothing that ends the work."""

import io
import time
from collections.abc import Callable, Iterator

import pytest

from splat.io import progress
from splat.io.progress import Counter, counted, in_time


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE", 0.05)
    monkeypatch.setattr(progress, "NEXT_LINE", 0.1)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(Terminal):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def work(items: Iterator[int]) -> int:
    done = 0
    for _ in items:
        time.sleep(0.02)
        done += 1
    return done


def test_lines_where_there_is_no_terminal(capsys) -> None:
    assert work(counted(range(20), "photos", unit="photo")) == 20
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3 and all(line.startswith("photos: ") for line in lines)
    assert lines[0].endswith("left") and " of 20, " in lines[0]
    assert lines[-1].startswith("photos: 20 of 20 in ")


def test_short_work_says_nothing(capsys) -> None:
    assert list(counted([1, 2, 3], "photos")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Counter("share", countable=False), "share: 0 s so far"),
        (lambda: Counter("retouch"), "retouch: 0 s so far"),
        (lambda: Counter("mapping", 37), "mapping: 0 of 37, 0 s so far"),
    ],
)
def test_a_line_also_while_nothing_new_is_done(capsys, make: Callable[[], Counter], line: str) -> None:
    with make():
        time.sleep(0.3)
    assert capsys.readouterr().err.splitlines()[0] == line


def test_who_asks_for_silence_gets_it(capsys) -> None:
    assert work(counted(range(20), "photos", shown=False)) == 20
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert work(counted(range(20), "photos", unit="photo")) == 20
    assert "photos: 100%" in terminal.getvalue() and "so far" not in terminal.getvalue()


def test_a_terminal_that_closes_ends_nothing(monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr", Closed())
    assert work(counted(range(20), "photos")) == 20
    with Counter("share", countable=False):
        time.sleep(0.1)


def test_a_total_that_is_known_later(capsys) -> None:
    with Counter("retouch") as counter:
        counter.to(30, 60)
        time.sleep(0.1)
        assert counter.line().startswith("retouch: 30 of 60, 0 s left")


def test_an_error_passes_and_stops_the_lines(capsys) -> None:
    with pytest.raises(ValueError, match="wrong"), Counter("photos", 3):
        raise ValueError("wrong")
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (90, "90 s"), (700, "12 min"), (9000, "2.5 h")])
def test_times(seconds: float, text: str) -> None:
    assert in_time(seconds) == text
