"""Capture: photos with their cameras and the sparse points triangulated from them, ready to train on.

Cameras and points are in local coordinates, which are the capture's own unless those do not fit into float32.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.images.cache import Photo, PhotoCache
from splat.geometry.georeference import IDENTITY, Georeference
from splat.geometry.scene_size import camera_extent


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
    source: Path | None = None  # the model that this was read from
    georeference: Georeference = IDENTITY  # where the coordinates of cameras and points lie in the capture's own

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def camera_positions(self) -> Tensor:  # [F, 3]
        """Centers of projection in world coordinates."""
        return torch.stack([frame.camera.position for frame in self.frames])

    @property
    def extent(self) -> float:
        """Radius of the scene in world units, by which positions are judged: see `camera_extent`."""
        return camera_extent(self.camera_positions, self.points)
