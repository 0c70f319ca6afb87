"""Draw docs/architecture.svg: the folders in layers, the rooms in them, and who imports whom.

    python docs/draw_architecture.py            write the picture
    python docs/draw_architecture.py --check    fail where the picture is not that of the sources (CI)

The same sources give the same file, byte by byte, on every machine.
"""

import argparse
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

from imports import FOLDERS, TABLES, Import, Module, circles, folder_of, imports_of, place_of, read_modules
from layers import Edge, Layout, layered, reachable

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"

WIDTH = 1200
ROW = 46  # from row to row inside a folder
BOX = 26  # height of a room
HEAD = 44  # of a folder: its name and what it is
BETWEEN = 84  # from layer to layer, for the arrows

LAYERS = [["training", "viewer"], ["datasets", "compression"], ["splat"], ["cuda_rasterizer"]]
SPANS = {
    "training": (64, 636),
    "viewer": (660, 1136),
    "datasets": (64, 470),
    "compression": (740, 1136),
    "splat": (64, 1136),
    "cuda_rasterizer": (340, 860),
}
"""Left and right of every folder. The middle of the second layer stays free for the arrows that pass it."""

SAYS = {
    "training": "Gaussians optimized to match photos",
    "viewer": "scenes in the browser",
    "datasets": "photos and their cameras",
    "compression": "scenes made small; file formats",
    "splat": "the core: what a scene is, how it is drawn, the command line",
    "cuda_rasterizer": "compiled kernels, for the CPU and for CUDA",
}
COLORS = {  # background, rooms
    "training": ("#fdf1e7", "#f3c9a2"),
    "viewer": ("#f4effb", "#d3c0ee"),
    "datasets": ("#ecf7ee", "#b5dfbe"),
    "compression": ("#e8f6f6", "#a9dad9"),
    "splat": ("#eaf2fd", "#b3d0f5"),
    "cuda_rasterizer": ("#f1f1ef", "#cfcfca"),
}
WRONG = "#c62828"
"""The color of circles, and of arrows against the rule."""

ARROWS = [  # between folders: from, to, x where it leaves, x where it arrives
    ("training", "datasets", 240, 240),
    ("training", "splat", 540, 540),
    ("training", "compression", 600, 800),
    ("viewer", "datasets", 680, 410),
    ("viewer", "splat", 706, 706),
    ("viewer", "compression", 960, 960),
    ("datasets", "splat", 267, 267),
    ("compression", "splat", 938, 938),
    ("splat", "cuda_rasterizer", 600, 600),
]
AROUND = [("training", 36), ("datasets", 50), ("viewer", 1164), ("compression", 1150)]
"""Folders whose arrows to cuda_rasterizer run outside of the core, and at which x."""


def room_of(name: str) -> str:
    """The box of a module: the room, or the module itself where it lies in a folder and in no room."""
    place = place_of(name)
    return "splat/import splat" if name in ("splat", "splat.__main__") else "/".join(place.split("/")[:2])


class Picture:
    """What is drawn: boxes, and how many imports there are between them."""

    def __init__(self, modules: dict[str, Module], imports: list[Import]) -> None:
        self.modules, self.imports = modules, imports
        drawn = {(one.source, one.target) for one in imports if not (one.by_string and one.source in TABLES)}
        self.pairs = sorted(drawn)
        self.named = len({(one.source, one.target) for one in imports if one.by_string and one.source in TABLES})
        self.circles = circles(modules, imports)
        self.between = Counter((folder_of(a), folder_of(b)) for a, b in self.pairs if folder_of(a) != folder_of(b))
        self.inside = Counter(
            (room_of(a), room_of(b)) for a, b in self.pairs if folder_of(a) == folder_of(b) and room_of(a) != room_of(b)
        )
        self.sizes = Counter(room_of(name) for name, module in modules.items() if not module.is_package)
        self.rooms = {room_of(name) for name, module in modules.items() if module.is_package and "/" in place_of(name)}
        self.sizes["splat/import splat"] = 1
        self.layouts = {folder: self.layout(folder) for folder in FOLDERS}

    def layout(self, folder: str) -> Layout:
        left, right = SPANS[folder]
        widths = {room: self.box_width(room) for room in sorted(self.sizes) if room.startswith(f"{folder}/")}
        edges = [edge for edge in sorted(self.inside) if edge[0] in widths and edge[1] in widths]
        return layered(widths, edges, right - left - 28)

    def box_width(self, room: str) -> float:
        return 6.3 * len(self.label(room)) + 18

    def label(self, room: str) -> str:
        name = room.partition("/")[2]
        return f"{name} {self.sizes[room]}" if room in self.rooms else name

    def height(self, folder: str) -> int:
        return HEAD + self.layouts[folder].rows * ROW

    def svg(self) -> str:
        top, tops = 84, dict[str, tuple[int, int]]()
        for layer in LAYERS:
            height = max(self.height(folder) for folder in layer)
            tops |= dict.fromkeys(layer, (top, top + height))
            top += height + BETWEEN
        caption = self.caption()
        total = top - BETWEEN + 40 + 20 * len(caption) + 16
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}"'
            ' font-family="Inter, Helvetica, Arial, sans-serif">',
            "<title>The folders of splat and their imports</title>",
            f"<desc>{escape(' '.join(caption))}</desc>",
            f'<rect width="{WIDTH}" height="{total}" fill="#ffffff"/>',
            text(WIDTH / 2, 38, "The architecture of splat", 22, "#1d2733", weight=600),
            text(WIDTH / 2, 61, "Arrows point from what imports to what is imported: always down", 13, "#5b6672"),
        ]
        for folder in FOLDERS:
            lines += self.panel(folder, *tops[folder])
        lines += self.arrows(tops)
        lines += [text(64, top - BETWEEN + 40 + 20 * i, line, 13, "#3d4854", "start") for i, line in enumerate(caption)]
        return "\n".join([*lines, "</svg>"]) + "\n"

    def caption(self) -> list[str]:
        inside = sum(folder_of(a) == folder_of(b) for a, b in self.pairs)
        circle = f"{len(self.circles) or 'no'} circle{'s' if len(self.circles) > 1 else ''} among them"
        files = " and ".join(f"{place_of(table)}.py" for table in sorted(TABLES))
        return [
            f"{len(self.modules):,} modules in {len(self.rooms)} rooms. {len(self.pairs):,} imports of one module by "
            f"another, {circle}: {inside:,} inside a folder, {len(self.pairs) - inside:,} between folders.",
            "Colored boxes are rooms with the number of their modules; white boxes are single modules. A wider arrow stands "
            "for more imports; numbers count them.",
            "Inside a folder, what follows from other arrows is left out. Lazy imports, imports for types and imports by "
            "string count.",
            f"Not drawn: the {self.named} modules that {files} name by string, and load when they are asked for.",
        ]

    def panel(self, folder: str, top: int, bottom: int) -> Iterator[str]:
        left, right = SPANS[folder]
        layout = self.layouts[folder]
        background, color = COLORS[folder]
        yield (
            f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="12" fill="{background}" '
            f'stroke="{color}" stroke-width="1.5"/>'
        )
        yield (
            f'<text x="{left + 16}" y="{top + 27}" font-size="16" font-weight="600" fill="#1d2733">{folder}'
            f'<tspan dx="10" font-size="12.5" font-weight="400" fill="#5b6672">{SAYS[folder]}</tspan></text>'
        )
        start = top + HEAD + (bottom - top - self.height(folder)) / 2 + 2
        graph: dict[str, set[str]] = {room: set() for room in layout.places}
        for source, target in self.inside:
            if source in graph:
                graph[source].add(target)
        for edge, route in layout.routes.items():
            points = [(left + 14 + x, start + row * ROW + BOX / 2) for x, row in route]
            yield inner_arrow(points, self.inside[edge], edge[0] in reachable(graph, edge[1]))
        for room, (x, row) in layout.places.items():
            width = self.box_width(room)
            fill, stroke = (color, "none") if room in self.rooms else ("#ffffff", color)
            center = left + 14 + x
            yield (
                f'<rect x="{center - width / 2:.1f}" y="{start + row * ROW:.1f}" width="{width:.1f}" height="{BOX}" rx="6" '
                f'fill="{fill}" stroke="{stroke}"/>'
            )
            yield text(center, start + row * ROW + 17.5, self.label(room), 12, "#1d2733")

    def arrows(self, tops: dict[str, tuple[int, int]]) -> Iterator[str]:
        drawn: set[Edge] = set()
        for source, target, x0, x1 in ARROWS:
            if count := self.between[source, target]:
                y0, y1 = tops[source][1], tops[target][0]
                path = f"M{x0} {y0} C{x0} {y0 + 40} {x1} {y0 + 10} {x1} {y0 + 50} V{y1 - 9}"
                yield outer_arrow(path, (x1, y1), "down", count, (x1, y1 - BETWEEN / 2 + 6))
            drawn.add((source, target))
        for source, x in AROUND:
            if count := self.between[source, "cuda_rasterizer"]:
                side = 1 if x < WIDTH / 2 else -1
                x0, x1 = (SPANS[folder][0 if side > 0 else 1] for folder in (source, "cuda_rasterizer"))
                y0, y1 = (
                    tops[source][1] - 30,
                    tops["cuda_rasterizer"][0] + 84 - abs(x - SPANS["splat"][0 if side > 0 else 1]),
                )
                down = f"H{x + 8 * side} Q{x} {y0} {x} {y0 + 8} V{y1 - 8}"
                path = f"M{x0} {y0} {down} Q{x} {y1} {x + 8 * side} {y1} H{x1 - 9 * side}"
                yield outer_arrow(path, (x1, y1), "right" if side > 0 else "left", count, (x1 - 60 * side, y1))
            drawn.add((source, "cuda_rasterizer"))
        for index, (source, target) in enumerate(sorted(edge for edge in self.between if edge not in drawn)):
            words = f"against the rule: {source} imports {target}"
            yield text(24, 24 + 16 * index, words, 13, WRONG, "start", 600)


def text(x: float, y: float, words: str, size: float, color: str, anchor: str = "middle", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{color}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def head(tip: tuple[float, float], direction: str, size: float, color: str) -> str:
    """A triangle whose tip is where an arrow arrives."""
    x, y = tip
    across, along = {
        "down": ((1, 0), (0, -1)),
        "up": ((1, 0), (0, 1)),
        "right": ((0, 1), (-1, 0)),
        "left": ((0, 1), (1, 0)),
    }[direction]
    corners = [
        (x + along[0] * size + across[0] * s, y + along[1] * size + across[1] * s) for s in (-size * 0.6, size * 0.6)
    ]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in [tip, *corners])
    return f'<polygon points="{points}" fill="{color}"/>'


def inner_arrow(points: list[tuple[float, float]], count: int, circle: bool) -> str:
    """An arrow between two rooms of a folder, from the edge of one box through the gaps to the edge of another."""
    down = points[-1][1] > points[0][1]
    step = BOX / 2 if down else -BOX / 2
    color = WRONG if circle else "#7d8894"
    (x0, y0), (x1, y1) = points[0], points[-1]
    stops = [(x0, y0 + step), *points[1:-1], (x1, y1 - step - (5 if down else -5))]
    path = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (xa, ya), (xb, yb) in itertools.pairwise(stops):
        middle = (ya + yb) / 2
        path += f" C{xa:.1f} {middle:.1f} {xb:.1f} {middle:.1f} {xb:.1f} {yb:.1f}"
    width = 0.7 + 0.45 * math.sqrt(count)
    line = f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:.2f}"/>'
    return line + head((x1, y1 - step), "down" if down else "up", 6, color)


def outer_arrow(path: str, tip: tuple[float, float], direction: str, count: int, at: tuple[float, float]) -> str:
    """An arrow between two folders, with the number of its imports on it."""
    color = "#46525f"
    width = 1 + 0.75 * math.sqrt(count)
    wide = 12 + 7.5 * len(str(count))
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-opacity="0.75" stroke-width="{width:.2f}"/>'
        + head(tip, direction, 9 + width * 0.6, color)
        + f'<rect x="{at[0] - wide / 2:.1f}" y="{at[1] - 10:.1f}" width="{wide:.1f}" height="20" rx="10" fill="#ffffff" '
        f'stroke="{color}"/>' + text(at[0], at[1] + 4.5, str(count), 12.5, "#1d2733", weight=600)
    )


def draw(root: Path = ROOT) -> str:
    """The picture of the sources under `root`, as SVG."""
    modules = read_modules(root)
    return Picture(modules, imports_of(modules)).svg()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the picture is not up to date")
    options = parser.parse_args()
    picture = draw()
    if not options.check:
        PICTURE.write_text(picture, encoding="utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != picture:
        sys.exit(
            "error: docs/architecture.svg is not the picture of these sources; run python docs/draw_architecture.py"
        )


if __name__ == "__main__":
    main()
