"""Retouching: a person edits the picture of one view, and the edit is lifted to the whole scene (Wang et al. 2024, Bilateral
Guided Radiance Field Processing, section 4.3).

A 4D bilateral grid over place and brightness, of low rank (a sum of products of four vectors per entry), holds an affine
change of color. It is fitted so that the scene's Gaussians, changed by it, look like the edited picture; being smooth, it
carries the edit on to what the view does not show. Then it is baked into the colors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.image_metrics import psnr
from splat.render import render
from splat.settings import RenderSettings
from splat.training.per_image.affine import LUMA, changed

SHAPE = (16, 16, 16, 8)
"""Cells along x, y, z and brightness."""
RANK = 5
STEPS = 600
RATE, FINAL_RATE = 1e-2, 5e-4
TV_WEIGHT = 0.3
SPREAD = (0.02, 0.98)
"""Quantiles of the positions between which the grid lies; what is beyond takes the nearest cell."""
SAME_VIEW = 0.55
"""Least correlation of edges of pictures of one view: 0.7 to 1 after strong edits of colors, 0.5 at most for neighboring
photos of real captures."""


@dataclass(frozen=True)
class Grid4D:
    """An affine change of color [3, 4] for every place and brightness, as a sum over `RANK` products of factors."""

    factors: tuple[Tensor, ...]  # [RANK, 12, cells] along x, y, z and brightness
    low: Tensor  # [3] world units
    high: Tensor  # [3]

    @classmethod
    def identity(cls, means: Tensor, generator: torch.Generator) -> "Grid4D":
        """The grid around Gaussians that changes nothing; small noise lets the factors learn."""
        low, high = (means.quantile(q, dim=0) if len(means) < 1 << 20 else _quantile(means, q) for q in SPREAD)
        factors = []
        for axis, cells in enumerate(SHAPE):
            noise = 0.1 * torch.randn(RANK, 12, cells, generator=generator).to(means)
            factors.append(noise if axis < 3 else 0 * noise)
        return cls(tuple(factors), low, torch.maximum(high, low + 1e-6))

    def __call__(self, places: Tensor, luma: Tensor) -> Tensor:  # [N, 3, 4]
        """The change at places ([N, 3], world units) of a brightness ([N], 0 to 1)."""
        unit = ((places - self.low) / (self.high - self.low)).clamp(0, 1)
        product = torch.ones((), device=places.device)
        for axis, factor in enumerate(self.factors):
            position = luma.clamp(0, 1) if axis == 3 else unit[:, axis]
            product = product * _interpolate(factor, position)
        identity = torch.eye(3, 4, device=places.device)
        return identity + product.sum(0).T.reshape(-1, 3, 4)

    def total_variation(self) -> Tensor:
        return sum((factor.diff(dim=-1).square().mean() for factor in self.factors), start=self.low.new_zeros(()))


def _quantile(values: Tensor, q: float) -> Tensor:  # [3] from [N, 3]; torch's own takes at most 16 million values
    return values[:: max(1, len(values) >> 19)].quantile(q, dim=0)


def _interpolate(factor: Tensor, position: Tensor) -> Tensor:  # [RANK, 12, N] from [RANK, 12, cells] and [N]
    cell = position * (factor.shape[-1] - 1)
    left = cell.floor().long().clamp(0, factor.shape[-1] - 2)
    fraction = cell - left
    return factor[..., left] * (1 - fraction) + factor[..., left + 1] * fraction


def changed_colors(gaussians: Gaussians, grid: Grid4D) -> Gaussians:
    """The Gaussians with the change of each one's place and brightness baked into its colors."""
    luma = (SH_C0 * gaussians.sh0 + 0.5) @ gaussians.sh0.new_tensor(LUMA)
    sh0, sh_rest = changed(gaussians, grid(gaussians.means, luma))
    return Gaussians(**{**gaussians.tensors(), "sh0": sh0, "sh_rest": sh_rest})


def retouch(
    gaussians: Gaussians,
    camera: Camera,
    edited: Tensor,
    *,
    background: Tensor,
    settings: RenderSettings,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> tuple[Gaussians, dict[str, float]]:
    """Carry an edit of one view over to the scene.

    Args:
        gaussians: the scene.
        camera: of the view that was edited.
        edited: [H, W, 3] in 0..1, the edited picture, of the camera's size.
        progress: is told step, steps and loss.

    Returns:
        The scene with changed colors, and the PSNR between its view and the edited picture `before` and `after`.

    Raises:
        InputError: the picture is of another view.
    """
    scene = gaussians.detach()

    def view(scene: Gaussians) -> Tensor:
        return render(scene, camera, background=background, settings=settings).rgb

    with torch.no_grad():
        before = psnr(view(scene).clamp(0, 1), edited)
    if shows_another_view(view(scene).detach(), edited):
        raise InputError(
            "the edited picture does not show this view of the scene: its shapes are elsewhere. Edit a picture that "
            "`splat render` or the run's renders/ folder has of this view, change colors only, and keep its size"
        )
    grid = Grid4D.identity(scene.means, torch.Generator().manual_seed(seed))
    leaves = [factor.requires_grad_() for factor in grid.factors]
    adam = torch.optim.Adam(leaves, lr=RATE, eps=1e-15)
    for step in range(STEPS):
        for group in adam.param_groups:
            group["lr"] = RATE * math.exp(math.log(FINAL_RATE / RATE) * step / STEPS)
        loss = l1_ssim_loss(view(changed_colors(scene, grid))[None], edited[None].float(), 0.1)
        loss = loss + TV_WEIGHT * grid.total_variation()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if progress is not None:
            progress(step + 1, STEPS, float(loss.detach()))
    with torch.no_grad():
        result = changed_colors(scene, grid)
        after = psnr(view(result).clamp(0, 1), edited)
    return result, {"before": before, "after": after}


def shows_another_view(render: Tensor, edited: Tensor) -> bool:
    """Whether two pictures [H, W, 3] show different things: edges of brightness, which a change of colors leaves in place,
    hardly correlate."""

    def edges(image: Tensor) -> Tensor:
        gray = (image.clamp(0, 1) @ image.new_tensor(LUMA))[None, None]
        gray = torch.nn.functional.avg_pool2d(gray, 4, ceil_mode=True)[0, 0]
        across, down = gray.diff(dim=1)[:-1], gray.diff(dim=0)[:, :-1]
        return (across.square() + down.square()).sqrt().flatten()

    first, second = edges(render), edges(edited)
    first, second = first - first.mean(), second - second.mean()
    scale = float(first.norm() * second.norm())
    return scale > 1e-12 and float((first * second).sum()) / scale < SAME_VIEW
