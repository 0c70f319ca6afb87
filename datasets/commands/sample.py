"""`splat sample`: a small ray-traced capture to try everything on."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from splat.errors import InputError
from splat.io.parsing import parse_resolution


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

    width, height = parse_resolution("--size", options.size, 16, 4096, "480x320")
    if not 2 <= options.views <= 1000:
        raise InputError(f"--views must be 2 to 1000, got {options.views}")
    out = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; choose another name")
    points = write_sample(out, width, height, options.views, options.seed, progress=True)
    print(f"{options.views} photos of {options.size} pixels and {points:,} points -> {out}")
    print(f"train on it with: splat train {out} -o run --iterations 2000 --eval")
