"""Picked points lie on what is seen, and distances are those between them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Camera, Gaussians
from splat.viewer.edit.measure import MAX_POINTS, Measurement, pick


def wall(z: float = 2.0) -> Gaussians:
    """Dense and opaque, across the view."""
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-3, 3, 40)] * 2, indexing="ij"), -1).view(-1, 2)
    scene = cloud(len(grid), sh_degree=0)
    scene.means = torch.cat([grid, torch.full((len(grid), 1), z)], 1)
    scene.log_scales = torch.log(torch.tensor([0.1, 0.1, 1e-4])).expand(len(grid), 3)
    scene.quats = torch.tensor([1.0, 0, 0, 0]).expand(len(grid), 4)
    scene.logit_opacities.fill_(6.0)
    return scene


def camera(**options) -> Camera:
    return Camera.look_at((0.3, -0.2, -3), (0, 0, 2), width=64, height=48, **options)


@given(st.floats(0, 63.9), st.floats(0, 47.9))
def test_points_picked_on_a_wall_lie_on_it_under_the_pixel(x: float, y: float) -> None:
    point = pick(wall(), camera(fov_degrees=40), (x, y))
    assert point is not None and float(point[2]) == pytest.approx(2.0, abs=0.02)
    pixels, _ = camera(fov_degrees=40).project(point)
    assert pixels.tolist() == pytest.approx([x, y], abs=1e-3)


def test_what_is_picked_is_what_the_picture_shows() -> None:
    scene, view = cloud(300, scale=0.15), cameras(1, width=40, height=30)
    one = Camera(view.viewmat[0], view.K[0], 40, 30)
    depth = splat.render(scene, one, depth=True).median_depth
    assert depth is not None
    for row, column in ((3, 5), (15, 20), (20, 11), (29, 39)):
        point = pick(scene, one, (column + 0.5, row + 0.5))
        if depth[row, column] == 0:
            assert point is None
        else:
            assert point is not None
            _, z = one.project(point)
            assert float(z) == pytest.approx(float(depth[row, column]), rel=1e-4)


def test_nothing_is_picked_beside_the_scene() -> None:
    assert pick(wall(z=-9.0), camera(), (32, 24)) is None
    assert pick(wall(), camera(), (-0.1, 24)) is None and pick(wall(), camera(), (32, 48)) is None
    assert pick(wall()[:0], camera(), (32, 24)) is None


def test_lengths_angles_and_scale() -> None:
    triangle = Measurement().adding((0, 0, 0)).adding(torch.tensor([3.0, 0, 0])).adding((3, 4, 0))
    assert triangle.lengths == [3, 4] and triangle.total == 7
    assert triangle.angle == pytest.approx(90)
    assert triangle.scale_to(3.5) == 0.5
    assert Measurement().lengths == [] and Measurement().total == 0 and Measurement().angle is None
    assert Measurement(((1, 1, 1),) * 3).angle is None


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Measurement().adding((math.nan, 0, 0))
    full = Measurement(((0.0, 0.0, 0.0),) * MAX_POINTS)
    with pytest.raises(ValueError, match="at most"):
        full.adding((1, 1, 1))
    for one in (full, Measurement()):
        with pytest.raises(ValueError, match="pick two points"):
            one.scale_to(1.0)
    two = Measurement().adding((0, 0, 0)).adding((1, 0, 0))
    for length in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="larger than 0"):
            two.scale_to(length)
