"""Entropy coding by range asymmetric numeral systems (Duda 2013): symbols of known frequencies in, nearly their entropy out.

256 coders run side by side, symbol i in coder i modulo 256, so that numpy can write at a useful speed; all put their 16-bit
words into one stream, in the order in which a decoder that goes symbol by symbol asks for them.
"""

import numpy as np
from numpy.typing import NDArray

PRECISION = 14
"""Frequencies of the symbols of a model add up to 2 to this power."""
LANES = 256
LOWEST = 1 << 16
"""A state is from this to 2^32 - 1; whenever it would fall below, a word is read."""


def encode(starts: NDArray[np.uint32], frequencies: NDArray[np.uint32]) -> bytes:
    """States of all coders (32 bits each), then the words of 16 bits, little-endian.

    Args:
        starts: [T] for each symbol, the sum of the frequencies of those below it in its model.
        frequencies: [T] the symbol's own frequency, 1 to 2^PRECISION.
    """
    steps = -(-len(starts) // LANES)
    padding = steps * LANES - len(starts)
    start = np.pad(starts, (0, padding)).astype(np.uint64).reshape(steps, LANES)
    # A symbol that is certain changes nothing: what fills up the last step costs no bits.
    frequency = (
        np.pad(frequencies, (0, padding), constant_values=1 << PRECISION).astype(np.uint64).reshape(steps, LANES)
    )
    states = np.full(LANES, LOWEST, np.uint64)
    words: list[NDArray[np.uint16]] = []
    limit = frequency << np.uint64(32 - PRECISION)
    for step in range(steps - 1, -1, -1):  # what is written last is read first
        full = states >= limit[step]
        words.append((states[full] & np.uint64(0xFFFF)).astype("<u2"))
        states[full] >>= np.uint64(16)
        quotient, remainder = np.divmod(states, frequency[step])
        states = (quotient << np.uint64(PRECISION)) + remainder + start[step]
    return states.astype("<u4").tobytes() + b"".join(part.tobytes() for part in reversed(words))
