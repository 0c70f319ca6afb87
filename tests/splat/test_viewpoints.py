"""First views see the scene, stand upright, and do not mind what is broken in it."""

import math

import pytest
import torch
from captures import ring, subject
from hypothesis import given
from hypothesis import strategies as st

from splat import Camera
from splat.geometry.viewpoints import ahead, central, first_view, outside, spread, up_of

COORDINATES = st.floats(-8, 8, width=32)


def upside_down(camera: Camera) -> Camera:
    return Camera(
        torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0])) @ camera.viewmat, camera.K, camera.width, camera.height
    )


@given(st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), max_size=20), st.floats(-10, 10))
def test_from_outside_the_middle_is_in_the_middle_of_an_upright_image(points, angle):
    view = outside(torch.tensor(points).reshape(-1, 3)).turned(angle)
    camera = view.camera(64, 48)
    pixel, depth = camera.project(view.target)
    assert pixel.tolist() == pytest.approx([32, 24], abs=0.1) and depth > 0
    assert abs(float(camera.viewmat[0, 1])) < 1e-4 and camera.up[1] < 0  # right is level, up is against y
    assert view.extent > 0


def test_half_of_the_points_are_well_inside_the_image():
    points = 3 + 0.5 * torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    pixels, depth = outside(points).camera(90, 90).project(points)
    assert float(((depth > 0) & ((pixels - 45).abs() < 22.5).all(dim=1)).float().mean()) > 0.5


def test_what_is_not_finite_is_not_looked_at():
    points = subject().means
    broken = torch.cat([points, torch.full((40, 3), math.nan), torch.full((40, 3), math.inf)])
    for camera in ([], ring(6, 96, 64)):
        view, same = first_view(broken, camera), first_view(points, camera)
        assert torch.equal(view.position, same.position) and torch.equal(view.target, same.target)
        assert view.extent == same.extent


def test_turning_keeps_distance_and_height():
    view = outside(subject().means)
    for step in range(8):
        turned = view.turned(math.pi * step / 4)
        assert float((turned.position - view.target).norm()) == pytest.approx(
            float((view.position - view.target).norm()), rel=1e-5
        )
        assert float(turned.position[1]) == pytest.approx(float(view.position[1]), rel=1e-5)
    torch.testing.assert_close(view.turned(2 * math.pi).position, view.position)
    assert view.turned(math.pi / 2).position[0] > view.position[0] + 1


def test_through_the_camera_that_looks_as_most_do():
    cameras = ring(12, 96, 64)[:5]
    astray = Camera.look_at(torch.stack([c.position for c in cameras]).mean(0), (0, -100, 1), width=96, height=64)
    assert central([astray, *cameras]) == 3  # the middle one of the arc, not the one in the middle that looks away
    view = first_view(subject().means, cameras)
    torch.testing.assert_close(view.position, cameras[2].position)
    assert float(view.target.norm()) < 1.5


def test_the_target_is_on_the_axis():
    camera = ring(1, 96, 64)[0]
    for points in (subject().means, torch.zeros(0, 3)):  # also where nothing is seen
        pixel, depth = camera.project(ahead(camera, points))
        assert pixel.tolist() == pytest.approx([48, 32], abs=1e-2) and depth > 0


def test_up_where_cameras_agree_and_where_they_do_not():
    cameras = ring(8, 96, 64)
    assert float(up_of(cameras)[1]) < -0.99
    torch.testing.assert_close(up_of([upside_down(camera) for camera in cameras]), -up_of(cameras))
    disagreeing = [cameras[0], upside_down(cameras[0])]
    torch.testing.assert_close(up_of(disagreeing), cameras[0].up.double())


def test_spread_is_the_radius_of_a_ring():
    assert spread(ring(16, 96, 64)) == pytest.approx(4.0, rel=0.1)
