"""Entropy coding of whole numbers: streams of symbols, each predicted by what is known when it is read.

An adaptive binary range coder (cuda_rasterizer/csrc/cpu/entropy.h) learns the frequencies while it goes, in every context
anew. A stream here begins with its least value, the bits of its symbols, and the few values too far out to be one.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splat.compression.coding.byte_reader import REMEDY, ByteReader
from splat.cuda_rasterizer.native import load
from splat.errors import InputError

MOST_BITS = 10
"""Of a symbol; values beyond 2^10 - 1 steps are stored apart."""
HEAD = "<iBII"
"""Least value, bits of a symbol, far values, bytes."""
Integers = NDArray[np.integer[Any]]
Whole = NDArray[np.int32]
Contexts = NDArray[np.uint16]
Shifts = NDArray[np.uint8]


def pack(
    values: Integers,
    contexts: Integers | None = None,
    bucket: int = 0,
    shifts: Integers | None = None,
    most_bits: int = MOST_BITS,
) -> bytes:
    """Whole numbers [N] as bytes.

    Args:
        contexts: [N], at least 0: something known before each value, on which its frequencies depend.
        bucket: where above 0, the value before is such a context as well, divided by this.
        shifts: [N] of each value's step: 2^shift; what comes before is compared in the common unit.
        most_bits: of a symbol.
    """
    whole: Whole = np.ascontiguousarray(values, dtype=np.int32)
    low, bits = _window(whole, most_bits)
    if not bits:
        return struct.pack(HEAD, low, 0, 0, 0)
    known = _Known(contexts, shifts)
    symbols = known.symbols(whole, bits, low, bucket)
    out = np.empty(len(whole) * 3 + 16, dtype=np.uint8)
    size = load().encode_symbols(symbols, out.ctypes.data, len(out))
    if size > len(out):
        out = np.empty(size, dtype=np.uint8)
        size = load().encode_symbols(symbols, out.ctypes.data, len(out))
    far = whole[(whole < low) | (whole >= low + (1 << bits) - 1)]
    return struct.pack(HEAD, low, bits, len(far), size) + out[:size].tobytes() + far.astype("<i4").tobytes()


def unpack(
    reader: ByteReader, count: int, contexts: Contexts | None = None, bucket: int = 0, shifts: Shifts | None = None
) -> Whole:  # [count]
    """The numbers again, from the same contexts, bucket and shifts.

    Raises:
        InputError: the stream is damaged.
    """
    values = np.empty(count, dtype=np.int32)
    Stream(reader).unpack(values, contexts, bucket, shifts)
    return values


class Stream:
    """The next stream of a reader, to be unpacked later.

    Raises:
        InputError: it is cut off, or its head cannot be.
    """

    def __init__(self, reader: ByteReader) -> None:
        self.name = reader.name
        self.low, self.bits, far, size = reader.unpack(HEAD, "a stream's header")
        self.data = reader.array("u1", (size,), "a stream")
        self.far = reader.array("<i4", (far,), "far values").astype(np.int32)
        if self.bits > 16 or abs(self.low) > 1 << 30:
            raise InputError(f"{self.name}: symbols of {self.bits} bits from {self.low} on cannot be. {REMEDY}")

    def unpack(
        self, out: Whole, contexts: Contexts | None = None, bucket: int = 0, shifts: Shifts | None = None
    ) -> None:
        """Fill `out` with the numbers; see `unpack`."""
        if not self.bits:
            out[:] = self.low
            return
        known = _Known(contexts, shifts)
        symbols = known.symbols(out, self.bits, self.low, bucket)
        far = self.far.ctypes.data, len(self.far)
        try:
            load().decode_symbols(symbols, self.data.ctypes.data, len(self.data), *far)
        except ValueError as error:
            raise InputError(f"{self.name}: a stream cannot be read ({error}). {REMEDY}") from None


class _Known:
    """What is known before each symbol, kept alive as the native coder wants it."""

    def __init__(self, contexts: Integers | None, shifts: Integers | None) -> None:
        self.contexts = None if contexts is None else np.ascontiguousarray(contexts, dtype=np.uint16)
        self.shifts = None if shifts is None else np.ascontiguousarray(shifts, dtype=np.uint8)

    def symbols(self, values: Whole, bits: int, low: int, bucket: int) -> Any:
        """Description of a stream of contiguous values."""
        number = 1 if self.contexts is None or not len(values) else int(self.contexts.max()) + 1
        addresses = [0 if array is None else array.ctypes.data for array in (values, self.contexts, self.shifts)]
        return load().Symbols(*addresses, len(values), bits, number, low, bucket)


def _window(values: Whole, most_bits: int) -> tuple[int, int]:
    """Least value and bits of the symbols that hold nearly all values, with one symbol to spare; no bits where all are one."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if low == high:
        return low, 0
    most = (1 << most_bits) - 2
    if high - low > most:
        middle = int(np.median(values))
        low = min(max(middle - most // 2, low), high - most)
        high = low + most
    return low, (high - low + 1).bit_length()
