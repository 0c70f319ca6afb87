"""`splat photos`: find out where photos or a video were taken from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from splat.errors import InputError


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
    """Which photos are compared: all pairs, neighbors by name, or neighbors by GPS. auto: all pairs of up to 200 photos, a
    video's frames by order, more by GPS or by their numbers."""
    seed: int = 0
    """Seed of the random choices of structure from motion."""


def photos(options: PhotosOptions) -> None:
    """Find out where photos were taken from (structure from motion, by COLMAP), and write a capture to train on."""
    from splat.datasets.sfm.reconstruct import SfmOptions, reconstruct

    if options.frames < 3:
        raise InputError(f"--frames must be at least 3, got {options.frames}")
    settings = SfmOptions(options.frames, options.matching, options.seed, progress=True)
    done = reconstruct(options.source, options.out, settings)
    print(done.describe())
    print(f"train on it with: splat train {options.out} -o run --eval")
