"""A scene that must not be larger than so much: what is given up first, and what it was.

First a smaller palette of harmonics, then fewer degrees of them, and at last the Gaussians that are seen least.
"""

from dataclasses import dataclass

from splat.compression.formats.sog.codes import palette_size
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.viewer.share import text_encoding
from splat.viewer.share.payload import encode

SMALLEST_PALETTE = 256
NUMBER_BITS = 6.5
"""Of a number in the palette, about, after coding."""
FEWEST = 100
"""Gaussians; a scene of fewer shows nothing."""


@dataclass(frozen=True)
class Fitted:
    """A payload, and what was given up for it, in words."""

    payload: bytes
    given_up: tuple[str, ...]


def fit(gaussians: Gaussians, limit: int, antialiased: bool = False, seed: int = 0) -> Fitted:
    """The payload for as much of a scene as fits into `limit` bytes of the page's text.

    Raises:
        InputError: not even a hundred Gaussians fit.
    """
    plain = gaussians.with_sh_degree(0)
    bare = encode(plain, antialiased, seed=seed)
    left = limit - text_size(bare)
    if left >= 0:
        most = palette_size(len(gaussians))
        for degree in range(gaussians.sh_degree, 0, -1):
            palette = most
            while palette >= SMALLEST_PALETTE:
                bases = (degree + 1) ** 2 - 1
                bits = len(gaussians) * palette.bit_length() + palette * 3 * bases * NUMBER_BITS
                if bits / 7 <= left:
                    payload = encode(gaussians.with_sh_degree(degree), antialiased, palette, seed)
                    if text_size(payload) <= limit:
                        return Fitted(payload, _given_up(gaussians, len(gaussians), degree, palette, most))
                palette //= 2
        return Fitted(bare, _given_up(gaussians, len(gaussians), 0, 0, 0))
    order = (plain.opacities * plain.scales.sort(dim=1).values[:, 1:].prod(dim=1)).argsort(descending=True)
    count = len(plain)
    while text_size(bare) > limit:
        count = int(0.99 * count * limit / text_size(bare))
        if count < FEWEST:
            raise InputError(f"`max_bytes`: less than {FEWEST} Gaussians would fit; allow more")
        bare = encode(plain[order[:count].sort().values], antialiased, seed=seed)
    return Fitted(bare, _given_up(gaussians, count, 0, 0, 0))


def text_size(payload: bytes) -> int:
    """Bytes of a payload in a page."""
    return len(text_encoding.encode(payload))


def _given_up(gaussians: Gaussians, count: int, degree: int, palette: int, most: int) -> tuple[str, ...]:
    notes = []
    if degree and palette < most:
        notes.append(f"a palette of {palette:,} harmonics instead of {most:,}")
    if degree < gaussians.sh_degree:
        notes.append(f"harmonics of degree {degree} instead of {gaussians.sh_degree}")
    if count < len(gaussians):
        notes.append(f"the {len(gaussians) - count:,} least visible of {len(gaussians):,} Gaussians left out")
    return tuple(notes)
