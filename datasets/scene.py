"""Scene: a capture in memory. Photos with their cameras, and the sparse points that were triangulated from them."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splat.cameras import Camera


@dataclass(frozen=True)
class Frame:
    """One photo and the camera that took it, without lens distortion, at the size of the photo in memory."""

    name: str  # as in the model, with its sub-folder
    camera: Camera
    image: Tensor  # uint8 [H, W, 3]

    def to(self, device: torch.device | str) -> "Frame":
        return Frame(self.name, self.camera.to(device), self.image.to(device))


@dataclass(frozen=True)
class Scene:
    """A capture: its frames in the order of their names, and its points."""

    path: Path
    frames: tuple[Frame, ...]
    points: Tensor  # [P, 3] float32, world units
    colors: Tensor  # [P, 3] uint8
    skipped: tuple[tuple[str, str], ...] = ()  # photos that could not be used: name, reason

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def camera_positions(self) -> Tensor:  # [F, 3]
        """Centres of projection in world coordinates."""
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
