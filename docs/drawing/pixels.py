"""What happens at a pixel: alphas composited front to back, and their gradients."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from drawing import style, training_runs
from drawing.footprints import covariances, gaussians, seen
from drawing.style import BLUE, FAINT, GREEN, INK, ORANGE, RED
from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.reference import render as reference
from splat.render import render
from splat.settings import RenderSettings
from splat.spherical_harmonics import color


@dataclass(frozen=True)
class Walk:
    """The Gaussians that reach one pixel, front to back."""

    alpha: Tensor  # [K]
    weight: Tensor  # [K]
    behind: Tensor  # [K] transmittance behind each
    depth: Tensor  # [K]
    rgb: Tensor  # [K, 3] their colors
    left_out: int  # further Gaussians of alpha 1/255 or more, behind where the pixel ended
    expected_depth: float
    median_depth: float


def walk(scene: Gaussians, camera: Camera, column: int, row: int) -> Walk:
    """By the reference, in double precision."""
    settings = RenderSettings()
    scene, camera = scene.detach().to(dtype=torch.float64), camera.to(dtype=torch.float64)
    projection = seen(scene, camera)
    order = torch.where(projection.drawn, projection.depth, torch.inf).argsort(stable=True)
    order = order[: int(projection.drawn.sum())]
    pixel = torch.tensor([[column + 0.5, row + 0.5]], dtype=torch.float64)
    parts = projection.mean2d[order], projection.conic[order], projection.opacity[order]
    weights, behind, _ = reference.blend_weights(pixel, *parts, settings)
    endless = RenderSettings(transmittance_min=1e-300)
    touching = reference.blend_weights(pixel, *parts, endless)[0][0] > 0
    kept = weights[0] > 0
    before = torch.cat([torch.ones(1, dtype=torch.float64), behind[0][:-1]])
    direction = torch.nn.functional.normalize(scene.means - camera.position, dim=-1)
    colors = color(scene.sh_degree, scene.sh0, scene.sh_rest, direction)[order]
    crossed = kept & (before > 0.5) & (behind[0] <= 0.5)
    depth = projection.depth[order]
    return Walk(
        alpha=(weights[0] / before)[kept],
        weight=weights[0][kept],
        behind=behind[0][kept],
        depth=depth[kept],
        rgb=colors[kept].clamp(0, 1),
        left_out=int((touching & ~kept).sum()),
        expected_depth=float((weights[0] * depth).sum() / weights[0].sum()),
        median_depth=float(depth[crossed][0]) if bool(crossed.any()) else 0.0,
    )


PIXEL = (77, 20)
"""Column and row of the pixel that is walked through."""


def draw_walk() -> Figure:
    """One pixel of the trained scene, Gaussian by Gaussian."""
    trained, camera = training_runs.scene(), training_runs.view()
    column, row = PIXEL
    found = walk(trained, camera, column, row)
    count = len(found.alpha)
    drawn = style.pyplot.figure(figsize=(10, 4.6), layout="constrained")
    grid = drawn.add_gridspec(3, 2, width_ratios=(1, 1.7))
    image = drawn.add_subplot(grid[:, 0])
    style.show(image, render(trained, camera).rgb)
    image.plot(column + 0.5, row + 0.5, "o", ms=10, mfc="none", mec="white", mew=2.5)
    image.plot(column + 0.5, row + 0.5, "o", ms=10, mfc="none", mec=RED, mew=1.2)
    image.set_title(f"Pixel ({column}, {row}): {count} Gaussians blended,\n{found.left_out} more behind them left out")
    style.bare(image)
    places = torch.arange(count).numpy()
    top, middle, bottom = (drawn.add_subplot(grid[index, 1]) for index in range(3))
    top.bar(places, found.alpha.numpy(), color=found.rgb.numpy(), ec=FAINT, lw=0.4)
    top.set_ylabel("alpha")
    top.set_title("Front (left) to back (right), each bar in the color of its Gaussian")
    steps = torch.cat([torch.ones(1), found.behind.float()])
    middle.stairs(steps[:-1].numpy(), torch.arange(count + 1).numpy() - 0.5, color=BLUE, lw=1.5, baseline=None)
    middle.axhline(0.5, color=FAINT, lw=0.8, ls="--")
    half = int((found.behind <= 0.5).nonzero()[0, 0])
    middle.annotate(
        f"falls to 1/2: median depth {found.median_depth:.2f}",
        (half + 0.5, 0.5),
        (half + count * 0.12, 0.72),
        arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.8},
    )
    middle.set_ylabel("transmittance\nin front")
    bottom.bar(places, found.weight.numpy(), color=found.rgb.numpy(), ec=FAINT, lw=0.4)
    bottom.set_ylabel("weight")
    bottom.text(
        0.99,
        0.92,
        f"sum of weights = pixel's alpha = {float(found.weight.sum()):.4f}\nexpected depth {found.expected_depth:.2f}",
        transform=bottom.transAxes,
        ha="right",
        va="top",
    )
    marks = list(range(0, count, max(1, count // 8)))
    for axes in (top, middle):
        axes.set_xticks(marks, [])
    bottom.set_xticks(marks, [f"{float(found.depth[index]):.2f}" for index in marks])
    bottom.set_xlabel("depth z of the Gaussian [world units]")
    for axes in (top, middle, bottom):
        axes.set_xlim(-0.6, count - 0.4)
        axes.set_ylim(0, None)
    return drawn


# --- gradients -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pull:
    """How the pixels of an image pull at the projected mean of one Gaussian."""

    image: Tensor  # [H, W, 3]
    target: Tensor  # [H, W, 3]
    mean2d: Tensor  # [2]
    cov: Tensor  # [2, 2]
    pixels: Tensor  # [H, W, 2] descent direction of each pixel: minus its gradient, in pixels
    signed: Tensor  # [2] sum of the gradients
    absolute: Tensor  # [2] sum of their absolute values


SIDE = 22


def pull(target: Gaussians) -> Pull:
    """The gradient of half the squared error with respect to the mean of one round Gaussian, by pixel, in double precision."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=SIDE, height=SIDE, fov_degrees=50).to(dtype=torch.float64)
    one = gaussians([(-0.06, 0.0, 2.0)], [(0.2, 0.2, 0.2)], [(1, 0, 0, 0)], [0.8], [(0.9, 0.9, 0.9)])
    one = one.to(dtype=torch.float64)
    wanted = reference.render(target.to(dtype=torch.float64), camera).rgb
    image = reference.render(one, camera).rgb
    error = image - wanted
    rows = []
    for row in range(SIDE):
        for column in range(SIDE):
            again = reference.render(one, camera, statistics=True)
            (again.rgb[row, column] * error[row, column]).sum().backward()
            assert again.statistics is not None
            rows.append(again.statistics.mean2d_grad[0] / (SIDE / 2))  # NDC-scaled to per pixel
    every = torch.stack(rows).view(SIDE, SIDE, 2)
    projection = seen(one, camera)
    return Pull(
        image=image,
        target=wanted,
        mean2d=projection.mean2d[0],
        cov=covariances(projection)[0],
        pixels=-every,
        signed=every.sum((0, 1)),
        absolute=every.abs().sum((0, 1)),
    )


def targets() -> dict[str, Gaussians]:
    """What one Gaussian is to become: moved aside, or two thin stripes."""
    white = (0.9, 0.9, 0.9)
    moved = gaussians([(0.1, 0.0, 2.0)], [(0.2, 0.2, 0.2)], [(1, 0, 0, 0)], [0.8], [white])
    stripes = gaussians(
        [(-0.31, 0.0, 2.0), (0.19, 0.0, 2.0)],
        [(0.07, 0.22, 0.1)] * 2,
        [(1, 0, 0, 0)] * 2,
        [0.9] * 2,
        [white] * 2,
    )
    return {"Too far left": moved, "One where there should be two": stripes}


def draw_gradients() -> Figure:
    """Two misfits: one whose gradients agree, one whose gradients cancel."""
    drawn, axes = style.pyplot.subplots(2, 3, figsize=(9.2, 5.6), layout="constrained", width_ratios=(1, 1, 1.15))
    for (name, target), (image, wanted, arrows) in zip(targets().items(), axes, strict=True):
        found = pull(target)
        for place, picture, title in ((image, found.image, "render"), (wanted, found.target, "target image")):
            style.show(place, picture)
            place.add_patch(style.ellipse(found.mean2d, found.cov, 1, ec=ORANGE, lw=1.3))
            place.set_title(title)
        error = (found.image - found.target).mean(-1)
        style.show(arrows, error, cmap="RdBu_r", vmin=-0.7, vmax=0.7, alpha=0.6)
        place = torch.arange(SIDE) + 0.5
        down = found.pixels * 18
        shown = found.pixels.norm(dim=-1) > 4e-3
        v, u = torch.meshgrid(place, place, indexing="ij")
        arrows.quiver(
            u[shown].numpy(), v[shown].numpy(), *down[shown].T.numpy(), angles="xy", scale_units="xy", scale=1,
            width=0.005, color=INK,
        )  # fmt: skip
        arrows.add_patch(style.ellipse(found.mean2d, found.cov, 1, ec=ORANGE, lw=1.3))
        step = -found.signed * 1.8
        if float(step.norm()) > 0.5:
            arrows.annotate(
                "", (found.mean2d + step).tolist(), found.mean2d.tolist(),
                arrowprops={"arrowstyle": "-|>", "color": GREEN, "lw": 3.5, "mutation_scale": 20},
            )  # fmt: skip
        signed, absolute = float(found.signed.norm()), float(found.absolute.norm())
        arrows.set_title(f"minus the gradient, by pixel\nsum: {signed:.2f}; sum of absolute values: {absolute:.2f}")
        for each in (image, wanted, arrows):
            style.bare(each)
            each.set(xlim=(2, SIDE - 2), ylim=(SIDE - 3, 3))
        image.set_ylabel(name, fontsize=10)
    return drawn
