"""Sky: a far shell of Gaussians behind an outdoor scene, of which only the colors are learned."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.ops.adam import adam_step
from splat.datasets.capture import Frame
from splat.gaussians import SH_C0, Gaussians
from splat.render import render
from splat.settings import RenderSettings

COUNT = 8192
RADII = 10.0
"""Distance of the shell in extents of the scene, at least; always beyond twice the distance of nearly all points."""
OVERLAP = 1.0
"""Standard deviation in units of the distance between neighbors: no gaps between them."""
OPACITY = 0.95
RATE = 1e-2
DARKEST = 0.05
"""Of a channel at the start: a color of zero has no gradient."""


class Sky:
    """Gaussians all around the cameras, those that some photo sees.

    They are drawn alone and put behind the scene by its transparency, so that no density control ever touches them; as
    part of a saved scene they are Gaussians like all others.
    """

    def __init__(self, gaussians: Gaussians) -> None:
        self.gaussians = gaussians
        self.exp_avg = torch.zeros_like(gaussians.sh0)
        self.exp_avg_sq = torch.zeros_like(gaussians.sh0)
        self.steps = 0

    @classmethod
    def around(cls, frames: Sequence[Frame], points: Tensor, extent: float) -> "Sky":
        """A shell for a capture, colored as the upper rims of the photos are on average.

        Args:
            points: [P, 3] sparse points.
            extent: of the scene, world units.
        """
        center = torch.stack([frame.camera.position.cpu() for frame in frames]).mean(0)
        radius = RADII * extent
        if len(points):
            radius = max(radius, 2 * float((points - center).norm(dim=1).quantile(0.99)))
        means = center + radius * fibonacci_sphere(COUNT)
        means = means[torch.stack([_seen(means, frame.camera.to("cpu")) for frame in frames]).any(0)]
        rims = [frame.image[: max(1, frame.camera.height // 16)].float().mean((0, 1)) for frame in frames[:50]]
        color = (torch.stack(rims).mean(0) / 255).clamp_min(DARKEST)
        size = OVERLAP * radius * math.sqrt(4 * math.pi / COUNT)
        count = len(means)
        return cls(
            Gaussians(
                means=means,
                quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
                log_scales=torch.full((count, 3), math.log(size)),
                logit_opacities=torch.full((count,), math.log(OPACITY / (1 - OPACITY))),
                sh0=((color - 0.5) / SH_C0).repeat(count, 1),
                sh_rest=torch.zeros(count, 0, 3),
            ).to(frames[0].camera.viewmat.device)
        )

    def leaf(self) -> Tensor:
        """The colors as a fresh leaf of a graph, sharing memory."""
        return self.gaussians.sh0.detach().requires_grad_()

    def behind(
        self, leaf: Tensor, rgb: Tensor, alpha: Tensor, camera: Camera, background: Tensor, settings: RenderSettings
    ) -> Tensor:  # [H, W, 3]
        """The scene's image, drawn over black, with the sky (over `background`) behind it."""
        shell = Gaussians(**{**self.gaussians.tensors(), "sh0": leaf})
        sky = render(shell, camera, background=background, settings=settings)
        return rgb + (1 - alpha)[..., None] * sky.rgb

    def step(self, leaf: Tensor) -> None:
        if leaf.grad is not None:
            self.steps += 1
            moments = (self.exp_avg, self.exp_avg_sq)
            adam_step(self.gaussians.sh0, leaf.grad, *moments, step=self.steps, lr=RATE, eps=1e-15)

    def with_scene(self, gaussians: Gaussians) -> Gaussians:
        """Scene and sky as one set, for saving and evaluation."""
        return Gaussians.cat([gaussians, self.gaussians])

    def state_dict(self) -> dict[str, Any]:
        return {
            "gaussians": self.gaussians.tensors(),
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.gaussians.device
        self.gaussians = Gaussians(**state["gaussians"]).to(device)
        self.exp_avg, self.exp_avg_sq = state["exp_avg"].to(device), state["exp_avg_sq"].to(device)
        self.steps = int(state["steps"])


def fibonacci_sphere(count: int) -> Tensor:  # [count, 3]
    """Points spread evenly over the unit sphere."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1 - 2 * index / count
    turn = index * math.pi * (3 - math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * turn.cos(), height, radius * turn.sin()], dim=1).float()


def _seen(points: Tensor, camera: Camera) -> Tensor:  # [P] bool
    """Which points fall into a camera's picture, or close to it."""
    pixels, depth = camera.project(points)
    x, y = pixels.unbind(1)
    margin_x, margin_y = 0.15 * camera.width, 0.15 * camera.height
    inside = (x > -margin_x) & (x < camera.width + margin_x) & (y > -margin_y) & (y < camera.height + margin_y)
    return inside & (depth > 0)
