"""`splat sample`: a small ray-traced capture to try everything on."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from splat.errors import InputError


@dataclass(frozen=True)
class SampleOptions:
    """Options of `splat sample`."""

    out: tyro.conf.Positional[Path]
    """Folder to write; must be empty or new."""
    size: str = "480x320"
    """WIDTHxHEIGHT of the photos in pixels."""
    views: int = 40
    """Number of photos, all around the scene at two heights."""
    seed: int = 0
    """Seed of the sparse points and of their noise."""


def sample(options: SampleOptions) -> None:
    """Make a small ray-traced capture to try everything on: photos and a COLMAP model with points and tracks."""
    from splat.datasets.sample.sample_capture import write_sample

    match = re.fullmatch(r"(\d+)[xX](\d+)", options.size)
    if not match or not (16 <= int(match[1]) <= 4096 and 16 <= int(match[2]) <= 4096):
        raise InputError(f"--size must look like 480x320, with sides of 16 to 4096 pixels, got {options.size!r}")
    if not 2 <= options.views <= 1000:
        raise InputError(f"--views must be 2 to 1000, got {options.views}")
    out = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; choose another name")
    points = write_sample(out, int(match[1]), int(match[2]), options.views, options.seed, progress=sys.stderr.isatty())
    print(f"{options.views} photos of {options.size} pixels and {points:,} points -> {out}")
    print(f"train on it with: splat train {out} -o run --iterations 2000 --eval")
