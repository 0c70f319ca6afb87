"""Images in and out: read, write, put side by side, color a depth map. Videos are in video.py.

Tensors are [H, W, 3], sRGB as stored in the file: uint8, or float with 0 to 1 for black to white.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from splat.errors import InputError
from splat.io.atomic_file import replacing

WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"compress_level": 3},  # three times as fast as the default for a few percent more bytes
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
}
"""Suffixes that can be written, with what Pillow is told."""

DEPTH_COLORS = (
    (13, 8, 35),
    (66, 28, 110),
    (125, 44, 129),
    (187, 62, 108),
    (236, 103, 72),
    (251, 168, 59),
    (252, 244, 176),
)
"""Far to near, dark to light; equally spaced."""


def read_image(path: str | Path) -> Tensor:  # [H, W, 3] uint8
    """Read a picture as it is stored: gray becomes RGB, alpha is dropped, 16 bits become 8, EXIF rotation is ignored.

    Raises:
        InputError: the file is missing, truncated, or not a picture.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip it to white
                gray = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
                array = np.repeat(gray[:, :, None], 3, axis=2)
            else:
                array = np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except PermissionError:
        raise InputError(f"{path}: not allowed to read this file. Change its permissions.") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a picture that can be read. Save it as PNG or JPEG.") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: the picture claims to be too large to be true. Save it again, smaller.") from None
    except (OSError, ValueError, SyntaxError) as error:  # how Pillow reports truncated and corrupt files
        raise InputError(f"{path}: the picture is damaged ({error}). Copy or export it again.") from None
    return torch.from_numpy(array)


def write_image(path: str | Path, image: Tensor) -> None:
    """Write a picture, atomically, as PNG or JPEG by the suffix of the name, creating missing folders.

    Args:
        path: ends in .png, .jpg or .jpeg.
        image: [H, W, 3], uint8, or float which is clamped to 0..1 and rounded; NaN becomes black.

    Raises:
        ValueError: shape, dtype or suffix do not fit.
        OSError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    options = WRITE_OPTIONS.get(path.suffix.lower())
    if options is None:
        raise ValueError(f"write_image: expected a name ending in {', '.join(WRITE_OPTIONS)}, got {path}")
    picture = Image.fromarray(to_uint8(image).numpy())
    with replacing(path) as temporary:
        picture.save(temporary, **options)


def to_uint8(image: Tensor) -> Tensor:  # [H, W, 3] uint8, on the CPU, contiguous
    """A picture as bytes: floats are clamped to 0..1 and rounded, NaN becomes 0."""
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected an image [H, W, 3], got {list(image.shape)}")
    image = image.detach()
    if image.dtype != torch.uint8:
        if not image.dtype.is_floating_point:
            raise ValueError(f"expected an image of dtype uint8 or float, got {image.dtype}")
        image = (image.nan_to_num(nan=0.0).clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    return image.cpu().contiguous()


def side_by_side(*images: Tensor) -> Tensor:  # [H, sum of W, 3] uint8
    """Pictures of one height from left to right.

    Raises:
        ValueError: no image, heights that differ, or a shape or dtype that does not fit.
    """
    if not images:
        raise ValueError("side_by_side: expected at least one image")
    heights = {image.shape[0] for image in images}
    if len(heights) > 1:
        raise ValueError(f"side_by_side: images must have one height, got {sorted(heights)}")
    return torch.cat([to_uint8(image) for image in images], dim=1)


def colorize_depth(depth: Tensor, *, near: float | None = None, far: float | None = None) -> Tensor:  # [H, W, 3] uint8
    """A depth map as a picture: near is light, far is dark, empty (zero or not finite) is black.

    Args:
        depth: [H, W] world units.
        near, far: depths of the lightest and darkest color. Unless given, the 2nd and 98th percentile. Colors are
            spaced evenly in 1 / depth, as the eye judges distance.

    Raises:
        ValueError: `depth` is not [H, W], or not 0 < near < far.
    """
    if depth.ndim != 2:
        raise ValueError(f"colorize_depth: depth must be [H, W], got {list(depth.shape)}")
    values = depth.detach().cpu().double().numpy()
    known = np.isfinite(values) & (values > 0)
    picture = np.zeros((*values.shape, 3), dtype=np.uint8)
    if not known.any():
        return torch.from_numpy(picture)
    if near is None:
        near = float(np.percentile(values[known], 2))
    if far is None:
        far = max(float(np.percentile(values[known], 98)), near * (1 + 1e-6))
    if not 0 < near < far:
        raise ValueError(f"colorize_depth: expected 0 < near < far, got near={near}, far={far}")
    nearness = np.clip((1 / values[known] - 1 / far) / (1 / near - 1 / far), 0, 1)
    stops = np.linspace(0, 1, len(DEPTH_COLORS))
    for channel, levels in enumerate(zip(*DEPTH_COLORS, strict=True)):
        picture[known, channel] = np.rint(np.interp(nearness, stops, levels)).astype(np.uint8)
    return torch.from_numpy(picture)
