"""Photos: decoding, orientation, resizing in memory, and the camera that goes with the resized photo."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

AUTO_SIDE = 1600
"""Longest side in pixels that `resolution = -1` allows, as the published trainer."""


class UnusablePhoto(Exception):
    """One photo cannot be used; the capture may do without it. The message is the reason."""


_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for files that it cannot read."""


def _unusable(error: Exception) -> UnusablePhoto:
    if isinstance(error, UnidentifiedImageError):
        return UnusablePhoto("is not an image that can be read")
    return UnusablePhoto(f"cannot be decoded ({error})")


def target_size(width: int, height: int, resolution: int, max_image_size: int | None) -> tuple[int, int]:
    """Size in memory of a photo whose camera is `width` x `height`."""
    divisor = float(resolution)
    if resolution == -1:
        divisor = max(1.0, max(width, height) / AUTO_SIDE)
    if max_image_size is not None:
        divisor = max(divisor, max(width, height) / max_image_size)
    return max(1, round(width / divisor)), max(1, round(height / divisor))


def decode(path: Path, width: int, height: int, wanted: tuple[int, int] | None = None) -> Image.Image:
    """Read a photo as RGB or, where it has transparency, RGBA. It is turned by its EXIF orientation only where that gives
    it the shape of its camera: COLMAP ignores the orientation tag, so most often the pixels are right as stored.

    Args:
        width, height: of its camera, in pixels.
        wanted: size that will be needed. A JPEG may then be decoded smaller, at least twice that size, which is faster.

    Raises:
        UnusablePhoto: the file is not a readable image, or not of the camera's shape.
    """
    try:
        with Image.open(path) as file:
            stored = file.size
            if wanted is not None:
                file.draft(None, (2 * max(wanted), 2 * max(wanted)))
            file.load()
            image: Image.Image = file
    except _UNREADABLE as error:
        raise _unusable(error) from error
    if not same_shape(stored, (width, height)):
        turned = ImageOps.exif_transpose(image)
        if turned is None or turned.size == image.size or not same_shape(stored[::-1], (width, height)):
            raise UnusablePhoto(f"is {stored[0]} x {stored[1]}, its camera {width} x {height}: another shape")
        image = turned
    return _as_rgb(image)


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height that a file states, without decoding it.

    Raises:
        UnusablePhoto: the file is not a readable image.
    """
    try:
        with Image.open(path) as file:
            return file.size
    except _UNREADABLE as error:
        raise _unusable(error) from error


def same_shape(size: tuple[int, int], camera: tuple[int, int]) -> bool:
    """Whether an image of `size` is the camera's image at some scale, to a pixel and a half."""
    scale = max(size[0] / camera[0], size[1] / camera[1])
    return abs(size[0] - camera[0] * scale) <= 1.5 and abs(size[1] - camera[1] * scale) <= 1.5


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit gray: scale to 8 bits, not clip
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        image = Image.fromarray((values.clip(0, top) * (255.0 / top)).round().astype(np.uint8), mode="L")
    if "A" in image.getbands() or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Area-average when shrinking to less than half, Lanczos otherwise."""
    if image.size == (width, height):
        return image
    shrinks = image.width >= 2 * width and image.height >= 2 * height
    return image.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.LANCZOS)


def as_tensor(image: Image.Image) -> Tensor:  # uint8 [H, W] or [H, W, bands]
    return torch.from_numpy(np.array(image, dtype=np.uint8))
