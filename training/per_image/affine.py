"""Affine changes of color, matrices [3, 4]: color' = A[:, :3] color + A[:, 3]."""

import torch
from torch import Tensor

from splat.gaussians import SH_C0, Gaussians

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def identity(device: torch.device | str = "cpu") -> Tensor:  # [3, 4]
    """The change that changes nothing."""
    return torch.eye(3, 4, device=device)


def median_affine(affines: Tensor) -> Tensor:  # [3, 4]
    """The median of every number of many changes [N, 3, 4]: what most of them have in common."""
    return affines.median(dim=0).values


def relative_to(affines: Tensor, common: Tensor) -> Tensor:  # [..., 3, 4]
    """`affines` after the inverse of `common` [3, 4]: for colors that `common` has changed, they give what `affines` give for
    the original ones."""
    matrix = affines[..., :3] @ torch.linalg.inv(common[:, :3])
    shift = affines[..., 3] - matrix @ common[:, 3]
    return torch.cat([matrix, shift[..., None]], dim=-1)


def changed(gaussians: Gaussians, affine: Tensor) -> tuple[Tensor, Tensor]:  # [N, 3], [N, K, 3]
    """`sh0` and `sh_rest` of Gaussians after a change of their colors.

    The whole affine is done to the constant part, its linear part to the harmonics above.

    Args:
        affine: [3, 4], or [N, 3, 4] for one change per Gaussian.
    """
    matrix, shift = affine[..., :3], affine[..., 3]
    color = (matrix @ (SH_C0 * gaussians.sh0 + 0.5)[..., None])[..., 0] + shift
    return (color - 0.5) / SH_C0, gaussians.sh_rest @ matrix.transpose(-1, -2)


@torch.no_grad()
def change_colors(gaussians: Gaussians, affine: Tensor) -> None:
    """Change the colors of Gaussians in place, all by one affine [3, 4]."""
    sh0, sh_rest = changed(gaussians, affine)
    gaussians.sh0.copy_(sh0)
    gaussians.sh_rest.copy_(sh_rest)
