"""What a picture can show of Gaussians: one function per mode, each from Gaussians and a camera to [H, W, 3]."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import SH_C0, Gaussians
from splat.io.images import colorize_depth
from splat.render import render
from splat.settings import RenderSettings
from splat.viewer.draw.look import Look
from splat.viewer.draw.palette import heat, percentile

COUNTED_OPACITY = 1e-4
"""Opacity of the Gaussians of which overdraw counts the layers: so faint that thousands hide nothing."""
DOT_RADIUS = 1.1
"""Standard deviation in pixels of the dot at a Gaussian's center."""
BODY_CUT = 0.6
"""A body's alpha at its edge; in the middle it is 0.99."""
BODY_RADIUS = 1.0
"""Standard deviations of a Gaussian from the middle of its body to the edge."""


@dataclass(frozen=True)
class Drawing:
    """What every mode draws from."""

    gaussians: Gaussians
    camera: Camera
    look: Look
    settings: RenderSettings
    scores: Tensor | None = None  # [N] of each Gaussian, 0 to 1, for the modes that color by a score

    @property
    def background(self) -> Tensor:  # [3]
        return self.gaussians.means.new_tensor(self.look.background) / 255

    @property
    def sh_degree(self) -> int:
        return min(self.look.sh_degree, self.gaussians.sh_degree)


def color(drawing: Drawing) -> Tensor:  # [H, W, 3]
    return render(
        drawing.gaussians,
        drawing.camera,
        background=drawing.background,
        sh_degree=drawing.sh_degree,
        settings=drawing.settings,
    ).rgb


def depth(drawing: Drawing) -> Tensor:  # [H, W, 3]
    result = render(drawing.gaussians, drawing.camera, sh_degree=0, depth=True, settings=drawing.settings)
    assert result.depth is not None
    visible = torch.where(result.alpha > 0.05, result.depth, torch.zeros_like(result.depth))
    return over(colorize_depth(visible).to(result.alpha.device).float() / 255, result.alpha, drawing.background)


def normals(drawing: Drawing) -> Tensor:  # [H, W, 3]
    """Red to the right, green up, blue toward the camera."""
    result = render(drawing.gaussians, drawing.camera, sh_degree=0, normals=True, settings=drawing.settings)
    assert result.normals is not None
    seen = result.normals @ drawing.camera.viewmat[:3, :3].T.to(result.normals) * result.normals.new_tensor([1, -1, -1])
    return over(0.5 + 0.5 * seen, result.alpha, drawing.background)


def alpha(drawing: Drawing) -> Tensor:  # [H, W, 3]
    result = render(drawing.gaussians, drawing.camera, sh_degree=0, settings=drawing.settings)
    return result.alpha[..., None].expand(-1, -1, 3)


def overdraw(drawing: Drawing) -> Tensor:  # [H, W, 3]
    """The number of footprints over each pixel, also of those that others hide."""
    layers = count_layers(drawing.gaussians, drawing.camera, drawing.settings)
    return heat(layers, 0.0, max(percentile(layers, 0.995), 1.0))


def count_layers(gaussians: Gaussians, camera: Camera, settings: RenderSettings) -> Tensor:  # [H, W]
    """About how many Gaussians reach each pixel with an alpha of at least `settings.alpha_min`.

    Every Gaussian is drawn faintly and equally, one standard deviation reaching as far as its alpha lasts; the light that
    is lost on the way then counts them. Mean of exp(-r^2 / 2) over the unit disc: 2 (1 - exp(-1/2)).
    """
    drawn = gaussians.opacities > settings.alpha_min
    gaussians = gaussians[drawn]
    reach = 2 * (gaussians.opacities / settings.alpha_min).log()
    values = gaussians.tensors()
    values["log_scales"] = gaussians.log_scales + 0.5 * reach.log()[:, None]
    values["logit_opacities"] = torch.full_like(gaussians.logit_opacities, COUNTED_OPACITY).logit()
    faint = replace(
        settings,
        alpha_min=COUNTED_OPACITY * 0.6065306597,
        transmittance_min=1e-9,
        eps2d=settings.eps2d * max(percentile(reach, 0.5), 1.0),
        antialiased=False,
    )
    result = render(Gaussians(**values), camera, sh_degree=0, settings=faint)
    return -torch.log1p(-result.alpha.clamp_max(1 - 1e-6)) / (COUNTED_OPACITY * 0.7869386806)


def centers(drawing: Drawing) -> Tensor:  # [H, W, 3]
    gaussians, camera = drawing.gaussians, drawing.camera
    depths = camera.to_camera(gaussians.means)[:, 2].clamp_min(1e-6)
    values = gaussians.tensors()
    values["log_scales"] = (depths * DOT_RADIUS / float(camera.K[0, 0])).log()[:, None].expand(-1, 3)
    values["logit_opacities"] = torch.where(gaussians.logit_opacities > -4, 3.0, -10.0)  # what is invisible has no dot
    settings = replace(drawing.settings, eps2d=1e-4, antialiased=False)
    result = render(
        Gaussians(**values), camera, background=drawing.background, sh_degree=drawing.sh_degree, settings=settings
    )
    return result.rgb


def ellipsoids(drawing: Drawing) -> Tensor:  # [H, W, 3]
    """Bodies with a hard edge, each a little lighter or darker than its neighbors."""
    gaussians = drawing.gaussians[drawing.gaussians.logit_opacities > -2]
    cut = (2 * torch.log(torch.tensor(0.99 / BODY_CUT))).sqrt()
    values = gaussians.tensors()
    values["log_scales"] = gaussians.log_scales + float((BODY_RADIUS / cut).log())
    values["logit_opacities"] = torch.full_like(gaussians.logit_opacities, 8.0)
    number = torch.arange(len(gaussians), device=gaussians.device)
    shade = ((number * 2654435761) % 1024).float() / 1024 - 0.5  # Knuth's multiplicative hash
    values["sh0"] = gaussians.sh0 + 0.25 * shade[:, None] / SH_C0
    settings = replace(drawing.settings, alpha_min=BODY_CUT, eps2d=0.05, antialiased=False)
    result = render(
        Gaussians(**values),
        drawing.camera,
        background=drawing.background,
        sh_degree=drawing.sh_degree,
        settings=settings,
    )
    return result.rgb


def by_score(drawing: Drawing) -> Tensor:  # [H, W, 3]
    """Each Gaussian in the color of its score."""
    if drawing.scores is None:
        return color(drawing) * 0.3
    values = drawing.gaussians.with_sh_degree(0).tensors()
    values["sh0"] = (heat(drawing.scores, 0.0, 1.0) - 0.5) / SH_C0
    return render(Gaussians(**values), drawing.camera, background=drawing.background, settings=drawing.settings).rgb


def over(picture: Tensor, opacity: Tensor, background: Tensor) -> Tensor:  # [H, W, 3]
    """A picture that is there as far as the scene is opaque."""
    return picture * opacity[..., None] + background * (1 - opacity[..., None])


MODES: dict[str, Callable[[Drawing], Tensor]] = {
    "color": color,
    "depth": depth,
    "normals": normals,
    "alpha": alpha,
    "overdraw": overdraw,
    "centers": centers,
    "ellipsoids": ellipsoids,
    "contribution": by_score,
    "blame": by_score,
    "error": color,  # made an error map once the photo is known
}
"""Name of a mode -> what draws it."""
