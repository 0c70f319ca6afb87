"""A picture of a capture: its points, cameras and their frustums from above and from the side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from splat.cameras import Camera
from splat.geometry.scene_size import outlying, usable
from splat.geometry.viewpoints import up_of

PANEL = 900
"""Width and height of each of the two views in pixels."""
MARGIN = 0.08
"""Of a view around what is in it."""
QUANTILES = 0.02, 0.98
"""What a view shows of the points."""
FRUSTUM = 0.05
"""Length of a frustum as a fraction of the view."""
INK, PAPER, CAMERA, HELD_OUT, OUTLYING = (40, 40, 40), (255, 255, 255), (31, 99, 196), (222, 120, 12), (200, 30, 30)


@dataclass(frozen=True)
class _Panel:
    """A view along one axis: world coordinates to pixels."""

    axes: Tensor  # [2, 3] world directions to the right and up
    center: Tensor  # [2] in these directions
    scale: float  # pixels per world unit
    left: int  # pixels

    def place(self, points: Tensor) -> Tensor:  # [..., 2] pixels
        """Where points [..., 3] are drawn."""
        across = (points.double() @ self.axes.T - self.center) * self.scale
        return torch.stack([self.left + PANEL / 2 + across[..., 0], PANEL / 2 - across[..., 1]], dim=-1)


def capture_picture(
    cameras: Sequence[Camera],
    points: Tensor,  # [P, 3]
    colors: Tensor,  # [P, 3] uint8
    held_out: Sequence[bool] = (),
    unit: float = 1.0,
) -> Image.Image:
    """Draw a capture from above and from the side.

    Cameras that are far from all others are left out of the choice of what is shown, so that one wrong pose does not shrink
    everything to a dot.

    Args:
        cameras: of the photos, at least one.
        held_out: which of them are test views.
        unit: length of a world unit in the capture's units, for the scale that is drawn.
    """
    positions = torch.stack([camera.position for camera in cameras]).double().cpu()
    astray = outlying(positions)
    finite = points.isfinite().all(dim=1)
    points, colors = points[finite].double().cpu(), colors[finite].cpu()
    up = up_of(cameras)
    shown = torch.cat([positions[~astray], _most(points)])
    right, forward = _level_axes(shown, up)
    size = max(_span(shown, torch.stack([right, forward])), _span(shown, torch.stack([right, up]))) or 1.0
    scale = PANEL * (1 - 2 * MARGIN) / size
    image = Image.new("RGB", (2 * PANEL, PANEL + 60), PAPER)
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    for index, (title, vertical) in enumerate(
        (("from above, if up is up in the photos", forward), ("from the side", up))
    ):
        axes = torch.stack([right, vertical])
        low, high = _limits(shown @ axes.T)
        panel = _Panel(axes, (low + high) / 2, scale, index * PANEL)
        _draw_points(image, panel, points, colors)
        for number, camera in enumerate(cameras):
            color = OUTLYING if astray[number] else HELD_OUT if number < len(held_out) and held_out[number] else CAMERA
            _draw_camera(drawing, panel, camera, color, FRUSTUM * size)
        drawing.text((panel.left + 16, 12), title, INK, font)
    drawing.line([(PANEL, 0), (PANEL, PANEL)], (200, 200, 200))
    drawing.rectangle((0, PANEL, 2 * PANEL, PANEL + 60), PAPER)
    length = 10 ** np.floor(np.log10(size * unit / 3))
    drawing.line([(20, PANEL + 40), (20 + length / unit * scale, PANEL + 40)], INK, 3)
    drawing.text((20, PANEL + 10), f"{length:g}", INK, font)
    legend = f"{len(cameras)} photos (blue), {len(points):,} points"
    if any(held_out):
        legend += f"; {sum(held_out)} held out (orange)"
    if bool(astray.any()):
        legend += f"; {int(astray.sum())} far from all others (red)"
    drawing.text((300, PANEL + 24), legend, INK, font)
    return image


def _most(points: Tensor) -> Tensor:
    """Corners of the box that nearly all points lie in."""
    points = usable(points)
    if not len(points):
        return points
    ordered = points.sort(dim=0).values
    return torch.stack([ordered[round(quantile * (len(points) - 1))] for quantile in QUANTILES])


def _level_axes(points: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Two level directions: the one along which points extend most, and the one across."""
    level = points - points.mean(0)
    level = level - (level @ up)[:, None] * up
    right = torch.linalg.eigh(level.T @ level).eigenvectors[:, -1]
    right = right - (right @ up) * up
    if float(right.norm()) < 1e-6:
        right = torch.linalg.cross(up, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        right = right if float(right.norm()) > 1e-6 else torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    right = torch.nn.functional.normalize(right, dim=0)
    return right, torch.linalg.cross(up, right)


def _limits(flat: Tensor) -> tuple[Tensor, Tensor]:
    return flat.amin(0), flat.amax(0)


def _span(points: Tensor, axes: Tensor) -> float:
    low, high = _limits(points @ axes.T)
    return float((high - low).max())


def _draw_points(image: Image.Image, panel: _Panel, points: Tensor, colors: Tensor) -> None:
    """A pixel or four for each point; where several fall together the last one is seen."""
    pixels = np.array(image)
    place = panel.place(points).round().long().numpy()
    for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)) if len(points) < 200_000 else ((0, 0),):
        columns, rows = place[:, 0] + across, place[:, 1] + down
        inside = (columns >= panel.left) & (columns < panel.left + PANEL) & (rows >= 0) & (rows < PANEL)
        pixels[rows[inside], columns[inside]] = colors.numpy()[inside]
    image.paste(Image.fromarray(pixels))


def _draw_camera(
    drawing: ImageDraw.ImageDraw, panel: _Panel, camera: Camera, color: tuple[int, int, int], length: float
) -> None:
    """A pyramid from the center of projection to the corners of the image; nothing of it in the other panel."""
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]]) * torch.tensor([camera.width, camera.height])
    far = camera.unproject(corners.float(), torch.full((4,), 0.8)).double().cpu()
    position = camera.position.double().cpu()
    far = position + (far - position) * length
    eye = tuple(panel.place(position).tolist())
    ends = [tuple(corner) for corner in panel.place(far).tolist()]
    if not all(panel.left <= x < panel.left + PANEL for x, _ in (eye, *ends)):
        return
    for start, end in [*((eye, corner) for corner in ends), *zip(ends, [*ends[1:], ends[0]], strict=True)]:
        drawing.line([start, end], color, 1)
    drawing.ellipse((eye[0] - 3, eye[1] - 3, eye[0] + 3, eye[1] + 3), color)
