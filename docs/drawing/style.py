"""How the pictures of the concepts look, and how they are written: the same values give the same file, byte by byte."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#c2185b", "#8e5ba6", "#56b4e9"
"""After Okabe and Ito, which the color-blind can tell apart."""
INK, FAINT, GRID = "#1d2733", "#6b7683", "#d9dde2"
DPI = 110

pyplot.rcParams.update(
    {
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine has it
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "svg.hashsalt": "splat",
        "image.interpolation": "nearest",
    }
)


def figure(columns: int, width: float = 9.0, height: float = 3.4, **grid: object) -> tuple[Figure, list[Axes]]:
    """A figure with one row of axes."""
    made, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False, **grid)
    return made, list(axes[0])


METADATA = {".svg": {"Date": None}, ".png": {"Software": None}, ".jpg": None}
"""By suffix, what keeps a file from depending on when and by which version it is written."""


def save(drawn: Figure, path: Path) -> None:
    quality = {"pil_kwargs": {"quality": 88, "optimize": True}} if path.suffix == ".jpg" else {}
    drawn.savefig(path, dpi=DPI, metadata=METADATA[path.suffix], **quality)
    pyplot.close(drawn)


def bare(axes: Axes) -> None:
    """No ticks, for an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def show(axes: Axes, image: Tensor, **options: object) -> None:
    """An image [H, W, 3] or [H, W] in pixel coordinates: pixel (i, j) covers i to i + 1 and j to j + 1."""
    height, width = image.shape[:2]
    picture = image.detach().clamp(0, 1) if image.ndim == 3 else image.detach()
    axes.imshow(picture.numpy(), extent=(0, width, height, 0), **options)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def ellipse(mean2d: Tensor, cov: Tensor, radius: float, **style: object) -> Ellipse:
    """The ellipse d^T cov^-1 d = radius^2 around a 2D Gaussian."""
    values, vectors = torch.linalg.eigh(cov.detach().double())
    angle = float(torch.rad2deg(torch.atan2(vectors[1, 1], vectors[0, 1])))
    minor, major = (2 * radius * values.clamp_min(0).sqrt()).tolist()
    style = {"fill": False, **style}
    return Ellipse(tuple(mean2d.tolist()), major, minor, angle=angle, **style)
