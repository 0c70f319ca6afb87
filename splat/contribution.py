"""contribution: what every Gaussian does for the images of some cameras. Scores for pruning and weights for codebooks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.ops import contribution as operator
from splat.cuda_rasterizer.ops.schema import Inputs
from splat.gaussians import Gaussians
from splat.render import as_background, as_batch
from splat.settings import RenderSettings


@dataclass
class Contribution:
    """Sums over the pixels of all cameras, N Gaussians. What no camera sees has zeros."""

    weight: Tensor  # [N] float64, sum of the blend weight alpha * transmittance in front
    peak: Tensor  # [N] largest blend weight
    pixels: Tensor  # [N] int64, pixels that it contributes to
    removal: (
        Tensor  # [N] float64, sum over pixels and channels of the squared change if only this Gaussian were left out
    )

    def __add__(self, other: "Contribution") -> "Contribution":
        """Of the cameras of both."""
        return Contribution(
            self.weight + other.weight,
            torch.maximum(self.peak, other.peak),
            self.pixels + other.pixels,
            self.removal + other.removal,
        )


@torch.no_grad()
def contribution(
    gaussians: Gaussians,
    cameras: Camera | Sequence[Camera],
    *,
    pixel_weights: Tensor | Sequence[Tensor | None] | None = None,  # [C, H, W], or one [H, W] or None per camera
    background: Tensor | Sequence[float] | None = None,  # [3]
    settings: RenderSettings | None = None,
) -> Contribution:
    """Sum up what every Gaussian does in the images of the cameras, which may differ in size; one is drawn at a time.

    A pixel is linear in the alpha of each single Gaussian, so `removal` is exact wherever leaving the Gaussian out does not
    change at which Gaussian a pixel ends. On the CPU the result is the same for any number of threads; on a GPU up to the
    last digits of a double.

    Args:
        gaussians: the scene.
        cameras: one camera, a batched one, or a sequence.
        pixel_weights: how much every pixel counts, not negative: weights and squared changes are multiplied by it, and pixels
            where it is zero are not counted. A mask, for instance.
        background: color behind the scene, which `removal` uncovers; black unless given.
        settings: thresholds and the antialiased mode.

    Raises:
        ValueError: a shape, dtype or device does not fit, or a weight is negative.
        RuntimeError: the scene needs more intersections than `settings.max_intersections`, or memory ran out.
    """
    settings = settings or RenderSettings()
    several = list(cameras) if not isinstance(cameras, Camera) else _single(cameras)
    weights = [None] * len(several) if pixel_weights is None else list(pixel_weights)
    if len(weights) != len(several):
        raise ValueError(f"pixel_weights: expected one image for each of {len(several)} cameras, got {len(weights)}")
    like, count = gaussians.means, len(gaussians)
    total = Contribution(
        like.new_zeros(count, dtype=torch.float64),
        like.new_zeros(count),
        like.new_zeros(count, dtype=torch.int64),
        like.new_zeros(count, dtype=torch.float64),
    )
    for camera, weight in zip(several, weights, strict=True):
        batch = as_batch(camera)
        found = operator.contribution(
            Inputs(
                **gaussians.detach().tensors(),
                features=None,
                viewmats=batch.viewmat.detach(),
                Ks=batch.K.detach(),
                background=as_background(background, like, 1),
            ),
            pixel_weights=None if weight is None else weight.detach()[None],
            width=camera.width,
            height=camera.height,
            sh_degree=gaussians.sh_degree,
            settings=settings,
        )
        total = total + Contribution(
            weight=found.weight_sums,
            peak=found.weight_maxima,
            pixels=found.pixel_counts,
            removal=found.removal_changes,
        )
    return total


def _single(camera: Camera) -> list[Camera]:
    """A camera, batched or not, as single ones."""
    batch = as_batch(camera)
    return [Camera(v, K, camera.width, camera.height) for v, K in zip(batch.viewmat, batch.K, strict=True)]
