"""Exposure: an affine change of colour per photo, as cameras make by themselves (brightness, white balance)."""

import torch
from torch import Tensor

from splat.training.per_photo import PerPhoto

RATE, FINAL_RATE = 1e-2, 1e-3
PUBLISHED_VISITS = 150
RATE_MAX = 5e-2
"""The rates suit photos that are used so many times; where they are used less, larger steps must do (Kerbl et al. 2024)."""
HOLD = 0.02
"""Weight of the mean absolute difference from no change. Absolute, so that the majority of photos keeps its colours and the
scene with them: nothing else says which of all photos are right."""


class Exposures:
    """One matrix [3, 4] per photo: colour' = A[:, :3] colour + A[:, 3].

    Args:
        visits: how often the run will use each photo.
    """

    def __init__(self, photos: int, visits: float, device: torch.device) -> None:
        identity = torch.eye(3, 4, device=device)
        rate = min(RATE_MAX, RATE * max(1.0, PUBLISHED_VISITS / visits))
        self.rows = PerPhoto(identity.repeat(photos, 1, 1), rate, rate * FINAL_RATE / RATE)

    def apply(self, matrix: Tensor, rgb: Tensor) -> Tensor:  # [H, W, 3]
        """The render as the photo's camera would have recorded it.

        Args:
            matrix: [3, 4] of the photo.
            rgb: [H, W, 3].
        """
        return rgb @ matrix[:, :3].T + matrix[:, 3]

    def regularization(self, matrix: Tensor) -> Tensor:
        """Term of the loss for one photo's matrix."""
        return HOLD * (matrix - torch.eye(3, 4, device=matrix.device)).abs().mean()
