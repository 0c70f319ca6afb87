"""Regions hold the Gaussians they should, and combine as sets do."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Camera
from splat.geometry.similarity import Similarity
from splat.viewer.edit.selection import (
    COMBINATIONS,
    MAX_STROKE,
    VALUES,
    Seen,
    between,
    box,
    combine,
    floaters,
    sphere,
)

masks = st.lists(st.booleans(), min_size=6, max_size=6).map(torch.tensor)
small = st.floats(-2, 2)


def camera() -> Camera:
    return Camera.look_at((0, 0, -3), (0, 0, 0), width=64, height=48)


def centers(count: int = 500, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


@given(masks, masks)
def test_combinations_are_those_of_sets(old: torch.Tensor, new: torch.Tensor) -> None:
    a = {i for i, one in enumerate(old) if one}
    b = {i for i, one in enumerate(new) if one}
    expected = {"replace": b, "add": a | b, "subtract": a - b, "intersect": a & b}
    for how in COMBINATIONS:
        assert set(combine(old, new, how).nonzero()[:, 0].tolist()) == expected[how]
    assert torch.equal(combine(None, new, "add"), new)
    assert not combine(None, new, "intersect").any()


def test_unknown_combination_is_an_error() -> None:
    with pytest.raises(ValueError, match="one of"):
        combine(None, torch.ones(2, dtype=torch.bool), "xor")  # type: ignore[arg-type]


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(small, small, small), st.tuples(*[st.floats(0.1, 3)] * 3))
def test_a_box_moves_with_what_it_holds(turn, position, size) -> None:
    """Selecting in a placed box is selecting in the plain one before the scene was placed the same way."""
    placed = Similarity.from_euler(turn, position)
    points = centers().double()
    plain = (points.abs() <= torch.tensor(size, dtype=torch.float64) / 2 - 1e-9).all(1)
    wider = (points.abs() <= torch.tensor(size, dtype=torch.float64) / 2 + 1e-9).all(1)
    found = box(placed.points(points), placed, size)
    assert (found >= plain).all() and (found <= wider).all()


@given(st.tuples(small, small, small), st.floats(0, 3))
def test_a_sphere_is_all_that_is_near(center, radius) -> None:
    found = sphere(centers(), center, radius)
    for point, inside in zip(centers()[:40], found[:40], strict=True):
        assert abs(math.dist(point.tolist(), center) - radius) < 1e-5 or inside == (
            math.dist(point.tolist(), center) < radius
        )


def test_projection_is_that_of_the_renderer() -> None:
    """A small Gaussian lights the pixel that it is said to be seen at."""
    view = cameras(1)
    one = Camera(view.viewmat[0], view.K[0], view.width, view.height)
    for seed in range(5):
        scene = cloud(1, seed=seed, scale=0.001)
        scene.logit_opacities.fill_(8.0)
        scene.means *= 0.3
        pixels, z = one.project(scene.means)
        alpha = splat.render(scene, one).alpha
        row, column = divmod(int(alpha.argmax()), one.width)
        assert (
            z[0] > 0
            and abs(float(pixels[0, 0]) - column - 0.5) <= 0.51
            and abs(float(pixels[0, 1]) - row - 0.5) <= 0.51
        )


def test_a_rectangle_of_the_whole_picture_is_all_that_is_in_view() -> None:
    pixels, z = camera().project(centers())
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels <= torch.tensor([64, 48])).all(1)
    assert torch.equal(Seen.by(camera(), centers()).rectangle((0, 0), (64, 48)), inside)
    assert torch.equal(Seen.by(camera(), centers()).rectangle((64, 0), (0, 48)), inside)  # any two opposite corners
    assert 0 < inside.sum() < 500


def test_parts_of_a_rectangle_make_the_whole() -> None:
    whole = Seen.by(camera(), centers()).rectangle((5, 5), (60, 40))
    left, right = (Seen.by(camera(), centers()).rectangle((a, 5), (b, 40)) for a, b in ((5, 30), (30, 60)))
    assert torch.equal(left | right, whole)


def test_nothing_behind_the_camera_is_seen() -> None:
    behind = torch.tensor([[0.0, 0.0, -5.0], [0.0, 0.0, 0.0]])
    assert Seen.by(camera(), behind).rectangle((0, 0), (64, 48)).tolist() == [False, True]
    assert Seen.by(camera(), behind).brush([[32, 24]], 10).tolist() == [False, True]


def test_a_stroke_is_the_union_of_its_dabs() -> None:
    stroke = torch.tensor([[10.0, 10.0], [30.0, 20.0], [50.0, 40.0]])
    found = Seen.by(camera(), centers()).brush(stroke, 6.0)
    dense = torch.cat([a + (b - a) * torch.linspace(0, 1, 200)[:, None] for a, b in pairwise(stroke)])
    pixels, z = camera().project(centers())
    distance = (pixels[:, None] - dense).norm(dim=2).amin(1)
    clear = (distance - 6.0).abs() > 0.1
    assert torch.equal(found[clear], ((distance <= 6.0) & (z > 0))[clear])
    assert found.any() and not found.all()


def test_one_point_is_a_dab() -> None:
    pixels, z = camera().project(centers())
    near = ((pixels - torch.tensor([20.0, 20.0])).norm(dim=1) <= 7) & (z > 0)
    assert torch.equal(Seen.by(camera(), centers()).brush([[20, 20]], 7.0), near)


def test_only_what_is_in_front_where_depth_is_given() -> None:
    """Two walls: the front one hides the other where it is."""
    grid = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 20), indexing="ij"), -1).view(
        -1, 2
    )
    front, back = (torch.cat([grid, torch.full((400, 1), z)], 1) for z in (0.0, 1.0))
    front = front[front[:, 0] < 0]
    means = torch.cat([front, back])
    scene = cloud(len(means), sh_degree=0)
    scene.means, scene.log_scales = means, torch.full((len(means), 3), math.log(0.06))
    scene.logit_opacities.fill_(6.0)
    depth = splat.render(scene, camera(), depth=True).median_depth
    assert depth is not None
    everything = Seen.by(camera(), means).rectangle((0, 0), (64, 48))
    visible = Seen.by(camera(), means, depth).rectangle((0, 0), (64, 48))
    assert everything.all()
    assert visible[: len(front)].float().mean() > 0.9  # some at the rim are seen over the edge
    hidden = means[len(front) :, 0] < -0.15
    assert visible[len(front) :][hidden].float().mean() < 0.05
    assert visible[len(front) :][means[len(front) :, 0] > 0.15].all()
    stroke = torch.tensor([[5.0, 24.0], [60.0, 24.0]])
    swept = Seen.by(camera(), means, depth).brush(stroke, 4.0)
    assert torch.equal(swept, Seen.by(camera(), means).brush(stroke, 4.0) & visible)


def test_outside_the_picture_nothing_is_in_front() -> None:
    far_right = torch.tensor([[50.0, 0.0, 0.0]])
    assert Seen.by(camera(), far_right).rectangle((0, 0), (1e6, 48)).all()
    assert not Seen.by(camera(), far_right, torch.zeros(48, 64)).rectangle((0, 0), (1e6, 48)).any()


def test_centers_that_are_not_finite_are_nowhere() -> None:
    means = torch.tensor([[math.nan, 0, 0], [math.inf, 0, 0], [0, 0, 0]])
    for mask in (
        box(means, Similarity.identity(), (9, 9, 9)),
        sphere(means, (0, 0, 0), 9),
        Seen.by(camera(), means).rectangle((0, 0), (64, 48)),
        Seen.by(camera(), means, torch.ones(48, 64) * 9).rectangle((0, 0), (64, 48)),
        Seen.by(camera(), means).brush([[32, 24]], 99),
    ):
        assert mask.tolist() == [False, False, True]


@pytest.mark.parametrize("stroke", [torch.zeros(0, 2), torch.zeros(3), [[math.nan, 0]], torch.zeros(MAX_STROKE + 1, 2)])
def test_strokes_that_are_none_are_refused(stroke) -> None:
    with pytest.raises(ValueError, match="stroke"):
        Seen.by(camera(), centers()).brush(stroke, 5.0)


def test_by_value() -> None:
    scene = cloud(200)
    faint = between(VALUES["opacity"](scene), 0.0, 0.3)
    assert torch.equal(faint, scene.opacities <= 0.3) and faint.any()
    big = between(VALUES["scale"](scene), 0.3, math.inf)
    assert torch.equal(big, scene.scales.max(1).values >= 0.3) and big.any()
    assert between(VALUES["thinness"](scene), 0.0, 1.0).all()
    assert between(torch.tensor([math.nan, 0.5]), -math.inf, math.inf).tolist() == [False, True]


def test_floaters_are_far_from_everything() -> None:
    ball = torch.nn.functional.normalize(centers(400), dim=1)
    lonely = torch.tensor([[9.0, 0, 0], [0, -8.0, 0], [math.nan, 0, 0]])
    assert floaters(torch.cat([ball, lonely])).nonzero()[:, 0].tolist() == [400, 401]
    assert not floaters(centers(3)).any()
