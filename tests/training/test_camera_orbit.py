"""The path of a video stays where photos were taken, upright and looking at the subject."""

import math

import torch
from captures import ring

from splat import Camera
from splat.geometry.orbit import orbit, orbit_around

POINTS = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 0.3


def azimuths(cameras: list[Camera]) -> torch.Tensor:
    return torch.stack([torch.atan2(camera.position[0], -camera.position[2]) for camera in cameras])


def test_all_around_where_the_photos_are():
    path = orbit(ring(12, 48, 32), POINTS, 36)
    steps = torch.tensor(
        [math.remainder(float(b - a), 2 * math.pi) for a, b in zip(azimuths(path), azimuths(path)[1:], strict=False)]
    )
    assert len(path) == 36 and steps.abs().max() < 0.25
    assert abs(abs(float(steps.sum())) - 2 * math.pi * 35 / 36) < 0.05
    assert all(3.5 < float(camera.position.norm()) < 4.5 for camera in path)


def test_to_and_fro_where_they_cover_an_arc():
    arc = ring(24, 48, 32)[:7]  # a quarter turn
    path = orbit(arc, POINTS, 30)
    low, high = azimuths(arc).min(), azimuths(arc).max()
    assert low - 0.01 < azimuths(path).min() and azimuths(path).max() < high + 0.01
    assert azimuths(path).max() - azimuths(path).min() > 0.6 * (high - low)
    assert (path[0].position - path[-1].position).norm() < 0.8  # closed


def test_upright_and_at_the_subject():
    for path in (orbit(ring(10, 48, 32), POINTS, 8), orbit_around(POINTS, 8, 48, 32)):
        for camera in path:
            assert abs(float(camera.viewmat[0, 1])) < 0.02 and camera.viewmat[1, 1] > 0.5
            pixel = camera.K @ (camera.viewmat[:3, :3] @ torch.zeros(3) + camera.viewmat[:3, 3])
            assert pixel[2] > 0 and (pixel[:2] / pixel[2] - torch.tensor([24.0, 16.0])).abs().max() < 6


def test_parallel_cameras_make_an_ellipse_in_their_plane():
    base = Camera.look_at((0, 0, -5), (0, 0, 0), width=48, height=32)
    grid = []
    for x in range(-2, 3):
        for y in range(-1, 2):
            viewmat = base.viewmat.clone()
            viewmat[:3, 3] -= torch.tensor([float(x), float(y), 0.0])
            grid.append(Camera(viewmat, base.K, 48, 32))
    path = orbit(grid, POINTS, 12)
    for camera in path:
        assert abs(float(camera.position[2]) + 5) < 1e-3
        assert camera.position[:2].abs().max() < 2.1


def test_two_photos_are_enough():
    assert len(orbit(ring(2, 48, 32), POINTS, 5)) == 5
    assert len(orbit(ring(1, 48, 32), POINTS, 5)) == 5
