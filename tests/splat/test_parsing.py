"""Sizes of images and files as people write them."""

import pytest

from splat.errors import InputError
from splat.io.parsing import parse_bytes, parse_resolution


@pytest.mark.parametrize(
    ("text", "size"),
    [("4000000000", 4 * 10**9), ("500MB", 5 * 10**8), ("1.5 MiB", 1_572_864), ("2g", 2 * 10**9), ("1TB", 10**12)],
)
def test_bytes(text, size):
    assert parse_bytes("size", text) == size


@pytest.mark.parametrize("text", ["", "much", "0MB", "-1MB", "1PB", "9" * 400])
def test_no_bytes(text):
    with pytest.raises(InputError, match="size must be a size such as 8MB, got"):
        parse_bytes("size", text, "8MB")


def test_resolution():
    assert parse_resolution("resolution", "1280x720") == (1280, 720)
    assert parse_resolution("resolution", "16X4096", 16, 4096) == (16, 4096)


@pytest.mark.parametrize("text", ["", "big", "12x", "0x5", "15x100", "5000x100", "100x100x100", "9" * 400 + "x1"])
def test_no_resolution(text):
    with pytest.raises(InputError, match="resolution must look like 480x320, with sides of 16 to 4096 pixels, got"):
        parse_resolution("resolution", text, 16, 4096, "480x320")
