"""How close one image is to another. Images are [H, W, 3] with values in 0..1."""

import math

import torch
from torch import Tensor


def psnr(image: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all values; infinite for equal images, nan
    where no pixel counts.

    Args:
        mask: [H, W] bool, which pixels count; all unless given.
    """
    square = (image.double() - target.double()).square().mean(-1)
    return psnr_of(float((square if mask is None else square[mask]).mean()))


def psnr_of(error: float) -> float:
    """PSNR in dB of a mean squared error of values in 0..1; infinite for none."""
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Structural similarity (Wang et al. 2004) as splatting papers compute it: an 11 x 11 Gaussian window of sigma 1.5,
    zeros outside the image, averaged over all pixels and channels.

    Args:
        mask: [H, W] bool, which pixels count; all unless given.
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
    return float((similarity if mask is None else similarity[:, 0, mask.cpu()]).mean())  # nan where no pixel counts
