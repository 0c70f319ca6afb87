"""How many intersections a render will need, guessed from those before it.

On a GPU only the device knows the number, and waiting for it would leave the device idle while the host prepares what
comes next. So room for a likely number is taken, everything is started, and then the host looks whether that was enough.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

REMEMBERED = 64
"""Kinds of render whose numbers are kept."""
MARGIN, LEAST = 1.15, 4096
"""Room is taken for this much more than was needed lately, and for at least so many more."""
FORGETTING = 0.98
"""By which a remembered number falls with every render that needs less."""


class Counts(NamedTuple):
    """Of one render: intersections of tiles and Gaussians, and Gaussians that touch a tile, of all cameras."""

    intersections: int
    visible: int


_lately: OrderedDict[Hashable, Counts] = OrderedDict()


def room(kind: Hashable, most: Counts) -> Counts | None:
    """What to take room for, or None where nothing like it was rendered lately.

    Args:
        kind: what renders have in common that need about as much: number of Gaussians, size of the image.
        most: that could be needed.
    """
    lately = _lately.get(kind)
    if lately is None:
        return None
    return Counts(*(min(limit, int(MARGIN * count) + LEAST) for count, limit in zip(lately, most, strict=True)))


def learn(kind: Hashable, counts: Counts) -> None:
    """Remember what a render needed."""
    lately = _lately.pop(kind, Counts(0, 0))
    _lately[kind] = Counts(*(max(new, int(FORGETTING * old)) for new, old in zip(counts, lately, strict=True)))
    while len(_lately) > REMEMBERED:
        _lately.popitem(last=False)
