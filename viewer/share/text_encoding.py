"""Bytes as text inside a page, seven bits in a character: a seventh more, where base64 takes a third.

HTML keeps every ASCII character inside a script but NUL and carriage return, and `<` could end the script. In place of one
of these and the seven bits after it stands a character of U+0080 to U+01FF, which takes two bytes in UTF-8 as the two would.
"""

import numpy as np

SPECIAL = (0x00, 0x0D, 0x3C)


def encode(content: bytes) -> bytes:
    """UTF-8 text for any bytes; what fills up the last character is zero."""
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    sevens = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    symbols = np.packbits(sevens, axis=1)[:, 0] >> 1
    special = np.full(128, -1)
    special[list(SPECIAL)] = range(len(SPECIAL))
    kind = special[symbols]
    out, start = [], 0
    for at in np.flatnonzero(kind >= 0).tolist():
        if at < start:  # already told with the one before
            continue
        following = int(symbols[at + 1]) if at + 1 < len(symbols) else 0
        out += [symbols[start:at].tobytes(), chr(128 * (1 + int(kind[at])) + following).encode()]
        start = at + 2
    return b"".join([*out, symbols[start:].tobytes()])
