"""The pictures of docs/concepts/ are there, and show what the renderer computes."""

import itertools
import re
from pathlib import Path

import pytest
import torch
from draw_concepts import FOLDER, PICTURES
from drawing import cameras, footprints, sizes, style, tiles

from splat.render import render

PAGES = sorted(FOLDER.parent.glob("*.md"))
MOST_BYTES = 1_500_000
"""Of all pictures together."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_of_a_page_exist(page: Path) -> None:
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (page.parent / name).is_file()] == []


def test_every_picture_is_drawn_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = set(re.findall(r"\(pictures/([^)]+)\)", text))
    assert shown == PICTURES.keys() == {path.name for path in FOLDER.iterdir()}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_pictures_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("first.svg", "second.svg"):
        style.save(tiles.draw_sorting(), tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_the_exact_tiles_are_those_that_are_covered() -> None:
    scene, camera = tiles.one_ellipse()
    counts = tiles.binned(scene, camera).counts
    covered = render(scene, camera).alpha.view(9, 16, 12, 16).amax((1, 3)) > 0
    assert torch.equal(counts > 0, covered)
    boxes = tiles.rectangle_counts(scene, camera)
    assert bool((counts <= boxes).all()) and 2 * int(counts.sum()) < int(boxes.sum())
    x0, y0, x1, y1 = tiles.rectangle(scene, camera)[0].tolist()
    assert int(boxes.sum()) == (x1 - x0) * (y1 - y0)


def test_lists_are_sorted_by_depth_in_each_tile() -> None:
    scene, camera = tiles.few_gaussians()
    found, depth = tiles.binned(scene, camera), footprints.seen(scene, camera).depth
    offsets = found.offsets.tolist()
    assert offsets[-1] == len(found.order) > len(scene)
    for first, last in itertools.pairwise(offsets):
        assert bool((depth[found.order[first:last]].diff() >= 0).all())


def test_dilation_extent_and_clamp_are_as_drawn() -> None:
    assert footprints.covered_area([0.3, 1.0], antialiased=True) == pytest.approx([1, 1], abs=0.02)
    small, large = footprints.covered_area([0.3, 4.0], antialiased=False)
    assert small > 3 and 1 < large < 1.03
    for computed, rendered in footprints.extents([0.02, 0.3, 0.9]):
        assert computed - 0.2 < rendered <= computed
    free, clamped = (footprints.footprint_widths([0.3, 2.0, 3.0], margin) for margin in (1e6, 0.3))
    assert free[0] == clamped[0] and free[2] > free[1] > clamped[1] == clamped[2]


def test_the_pixel_grid_has_the_principal_point_where_it_is() -> None:
    camera, _, pixels = cameras.grid_points()
    assert pixels[0].tolist() == [float(camera.K[0, 2]), float(camera.K[1, 2])]


def test_measured_sizes_are_read() -> None:
    found = sizes.measured()
    assert {name for name, _, _ in found["fox-classic"]} == sizes.MARKS.keys()
