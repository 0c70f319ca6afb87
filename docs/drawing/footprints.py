"""One Gaussian and its footprint: the ellipsoid, its projection, dilation, extent and the clamp of the Jacobian."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from drawing import style
from drawing.style import BLUE, FAINT, INK, ORANGE, RED
from splat.cameras import Camera
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.quaternions import rotation_matrix
from splat.reference.projection import Projection, project
from splat.render import render
from splat.settings import RenderSettings


def gaussians(
    means: list[tuple[float, float, float]],
    scales: list[tuple[float, float, float]],
    quats: list[tuple[float, float, float, float]],
    opacities: list[float],
    colors: list[tuple[float, float, float]],
) -> Gaussians:
    """Gaussians by what the numbers stand for, without view-dependent color."""
    return Gaussians(
        means=torch.tensor(means, dtype=torch.float32),
        quats=torch.tensor(quats, dtype=torch.float32),
        log_scales=torch.tensor(scales).log(),
        logit_opacities=torch.tensor(opacities).logit(),
        sh0=(torch.tensor(colors, dtype=torch.float32) - 0.5) / SH_C0,
        sh_rest=torch.zeros(len(means), 0, 3),
    )


def seen(scene: Gaussians, camera: Camera, settings: RenderSettings | None = None) -> Projection:
    """The projection as the reference computes it."""
    return project(scene, camera.viewmat, camera.K, camera.width, camera.height, settings or RenderSettings())


def covariances(projection: Projection) -> Tensor:  # [N, 2, 2]
    """The dilated 2D covariances: the inverses of the conics."""
    a, b, c = projection.conic.unbind(-1)
    return torch.linalg.inv(torch.stack([torch.stack([a, b], -1), torch.stack([b, c], -1)], 1))


def turn(axis: tuple[float, float, float], degrees: float) -> tuple[float, float, float, float]:
    """The unit quaternion (w, x, y, z) of a rotation around an axis."""
    half = math.radians(degrees) / 2
    x, y, z = (math.sin(half) * torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)).tolist()
    return (math.cos(half), x, y, z)


# --- one Gaussian ---------------------------------------------------------------------------------------------------------


def draw_gaussian() -> Figure:
    """A Gaussian as an ellipsoid in front of a camera, and what the camera sees of it."""
    scene = gaussians([(0, 0, 3)], [(0.62, 0.31, 0.17)], [turn((0.3, 0.5, 1), 35)], [0.9], [(0.0, 0.45, 0.7)])
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=120, height=90, fov_degrees=62)
    drawn = style.pyplot.figure(figsize=(9, 3.8), layout="constrained")
    space, image = drawn.add_subplot(1, 2, 1, projection="3d"), drawn.add_subplot(1, 2, 2)
    axes3d = (rotation_matrix(scene.quats) * scene.scales[:, None])[0]  # columns: the half-axes
    center = scene.means[0]

    u, v = torch.meshgrid(torch.linspace(0, 2 * math.pi, 49), torch.linspace(0, math.pi, 25), indexing="ij")
    sphere = torch.stack([u.cos() * v.sin(), u.sin() * v.sin(), v.cos()], dim=-1)
    for radius, alpha in ((1, 0.75), (2, 0.13)):
        x, y, z = (center + radius * sphere @ axes3d.T).unbind(-1)
        space.plot_surface(x.numpy(), z.numpy(), -y.numpy(), color=BLUE, alpha=alpha, linewidth=0, rstride=1, cstride=1)
    for index in range(3):
        tip = center + 2 * axes3d[:, index]
        line(space, center, tip, color=INK, lw=1.3)
        x, y, z = (center + 2.3 * axes3d[:, index]).tolist()
        space.text(x, z, -y, f"$s_{index + 1}$", fontsize=10)
    corners = camera.unproject(
        torch.tensor([(0.0, 0.0), (120.0, 0.0), (120.0, 90.0), (0.0, 90.0)]), torch.full((4,), 1.1)
    )
    for index in range(4):
        line(space, torch.zeros(3), corners[index], color=FAINT, lw=0.9)
        line(space, corners[index], corners[(index + 1) % 4], color=FAINT, lw=0.9)
    space.text(0, -0.25, -0.25, "camera", color=FAINT, ha="center", fontsize=8)
    space.set_box_aspect((2.6, 4.2, 2.2), zoom=1.5)
    space.set(xlim=(-1.3, 1.3), ylim=(-0.2, 4.0), zlim=(-1.1, 1.1))
    space.view_init(elev=22, azim=-38)
    space.set_axis_off()
    space.set_title("In the world: surfaces at 1 and 2 standard deviations", y=0.97)

    projection = seen(scene, camera)
    style.show(image, render(scene, camera, background=(1.0, 1.0, 1.0)).rgb)
    outline(image, projection, 0)
    for index in range(3):
        ends, _ = camera.project(torch.stack([center - 2 * axes3d[:, index], center + 2 * axes3d[:, index]]))
        image.plot(*ends.T.numpy(), color=INK, lw=1)
        tip, _ = camera.project(center + 2.2 * axes3d[:, index])
        image.text(*tip.tolist(), f"$s_{index + 1}$", fontsize=10, ha="center", va="center")
    image.set(xlabel="u [pixels]", ylabel="v [pixels]")
    image.set_title("In the image: ellipses at 1, 2 and 3 standard deviations")
    return drawn


def line(space: Axes, start: Tensor, end: Tensor, **look: object) -> None:
    """A line in 3D with y down, as COLMAP's worlds mostly have it; matplotlib has z up."""
    x, y, z = torch.stack([start, end]).unbind(-1)
    space.plot(x.numpy(), z.numpy(), -y.numpy(), **look)


def outline(axes: Axes, projection: Projection, index: int, color: str = INK) -> None:
    """Ellipses at 1, 2 and 3 standard deviations of the dilated footprint."""
    cov = covariances(projection)[index]
    for radius in (1, 2, 3):
        axes.add_patch(style.ellipse(projection.mean2d[index], cov, radius, ec=color, lw=0.9, ls=(0, (4, 2))))


# --- several Gaussians from above, and their footprints ------------------------------------------------------------------


def projected_scene() -> tuple[Gaussians, Camera, list[str]]:
    """Gaussians inside, half outside, outside and behind what a camera sees."""
    scene = gaussians(
        [(-0.5, 0.1, 3.2), (0.75, -0.3, 2.2), (2.45, 0.2, 3.0), (-1.0, 0.3, -0.45), (0.2, 0.5, 4.4)],
        [(0.55, 0.16, 0.25), (0.12, 0.3, 0.35), (0.6, 0.25, 0.2), (0.3, 0.3, 0.3), (0.35, 0.35, 0.35)],
        [turn((0, 0.4, 1), 30), turn((0.2, 0, 1), 25), turn((0, 1, 0.3), 20), (1, 0, 0, 0), (1, 0, 0, 0)],
        [0.95, 0.6, 0.95, 0.95, 0.04],
        [(0.0, 0.45, 0.7), (0.84, 0.37, 0.0), (0.0, 0.62, 0.45), (0.5, 0.5, 0.5), (0.56, 0.36, 0.65)],
    )
    return scene, Camera.look_at((0, 0, 0), (0, 0, 1), width=160, height=110, fov_degrees=60), [*"ABCDE"]


def draw_projection() -> Figure:
    """From above: which Gaussians a camera draws. In the image: their ellipses and extents."""
    scene, camera, names = projected_scene()
    colors = [*(scene.sh0 * SH_C0 + 0.5).tolist()]
    projection = seen(scene, camera)
    drawn, (above, image) = style.figure(2, 10, 3.9, width_ratios=(1, 1.5))
    axes3d = rotation_matrix(scene.quats) * scene.scales[:, None]
    cov3d = axes3d @ axes3d.transpose(1, 2)
    slope = camera.width / 2 / float(camera.K[0, 0])
    margin = RenderSettings().frustum_margin
    above.add_patch(Polygon([(0, 0), (5.2 * slope, 5.2), (-5.2 * slope, 5.2)], fc="#eef3f8", ec="none"))
    for factor, look in ((1, "-"), (1 + margin, ":")):
        above.plot([-5.2 * slope * factor, 0, 5.2 * slope * factor], [5.2, 0, 5.2], look, color=FAINT, lw=1)
    above.annotate(
        f"limit of the Jacobian:\nimage + {margin} tan(fov/2)",
        (-3.2 * slope * (1 + margin), 3.2),
        (-3.6, 0.45),
        fontsize=7.5,
        color=FAINT,
        arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.7},
    )
    above.axhline(0, color=FAINT, lw=0.8, ls="--")
    above.text(3.6, -0.12, "near plane, z = 0.01", fontsize=7.5, color=FAINT, ha="right", va="top")
    for index, name in enumerate(names):
        mean = scene.means[index, [0, 2]]
        flat = cov3d[index][[0, 2]][:, [0, 2]]
        fill = {"fill": True, "fc": (*colors[index], 0.25 + 0.5 * float(scene.opacities[index]))}
        above.add_patch(style.ellipse(mean, flat, 2, ec=colors[index], lw=1.2, **fill))
        above.text(*mean.tolist(), name, ha="center", va="center", weight="bold")
    above.plot(0, 0, marker=(3, 0, 180), ms=9, color=INK)
    above.set(xlim=(-3.7, 3.7), ylim=(-1.15, 5.3), xlabel="x [world units]", ylabel="z [world units]", aspect="equal")
    above.set_title("From above: ellipsoids at 2 standard deviations")

    style.show(image, render(scene, camera, background=(1.0, 1.0, 1.0)).rgb)
    covs = covariances(projection)
    for index, name in enumerate(names):
        if not bool(projection.drawn[index]):
            continue
        x, y = projection.mean2d[index].tolist()
        reach = math.sqrt(2 * math.log(float(projection.opacity[index]) / RenderSettings().alpha_min))
        half_x, half_y = projection.half_extent[index].tolist()
        look = {"ec": colors[index], "lw": 1.3, "clip_on": False}
        image.add_patch(style.ellipse(projection.mean2d[index], covs[index], reach, **look))
        image.add_patch(
            Rectangle((x - half_x, y - half_y), 2 * half_x, 2 * half_y, fill=False, ls=":", **look | {"lw": 1})
        )
        image.plot(x, y, "+", color=INK, ms=7, clip_on=False)
        image.text(x + 2.5, y - 2.5, name, weight="bold", clip_on=False)
    image.add_patch(Rectangle((0, 0), camera.width, camera.height, fill=False, ec=INK, lw=1.2))
    image.set(xlim=(-16, 308), ylim=(122, -28), xlabel="u [pixels]", ylabel="v [pixels]", aspect="equal")
    image.set_title("In the image: alpha is 1/255 on each ellipse; dotted: its extent")
    return drawn


# --- opacity-aware extent, dilation, clamp --------------------------------------------------------------------------------


def extents(opacities: list[float]) -> list[tuple[float, float]]:
    """Of one round Gaussian of sigma 8 pixels at several opacities: half-extent in standard deviations, and the rendered
    distance at which the last pixel is covered."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=81, height=81)
    sigma = 8 / float(camera.K[0, 0])
    found = []
    for opacity in opacities:
        scene = gaussians([(0, 0, 1)], [(sigma, sigma, sigma)], [(1, 0, 0, 0)], [opacity], [(0, 0, 0)])
        projection = seen(scene, camera)
        deviation = float(covariances(projection)[0, 0, 0].sqrt())
        row = render(scene, camera).alpha[40]
        covered = (torch.arange(81)[row > 0] - 40).abs().max() if bool((row > 0).any()) else torch.tensor(0)
        found.append((float(projection.half_extent[0, 0]) / deviation, float(covered) / deviation))
    return found


def covered_area(sigmas: list[float], antialiased: bool) -> list[float]:
    """Sum of alpha over all pixels, divided by the integral of the undilated Gaussian, for standard deviations in pixels."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=64, height=64)
    opacity, found = 0.9, []
    for sigma in sigmas:
        world = sigma / float(camera.K[0, 0])
        scene = gaussians([(0, 0, 1)], [(world, world, world)], [(1, 0, 0, 0)], [opacity], [(0, 0, 0)])
        alpha = render(
            scene.to(dtype=torch.float64),
            camera.to(dtype=torch.float64),
            settings=RenderSettings(antialiased=antialiased),
        ).alpha
        found.append(float(alpha.sum()) / (2 * math.pi * opacity * sigma**2))
    return found


def footprint_widths(slopes: list[float], margin: float) -> list[float]:
    """Standard deviation along u, in pixels, of one Gaussian at z = 1 that moves out of the image to x = slope."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=640, height=480, fov_degrees=60)
    settings = RenderSettings(frustum_margin=margin)
    found = []
    for slope in slopes:
        scene = gaussians([(slope, 0, 1)], [(0.05, 0.05, 0.05)], [(1, 0, 0, 0)], [0.9], [(0, 0, 0)])
        found.append(float(covariances(seen(scene, camera, settings))[0, 0, 0].sqrt()))
    return found


def draw_thresholds() -> Figure:
    """What dilation, the opacity-aware extent and the clamp of the Jacobian do, measured."""
    drawn, (dilation, extent, clamp) = style.figure(3, 10.2, 3.1)
    sigmas = [0.15 * 1.12**step for step in range(30)]
    dilation.loglog(sigmas, covered_area(sigmas, antialiased=False), color=ORANGE, label="classic")
    dilation.loglog(sigmas, covered_area(sigmas, antialiased=True), color=BLUE, label="antialiased")
    dilation.axhline(1, color=FAINT, lw=0.8, ls="--")
    dilation.set(xlabel="standard deviation before dilation [pixels]", ylabel="sum of alpha / integral of the Gaussian")
    dilation.set_xticks([0.2, 0.5, 1, 2, 4], ["0.2", "0.5", "1", "2", "4"], minor=False)
    dilation.set_xticks([], minor=True)
    dilation.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    dilation.set_yticks([], minor=True)
    dilation.set_title("Dilation adds light to small Gaussians")
    dilation.legend()

    opacities = [0.004 * 1.17**step for step in range(36)]
    opacities = [value for value in opacities if value <= 0.999]
    computed, rendered = zip(*extents(opacities), strict=True)
    extent.semilogx(opacities, computed, color=BLUE, label="extent that is binned")
    extent.semilogx(opacities, rendered, ".", color=INK, ms=4, label="farthest pixel in a render")
    extent.axhline(3, color=FAINT, lw=0.8, ls="--")
    extent.text(0.004, 3.05, "fixed 3σ", color=FAINT, fontsize=7.5)
    extent.axvline(1 / 255, color=RED, lw=0.8, ls=":")
    extent.set_xticks([1 / 255, 0.01, 0.1, 1], ["1/255", "0.01", "0.1", "1"])
    extent.set_xticks([], minor=True)
    extent.set(xlabel="opacity", ylabel="half-extent [standard deviations]", ylim=(0, 3.6))
    extent.set_title("The extent follows the opacity")
    extent.legend(loc="lower right")

    slopes = [0.05 * step for step in range(61)]
    edge = math.tan(math.radians(30))
    clamp.plot(slopes, footprint_widths(slopes, 1e6), color=ORANGE, label="without the clamp")
    clamp.plot(slopes, footprint_widths(slopes, RenderSettings().frustum_margin), color=BLUE, label="clamped")
    clamp.axvspan(0, edge, color="#eef3f8", lw=0)
    clamp.text(edge / 2, 5, "image", ha="center", color=FAINT, fontsize=8)
    clamp.axvline(edge * 1.3, color=FAINT, lw=0.8, ls=":")
    clamp.text(edge * 1.3 + 0.04, 5, "limit", color=FAINT, fontsize=8)
    clamp.set(xlabel="x / z of the mean", ylabel="standard deviation along u [pixels]", xlim=(0, 3), ylim=0)
    clamp.set_title("The Jacobian is clamped outside the image")
    clamp.legend(loc="upper left")
    return drawn
