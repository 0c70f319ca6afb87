"""What a render is compared with in one step: the photo at the step's size, on the step's background."""

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.images.cache import Photo
from splat.image_metrics import psnr_of

BRIGHTEST = 253.5 / 255
"""From here on a camera's value may have been cut off."""


@dataclass(frozen=True)
class TargetImage:
    """One photo, ready to compare with. Sizes are those of the step, which may be smaller than the photo's."""

    image: Tensor  # [H, W, 3] uint8, or float32 in 0..1
    mask: Tensor | None = None  # [H, W] bool, pixels that count; None for all
    alpha: Tensor | None = None  # [H, W] float32, coverage that the render should have; None where it is not known
    depth: Tensor | None = None  # [H, W] float32 as stored in the depth file, 0 where unknown

    def compared_with(self, rgb: Tensor, clipped: bool = False) -> tuple[Tensor, Tensor]:  # [H, W, 3] each
        """What to compare: the render and the image. Where pixels do not count, the image is the render itself (WeatherGS
        2024), so that SSIM is right at the borders too; and the render has no gradient there.

        Args:
            clipped: the brightest values stand for all brighter ones too, as in photos that are exposed differently.
        """
        if self.mask is None and not clipped:
            return rgb, self.image
        image, fixed = self.as_float(rgb), rgb.detach()
        if clipped:
            brighter = (image >= BRIGHTEST) & (fixed > image)
            rgb, image = torch.where(brighter, fixed, rgb), torch.where(brighter, fixed, image)
        if self.mask is not None:
            rgb = torch.where(self.mask[..., None], rgb, fixed)
        return rgb, image

    def as_float(self, rgb: Tensor) -> Tensor:  # [H, W, 3] float32
        """The same, never as uint8."""
        image = self.image.float() / 255 if self.image.dtype == torch.uint8 else self.image
        return image if self.mask is None else torch.where(self.mask[..., None], image, rgb.detach())

    def error(self, rgb: Tensor) -> Tensor:  # [H, W]
        """Mean absolute difference of the channels, without a gradient."""
        return (rgb.detach() - self.as_float(rgb)).abs().mean(-1)

    def psnr(self, rgb: Tensor) -> float:
        """Of a render, in dB, for a person to watch; pixels that do not count are taken to be right."""
        with torch.no_grad():
            error = float((rgb.clamp(0, 1) - self.as_float(rgb)).square().mean())
        return psnr_of(max(error, 1e-10))


def make_target(photo: Photo, fraction: float, background: Tensor, mask_mode: str) -> TargetImage:
    """
    Args:
        fraction: of the photo's width and height.
        background: [3] what the render has behind it.
        mask_mode: `ignore` or `segment` (see DataConfig).
    """
    height, width = photo.image.shape[:2]
    size = (height, width) if fraction >= 1 else fraction_of(height, width, fraction)
    photo = resized(photo, *size)
    if photo.mask is not None and mask_mode == "segment":
        coverage = photo.mask.to(torch.uint8) * 255
        if photo.alpha is not None:
            coverage = torch.minimum(photo.alpha, coverage)
        photo = Photo(photo.image, coverage, None, photo.depth)
    alpha = None if photo.alpha is None else photo.alpha.float() / 255
    return TargetImage(photo.over(background), photo.mask, alpha, photo.depth)


def fraction_of(height: int, width: int, fraction: float) -> tuple[int, int]:
    return max(8, round(height * fraction)), max(8, round(width * fraction))


def camera_for(camera: Camera, target: TargetImage) -> Camera:
    """The camera at the target's size."""
    height, width = target.image.shape[:2]
    return camera if (camera.width, camera.height) == (width, height) else camera.resized(width, height)


def resized(photo: Photo, height: int, width: int) -> Photo:
    """The photo at another size: averages of colors, nearest values of everything else; a pixel counts where all that it was
    made of does."""
    if photo.image.shape[:2] == (height, width):
        return photo
    size = (height, width)

    def nearest(values: Tensor | None) -> Tensor | None:  # [H, W]
        if values is None:
            return None
        as_float = values[None, None].float()
        return torch.nn.functional.interpolate(as_float, size, mode="nearest-exact")[0, 0].to(values.dtype)

    mask = photo.mask
    if mask is not None:
        whole = torch.nn.functional.interpolate(mask[None, None].float(), size, mode="bilinear", antialias=True)
        mask = whole[0, 0] > 0.999
    planes = photo.image.permute(2, 0, 1)[None]
    if planes.device.type != "cpu":  # uint8 is resized on the CPU only
        planes = planes.float()
    image = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    image = image.round().clamp(0, 255).to(torch.uint8) if image.is_floating_point() else image
    return Photo(image.contiguous(), nearest(photo.alpha), mask, nearest(photo.depth))
