"""How good a scene is: every held-out view drawn, measured, and laid beside its photo."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.datasets.capture import Frame
from splat.gaussians import Gaussians
from splat.image_metrics import psnr, ssim
from splat.io.images import side_by_side, write_image
from splat.io.progress import counted
from splat.render import render
from splat.result import Metrics, ViewMetrics
from splat.settings import RenderSettings
from splat.training.evaluate.metrics import color_corrected, lpips_metric
from splat.training.losses.target import make_target
from splat.training.per_image.poses import PoseCorrections

ERROR_GAIN = 4.0
"""The error picture shows four times the absolute difference."""
ALIGN_STEPS = 60
"""Steps with which the pose of a held-out photo is brought onto the scene."""


@torch.no_grad()
def evaluate(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    *,
    background: Tensor,  # [3]
    settings: RenderSettings,
    renders: Path | None = None,
    mask_mode: str = "ignore",
    align: PoseCorrections | None = None,
    lpips: bool = False,
    progress: bool = False,
) -> Metrics:
    """Draw every frame's view, clamp it to 0..1, and compare it with the photo, where that is not masked.

    Args:
        renders: folder for one picture per view: photo, render, error.
        align: also measure with each photo's pose brought onto the scene, within these limits: a scene whose cameras were
            refined is free to move a little.
        lpips: also measure LPIPS.

    Raises:
        InputError: LPIPS cannot be measured.
        ValueError: there are no frames.
    """
    if not frames:
        raise ValueError("evaluate: expected at least one frame, got none")
    views: list[ViewMetrics] = []
    device = gaussians.means.device
    names = picture_names([frame.name for frame in frames])
    perceptual = lpips_metric() if lpips else None
    background = background.to(device)
    for frame in counted(frames, "evaluate", unit="view", shown=progress):
        camera = frame.camera.to(device)
        target = make_target(frame.photo.to(device), 1.0, background, mask_mode)
        image = render(gaussians, camera, background=background, settings=settings).rgb.clamp(0, 1)
        image = (image * 255).round() / 255  # what is saved is what is measured
        photo = target.as_float(image)
        psnr_aligned = None
        if align is not None:
            moved = aligned_camera(gaussians, camera, photo, background, settings, align)
            better = render(gaussians, moved, background=background, settings=settings).rgb.clamp(0, 1)
            psnr_aligned = psnr(better, photo, target.mask)
        view = ViewMetrics(
            frame.name,
            psnr=psnr(image, photo, target.mask),
            ssim=ssim(image, photo, target.mask),
            psnr_color_corrected=psnr(color_corrected(image, photo), photo, target.mask),
            lpips=None if perceptual is None else perceptual(image, photo),
            psnr_aligned=psnr_aligned,
        )
        views.append(view)
        if renders is not None:
            error = ((image - photo).abs() * ERROR_GAIN).clamp(0, 1)
            picture = side_by_side(photo.cpu(), image.cpu(), error.cpu())
            write_image(renders / f"{names[frame.name]}.png", picture)
    return Metrics.of(tuple(views), len(gaussians))


def picture_names(photos: Sequence[str]) -> dict[str, str]:
    """Names, without .png, of the pictures that belong to photos; numbered where two photos would share one (a/b.jpg and
    a_b.jpg, a.jpg and a.png), also where capitals make no difference."""
    names: dict[str, str] = {}
    taken = set[str]()
    for photo in photos:
        name = stem = picture_stem(photo)
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names[photo] = name
    return names


def picture_stem(photo: str) -> str:
    """Name, without .png, of the picture that belongs to a photo, if no other photo has it."""
    return Path(photo).with_suffix("").as_posix().replace("/", "_")


def aligned_camera(
    gaussians: Gaussians,
    camera: Camera,
    photo: Tensor,
    background: Tensor,
    settings: RenderSettings,
    limits: PoseCorrections,
) -> Camera:
    """The camera moved, within limits, to where the scene looks most like the photo ([H, W, 3], 0..1)."""
    device = photo.device
    pose = PoseCorrections(1, ALIGN_STEPS, limits.angle_limit, limits.shift_limit, device)
    frozen = gaussians.detach()
    for step in range(ALIGN_STEPS):
        with torch.enable_grad():
            leaf = pose.rows.leaf(0)
            image = render(frozen, pose.apply(leaf, camera), background=background, settings=settings).rgb
            l1_ssim_loss(image[None], photo[None].float(), 0.2).backward()
        pose.rows.step(0, leaf, step / ALIGN_STEPS)
    return pose.corrected(0, camera)
