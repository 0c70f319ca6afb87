"""The ground is found, and scenes are stood on it."""

import math

import pytest
import torch
from captures import ring
from hypothesis import given
from hypothesis import strategies as st

from splat import Camera
from splat.geometry.alignment import UP, find_ground, ground, standing_on, standing_up, turning, up_of_cameras
from splat.geometry.similarity import Similarity

units = st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: sum(x * x for x in v) > 1e-2)


def garden(tilt: Similarity, seed: int = 0) -> torch.Tensor:
    """A noisy floor at y = 2 (y is down) with a heap on it and points in the air, tilted."""
    generator = torch.Generator().manual_seed(seed)
    floor = torch.rand(600, 3, generator=generator) * torch.tensor([8.0, 0.02, 8.0]) + torch.tensor([-4.0, 2.0, -4.0])
    heap = torch.randn(400, 3, generator=generator) * 0.5 + torch.tensor([0.0, 1.0, 0.0])
    air = torch.rand(200, 3, generator=generator) * torch.tensor([8.0, 6.0, 8.0]) - 4.0
    return tilt.points(torch.cat([floor, heap, air]))


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0)
    return math.degrees(float(cosine.clamp(-1, 1).acos()))


@given(units, units)
def test_smallest_turn_between_directions(start: list[float], end: list[float]) -> None:
    a, b = torch.tensor(start, dtype=torch.float64), torch.tensor(end, dtype=torch.float64)
    R = turning(a, b)
    torch.testing.assert_close(R @ (a / a.norm()), b / b.norm(), atol=1e-9, rtol=0)
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
    turned_by = math.degrees(math.acos(max(-1.0, min(1.0, (float(R.trace()) - 1) / 2))))
    assert turned_by == pytest.approx(angle(a, b), abs=1e-3)


@pytest.mark.parametrize("direction", [UP, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)])
def test_turns_by_nothing_and_by_half_a_turn(direction: tuple[float, float, float]) -> None:
    d = torch.tensor(direction, dtype=torch.float64)
    torch.testing.assert_close(turning(d, d), torch.eye(3, dtype=torch.float64))
    half = turning(d, -d)
    torch.testing.assert_close(half @ d, -d)
    assert torch.linalg.det(half) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hint", [True, False])
def test_the_ground_is_level_at_height_zero_afterwards(seed: int, hint: bool) -> None:
    tilt = Similarity.from_euler((20.0 + seed, 40.0, -15.0), (1.0, 2.0, 3.0), 1.5)
    points = garden(tilt, seed)
    up = tilt.rotation @ torch.tensor(UP, dtype=torch.float64)
    rough = turning((0, 0, 1), (0, 0.2, 1)) @ up if hint else None
    plane = ground(points, rough, seed=seed)
    assert angle(plane.normal, up) < 1.0
    assert 0.45 < plane.fraction < 0.7
    assert plane.heights(points[600:1000]).mean() > 1.0  # the heap is above it
    moved = standing_on(plane).points(points)
    assert moved[:600, 1].abs().max() < 0.1 and moved[600:1000, 1].mean() < -1.0


def test_a_wall_is_no_ground_where_up_is_known() -> None:
    points = garden(Similarity.identity())
    wall = torch.rand(3000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([8.0, 8.0, 0.02])
    both = torch.cat([points, wall - 4.0])
    assert angle(ground(both).normal, torch.tensor([0.0, 0.0, 1.0])) in (
        pytest.approx(0, abs=2),
        pytest.approx(180, abs=2),
    )
    assert angle(ground(both, UP).normal, torch.tensor(UP)) < 2


def test_cameras_are_above_the_ground() -> None:
    """A pit with more points below the rim than above it: only cameras say which side is up."""
    points = garden(Similarity.identity()) * torch.tensor([1.0, -1.0, 1.0])  # the heap hangs below the floor
    cameras = torch.tensor([[0.0, -9.0, 0.0], [1.0, -8.0, 2.0], [-2.0, -9.0, 1.0]])
    assert angle(ground(points).normal, torch.tensor([0.0, 1.0, 0.0])) < 2
    assert angle(ground(points, above=cameras).normal, torch.tensor(UP)) < 2


def test_the_largest_plane_where_nothing_is_level() -> None:
    """Photos that look straight down have their up along the ground."""
    points = garden(Similarity.identity())
    cameras = torch.tensor([[0.0, -9.0, 0.0], [1.0, -9.0, 2.0]])
    assert angle(find_ground(points, (0.0, 0.0, -1.0), cameras).normal, torch.tensor(UP)) < 2
    assert angle(find_ground(points, (0.0, -1.0, 0.1), cameras).normal, torch.tensor(UP)) < 2


def test_up_is_found_however_far_down_the_cameras_look() -> None:
    tilt = Similarity.from_euler((30.0, 10.0, 50.0))
    steep = [Camera.look_at((math.sin(a), -4.0, math.cos(a)), (0, 0, 0), width=8, height=8) for a in range(4)]
    up = tilt.rotation @ torch.tensor(UP, dtype=torch.float64)
    for cameras in (ring(9, 8, 8), steep):
        found = up_of_cameras([tilt.camera(camera) for camera in cameras])
        assert angle(found, up) < 0.1
        torch.testing.assert_close(
            standing_up(found).rotation @ up, torch.tensor(UP, dtype=torch.float64), atol=2e-3, rtol=0
        )


def test_one_view_says_what_is_up_in_it() -> None:
    camera = Camera.look_at((0, -1, -4), (0, 0, 0), width=8, height=8)
    torch.testing.assert_close(up_of_cameras([camera]), -camera.viewmat[1, :3].double())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ground(torch.zeros(2, 3)), "at least 3"),
        (lambda: ground(torch.full((9, 3), math.nan)), "at least 3"),
        (lambda: ground(torch.arange(9.0)[:, None] * torch.ones(3)), "on a line"),
        (lambda: ground(torch.zeros(9, 3)), "on a line"),
        (lambda: up_of_cameras([]), "at least one"),
        (
            lambda: up_of_cameras(
                [Camera(torch.diag(torch.tensor([1.0, s, s, 1])), torch.eye(3), 4, 4) for s in (1, -1)]
            ),
            "agree",
        ),
    ],
)
def test_misuse_is_explained(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
