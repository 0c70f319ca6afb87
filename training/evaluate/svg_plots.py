"""Small charts as SVG text, for pages that carry everything in themselves."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

COLORS = ("#3b7dd8", "#e07b39", "#3a9d6e", "#b5489b", "#8a7a2e", "#5b5fc7")
"""Of runs, in their order."""
WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 8, 24


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two bounds."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """1200000 as 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def line_chart(series: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Lines over a common pair of axes, in the order of COLORS."""
    points = [point for line in series for point in line if all(math.isfinite(value) for value in point)]
    if not points:
        return ""
    right = max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / max(right, 1e-9) * (WIDTH - LEFT - RIGHT),
            TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = []
    for value in ticks(low, high):
        _, y = place(0, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    for value in ticks(0, right):
        x, _ = place(value, low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{short(value)}</text>')
    for color, line in zip(COLORS * len(series), series, strict=False):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.6" points="{path}"/>')
    return _svg(WIDTH, HEIGHT, parts)


def bar_chart(values: Mapping[str, float], unit: str) -> str:
    """One horizontal bar per name, with its share of the sum."""
    total, largest, row = sum(values.values()) or 1.0, max(values.values()) or 1.0, 24
    parts = []
    for place, (name, value) in enumerate(values.items()):
        y = place * row
        width = value / largest * (WIDTH - 190)
        parts.append(f'<text x="78" y="{y + 16}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="84" y="{y + 5}" width="{width:.1f}" height="14" rx="2" fill="{COLORS[0]}"/>')
        label = f"{value:.1f} {unit}, {100 * value / total:.0f} %"
        parts.append(f'<text x="{90 + width:.1f}" y="{y + 16}">{label}</text>')
    return _svg(WIDTH, row * len(values), parts)


def map_chart(places: np.ndarray, ahead: np.ndarray, marked: Sequence[bool], points: np.ndarray) -> str:
    """Cameras as wedges that look along `ahead`, and points as dots. All [n, 2]."""
    width, height = 760, 420
    low, high = places.min(0), places.max(0)
    if len(points):
        low = np.minimum(low, np.percentile(points, 5, axis=0))
        high = np.maximum(high, np.percentile(points, 95, axis=0))
    size = max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2
    across, along = (max(float(span), 0.2 * size) for span in high - low)
    scale = min((width - 60) / across, (height - 60) / along)

    def pixel(point: np.ndarray) -> tuple[float, float]:
        return width / 2 + scale * (point[0] - middle[0]), height / 2 + scale * (point[1] - middle[1])

    parts = []
    for x, y in (pixel(point) for point in points):
        if 0 < x < width and 0 < y < height:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="0.9" fill="#8a949f" opacity="0.5"/>')
    for place, direction, held in zip(places, ahead, marked, strict=True):
        x, y = pixel(place)
        turn = math.degrees(math.atan2(direction[1], direction[0]))
        color = COLORS[1] if held else COLORS[0]
        parts.append(
            f'<path d="M0 0 L10 -4.5 L10 4.5 Z" fill="{color}" fill-opacity="0.75" '
            f'transform="translate({x:.1f} {y:.1f}) rotate({turn:.1f})"/>'
        )
    return _svg(width, height, parts, grows=True)


def _svg(width: int, height: int, parts: Sequence[str], grows: bool = False) -> str:
    """A chart that shrinks with the page. Unless it `grows` too, its text is never larger than it was drawn."""
    bound = "" if grows else f' style="max-width:{width}px"'
    return f'<svg viewBox="0 0 {width} {height}"{bound} xmlns="http://www.w3.org/2000/svg" role="img">{"".join(parts)}</svg>'
