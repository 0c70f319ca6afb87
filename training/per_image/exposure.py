"""Exposure: an affine change of color per photo, as cameras make by themselves (brightness, white balance)."""

import torch
from torch import Tensor

from splat.training.per_image.affine import identity, median_affine, relative_to
from splat.training.per_image.parameters import PerPhoto

RATE, FINAL_RATE = 1e-2, 1e-3
PUBLISHED_VISITS = 150
RATE_MAX = 5e-2
"""The rates suit photos that are used so many times; where they are used less, larger steps must do (Kerbl et al. 2024)."""
HOLD = 0.005
"""Weight of the sum of absolute differences from no change. Where photos cannot tell, the majority keeps its colors."""
BESIDE_GAINS = 0.1
"""Steps of the other numbers beside those of the diagonal. What cameras change is mostly the gain of each channel; where a
brighter photo can as well be explained by adding white to it, the gains shall be first."""


class Exposures:
    """One matrix [3, 4] per photo: color' = A[:, :3] color + A[:, 3].

    A row is what differs from the identity, in steps of each number.

    Args:
        visits: how often the run will use each photo.
    """

    def __init__(self, photos: int, visits: float, device: torch.device) -> None:
        rate = min(RATE_MAX, RATE * max(1.0, PUBLISHED_VISITS / visits))
        self.rows = PerPhoto(torch.zeros(photos, 3, 4, device=device), rate, rate * FINAL_RATE / RATE)
        self.identity = identity(device)
        self.steps = torch.where(self.identity > 0, 1.0, BESIDE_GAINS)

    def matrix(self, row: Tensor) -> Tensor:  # [..., 3, 4]
        """The affine change that a photo's row, or many, stand for."""
        return self.identity + self.steps * row

    def apply(self, row: Tensor, rgb: Tensor) -> Tensor:  # [H, W, 3]
        """The render as the photo's camera would have recorded it.

        Args:
            row: [3, 4] of the photo.
            rgb: [H, W, 3].
        """
        matrix = self.matrix(row)
        return rgb @ matrix[:, :3].T + matrix[:, 3]

    @torch.no_grad()
    def recenter(self) -> Tensor:  # [3, 4]
        """Take out of all matrices what is common to most of them, and return it: it must be done to the scene.

        Photos cannot tell a darker scene from shorter exposures. So the scene has the colors of most photos.
        """
        matrices = self.matrix(self.rows.values)
        common = median_affine(matrices)
        self.rows.values.copy_((relative_to(matrices, common) - self.identity) / self.steps)
        return common

    def regularization(self, row: Tensor) -> Tensor:
        """Term of the loss for one photo's row."""
        return HOLD * (self.steps * row).abs().sum()
