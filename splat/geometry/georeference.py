"""Georeference: where a scene's own coordinates lie in those of its capture.

Captures may be in meters of a map (UTM: millions) or in any other unit. Gaussians, cameras and kernels are float32, which
holds seven digits: near such an origin a scene would lie on steps of half a meter. So a capture is moved and scaled in
double precision when it is loaded, and what was done is kept with the results (`splat.io.georeference_file`).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.similarity import Similarity

UNTURNED = 1e-12
"""Entries of a rotation differ by so much from the identity's where moves were put together that do not turn."""


@dataclass(frozen=True)
class Georeference:
    """capture = unit * local + offset, per coordinate, without a turn."""

    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # the local origin, in the capture's coordinates
    unit: float = 1.0  # one local unit, in the capture's units

    def __post_init__(self) -> None:
        if len(self.offset) != 3 or not all(math.isfinite(value) for value in self.offset):
            raise ValueError(f"Georeference: offset must be three finite numbers, got {self.offset}")
        if not (math.isfinite(self.unit) and self.unit > 0):
            raise ValueError(f"Georeference: unit must be positive, got {self.unit}")

    @property
    def is_identity(self) -> bool:
        return self == Georeference()

    def to_local(self, points: np.ndarray) -> np.ndarray:  # [..., 3] float64
        """Positions in the capture's coordinates as local ones."""
        return (np.asarray(points, dtype=np.float64) - np.array(self.offset)) / self.unit

    def to_capture(self, points: Tensor) -> Tensor:  # [..., 3] float64
        """Local positions in the capture's coordinates."""
        return points.double() * self.unit + torch.tensor(self.offset, dtype=torch.float64, device=points.device)

    def local_viewmat(self, viewmat: np.ndarray) -> np.ndarray:  # [4, 4] float64
        """World-to-camera of the capture as that of the local world: depths are in local units."""
        local = np.array(viewmat, dtype=np.float64)
        local[:3, 3] = (local[:3, 3] + local[:3, :3] @ np.array(self.offset)) / self.unit
        return local

    def scaled(self, gaussians: Gaussians) -> Gaussians:
        """A local scene in the capture's unit, its origin still the local one."""
        if self.unit == 1:
            return gaussians
        return Similarity(torch.eye(3), torch.zeros(3), self.unit).gaussians(gaussians)

    @property
    def placement(self) -> Similarity:
        """The map from local positions to the capture's."""
        return Similarity(torch.eye(3), torch.tensor(self.offset, dtype=torch.float64), self.unit)

    def after(self, move: Similarity) -> "Georeference | None":
        """Where local coordinates lie once the scene in them was moved and scaled; None if it was turned, too."""
        if (move.rotation - torch.eye(3, dtype=torch.float64)).abs().max() > UNTURNED:
            return None
        unit = self.unit / move.scale
        x, y, z = (torch.tensor(self.offset, dtype=torch.float64) - unit * move.translation).tolist()
        return Georeference((x, y, z), unit)

    def describe(self) -> str:
        """In words: the sentence that is said after loading."""
        said = []
        if any(self.offset):
            said.append("moved by " + ", ".join(f"{-value:.15g}" for value in self.offset))
        if self.unit != 1:
            said.append(f"scaled by {1 / self.unit:g}")
        return " and ".join(said) or "as they are in the capture"


IDENTITY = Georeference()
