"""What a scene is: its render, its Gaussians made visible, its depth."""

import math

import torch
from matplotlib.figure import Figure

from drawing import style, training_runs
from splat.gaussians import Gaussians
from splat.render import render

SHRINK = 0.45
"""Factor on the scales of Gaussians that are to be told apart."""


def apart(scene: Gaussians) -> Gaussians:
    """The same Gaussians smaller and opaque. Faint ones are left out: they would hide the others."""
    kept = scene[scene.opacities > 0.15].detach()
    kept.log_scales = kept.log_scales + math.log(SHRINK)
    kept.logit_opacities = torch.full_like(kept.logit_opacities, 6.0)
    return kept


def draw_scene() -> Figure:
    """A trained scene from one camera in three ways."""
    scene, camera = training_runs.scene(), training_runs.view().resized(720, 480)
    drawn, (image, gaussians, depth) = style.figure(3, 12, 3.0)
    rendered = render(scene, camera, depth=True)
    style.show(image, rendered.rgb)
    image.set_title(f"Render of {len(scene):,} Gaussians")
    shown = apart(scene)
    style.show(gaussians, render(shown, camera).rgb)
    gaussians.set_title("Its Gaussians, smaller and opaque")
    far = float(rendered.depth.quantile(0.97))
    style.show(depth, rendered.depth, cmap="viridis_r", vmin=float(rendered.depth.min()), vmax=far)
    depth.set_title("Expected depth [world units]")
    drawn.colorbar(depth.images[0], ax=depth, shrink=0.85, pad=0.02).outline.set_visible(False)
    for axes in (image, gaussians, depth):
        style.bare(axes)
    return drawn
