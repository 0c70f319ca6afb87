"""Smoothness of neighbors in a grid (Morgenstern et al. 2023, arXiv 2312.13299): trains a scene to be small when written.

The Gaussians lie in an image that is sorted by position, color and size (see `grid_order`). A Huber loss pulls what it is not
sorted by, opacities and rotations, toward a blurred version of the image: where the photos do not mind, neighbors become
alike, and the planes of a `.sog` written with `--order grid` compress better.
"""

import math
from typing import Any

import torch
from torch import Tensor

from splat.compression.formats.sog import grid_order as grids
from splat.compression.formats.sog.grid_order import grid_order, grid_size
from splat.gaussians import Gaussians

OPACITY, ROTATION = 1.0, 10.0
"""Weights of the attributes, as published; of those that the grid is sorted by it is zero."""
BLUR = [math.exp(-(offset**2) / (2 * 3.0**2)) for offset in (1, 2)]
"""Weights of a blur by a sigma of 3 pixels, cut off at 5 x 5, as published: of neighbors, where a pixel itself has 1."""
EVERY = 4
"""The term is added in every so many iterations, so many times as strong: it changes slowly, and takes 8 ms with 50,000
Gaussians on one core, half of a step on small photos."""
SORT_EVERY = 1000
"""Iterations after which a grid is sorted again though no Gaussian has come or gone."""
PASSES = 2
"""Of the sorting after an edit: the next edit is near."""


class GridSmoothness:
    """The term of the loss, and the grid that it is about. An edit of the set of Gaussians makes the next call sort anew.

    Args:
        weight: of the term.
    """

    def __init__(self, weight: float, seed: int = 0) -> None:
        self.weight, self.seed = weight, seed
        self.order: Tensor | None = None  # [N] the Gaussian of every pixel
        self.sorted_at = 0  # iteration
        self.last: Tensor | None = None  # what the term was, without its weight

    def __call__(self, gaussians: Gaussians, iteration: int) -> Tensor | None:
        """The term to add in this iteration, if any."""
        if iteration % EVERY:
            return None
        edited = self.order is None
        if edited or iteration - self.sorted_at >= SORT_EVERY:
            self.order = grid_order(gaussians.detach(), self.seed, passes=PASSES if edited else grids.PASSES)
            self.sorted_at = iteration
        assert self.order is not None
        term = grid_smoothness_loss(gaussians, self.order)
        self.last = term.detach()
        return EVERY * self.weight * term

    def forget(self) -> None:
        """Rows are no longer those that were sorted."""
        self.order = None

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "sorted_at": self.sorted_at}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        self.order = None if state["order"] is None else state["order"].to(device)
        self.sorted_at = int(state["sorted_at"])


def grid_smoothness_loss(gaussians: Gaussians, order: Tensor) -> Tensor:
    """The weighted mean Huber loss (delta 1) between opacities (0 to 1) and unit quaternions, and what the pixels around them
    have on average.

    Args:
        order: [N] the Gaussian of every pixel of the grid, row by row.
    """
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)
    unit = unit * torch.where(unit[:, :1].detach() < 0, -1.0, 1.0)  # q and -q are one rotation
    values = torch.cat([gaussians.opacities[:, None], unit], dim=1).index_select(0, order)  # [N, 5]
    difference = torch.nn.functional.huber_loss(values, blurred(values), reduction="none").mean(dim=0)
    return OPACITY * difference[0] + ROTATION * difference[1:].mean()


class _Blur(torch.autograd.Function):
    """Sums of an image [C, H, W] by the weights of a Gaussian, nothing beyond its ends. It is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, image: Tensor) -> Tensor:
        for dim in (1, 2):
            total = image.clone()
            for offset, weight in enumerate(BLUR, start=1):
                length = image.shape[dim] - offset
                total.narrow(dim, offset, length).add_(image.narrow(dim, 0, length), alpha=weight)
                total.narrow(dim, 0, length).add_(image.narrow(dim, offset, length), alpha=weight)
            image = total
        return image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Blur.forward(ctx, gradient)


def blurred(pixels: Tensor) -> Tensor:  # [N, C]
    """Weighted means of the 5 x 5 pixels around each; what lies outside of the grid, or is left over, does not count."""
    count, channels = pixels.shape
    height, width = grid_size(count)
    image = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1)
    image = torch.nn.functional.pad(image, (0, 0, 0, height * width - count)).T.reshape(channels + 1, height, width)
    sums = _Blur.apply(image).flatten(1)[:, :count].T
    return sums[:, :-1] / sums[:, -1:]
