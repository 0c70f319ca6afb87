"""The coder of planes: what is written comes back, and takes about its entropy. The decoder here is the slow, plain one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from splat.compression.coding import planes, rans
from splat.compression.coding.planes import BEFORE, Plane, Stream


class Reader:
    """Symbols from what `rans.encode` made, one after the other."""

    def __init__(self, content: bytes) -> None:
        self.states = np.frombuffer(content[: 4 * rans.LANES], "<u4").astype(int).tolist()
        self.words = iter(np.frombuffer(content[4 * rans.LANES :], "<u2").tolist())
        self.next = 0

    def symbol(self, table: list[int]) -> int:
        lane, self.next = self.next % rans.LANES, self.next + 1
        state = self.states[lane]
        slot = state % (1 << rans.PRECISION)
        start, symbol = 0, 0
        while start + table[symbol] <= slot:
            start, symbol = start + table[symbol], symbol + 1
        state = table[symbol] * (state >> rans.PRECISION) + slot - start
        self.states[lane] = state if state >= rans.LOWEST else state << 16 | next(self.words)
        return symbol

    def bits(self, width: int) -> int:
        return self.symbol([1 << (rans.PRECISION - width)] * (1 << width))

    def plane(self, told: dict[str, Any], length: int, known: dict[str, np.ndarray]) -> np.ndarray:
        model = planes.frequencies(np.array([[self.bits(6) for _ in range(64)]]))[0].tolist()
        count = int(np.prod([len(edges) + 1 for _, edges in told["contexts"]]))
        steps = [self.symbol(model) for _ in range(count * told["alphabet"])]
        tables = planes.frequencies((np.cumsum(steps) % 64).reshape(count, told["alphabet"])).tolist()
        out = np.zeros(length, np.uint8)
        for index in range(length):
            context = 0
            for name, edges in told["contexts"]:
                value = known[name][index] if name != BEFORE else out[index - 1] if index else 0
                context = context * (len(edges) + 1) + sum(edge <= value for edge in edges)
            out[index] = self.symbol(tables[context])
        return out


@given(
    st.integers(1, 700).flatmap(
        lambda n: st.tuples(*[arrays.arrays(np.uint8, n, elements=st.integers(0, top)) for top in (3, 255)])
    )
)
def test_comes_back(columns: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = columns
    third = (first * 60 + (second & 7)).astype(np.uint8)
    stream, known, told = Stream(), dict[str, np.ndarray](), []
    for name, values in (("a", first), ("b", second), ("c", third)):
        told.append(planes.write(stream, Plane(name, values, (BEFORE, *known)), known))
        known[name] = values
    stream.bits(second.astype(np.int64), 8)
    reader = Reader(stream.finish())
    read = dict[str, np.ndarray]()
    for name, what in zip("abc", told, strict=True):
        read[name] = reader.plane(what, len(first), read)
        assert (read[name] == known[name]).all()
    assert [reader.bits(8) for _ in second] == second.tolist()


def test_takes_about_the_entropy() -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 8, 50_000).astype(np.uint8)
    fine = (coarse * 30 + np.clip(generator.normal(15, 3, len(coarse)), 0, 29)).astype(np.uint8)

    def size(sources: tuple[str, ...]) -> int:
        stream = Stream()
        planes.write(stream, Plane("fine", fine, sources), {"coarse": coarse})
        return len(stream.finish())

    counts = np.bincount(coarse.astype(int) * 256 + fine)
    fraction = counts[counts > 0] / len(fine)
    entropy = float(-(fraction * np.log2(fraction)).sum()) / 8 * len(fine)
    assert size(()) < 1.02 * entropy + 1500
    assert size(("coarse",)) < size(()) - 0.9 * 3 / 8 * len(fine)  # three bits are known already


@pytest.mark.parametrize("count", [1, 2, 100, 256])
def test_frequencies_fill_the_range(count: int) -> None:
    generator = np.random.default_rng(count)
    logarithms = generator.integers(0, 64, (50, count))
    logarithms[:, 0] = 63
    logarithms[0] = 1
    tables = planes.frequencies(logarithms)
    assert (tables.sum(axis=1) == 1 << rans.PRECISION).all()
    assert ((tables > 0) == (logarithms > 0)).all()
