"""Conventions: the axes of a camera, and where pixels have their centers."""

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from drawing import style
from drawing.footprints import line
from drawing.style import BLUE, FAINT, GREEN, INK, RED
from splat.cameras import Camera

AXES = (("x", RED), ("y", GREEN), ("z", BLUE))
OTHERS = {
    "OpenCV, COLMAP, splat": (1, 1, 1),
    "OpenGL, Blender, nerfstudio": (1, -1, -1),
}
"""Whose camera axes, and the signs of x, y and z with respect to ours."""


def grid_points() -> tuple[Camera, torch.Tensor, torch.Tensor]:
    """A camera of 6 x 4 pixels whose principal point is not the middle, points in front of it, and their pixels."""
    K = torch.tensor([[5.0, 0.0, 2.5], [0.0, 5.0, 2.0], [0.0, 0.0, 1.0]])
    camera = Camera(torch.eye(4), K, 6, 4)
    points = torch.tensor([[0.0, 0.0, 2.0], [0.8, -0.6, 2.0]])
    return camera, points, camera.project(points)[0]


def draw_conventions() -> Figure:
    """The axes of a camera here and elsewhere, and the grid of pixels."""
    drawn = style.pyplot.figure(figsize=(10, 3.7), layout="constrained")
    grid = drawn.add_gridspec(1, 3, width_ratios=(1, 1, 1.35))
    camera = Camera(torch.eye(4), torch.tensor([[5.0, 0, 3], [0, 5.0, 2], [0, 0, 1]]), 6, 4)
    corners = camera.unproject(torch.tensor([(0.0, 0.0), (6.0, 0.0), (6.0, 4.0), (0.0, 4.0)]), torch.full((4,), 0.95))
    for index, (name, signs) in enumerate(OTHERS.items()):
        space = drawn.add_subplot(grid[0, index], projection="3d")
        for corner in range(4):
            line(space, torch.zeros(3), corners[corner], color=FAINT, lw=0.8)
            line(space, corners[corner], corners[(corner + 1) % 4], color=INK, lw=1.2)
        for axis, (letter, color) in enumerate(AXES):
            tip = torch.zeros(3)
            tip[axis] = 0.8 * signs[axis]
            space.quiver(0, 0, 0, tip[0], tip[2], -tip[1], color=color, lw=2.2, arrow_length_ratio=0.14)
            space.text(*(1.18 * torch.stack([tip[0], tip[2], -tip[1]])).tolist(), letter, color=color, weight="bold")
        space.text(0.05, 0.95, 0.46, "image", color=INK, fontsize=8)
        space.set(xlim=(-0.8, 1.0), ylim=(-0.8, 1.0), zlim=(-0.9, 0.9))
        space.set_box_aspect((1, 1, 1), zoom=1.3)
        space.view_init(elev=24, azim=-118)
        space.set_axis_off()
        space.set_title(name, y=1.02)

    camera, _, pixels = grid_points()
    image = drawn.add_subplot(grid[0, 2])
    for row in range(camera.height):
        for column in range(camera.width):
            image.add_patch(Rectangle((column, row), 1, 1, fc="#f4f6f8", ec=style.GRID, lw=1))
            image.plot(column + 0.5, row + 0.5, ".", color=FAINT, ms=4)
    image.add_patch(Rectangle((4, 1), 1, 1, fc="#cfe3f2", ec=BLUE, lw=1.2))
    image.annotate(
        "column 4, row 1:\ncenter (4.5, 1.5)",
        (4.5, 1.5),
        (4.15, 3.0),
        color=BLUE,
        va="center",
        arrowprops={"arrowstyle": "-|>", "color": BLUE, "lw": 0.9},
    )
    image.plot(4.5, 1.5, ".", color=BLUE)
    image.plot(*pixels[0].tolist(), "+", color=RED, ms=12, mew=2)
    image.text(float(pixels[0, 0]) + 0.12, float(pixels[0, 1]) - 0.12, "(cx, cy)", color=RED)
    image.set(xlim=(-0.15, 6.15), ylim=(4.15, -0.15), xlabel="u [pixels], columns", ylabel="v [pixels], rows")
    image.set_aspect("equal")
    image.set_title("6 x 4 pixels: u from 0 to 6, v from 0 to 4")
    return drawn
