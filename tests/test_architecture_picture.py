"""docs/architecture.svg is the picture of the sources, and its layout keeps boxes apart and arrows going down."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from draw_architecture import PICTURE, WRONG, Picture, draw
from imports import FOLDERS, imports_of, modules_from
from layers import GAP, layered

ROOT = Path(__file__).resolve().parent.parent


def test_the_picture_is_that_of_the_sources() -> None:
    remedy = "docs/architecture.svg is not the picture of these sources; run python docs/draw_architecture.py"
    assert PICTURE.read_text(encoding="utf-8") == draw(), remedy


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Stricter than for modules: a room that uses another is not used by it, not even by other modules."""
    assert WRONG not in draw()


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_picture_does_not_depend_on_hashes(seed: str) -> None:
    code = "import draw_architecture as d; import sys; sys.stdout.write(d.draw())"
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "docs"), "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert run.stdout.decode() == draw()


GRAPH = {"app": "draw panels guard", "panels": "draw context", "draw": "slots palette", "context": "slots", "guard": ""}


def edges() -> list[tuple[str, str]]:
    return [(source, target) for source, targets in GRAPH.items() for target in targets.split()]


def test_arrows_go_down_and_boxes_keep_apart() -> None:
    widths = {node: 10.0 * len(node) for node in {*GRAPH, *(target for _, target in edges()), "alone"}}
    layout = layered(widths, edges(), 400)
    assert set(layout.places) == set(widths)
    assert all(layout.places[source][1] < layout.places[target][1] for source, target in layout.routes)
    assert ("panels", "draw") in layout.routes and ("app", "draw") not in layout.routes  # follows from the former
    for (a, (xa, row_a)), (b, (xb, row_b)) in combinations(layout.places.items(), 2):
        assert row_a != row_b or abs(xa - xb) >= (widths[a] + widths[b]) / 2 + GAP - 1e-6
    assert all(widths[node] / 2 - 1e-6 <= x <= 400 - widths[node] / 2 + 1e-6 for node, (x, _) in layout.places.items())


def test_an_arrow_passes_every_row_between() -> None:
    layout = layered(dict.fromkeys("abcd", 20.0), [("a", "b"), ("b", "c"), ("d", "c"), ("a", "d"), ("c", "a")], 200)
    assert [row for _, row in layout.routes["c", "a"]] == [2, 1, 0]  # closes the circle: the only one that goes up
    assert sum(route[0][1] > route[-1][1] for route in layout.routes.values()) == 1


def test_the_picture_shows_circles_and_what_is_against_the_rule() -> None:
    files = {f"{folder}/__init__.py": "" for folder in FOLDERS}
    good = {"viewer/app.py": "from splat.viewer import slots", "viewer/slots.py": "from splat.render import render"}
    bad = {"viewer/slots.py": "from splat.viewer import app", "splat/render.py": "from splat.viewer import app"}
    for sources, is_good in ((good, True), (good | bad, False)):
        modules = modules_from(files | {"splat/render.py": ""} | sources)
        svg = Picture(modules, imports_of(modules)).svg()
        assert ("no circle among them" in svg) == is_good
        assert ("against the rule: splat imports viewer" in svg) == (not is_good)
