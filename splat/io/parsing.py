"""What people write for sizes of images and of files, as numbers. An error names the parameter as the caller calls it."""

import re

from splat.errors import InputError

UNITS = " kmgt"
"""Powers of 1000, or of 1024 with an i behind."""


def parse_bytes(parameter: str, text: str, example: str = "500MB or 4GB") -> int:
    """500MB, 4GB or 4GiB as bytes.

    Raises:
        InputError: it is none of these, or not positive.
    """
    match = re.fullmatch(rf"(\d{{1,18}}(?:\.\d+)?)\s*([{UNITS.strip()}]?)(i?)b?", text.strip().lower())
    size = int(float(match[1]) * (1024 if match[3] else 1000) ** UNITS.index(match[2] or " ")) if match else 0
    if size <= 0:
        raise InputError(f"{parameter} must be a size such as {example}, got {text!r}")
    return size


def parse_resolution(
    parameter: str, text: str, least: int = 1, most: int = 16384, example: str = "1280x720"
) -> tuple[int, int]:
    """WIDTHxHEIGHT as pixels.

    Raises:
        InputError: it is not of this form, or a side is not `least` to `most` pixels long.
    """
    match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if match is None or not (least <= width <= most and least <= height <= most):
        raise InputError(f"{parameter} must look like {example}, with sides of {least} to {most} pixels, got {text!r}")
    return width, height
