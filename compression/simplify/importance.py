"""How much each Gaussian matters, as the cameras of a capture see the scene: what pruning goes by and codebooks weigh with.

removal      squared change of the images if only this Gaussian were left out: exact, and what pruning has to keep small
weight       sum over pixels of its blend weight (Mini-Splatting, Fang and Wang 2024)
peak         largest blend weight in any pixel (RadSplat, Niemeyer et al. 2024)
volume       the weight times a power of the volume (LightGaussian, Fan et al. 2023)
sensitivity  logarithms of the squared gradients with respect to position and scale (PUP 3D-GS, Hanson et al. 2024,
             by the diagonal)
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.contribution import Contribution, contribution
from splat.gaussians import Gaussians
from splat.render import as_batch, render
from splat.settings import RenderSettings

Kind = Literal["removal", "weight", "peak", "volume", "sensitivity"]

VOLUME_POWER = 0.1
"""LightGaussian's beta."""
VOLUME_QUANTILE = 0.9
"""Fraction of the Gaussians below the volume that counts as 1."""


def importance(
    gaussians: Gaussians,
    cameras: Sequence[Camera] | Camera,
    kind: Kind = "removal",
    *,
    pixel_weights: Sequence[Tensor | None] | Tensor | None = None,
    background: Tensor | Sequence[float] | None = None,
    settings: RenderSettings | None = None,
) -> Tensor:  # [N] float64
    """One number for every Gaussian, larger where more is lost without it. What no camera sees has the least number.

    Args:
        pixel_weights: as for `splat.contribution`; not for sensitivity.
    """
    if kind == "sensitivity":
        found = sensitivity(gaussians, cameras, background=background, settings=settings)
        return torch.cat([found["means"], found["log_scales"]], dim=1).double().log().sum(dim=1)
    seen = contribution(gaussians, cameras, pixel_weights=pixel_weights, background=background, settings=settings)
    return score(gaussians, seen, kind)


def score(gaussians: Gaussians, seen: Contribution, kind: Kind) -> Tensor:  # [N] float64
    """The same from what `splat.contribution` has summed up; any kind but sensitivity."""
    match kind:
        case "removal":
            return seen.removal
        case "weight":
            return seen.weight
        case "peak":
            return seen.peak.double()
        case "volume":
            return seen.weight * volume_factor(gaussians)
        case _:
            raise ValueError(f"score: {kind} needs gradients; call importance()")


def volume_factor(gaussians: Gaussians) -> Tensor:  # [N] float64
    """(V / V90)^0.1, V the product of the scales and V90 its 90th percentile, at which it is cut off (LightGaussian)."""
    log_volume = gaussians.log_scales.detach().double().sum(dim=1)
    if not len(log_volume):
        return log_volume
    large = log_volume.kthvalue(max(1, round(VOLUME_QUANTILE * len(log_volume)))).values
    return ((log_volume - large).clamp_max(0) * VOLUME_POWER).exp()


def sensitivity(
    gaussians: Gaussians,
    cameras: Sequence[Camera] | Camera,
    draws: int = 1,
    seed: int = 0,
    *,
    background: Tensor | Sequence[float] | None = None,
    settings: RenderSettings | None = None,
) -> dict[str, Tensor]:
    """Sum over all pixels, channels and cameras of the squared derivative of the image by every parameter.

    To first order, an error e of a parameter changes the images by e^2 times this, summed over pixels and channels. Estimated
    without bias by Hutchinson's method: the squared gradient of the image times random signs. With several cameras one draw
    for each is usually enough.

    Args:
        draws: images of random signs per camera.

    Returns:
        By name of the parameter, a tensor of its shape.
    """
    settings = settings or RenderSettings()
    generator = torch.Generator().manual_seed(seed)
    leaves = gaussians.map(lambda tensor: tensor.detach().requires_grad_())
    total = {name: torch.zeros_like(tensor) for name, tensor in leaves.detach().tensors().items()}
    for camera in [cameras] if isinstance(cameras, Camera) else cameras:
        image = render(leaves, as_batch(camera), background=background, settings=settings).rgb
        for draw in range(draws):
            signs = torch.randint(0, 2, image.shape, generator=generator, dtype=torch.int8) * 2 - 1
            inputs = list(leaves.tensors().values())
            gradients = torch.autograd.grad(image, inputs, signs.to(image), retain_graph=draw + 1 < draws)
            for name, gradient in zip(total, gradients, strict=True):
                total[name] += gradient.square() / draws
    return total
