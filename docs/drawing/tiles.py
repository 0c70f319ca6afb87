"""Tiles and sorting: which tiles a footprint touches, the list of intersections, and how many a real scene has."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from drawing import style, training_runs
from drawing.footprints import covariances, gaussians, seen, turn
from drawing.style import BLUE, FAINT, INK, ORANGE
from splat.cameras import Camera
from splat.cuda_rasterizer.ops.forward import rasterize_forward
from splat.cuda_rasterizer.ops.schema import Inputs, Limits, Options, Outputs
from splat.gaussians import SH_C0, Gaussians
from splat.render import render
from splat.settings import RenderSettings

TILE = 16
INTERSECTION = np.dtype([("gaussian", "<u4"), ("slot", "<u4")])
"""What the CPU kernels write for an intersection."""


@dataclass(frozen=True)
class Binned:
    """What binning has made of one view."""

    columns: int  # of tiles
    rows: int
    offsets: Tensor  # [rows * columns + 1] where each tile's intersections begin
    order: Tensor  # [intersections] indices of Gaussians, by tile and within a tile by depth
    outputs: Outputs

    @property
    def counts(self) -> Tensor:  # [rows, columns]
        return self.offsets.diff().view(self.rows, self.columns)


def binned(scene: Gaussians, camera: Camera) -> Binned:
    """Run the compiled forward, and read its tile lists."""
    settings = RenderSettings()
    inputs = Inputs(
        **scene.tensors(),
        features=None,
        viewmats=camera.viewmat[None],
        Ks=camera.K[None],
        background=torch.ones(1, 3),
    )
    options = Options.of(
        settings, width=camera.width, height=camera.height, sh_degree=scene.sh_degree, with_depth=False
    )
    outputs = rasterize_forward(inputs, options, Limits.of(settings))
    records = outputs.intersections.numpy().view(INTERSECTION)[:, 0]
    return Binned(
        columns=-(-camera.width // TILE),
        rows=-(-camera.height // TILE),
        offsets=outputs.tile_offsets,
        order=torch.from_numpy(records["gaussian"].astype(np.int64)),
        outputs=outputs,
    )


def rectangle(scene: Gaussians, camera: Camera) -> Tensor:  # [N, 4] first and past-the-last tile: x0, y0, x1, y1
    """The tiles that the bounding box of each footprint overlaps, cut off at the image."""
    projection = seen(scene, camera)
    most = torch.tensor([-(-camera.width // TILE), -(-camera.height // TILE)])
    low = ((projection.mean2d - projection.half_extent) / TILE).floor().clamp_min(0)
    high = torch.minimum(((projection.mean2d + projection.half_extent) / TILE).floor() + 1, most)
    boxes = torch.cat([low, high], dim=1).long()
    on_image = projection.drawn & (high > low).all(1)
    return torch.where(on_image[:, None], boxes, 0)


def rectangle_counts(scene: Gaussians, camera: Camera) -> Tensor:  # [rows, columns]
    """How many intersections each tile would have if bounding boxes were binned."""
    columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
    edges = torch.zeros(rows + 1, columns + 1, dtype=torch.int64)
    x0, y0, x1, y1 = rectangle(scene, camera).unbind(1)
    one = torch.ones_like(x0)
    for y, x, sign in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        edges.index_put_((y, x), sign * one, accumulate=True)
    return edges.cumsum(0).cumsum(1)[:-1, :-1]


def grid(axes: style.Axes, camera: Camera) -> None:
    for x in range(0, camera.width + 1, TILE):
        axes.axvline(x, color=style.GRID, lw=0.8, zorder=0)
    for y in range(0, camera.height + 1, TILE):
        axes.axhline(y, color=style.GRID, lw=0.8, zorder=0)


def fill_tile(axes: style.Axes, column: int, row: int, **look: object) -> None:
    axes.add_patch(Rectangle((column * TILE, row * TILE), TILE, TILE, **look))


# --- rectangle or ellipse ------------------------------------------------------------------------------------------------


def one_ellipse() -> tuple[Gaussians, Camera]:
    """A long Gaussian that lies askew."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=12 * TILE, height=9 * TILE, fov_degrees=60)
    scene = gaussians([(0, 0, 3)], [(0.42, 0.06, 0.06)], [turn((0, 0, 1), 38)], [0.85], [(0.0, 0.45, 0.7)])
    return scene, camera


def draw_tiles() -> Figure:
    """Tiles of a rotated ellipse: those of its bounding box, and those it really touches."""
    scene, camera = one_ellipse()
    found = binned(scene, camera)
    projection = seen(scene, camera)
    x0, y0, x1, y1 = rectangle(scene, camera)[0].tolist()
    drawn, axes = style.figure(2, 9, 3.7)
    image = render(scene, camera, background=(1.0, 1.0, 1.0))
    reach = (2 * (projection.opacity[0] / RenderSettings().alpha_min).log()).sqrt()
    for place, exact in zip(axes, (False, True), strict=True):
        grid(place, camera)
        tiles = [
            (column, row)
            for row in range(y0, y1)
            for column in range(x0, x1)
            if not exact or int(found.counts[row, column])
        ]
        for column, row in tiles:
            fill_tile(place, column, row, fc=BLUE if exact else ORANGE, ec="white", alpha=0.22, lw=1)
        rgba = torch.cat([torch.tensor([0.0, 0.3, 0.5]).expand(*image.alpha.shape, 3), image.alpha[..., None]], -1)
        style.show(place, rgba)
        place.add_patch(style.ellipse(projection.mean2d[0], covariances(projection)[0], float(reach), ec=INK, lw=1.2))
        half_x, half_y = projection.half_extent[0].tolist()
        u, v = projection.mean2d[0].tolist()
        if not exact:
            place.add_patch(Rectangle((u - half_x, v - half_y), 2 * half_x, 2 * half_y, fill=False, ls=":", ec=INK))
        what = "tiles that the ellipse touches" if exact else "tiles of the bounding box"
        place.set_title(f"{len(tiles)} {what}")
        style.bare(place)
    return drawn


# --- the list of intersections -------------------------------------------------------------------------------------------

NAMES = "ABCDE"


def few_gaussians() -> tuple[Gaussians, Camera]:
    """Five Gaussians at different depths over three by two tiles; their order in the scene is not their depth order."""
    camera = Camera.look_at((0, 0, 0), (0, 0, 1), width=3 * TILE, height=2 * TILE, fov_degrees=60)
    scene = gaussians(
        [(0.25, 0.25, 2.5), (-0.55, -0.25, 2.0), (-0.2, 0.12, 1.5), (0.85, -0.2, 3.0), (0.5, -0.1, 1.2)],
        [(0.3, 0.1, 0.1), (0.09, 0.09, 0.09), (0.07, 0.22, 0.07), (0.2, 0.14, 0.1), (0.05, 0.05, 0.05)],
        [turn((0, 0, 1), -20), (1, 0, 0, 0), turn((0, 0, 1), 60), (1, 0, 0, 0), (1, 0, 0, 0)],
        [0.8, 0.7, 0.8, 0.8, 0.9],
        [(0.0, 0.45, 0.7), (0.84, 0.37, 0.0), (0.0, 0.62, 0.45), (0.56, 0.36, 0.65), (0.76, 0.09, 0.36)],
    )
    return scene, camera


def draw_sorting() -> Figure:
    """Five footprints over six tiles, and the list of intersections that the kernels made."""
    scene, camera = few_gaussians()
    found, projection = binned(scene, camera), seen(scene, camera)
    colors = (scene.sh0 * SH_C0 + 0.5).tolist()
    drawn, (image, lists) = style.figure(2, 9.4, 3.2, width_ratios=(1, 1.1))
    style.show(image, render(scene, camera, background=(1.0, 1.0, 1.0)).rgb, alpha=0.75)
    for tile in range(found.rows * found.columns):
        row, column = divmod(tile, found.columns)
        fill_tile(image, column, row, fill=False, ec=FAINT, lw=1)
        image.text(column * TILE + 0.6, row * TILE + 0.6, str(tile), color=FAINT, va="top", fontsize=8)
    for index, name in enumerate(NAMES):
        reach = (2 * (projection.opacity[index] / RenderSettings().alpha_min).log()).sqrt()
        cov = covariances(projection)[index]
        image.add_patch(style.ellipse(projection.mean2d[index], cov, float(reach), ec=colors[index], lw=1.3))
        image.text(*projection.mean2d[index].tolist(), name, fontsize=11, weight="bold", ha="center", va="center")
    style.bare(image)
    image.set_title("Ellipses where alpha is 1/255, and the 16 x 16 tiles")

    begin, end = found.offsets[:-1].tolist(), found.offsets[1:].tolist()
    for tile, (first, last) in enumerate(zip(begin, end, strict=True)):
        lists.text(-0.3, tile + 0.5, f"tile {tile}", ha="right", va="center")
        for place, index in enumerate(found.order[first:last].tolist()):
            lists.add_patch(Rectangle((place, tile + 0.08), 0.94, 0.84, fc=colors[index], ec="none", alpha=0.85))
            depth = float(projection.depth[index])
            words = f"{NAMES[index]}  z = {depth:.1f}"
            lists.text(place + 0.47, tile + 0.5, words, ha="center", va="center", color="white", weight="bold")
    longest = max(last - first for first, last in zip(begin, end, strict=True))
    lists.annotate(
        "",
        (longest, found.rows * found.columns + 0.35),
        (0, found.rows * found.columns + 0.35),
        arrowprops={"arrowstyle": "->", "color": FAINT},
    )
    lists.text(longest / 2, found.rows * found.columns + 0.75, "deeper", ha="center", color=FAINT, fontsize=8)
    lists.set(xlim=(-1.1, longest), ylim=(found.rows * found.columns + 1, 0))
    style.bare(lists)
    lists.set_title(f"{len(found.order)} intersections, by tile and then by depth z")
    return drawn


# --- a real scene --------------------------------------------------------------------------------------------------------


def draw_heat_map() -> Figure:
    """A trained scene, and how many Gaussians each tile of it has."""
    trained, camera = training_runs.scene(), training_runs.view().resized(768, 512)
    found, boxes = binned(trained, camera), rectangle_counts(trained, camera)
    drawn, (image, heat) = style.figure(2, 10, 4.2, width_ratios=(1, 1.1))
    style.show(image, render(trained, camera).rgb)
    image.set_title(
        f"{len(trained):,} Gaussians,\n{camera.width} x {camera.height} pixels, {found.columns} x {found.rows} tiles"
    )
    style.show(heat, found.counts, cmap="magma", vmin=0)
    exact, whole = int(found.counts.sum()), int(boxes.sum())
    heat.set_title(f"Gaussians in each tile: {exact:,} intersections\n(bounding boxes would give {whole:,})")
    bar = drawn.colorbar(heat.images[0], ax=heat, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    for axes in (image, heat):
        style.bare(axes)
    return drawn
