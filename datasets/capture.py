"""Capture: photos with their cameras and the sparse points triangulated from them, ready to train on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.images.cache import Photo, PhotoCache


@dataclass(frozen=True)
class Frame:
    """One photo and the camera that took it, without lens distortion, at the size that the photo is loaded with."""

    name: str  # as in the model, with its sub-folder
    camera: Camera
    photos: PhotoCache
    held_out: bool | None = None  # whether the capture itself says that this is a test view; None where it says nothing
    sparse: Tensor | None = None  # [K, 3] float32: pixel x, y and depth (world units) of the points that were seen here
    hidden: Literal["mask", "alpha"] | None = None  # why nothing of the photo is to be looked at, if nothing is

    @property
    def photo(self) -> Photo:
        """The pixels, decoded now unless they are in the cache."""
        return self.photos.photo(self.name)

    @property
    def image(self) -> Tensor:  # uint8 [H, W, 3]
        """Color of the pixels; see `Photo` for what else there may be."""
        return self.photo.image

    def to(self, device: torch.device | str) -> "Frame":
        """The same with the camera on another device. Photos stay where they are."""
        return replace(self, camera=self.camera.to(device))


@dataclass(frozen=True)
class Capture:
    """Frames in the order of their names, and its points."""

    path: Path
    frames: tuple[Frame, ...]
    points: Tensor  # [P, 3] float32, world units
    colors: Tensor  # [P, 3] uint8
    skipped: tuple[tuple[str, str], ...] = ()  # photos that could not be used: name, reason
    notes: tuple[str, ...] = ()  # what else a person should know

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def camera_positions(self) -> Tensor:  # [F, 3]
        """Centers of projection in world coordinates."""
        return torch.stack([frame.camera.position for frame in self.frames])

    @property
    def extent(self) -> float:
        """Radius of the scene in world units: 1.1 times the largest distance of a camera to their mean (Kerbl et al. 2023).
        A capture with one camera, or all in one place, has the distance to the points' median instead."""
        positions = self.camera_positions
        radius = float((positions - positions.mean(0)).norm(dim=1).max())
        if radius < 1e-6 and len(self.points):
            radius = float((self.points - positions.mean(0)).norm(dim=1).median())
        return 1.1 * max(radius, 1e-6)
