"""Scores of renders that only evaluation needs, besides splat.image_metrics. Images are [H, W, 3] with values in 0..1."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from splat.errors import InputError


def color_corrected(image: Tensor, target: Tensor) -> Tensor:  # [H, W, 3]
    """The image after the affine change of color that brings it closest to the target (least squares): what is measured
    then is the scene, not the exposure of a photo (as in Barron et al. 2022)."""
    pixels = torch.cat([image.reshape(-1, 3), torch.ones_like(image[..., :1]).reshape(-1, 1)], dim=1).double()
    matrix = torch.linalg.lstsq(pixels.T @ pixels, pixels.T @ target.reshape(-1, 3).double()).solution
    return (pixels @ matrix).reshape(image.shape).clamp(0, 1).to(image)


def lpips_metric() -> Callable[[Tensor, Tensor], float]:
    """LPIPS (Zhang et al. 2018, AlexNet; 0 for equal images) as a function of two images.

    Raises:
        InputError: the package or its weights are missing; the message says how to get them.
    """
    try:
        import lpips
    except ImportError as error:
        raise InputError("`lpips` needs the package lpips: pip install lpips torchvision") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its calls of torchvision and torch are old ones
            network = lpips.LPIPS(net="alex", verbose=False).eval()
    except Exception as error:  # torch.hub raises URLError, HTTPError, RuntimeError ...
        raise InputError(
            f"`lpips` could not get the weights of AlexNet ({error}). Run once with a network connection: "
            "python -c \"import lpips; lpips.LPIPS(net='alex')\", or copy alexnet-owt-7be5be79.pth into "
            "~/.cache/torch/hub/checkpoints/"
        ) from error

    @torch.no_grad()
    def measure(image: Tensor, target: Tensor) -> float:
        planes = [2 * values.permute(2, 0, 1)[None].float().cpu() - 1 for values in (image, target)]
        return float(network(*planes))

    return measure
