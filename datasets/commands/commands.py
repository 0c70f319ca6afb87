"""The verbs of captures: `splat sample`, `splat photos`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from splat.errors import InputError
from splat.parsing import parse_resolution


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
    points = write_sample(out, width, height, options.views, options.seed, progress=sys.stderr.isatty())
    print(f"{options.views} photos of {options.size} pixels and {points:,} points -> {out}")
    print(f"train on it with: splat train {out} -o run --iterations 2000 --eval")


@dataclass(frozen=True)
class PhotosOptions:
    """Options of `splat photos`."""

    source: tyro.conf.Positional[Path]
    """Folder of photos (or with images/ and masks/ in it), or a video."""
    out: tyro.conf.Positional[Path]
    """Folder to write the capture into; must be empty or new."""
    frames: int = 150
    """Of a video: about how many frames to take, the sharpest of as many stretches."""
    matching: Literal["auto", "exhaustive", "sequential", "spatial"] = "auto"
    """Which photos are compared: all pairs, neighbours by name, or neighbours by GPS. auto: all pairs of up to 200 photos, a
    video's frames by order, more by GPS or by their numbers."""
    seed: int = 0
    """Seed of the random choices of structure from motion."""


def photos(options: PhotosOptions) -> None:
    """Find out where photos were taken from (structure from motion, by COLMAP), and write a capture to train on."""
    from splat.datasets.sfm.reconstruct import SfmOptions, reconstruct

    if options.frames < 3:
        raise InputError(f"--frames must be at least 3, got {options.frames}")
    settings = SfmOptions(options.frames, options.matching, options.seed, progress=sys.stderr.isatty())
    done = reconstruct(options.source, options.out, settings)
    print(done.describe())
    print(f"train on it with: splat train {options.out} -o run --eval")
