"""Photos: decoding, orientation, resizing in memory, and the camera that goes with the resized photo."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from splat.datasets.images.deep import Levels, deep_header, deep_pixels
from splat.datasets.images.file_kinds import (
    LYING,
    ORIENTATION,
    UnusablePhoto,
    as_stored,
    decoding,
    open_image,
    orientation_of,
    size_as_stored,
)

AUTO_SIDE = 1600
"""Longest side in pixels that `resolution = -1` allows, as the published trainer."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by its EXIF orientation."""


def target_size(width: int, height: int, resolution: int, max_image_size: int | None) -> tuple[int, int]:
    """Size in memory of a photo whose camera is `width` x `height`."""
    divisor = float(resolution)
    if resolution == -1:
        divisor = max(1.0, max(width, height) / AUTO_SIDE)
    if max_image_size is not None:
        divisor = max(divisor, max(width, height) / max_image_size)
    return max(1, round(width / divisor)), max(1, round(height / divisor))


def decode(
    path: Path, width: int, height: int, wanted: tuple[int, int] | None = None, levels: Levels | None = None
) -> Image.Image:
    """Read a photo as RGB or, where it has transparency, RGBA. It is turned by its EXIF orientation only where that gives
    it the shape of its camera: COLMAP ignores the orientation tag, so most often the pixels are right as stored.

    Args:
        width, height: of its camera, in pixels.
        wanted: size that will be needed. A JPEG may then be decoded smaller, at least twice that size, which is faster.
        levels: what is white in photos of more than 8 bits; by the kind of the file alone unless given.

    Raises:
        UnusablePhoto: the file is not a readable image, or not of the camera's shape.
    """
    image, stored = _read(path, wanted, levels)
    if not same_shape(stored, (width, height)):
        turned = upright(image)
        if turned.size == image.size or not same_shape(stored[::-1], (width, height)):
            raise other_shape(stored, (width, height))
        image = turned
    return as_rgb(image)


def decode_upright(path: Path, levels: Levels | None = None, wanted: tuple[int, int] | None = None) -> Image.Image:
    """A photo as RGB, turned by its EXIF orientation; transparency is dropped.

    Args:
        levels, wanted: as for `decode`.

    Raises:
        UnusablePhoto: the file is not a readable image.
    """
    image, _ = _read(path, wanted, levels)
    return as_rgb(upright(image)).convert("RGB")


def _read(path: Path, wanted: tuple[int, int] | None, levels: Levels | None) -> tuple[Image.Image, tuple[int, int]]:
    """A photo with 8 bits a channel, otherwise as it is stored, and its stored width and height; see `decode`."""
    header = deep_header(path)
    if header is not None:
        values = (levels or Levels()).to_8_bits(deep_pixels(path, header), header.kind)
        image = Image.fromarray(values)
        image.getexif()[ORIENTATION] = header.orientation
        return image, header.size
    with open_image(path) as file:
        stored = size_as_stored(file)
        if wanted is not None:
            file.draft(None, (2 * max(wanted), 2 * max(wanted)))
        return as_stored(file), stored


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height that a file states, without decoding it.

    Raises:
        UnusablePhoto: the file is not a readable image.
    """
    header = deep_header(path)
    if header is not None:
        return header.size
    with open_image(path) as file:
        return size_as_stored(file)


def check_whole(path: Path) -> str:
    """Decode a photo, as far as it takes to see that all of it is there, and return the mode of its pixels.

    Raises:
        UnusablePhoto: the file is not a readable image, or a damaged one.
    """
    header = deep_header(path)
    if header is not None:
        return _read(path, None, None)[0].mode
    with open_image(path) as image:
        mode = image.mode
        image.draft(None, (64, 64))  # a JPEG is then decoded in a fraction of the time
        image.load()
        return mode


def same_shape(size: tuple[int, int], camera: tuple[int, int]) -> bool:
    """Whether an image of `size` is the camera's image at some scale, to a pixel and a half."""
    scale = max(size[0] / camera[0], size[1] / camera[1])
    return min(size) > 0 and abs(size[0] - camera[0] * scale) <= 1.5 and abs(size[1] - camera[1] * scale) <= 1.5


def other_shape(stored: tuple[int, int], camera: tuple[int, int]) -> UnusablePhoto:
    """That an image of the size `stored` is not that of a camera of this width and height."""
    turned = ", turned by 90 degrees after its pose was found; turn it back" if same_shape(stored[::-1], camera) else ""
    return UnusablePhoto(f"is {stored[0]} x {stored[1]}, its camera {camera[0]} x {camera[1]}: another shape{turned}")


def fits_camera(path: Path, stored: tuple[int, int], camera: tuple[int, int]) -> bool:
    """Whether a file of the size `stored` has its camera's shape as it is, or turned as its EXIF says."""
    if same_shape(stored, camera):
        return True
    if not same_shape(stored[::-1], camera):
        return False
    header = deep_header(path)
    if header is not None:
        return header.orientation in LYING
    with open_image(path) as image:
        return orientation_of(image) in LYING


def upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation."""
    turn = TURNS.get(orientation_of(image))
    return image if turn is None else image.transpose(turn)


def as_rgb(image: Image.Image) -> Image.Image:
    """RGB or, where there is transparency, RGBA.

    Raises:
        UnusablePhoto: its color space cannot be converted.
    """
    with decoding():
        transparent = "A" in image.getbands() or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Area-average when shrinking to less than half, Lanczos otherwise."""
    if image.size == (width, height):
        return image
    shrinks = image.width >= 2 * width and image.height >= 2 * height
    return image.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.LANCZOS)


def as_tensor(image: Image.Image) -> Tensor:  # uint8 [H, W] or [H, W, bands]
    return torch.from_numpy(np.array(image, dtype=np.uint8))
