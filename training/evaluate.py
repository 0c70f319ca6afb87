"""How good a scene is: every held-out view drawn, measured, and laid beside its photo."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import splat
from splat.datasets.scene import Frame
from splat.gaussians import Gaussians
from splat.image_io import side_by_side, write_image
from splat.settings import RenderSettings
from splat.training.metrics import psnr, ssim

ERROR_GAIN = 4.0
"""The error picture shows four times the absolute difference."""


@torch.no_grad()
def evaluate(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    *,
    background: Tensor,  # [3]
    settings: RenderSettings,
    renders: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Draw every frame's view, clamp it to 0..1, and compare it with the photo.

    Args:
        renders: folder for one picture per view: photo, render, error.

    Returns:
        psnr, ssim: means over views; gaussians: their number; views: name, psnr and ssim of each.
    """
    views, device = [], gaussians.means.device
    for frame in tqdm(frames, desc="evaluate", unit="view", disable=not progress):
        photo = frame.image.to(device).float() / 255
        camera = frame.camera.to(device)
        image = splat.render(gaussians, camera, background=background.to(device), settings=settings).rgb.clamp(0, 1)
        image = (image * 255).round() / 255  # what is saved is what is measured
        views.append({"name": frame.name, "psnr": psnr(image, photo), "ssim": ssim(image, photo)})
        if renders is not None:
            error = ((image - photo).abs() * ERROR_GAIN).clamp(0, 1)
            name = Path(frame.name).with_suffix(".png").as_posix().replace("/", "_")
            write_image(renders / name, side_by_side(photo.cpu(), image.cpu(), error.cpu()))
    return {
        "psnr": sum(view["psnr"] for view in views) / len(views),
        "ssim": sum(view["ssim"] for view in views) / len(views),
        "gaussians": len(gaussians),
        "views": views,
    }
