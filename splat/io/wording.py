"""Lists and numbers in sentences for people: notes, warnings, errors."""

from collections.abc import Iterable

NAMED = 8
"""So many names, numbers or lines are listed in a sentence; the others are counted."""


def listed(names: Iterable[object]) -> str:
    """The first names, and how many more there are."""
    every = [str(name) for name in names]
    more = f" and {len(every) - NAMED:,} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def grouped(named: Iterable[tuple[str, str]]) -> list[str]:
    """Names with what is said of each, as name and reason: a line for each reason."""
    of_reason: dict[str, list[str]] = {}
    for name, reason in named:
        of_reason.setdefault(reason, []).append(name)
    return [f"{listed(names)}{', each of which' * (len(names) > 1)} {reason}" for reason, names in of_reason.items()]


def number_of(number: int, noun: str, plural: str | None = None) -> str:
    """1 photo, 2 photos."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def was(number: int) -> str:
    """The verb that goes with a number: was or were."""
    return "was" if number == 1 else "were"
