"""Bilateral grids: a change of color per photo that depends on place and brightness (Wang et al. 2024, Bilateral Guided
Radiance Field Processing). They model vignetting, tone mapping and local edits, which one matrix cannot."""

import torch
from torch import Tensor

from splat.training.per_image.affine import LUMA, identity
from splat.training.per_image.parameters import PerPhoto

GRID_X, GRID_Y, GRID_LUMA = 16, 16, 8
RATE, FINAL_RATE = 5e-4, 5e-6
PUBLISHED_VISITS = 150
RATE_MAX = 2e-2
"""As for exposures, photos that are used less need larger steps. A quarter of the published rates: what all of a photo
shares is left to exposures here, and faster grids take up what the scene should learn."""
HOLD = 0.005
"""Weight of the mean absolute difference from no change, summed over the twelve numbers."""


class BilateralGrids:
    """One grid [12, GRID_LUMA, GRID_Y, GRID_X] of affine color changes [3, 4] per photo.

    Args:
        visits: how often the run will use each photo.
        tv_weight: weight of the squared differences between neighboring cells.
    """

    def __init__(self, photos: int, visits: float, tv_weight: float, device: torch.device) -> None:
        rate = min(RATE_MAX, RATE * max(1.0, PUBLISHED_VISITS / visits))
        self.rows = PerPhoto(identity_grid(device).repeat(photos, 1, 1, 1, 1), rate, rate * FINAL_RATE / RATE)
        self.tv_weight = tv_weight

    def apply(self, grid: Tensor, rgb: Tensor) -> Tensor:
        """The render as the photo shows it."""
        return slice_grid(grid, rgb)

    def regularization(self, grid: Tensor) -> Tensor:
        """Term of the loss for one photo's grid."""
        change = (grid - identity_grid(grid.device)).abs().mean(dim=(1, 2, 3)).sum()
        return self.tv_weight * total_variation(grid) + HOLD * change


def identity_grid(device: torch.device | str = "cpu") -> Tensor:  # [12, GRID_LUMA, GRID_Y, GRID_X]
    """The grid that changes nothing."""
    return identity(device).flatten()[:, None, None, None].repeat(1, GRID_LUMA, GRID_Y, GRID_X)


def slice_grid(grid: Tensor, rgb: Tensor) -> Tensor:  # [H, W, 3]
    """Every pixel changed by the affine that the grid has at its place and brightness, interpolated linearly.

    Args:
        grid: [12, luma, y, x].
        rgb: [H, W, 3]; brightness is taken from it without a gradient through the place in the grid.
    """
    height, width = rgb.shape[:2]
    x = (torch.arange(width, device=rgb.device) + 0.5) / width * 2 - 1
    y = (torch.arange(height, device=rgb.device) + 0.5) / height * 2 - 1
    luma = (rgb.detach() @ rgb.new_tensor(LUMA)).clamp(0, 1) * 2 - 1
    place = torch.stack([x.expand(height, width), y[:, None].expand(height, width), luma], dim=-1)
    # Cells are at the ends of the range: align_corners.
    affine = torch.nn.functional.grid_sample(
        grid[None], place[None, None], mode="bilinear", padding_mode="border", align_corners=True
    )[0, :, 0]  # [12, H, W]
    red, green, blue = rgb.unbind(-1)
    rows = (
        affine[4 * i] * red + affine[4 * i + 1] * green + affine[4 * i + 2] * blue + affine[4 * i + 3] for i in range(3)
    )
    return torch.stack(list(rows), dim=-1)


def total_variation(grid: Tensor) -> Tensor:
    """Mean squared difference between neighbors along every axis of a grid [..., luma, y, x]."""
    return sum((grid.diff(dim=axis).square().mean() for axis in (-1, -2, -3)), start=grid.new_zeros(()))
