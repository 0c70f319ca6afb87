"""PhotoView: looking exactly through a photo's camera, to compare the render with the photo."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.capture import Frame
from splat.image_metrics import psnr
from splat.io.images import to_uint8
from splat.viewer.draw.client_camera import vertical_fov
from splat.viewer.draw.palette import heat

POSITION_TOLERANCE = 2e-3
"""Fraction of the scene's extent by which a browser's camera may be off a photo's and still count as there."""
ANGLE_TOLERANCE = math.radians(0.25)
ERROR_SHOWN = 0.3
"""Difference of a channel, 0 to 1, that has the lightest color of the error map."""
MAX_PSNR = 100.0
"""dB of pictures that are equal."""


@dataclass(frozen=True)
class PhotoView:
    """A photo of the capture, in the middle of windows of any shape."""

    index: int  # of the frame in the capture
    frame: Frame

    def scale(self, width: int, height: int) -> float:
        """Window pixels per photo pixel, so that all of the photo is inside."""
        camera = self.frame.camera
        return min(width / camera.width, height / camera.height)

    def rectangle(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Where the photo is in a window: left, top, width, height in whole pixels."""
        scale, camera = self.scale(width, height), self.frame.camera
        inner = min(width, max(1, round(camera.width * scale))), min(height, max(1, round(camera.height * scale)))
        return (width - inner[0]) // 2, (height - inner[1]) // 2, *inner

    def camera(self, width: int, height: int) -> Camera:
        """The photo's camera, showing also what lies around the photo in the window."""
        left, top, inner_width, inner_height = self.rectangle(width, height)
        inner = self.frame.camera.resized(inner_width, inner_height)
        K = inner.K.clone()
        K[0, 2] += left
        K[1, 2] += top
        return Camera(inner.viewmat, K, width, height)

    def fov(self, width: int, height: int) -> float:
        """Vertical field of view of the window, radians."""
        return vertical_fov(self.camera(width, height))

    def is_at(self, camera: Camera, extent: float) -> bool:
        """Whether a browser's camera still is where the photo was taken."""
        own = self.frame.camera
        distance = float((camera.position - own.position).norm())
        turn = camera.viewmat[:3, :3] @ own.viewmat[:3, :3].T
        cosine = (float(turn.diagonal().sum()) - 1) / 2
        return distance < POSITION_TOLERANCE * extent and cosine > math.cos(ANGLE_TOLERANCE)

    def photo(self, width: int, height: int, background: Tensor) -> Tensor:  # [h, w, 3] float, as large as `rectangle`
        """The photo as it is in a window."""
        _, _, inner_width, inner_height = self.rectangle(width, height)
        return _resized(self.frame, inner_width, inner_height, tuple(background.tolist()))


@lru_cache(maxsize=8)
def _resized(frame: Frame, width: int, height: int, background: tuple[float, ...]) -> Tensor:  # [height, width, 3]
    picture = frame.photo.over(torch.tensor(background))
    picture = picture.float() / 255 if picture.dtype == torch.uint8 else picture
    if picture.shape[:2] == (height, width):
        return picture
    channels = picture.permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(
        channels, (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0].permute(1, 2, 0)


def compare(
    render: Tensor, view: PhotoView, how: str, fraction: float, background: Tensor
) -> Tensor:  # [H, W, 3] float
    """A render through `view.camera` with the photo put on it.

    Args:
        render: [H, W, 3] float.
        how: wipe (photo on the left `fraction` of its width), mix (`fraction` of its weight), photo, difference, or off.
    """
    height, width = render.shape[:2]
    left, top, inner_width, inner_height = view.rectangle(width, height)
    if how == "off":
        return render
    photo = view.photo(width, height, background).to(render)
    picture = render.clone()
    inside = picture[top : top + inner_height, left : left + inner_width]
    if how == "wipe":
        border = round(fraction * inner_width)
        inside[:, :border] = photo[:, :border]
        inside[:, max(0, border - 1) : border + 1] = 1.0
    elif how == "mix":
        inside.lerp_(photo, fraction)
    elif how == "photo":
        inside.copy_(photo)
    else:
        picture.mul_(0.25)
        inside.copy_(error_map(render[top : top + inner_height, left : left + inner_width], photo))
    return picture


def error_map(render: Tensor, photo: Tensor) -> Tensor:  # [h, w, 3] float
    """Mean absolute difference of the channels, as heat."""
    return heat((render.clamp(0, 1) - photo).abs().mean(dim=-1), 0.0, ERROR_SHOWN)


def shown_psnr(render: Tensor, photo: Tensor, mask: Tensor | None = None) -> float:
    """PSNR in dB of pictures [H, W, 3] as they are stored, 8 bits a channel; at most 100.

    Args:
        mask: [H, W] bool, the pixels that count; all if none does.
    """
    used = mask if mask is not None and bool(mask.any()) else None
    return min(MAX_PSNR, psnr(to_uint8(render).double() / 255, to_uint8(photo).double() / 255, used))
