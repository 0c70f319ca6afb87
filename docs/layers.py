"""A layered layout of a small directed graph: every arrow points down, long arrows find gaps between the nodes.

The steps are Sugiyama's: break circles, layer by longest paths, order each row to cross few arrows, then set positions.
Nothing is random and nothing depends on hashes: the same graph gives the same layout.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum  # sum() rounds differently from Python 3.12 on

Edge = tuple[str, str]
GAP = 14.0
LANE = 8.0  # the width that a long arrow takes in a row that it passes


@dataclass(frozen=True)
class Layout:
    """Where nodes are and how arrows run: x in pixels from the left, rows counted from the top."""

    places: dict[str, tuple[float, int]]  # center and row
    routes: dict[Edge, list[tuple[float, int]]]  # from node to node, through a point in every row between
    rows: int


def layered(widths: Mapping[str, float], edges: Iterable[Edge], width: float) -> Layout:
    """Place nodes of these widths in an area of this width. What follows from other arrows is not routed.

    Arrows that close a circle are routed too, upwards.
    """
    graph: dict[str, set[str]] = {node: set() for node in sorted(widths)}
    for source, target in edges:
        graph[source].add(target)
    back = closing(graph)
    down = {node: {target for target in targets if (node, target) not in back} for node, targets in graph.items()}
    row_of = rows_of(down)
    kept = sorted(reduced(down))
    rows: list[list[str]] = [[] for _ in range(max(row_of.values(), default=0) + 1)]
    alone = sorted(set(graph) - {node for edge in (*kept, *back) for node in edge})
    for node in graph:
        if node not in alone:
            rows[row_of[node]].append(node)
    for node in alone:
        min(rows, key=lambda row: sum(widths[other] + GAP for other in row)).append(node)
    chains: dict[Edge, list[str]] = {}
    for source, target in [*kept, *sorted((target, source) for source, target in back)]:
        lanes = [f"{source}>{target}@{row}" for row in range(row_of[source] + 1, row_of[target])]
        for row, lane in enumerate(lanes, row_of[source] + 1):
            rows[row].append(lane)
        chains[source, target] = [source, *lanes, target]
    neighbors = beside(chains.values())
    rows = ordered(rows, neighbors)
    x = positions(rows, neighbors, {**{lane: LANE for row in rows for lane in row}, **widths}, width)
    x = stretched(x, widths, width)
    row_of = {node: index for index, row in enumerate(rows) for node in row}
    routes = {edge: [(x[node], row_of[node]) for node in chain] for edge, chain in chains.items()}
    for source, target in sorted(back):
        routes[source, target] = routes.pop((target, source))[::-1]
    return Layout({node: (x[node], row_of[node]) for node in widths}, routes, len(rows))


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Every node that ways from `start` lead to; itself only where it is in a circle."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def closing(graph: Mapping[str, set[str]]) -> set[Edge]:
    """Edges without which there is no circle: those that lead back when one walks from the nodes that few others use."""
    used = {node: sum(node in targets for targets in graph.values()) for node in graph}
    done: set[str] = set()
    back: set[Edge] = set()

    def walk(node: str, way: tuple[str, ...]) -> None:
        for target in sorted(graph[node]):
            if target in (*way, node):
                back.add((node, target))
            elif target not in done:
                walk(target, (*way, node))
        done.add(node)

    for node in sorted(graph, key=lambda node: (used[node] - len(graph[node]), node)):
        if node not in done:
            walk(node, ())
    return back


def rows_of(down: Mapping[str, set[str]]) -> dict[str, int]:
    """The row of every node of a graph without circles: as low as what it uses allows, under all that use it."""
    height: dict[str, int] = {}

    def measure(node: str) -> int:
        if node not in height:
            height[node] = 1 + max((measure(target) for target in sorted(down[node])), default=-1)
        return height[node]

    top = max((measure(node) for node in down), default=0)
    return {node: top - height[node] for node in down}


def reduced(down: Mapping[str, set[str]]) -> list[Edge]:
    """The edges of a graph without circles that do not follow from others."""
    below = {node: reachable(down, node) for node in down}
    return [
        (node, target)
        for node, targets in down.items()
        for target in targets
        if not any(target in below[other] for other in targets)
    ]


def beside(chains: Iterable[list[str]]) -> dict[str, list[str]]:
    """For every node and lane, those that it is connected with in the rows above and below."""
    neighbors: dict[str, list[str]] = {}
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            neighbors.setdefault(upper, []).append(lower)
            neighbors.setdefault(lower, []).append(upper)
    return neighbors


def ordered(rows: list[list[str]], neighbors: Mapping[str, list[str]]) -> list[list[str]]:
    """Each row sorted by where its neighbors are, down and up a few times; of all orders seen, the one that crosses least."""
    best = rows = [list(row) for row in rows]
    for sweep in range(24):
        down = sweep % 2 == 0
        for index in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            other = rows[index - 1 if down else index + 1]
            place = {node: (rank + 0.5) / len(other) for rank, node in enumerate(other)}
            own = {node: (rank + 0.5) / len(rows[index]) for rank, node in enumerate(rows[index])}
            key = {}
            for node in rows[index]:
                near = [place[neighbor] for neighbor in neighbors.get(node, []) if neighbor in place]
                key[node] = fsum(near) / len(near) if near else own[node]
            rows[index] = sorted(rows[index], key=lambda node: (key[node], own[node]))
        if crossings(rows, neighbors) < crossings(best, neighbors):
            best = [list(row) for row in rows]
    return best


def crossings(rows: list[list[str]], neighbors: Mapping[str, list[str]]) -> int:
    """How often lines between neighboring rows cross."""
    count = 0
    for upper, lower in itertools.pairwise(rows):
        place = {node: rank for rank, node in enumerate(lower)}
        lines = [(rank, place[n]) for rank, node in enumerate(upper) for n in neighbors.get(node, []) if n in place]
        count += sum(a < c and b > d for a, b in lines for c, d in lines)
    return count


def positions(
    rows: list[list[str]], neighbors: Mapping[str, list[str]], widths: Mapping[str, float], width: float
) -> dict[str, float]:
    """The center of every node: close to its neighbors, a gap from the next, inside the area."""
    x: dict[str, float] = {}
    for row in rows:
        x.update({node: width * (rank + 0.5) / len(row) for rank, node in enumerate(row)})
    for sweep in range(40):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = []
            for node in row:
                near = [x[neighbor] for neighbor in neighbors.get(node, [])] or [x[node]]
                wanted.append(fsum(near) / len(near))
            x.update(zip(row, spread(wanted, [widths[node] for node in row], width), strict=True))
    return x


def spread(wanted: list[float], widths: list[float], width: float) -> list[float]:
    """Centers nearest to the wanted ones (least squares) at which boxes in this order keep their gaps."""
    if not wanted:
        return []
    offsets = [0.0]
    for left, right in itertools.pairwise(widths):
        offsets.append(offsets[-1] + (left + right) / 2 + GAP)
    blocks: list[tuple[float, int]] = []  # mean and size of runs that touch: pool adjacent violators
    for value, offset in zip(wanted, offsets, strict=True):
        mean, size = value - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    starts = [mean for mean, size in blocks for _ in range(size)]
    low, high = widths[0] / 2, width - widths[-1] / 2 - offsets[-1]
    return [min(max(start, low), max(low, high)) + offset for start, offset in zip(starts, offsets, strict=True)]


def stretched(x: Mapping[str, float], widths: Mapping[str, float], width: float) -> dict[str, float]:
    """The same positions in the middle of the area, and up to a half wider where there is room."""
    left = min((x[node] - widths[node] / 2 for node in widths), default=0.0)
    right = max((x[node] + widths[node] / 2 for node in widths), default=width)
    factor = min(1.5, width / (right - left))
    return {node: width / 2 + (place - (left + right) / 2) * factor for node, place in x.items()}
