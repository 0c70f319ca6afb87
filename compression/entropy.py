"""Entropy coding of whole numbers: streams of symbols, each predicted by what is known when it is read.

An adaptive binary range coder (cuda_rasterizer/csrc/cpu/entropy.h) learns the frequencies while it goes, in every context
anew. A stream here begins with its least value, the bits of its symbols, and the few values too far out to be one.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from splat.compression.byte_reader import REMEDY, ByteReader
from splat.cuda_rasterizer.native import load
from splat.errors import InputError

MOST_BITS = 10
"""Of a symbol; values beyond 2^10 - 1 steps are stored apart."""
HEAD = "<iBI"
Whole = NDArray[np.int64]
Shifts = NDArray[np.uint8]


def pack(
    values: Whole,
    contexts: Whole | None = None,
    bucket: int = 0,
    shifts: Shifts | None = None,
    most_bits: int = MOST_BITS,
) -> bytes:
    """Whole numbers [N] as bytes.

    Args:
        contexts: [N], at least 0: something known before each value, on which its frequencies depend.
        bucket: where above 0, the value before is such a context as well, divided by this.
        shifts: [N] of each value's step: 2^shift; what comes before is compared in the common unit.
        most_bits: of a symbol.
    """
    low, bits = _window(values, most_bits)
    escape = (1 << bits) - 1
    symbols = values - low
    far = (symbols < 0) | (symbols >= escape)
    symbols[far] = escape
    codes = np.ascontiguousarray(symbols, dtype=np.uint16)
    stream = _Stream(codes, contexts, shifts, bits, low, bucket)
    out = np.empty(len(codes) * 3 + 16, dtype=np.uint8)
    size = load().encode_symbols(stream.native, out.ctypes.data, len(out))
    if size > len(out):
        out = np.empty(size, dtype=np.uint8)
        size = load().encode_symbols(stream.native, out.ctypes.data, len(out))
    head = struct.pack(HEAD, low, bits, int(far.sum()))
    return head + struct.pack("<I", size) + out[:size].tobytes() + values[far].astype("<i4").tobytes()


def unpack(
    reader: ByteReader, count: int, contexts: Whole | None = None, bucket: int = 0, shifts: Shifts | None = None
) -> Whole:  # [count]
    """The numbers again, from the same contexts, bucket and shifts.

    Raises:
        InputError: the stream is damaged.
    """
    low, bits, far = reader.unpack(HEAD, "a stream's header")
    (size,) = reader.unpack("<I", "a stream's size")
    data = np.frombuffer(reader.take(size, "a stream"), dtype=np.uint8)
    escapes = reader.array("<i4", (far,), "far values")
    if not 1 <= bits <= 16 or abs(low) > 1 << 30:
        raise InputError(f"{reader.name}: symbols of {bits} bits from {low} on cannot be. {REMEDY}")
    codes = np.empty(count, dtype=np.uint16)
    stream = _Stream(codes, contexts, shifts, bits, low, bucket)
    try:
        load().decode_symbols(stream.native, data.ctypes.data, size)
    except ValueError as error:
        raise InputError(f"{reader.name}: a stream cannot be read ({error}). {REMEDY}") from None
    values = codes.astype(np.int64) + low
    if far:
        place = codes == (1 << bits) - 1
        if int(place.sum()) != far:
            raise InputError(f"{reader.name}: {far} far values for {int(place.sum())} places. {REMEDY}")
        values[place] = escapes
    return values


class _Stream:
    """Arrays and what the native coder is told of them, kept alive together."""

    def __init__(
        self, codes: NDArray[np.uint16], contexts: Whole | None, shifts: Shifts | None, bits: int, low: int, bucket: int
    ) -> None:
        self.codes = codes
        self.contexts = None if contexts is None else np.ascontiguousarray(contexts, dtype=np.uint16)
        self.shifts = None if shifts is None else np.ascontiguousarray(shifts, dtype=np.uint8)
        number = 1 if contexts is None or not len(contexts) else int(contexts.max()) + 1
        addresses = [0 if array is None else array.ctypes.data for array in (self.codes, self.contexts, self.shifts)]
        self.native = load().Symbols(*addresses, len(codes), bits, number, low, bucket)


def _window(values: Whole, most_bits: int) -> tuple[int, int]:
    """Least value and bits of the symbols that hold nearly all values, with one symbol to spare."""
    if not len(values):
        return 0, 1
    low, high = int(values.min()), int(values.max())
    most = (1 << most_bits) - 2
    if high - low > most:
        middle = int(np.median(values))
        low = min(max(middle - most // 2, low), high - most)
        high = low + most
    return low, max(1, (high - low + 1).bit_length())
