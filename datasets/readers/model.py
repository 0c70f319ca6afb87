"""What any kind of capture says: posed photos with their lenses, and points. Readers make it, load.py uses it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap

from splat.errors import InputError
from splat.io.ply import PointCloud
from splat.io.wording import number_of, was

PARALLAX = 1.0
"""Degrees between the directions from which two photos show a point for them to say that it is there."""
SAMPLED = 2000, 1000
"""Points and photos that are enough to see whether they belong together."""


@dataclass(frozen=True)
class PosedImage:
    """What a capture says of one photo."""

    name: str
    camera: pycolmap.Camera  # any COLMAP model, with its distortion
    viewmat: np.ndarray  # [4, 4] world to camera, OpenCV axes
    path: Path | None = None  # its file, where the reader has found it; else it is looked for in the photos' folder
    mask: str | None = None  # its mask, as the capture names it; else it is looked for in the masks' folder
    depth: str | None = None  # the same for its depth map
    held_out: bool | None = None  # whether the capture names it as a test view
    observed: np.ndarray | None = None  # [K] rows of the model's points that were seen in this photo


@dataclass(frozen=True)
class Model:
    """Posed photos in the order of their names, and points."""

    source: Path  # folder or file that this was read from
    images: list[PosedImage]
    points: np.ndarray  # [P, 3]
    colors: np.ndarray  # [P, 3] uint8
    skipped: list[tuple[str, str]] = field(default_factory=list)  # photos that cannot be used: name, reason
    notes: tuple[str, ...] = ()  # what was ignored, replaced or guessed: a sentence each, with its count
    missing: tuple[str, ...] = ()  # photos whose files the reader did not find
    unposed: tuple[tuple[str, str], ...] = ()  # photos that were not placed, or taken out on purpose: name, reason

    @property
    def count(self) -> int:
        """All photos of the model, of use or not."""
        return len(self.images) + len(self.skipped) + len(self.missing) + len(self.unposed)


def read_bytes(path: Path) -> bytes:
    """A whole file of a model.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def lost_points(path: Path, cloud: PointCloud) -> list[str]:
    """A sentence on points of a file that were left out, if any were."""
    if not cloud.lost:
        return []
    return [
        f"{path}: {number_of(cloud.lost, 'point')} of {len(cloud) + cloud.lost:,} {was(cloud.lost)} left out: not finite"
    ]


def seen_fraction(points: np.ndarray, images: Sequence[PosedImage]) -> float:
    """The fraction of points [P, 3] that two photos show from different sides, lens distortion aside, of a sample of both.

    A cloud in other coordinates may lie in a photo as a whole, but far away, where all photos see it from one side. Where all
    cameras stand in one place, the fraction of points that any shows.
    """
    points, images = points[:: max(1, len(points) // SAMPLED[0])], images[:: max(1, len(images) // SAMPLED[1])]
    centers = [-image.viewmat[:3, :3].T @ image.viewmat[:3, 3] for image in images]
    turning = bool(centers) and not np.ptp(centers, axis=0).any()
    first = np.zeros_like(points, dtype=np.float64)  # direction to the first camera that sees a point
    once, seen = np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
    for image, center in zip(images, centers, strict=True):
        shown = ~np.isnan(depths_in_view(image, points))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            toward = (center - points) / np.linalg.norm(center - points, axis=1, keepdims=True)
            seen |= shown & once & ((toward * first).sum(axis=1) < math.cos(math.radians(PARALLAX)))
        new = shown & ~once
        first[new], once = toward[new], once | shown
    return float((once if turning else seen).mean()) if len(points) else 0.0


def depths_in_view(image: PosedImage, points: np.ndarray) -> np.ndarray:  # [P]
    """Depths of points [P, 3], not a number for those that do not lie in the photo, its lens distortion aside."""
    local = points @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
    K, size = image.camera.calibration_matrix(), (image.camera.width, image.camera.height)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        place = local[:, :2] / local[:, 2:] * (K[0, 0], K[1, 1]) + K[:2, 2]
        seen = (local[:, 2] > 0) & ((place >= 0) & (place <= size)).all(axis=1)
    return np.where(seen, local[:, 2], np.nan)
