"""How close a render is to a photo. Images are [H, W, 3] with values in 0..1."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from splat.errors import InputError


def psnr(image: Tensor, target: Tensor, used: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all values; infinite for equal images.

    Args:
        used: [H, W] bool, which pixels count; all unless given.
    """
    square = (image.double() - target.double()).square().mean(-1)
    error = float((square if used is None else square[used]).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: Tensor, target: Tensor, used: Tensor | None = None) -> float:
    """Structural similarity (Wang et al. 2004) as splatting papers compute it: an 11 x 11 Gaussian window of sigma 1.5,
    zeros outside the image, averaged over all pixels and channels.

    Args:
        used: [H, W] bool, which pixels count; all unless given.
    """
    taps = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-taps.square() / (2 * 1.5**2))
    window /= window.sum()

    def blur(values: Tensor) -> Tensor:  # [3, 1, H, W]
        values = torch.nn.functional.conv2d(values, window.view(1, 1, 1, -1), padding=(0, 5))
        return torch.nn.functional.conv2d(values, window.view(1, 1, -1, 1), padding=(5, 0))

    x, y = (values.double().permute(2, 0, 1)[:, None].cpu() for values in (image, target))
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float((similarity if used is None else similarity[:, 0, used.cpu()]).mean())


def color_corrected(image: Tensor, target: Tensor) -> Tensor:  # [H, W, 3]
    """The image after the affine change of colour that brings it closest to the target (least squares): what is measured
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
        raise InputError("--lpips needs the package lpips: pip install lpips torchvision") from error
    try:
        network = lpips.LPIPS(net="alex", verbose=False).eval()
    except Exception as error:  # torch.hub raises URLError, HTTPError, RuntimeError ...
        raise InputError(
            f"--lpips could not get the weights of AlexNet ({error}). Run once with a network connection: "
            "python -c \"import lpips; lpips.LPIPS(net='alex')\", or copy alexnet-owt-7be5be79.pth into "
            "~/.cache/torch/hub/checkpoints/"
        ) from error

    @torch.no_grad()
    def measure(image: Tensor, target: Tensor) -> float:
        planes = [2 * values.permute(2, 0, 1)[None].float().cpu() - 1 for values in (image, target)]
        return float(network(*planes))

    return measure
