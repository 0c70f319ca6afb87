"""What each Gaussian does for the photos: how much it adds to them, and how much of their error lies where it is seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.contribution import contribution
from splat.datasets.capture import Frame
from splat.gaussians import Gaussians
from splat.render import render
from splat.settings import RenderSettings
from splat.viewer.draw.photo_view import PhotoView

PHOTOS = 24
"""Photos that are looked at, evenly chosen."""
LONGEST = 480
"""Longest side in pixels at which they are."""


@dataclass(frozen=True)
class Scores:
    """Ranks among all Gaussians of a scene, 0 for the least and 1 for the most."""

    of: Gaussians
    contribution: Tensor  # [N]
    blame: Tensor  # [N]

    def fits(self, gaussians: Gaussians) -> bool:
        return len(self.contribution) == len(gaussians)


@torch.no_grad()
def score(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    settings: RenderSettings,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Scores:
    """Sum every Gaussian's blend weights over the pixels of the photos, once as they are and once times the pixels' error.
    Blame is the mean error over what a Gaussian covers."""
    weight = torch.zeros(len(gaussians), dtype=torch.float64, device=gaussians.device)
    missed = torch.zeros_like(weight)
    chosen = list(frames)[:: max(1, -(-len(frames) // PHOTOS))]
    for number, frame in enumerate(chosen):
        scale = min(1.0, LONGEST / max(frame.camera.width, frame.camera.height))
        size = max(1, round(frame.camera.width * scale)), max(1, round(frame.camera.height * scale))
        camera = frame.camera.resized(*size)
        rendered = render(gaussians, camera, settings=settings).rgb.clamp(0, 1)
        photo = PhotoView(number, frame).photo(*size, torch.zeros(3)).to(rendered)
        error = (rendered - photo).abs().mean(-1)
        weight += contribution(gaussians, camera, settings=settings).weight
        missed += contribution(gaussians, camera, pixel_weights=[error], settings=settings).weight
        progress((number + 1) / len(chosen))
    return Scores(gaussians, ranks(weight), ranks(missed / weight.clamp_min(1e-3)))


def ranks(values: Tensor) -> Tensor:  # [N] 0 to 1
    """The place of each among all."""
    order = values.argsort()
    places = torch.empty(len(values), device=values.device)
    places[order] = torch.linspace(0, 1, len(values), device=values.device)
    return places
