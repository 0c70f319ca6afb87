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
    """Folder to write the capture into; must be empty, new, or hold the unfinished work of the same command, which goes on."""
    frames: int = 150
    """Of a video: about how many frames to take, the sharpest of as many stretches."""
    matching: Literal["auto", "exhaustive", "sequential", "spatial", "retrieval"] = "auto"
    """Which photos are compared: all pairs, neighbors by name, neighbors by GPS, or photos that look alike. auto: all pairs of
    up to 100 photos; else photos that look alike, and neighbors by name where names are numbered and by GPS where it is
    there."""
    mapper: Literal["auto", "global", "incremental"] = "auto"
    """How poses are found: all at once, or photo after photo, which is slow for hundreds of photos. auto: all at once from 60
    photos on, and the other way where few photos find their place, or, of up to 150, some the wrong one."""
    cameras: Literal["auto", "size", "photo"] = "auto"
    """Photos whose EXIF does not name their camera and focal length: those of one size share a camera, or each photo has its
    own. auto: by the focal lengths that the matches tell."""
    invert_masks: bool = False
    """Masks are white where they hide; else they are black there."""
    overwrite: bool = False
    """Start over where OUT holds an earlier capture, or unfinished work, of this command."""
    seed: int = 0
    """Seed of the random choices of structure from motion. Runs still differ a little: its threads do not end in one order."""


def photos(options: PhotosOptions) -> None:
    """Find out where photos were taken from (structure from motion, by COLMAP), and write a capture to train on."""
    from splat.datasets.sfm.reconstruct import SfmOptions, reconstruct

    if options.frames < 3:
        raise InputError(f"--frames must be at least 3, got {options.frames}")
    settings = SfmOptions(
        options.frames,
        options.matching,
        options.mapper,
        options.cameras,
        options.seed,
        progress=True,
        overwrite=options.overwrite,
        invert_masks=options.invert_masks,
    )
    done = reconstruct(options.source, options.out, settings)
    print(done.describe())
    print(f"train on it with: splat train {options.out} -o run --eval")
