"""Planes of bytes, each coded with the help of planes before it: what a shared page carries.

A plane's symbols have several frequency tables. Which one holds is told by up to two sources: another plane at the same
place, or the plane itself one place before, divided into ranges of values. Sources and ranges are chosen by what they save.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.compression.coding import rans

Bytes = NDArray[np.uint8]

BEFORE = "before"
"""The source that is the plane itself, one place before (0 before the first)."""
RANGES = (4, 8, 16)
LOGARITHMS = 64
"""Frequencies are written as logarithms, in quarters of a bit; 0 is a symbol that does not occur."""
MANTISSA = (16, 19, 22, 27)
"""Powers of 2^(1/4), times 16."""
TABLE_BITS = 3.5
"""What one entry of a table takes, about."""


@dataclass
class Plane:
    """One plane, with the names of the planes that could help."""

    name: str
    values: Bytes  # [n]
    sources: tuple[str, ...] = ()


@dataclass
class Stream:
    """What is to be coded so far: for every symbol its place in its model."""

    starts: list[NDArray[np.uint32]] = field(default_factory=list)
    frequencies: list[NDArray[np.uint32]] = field(default_factory=list)

    def bits(self, values: NDArray[np.int64], width: NDArray[np.int64] | int) -> None:
        """Values of so many bits each (at most 8) that cannot be predicted."""
        shift = rans.PRECISION - np.broadcast_to(np.asarray(width), values.shape)
        self.starts.append((values << shift).astype(np.uint32))
        self.frequencies.append((1 << shift).astype(np.uint32))

    def symbols(self, values: NDArray[Any], contexts: NDArray[Any], tables: NDArray[np.int64]) -> None:
        """Values under the frequencies [contexts, alphabet] that hold for each."""
        starts = np.cumsum(tables, axis=1) - tables
        self.starts.append(starts[contexts, values].astype(np.uint32))
        self.frequencies.append(tables[contexts, values].astype(np.uint32))

    @property
    def size(self) -> float:
        """Bytes so far."""
        return sum(float((rans.PRECISION - np.log2(part)).sum()) for part in self.frequencies) / 8

    def finish(self) -> bytes:
        return rans.encode(np.concatenate(self.starts), np.concatenate(self.frequencies))


def write(stream: Stream, plane: Plane, known: dict[str, Bytes]) -> dict[str, Any]:
    """Code a plane; what a decoder must be told of it is returned, the tables go into the stream.

    Args:
        known: planes that the decoder has by then, of the same length.
    """
    values = plane.values
    alphabet = int(values.max()) + 1
    before = np.concatenate([[0], values[:-1]]).astype(np.uint8)
    sources = {name: before if name == BEFORE else known[name] for name in plane.sources}
    chosen = choose(values, alphabet, sources)
    contexts, count = _contexts(len(values), chosen, sources)
    logarithms = _logarithms(
        np.bincount(contexts * alphabet + values, minlength=count * alphabet).reshape(count, alphabet)
    )
    _write_tables(stream, logarithms)
    stream.symbols(values, contexts, frequencies(logarithms))
    return {"alphabet": alphabet, "contexts": [[name, edges.tolist()] for name, edges in chosen]}


def choose(values: Bytes, alphabet: int, sources: dict[str, Bytes]) -> list[tuple[str, NDArray[np.int64]]]:
    """The sources, at most two, with the lower ends of their ranges but the first, that make a plane smallest."""
    options = [(name, _edges(sources[name], ranges)) for name in sources for ranges in RANGES]
    options = [(name, edges) for name, edges in options if len(edges)]
    best, smallest = list[tuple[str, NDArray[np.int64]]](), _cost(values, alphabet, [], sources)
    for _ in range(2):
        trials = [[*best, option] for option in options if option[0] not in [name for name, _ in best]]
        costs = [_cost(values, alphabet, trial, sources) for trial in trials]
        if not costs or min(costs) >= smallest:
            break
        best, smallest = trials[int(np.argmin(costs))], min(costs)
    return best


def frequencies(logarithms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frequencies [contexts, alphabet] that add up to 2^PRECISION, from their logarithms, in whole numbers throughout."""
    weight = np.where(logarithms > 0, np.array(MANTISSA)[logarithms & 3] << (logarithms >> 2), 0)
    total, present = weight.sum(axis=1, keepdims=True), (weight > 0).sum(axis=1, keepdims=True)
    result = np.where(weight > 0, 1 + weight * ((1 << rans.PRECISION) - present) // total, 0)
    rest = (1 << rans.PRECISION) - result.sum(axis=1)
    result[np.arange(len(result)), result.argmax(axis=1)] += rest
    return result


def _edges(values: Bytes, ranges: int) -> NDArray[np.int64]:
    edges = np.quantile(values, np.linspace(0, 1, ranges + 1)[1:-1], method="nearest").astype(np.int64)
    return np.unique(edges[edges > values.min()])


def _contexts(
    count: int, chosen: Sequence[tuple[str, NDArray[np.int64]]], sources: dict[str, Bytes]
) -> tuple[NDArray[np.int64], int]:
    contexts, total = np.zeros(count, np.int64), 1
    for name, edges in chosen:
        contexts = contexts * (len(edges) + 1) + np.searchsorted(edges, sources[name], side="right")
        total *= len(edges) + 1
    return contexts, total


def _cost(
    values: Bytes, alphabet: int, chosen: Sequence[tuple[str, NDArray[np.int64]]], sources: dict[str, Bytes]
) -> float:
    """Bits of a plane and its tables, about."""
    contexts, count = _contexts(len(values), chosen, sources)
    counts = (
        np.bincount(contexts * alphabet + values, minlength=count * alphabet).reshape(count, alphabet).astype(float)
    )
    totals = counts.sum(axis=1)
    entropy = (totals * np.log2(np.maximum(totals, 1))).sum() - (counts * np.log2(np.maximum(counts, 1))).sum()
    return float(entropy) + TABLE_BITS * counts.size


def _logarithms(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logarithms = np.round(4 * np.log2(np.maximum(fraction, 1e-30)) + LOGARITHMS - 1)
    logarithms = np.where(counts > 0, np.clip(logarithms, 1, LOGARITHMS - 1), 0).astype(np.int64)
    logarithms[counts.sum(axis=1) == 0, 0] = 1  # a context that never occurs needs some table
    return logarithms


def _write_tables(stream: Stream, logarithms: NDArray[np.int64]) -> None:
    """Tables as differences from entry to entry, under a table of differences whose own logarithms take six bits each."""
    flat = logarithms.flatten()
    steps = (np.diff(flat, prepend=0) % LOGARITHMS).astype(np.int64)
    model = _logarithms(np.bincount(steps, minlength=LOGARITHMS)[None])
    stream.bits(model[0], 6)
    stream.symbols(steps, np.zeros(len(steps), np.int64), frequencies(model))
