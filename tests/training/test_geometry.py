"""Losses of shape: zero where the shape is right, gradients where it is not, and depth maps brought to scale."""

import pytest
import torch

import splat
from scenes import cloud
from splat import Camera
from splat.gaussians import Gaussians
from splat.result import RenderResult
from splat.training.losses.geometry import (
    depth_normals,
    depth_smoothness_loss,
    fit_inverse_depth,
    flatness_loss,
    maps_loss,
    normals_loss,
    points_loss,
)

CAMERA = Camera.look_at((0, 0, -4), (0, 0, 0), width=40, height=30)


def flat_wall(depth: float = 4.0) -> RenderResult:
    return RenderResult(torch.zeros(30, 40, 3), torch.ones(30, 40), torch.full((30, 40), depth, requires_grad=True))


def plane(normal: tuple[float, float, float]) -> torch.Tensor:
    """Depth [30, 40] of the plane through the origin with this normal."""
    n = torch.tensor(normal)
    x = (torch.arange(40) + 0.5 - CAMERA.K[0, 2]) / CAMERA.K[0, 0]
    y = (torch.arange(30) + 0.5 - CAMERA.K[1, 2]) / CAMERA.K[1, 1]
    rays = torch.stack([x.expand(30, 40), y[:, None].expand(30, 40), torch.ones(30, 40)], -1) @ CAMERA.viewmat[:3, :3]
    return -(CAMERA.position @ n) / (rays @ n)


def test_sparse_points_pull_the_depth_to_theirs():
    sparse = torch.tensor([[5.5, 7.5, 4.0], [20.5, 3.5, 5.0]])
    result = flat_wall()
    loss = points_loss(result, sparse, 1.0, extent=2.0)
    assert float(loss) == pytest.approx(2 * 0.5 * (1 / 4 - 1 / 5))
    loss.backward()
    assert result.depth.grad.nonzero().tolist() == [[3, 20]] and float(result.depth.grad[3, 20]) < 0  # farther
    small = RenderResult(torch.zeros(15, 20, 3), torch.ones(15, 20), torch.full((15, 20), 4.0))
    assert float(points_loss(small, sparse, 0.5, extent=2.0)) == pytest.approx(float(loss))


def test_transparent_pixels_have_no_depth():
    result = flat_wall()
    result.alpha = torch.full((30, 40), 0.3)
    assert float(points_loss(result, torch.tensor([[5.0, 5.0, 9.0]]), 1.0, 1.0)) == 0
    assert float(maps_loss(result, torch.full((30, 40), 1.0), 1.0)) == 0


def test_maps_count_where_they_know_something():
    inverse = torch.zeros(30, 40)
    inverse[:, :20] = 1 / 5
    assert float(maps_loss(flat_wall(), inverse, extent=1.0)) == pytest.approx(0.5 * (1 / 4 - 1 / 5), rel=1e-5)


@pytest.mark.parametrize("scale, offset", [(3.0, 0.5), (0.01, 0.0), (200.0, -3.0)])
def test_relative_maps_are_fitted_in_spite_of_outliers(scale, offset):
    generator = torch.Generator().manual_seed(0)
    inverse = 0.1 + 0.4 * torch.rand(30, 40, generator=generator)
    stored = (inverse * scale + offset).clamp_min(1e-3)
    x, y = torch.rand(80, generator=generator) * 40, torch.rand(80, generator=generator) * 30
    sparse = torch.stack([x, y, 1 / inverse[y.long(), x.long()]], 1)
    sparse[:4, 2] *= 1.5
    fitted = fit_inverse_depth(stored, sparse)
    fine = stored > 2e-3
    torch.testing.assert_close(fitted[fine], inverse[fine], rtol=0.08, atol=0.01)


def test_maps_that_cannot_be_fitted():
    sparse = torch.tensor([[5.0, 5.0, 2.0]]).repeat(30, 1)
    assert fit_inverse_depth(torch.rand(30, 40) + 0.1, sparse[:5]) is None  # too few points
    assert fit_inverse_depth(torch.full((30, 40), 0.5), sparse) is None  # no spread
    x = torch.linspace(0, 39, 30)
    sparse = torch.stack([x, torch.full((30,), 5.0), 1 / (0.1 + 0.01 * x)], 1)
    stored = 1 - 0.02 * torch.arange(40).float().expand(30, 40)
    assert fit_inverse_depth(stored, sparse) is None  # near is far


@pytest.mark.parametrize("normal", [(0.0, 0.0, -1.0), (0.3, -0.2, -0.9), (-0.5, 0.4, -0.8)])
def test_normals_of_a_plane(normal):
    expected = torch.nn.functional.normalize(torch.tensor(normal), dim=0)
    normals = depth_normals(plane(normal), CAMERA)
    torch.testing.assert_close(normals, expected.expand_as(normals), atol=1e-3, rtol=0)
    right = RenderResult(torch.zeros(30, 40, 3), torch.ones(30, 40), plane(normal), normals=expected.expand(30, 40, 3))
    assert float(normals_loss(right, CAMERA)) < 1e-3
    right.normals = -right.normals
    assert float(normals_loss(right, CAMERA)) == pytest.approx(2, rel=0.01)


def test_smoothness_spares_edges_of_the_photo():
    depth = torch.full((30, 40), 2.0)
    depth[:, 20:] = 4.0
    result = RenderResult(torch.zeros(30, 40, 3), torch.ones(30, 40), depth)
    even, edged = torch.full((30, 40, 3), 100, dtype=torch.uint8), torch.zeros(30, 40, 3)
    edged[:, 20:] = 1.0
    assert float(depth_smoothness_loss(result, even, 1.0)) == pytest.approx(0.25 / 39, rel=1e-5)
    assert float(depth_smoothness_loss(result, edged, 1.0)) < 1e-4 * 0.25


def test_flatness_pulls_at_the_shortest_axis_only():
    gaussians = cloud(10, sh_degree=0).requires_grad_()
    flatness_loss(gaussians, extent=2.0).backward()
    gradient = gaussians.log_scales.grad
    assert torch.equal((gradient > 0).long().argmax(1), gaussians.log_scales.argmin(1))
    assert bool(((gradient != 0).sum(1) == 1).all())


def test_losses_train_a_real_render():
    """Gradients of every term reach the Gaussians and are finite."""
    gaussians = cloud(60, sh_degree=0, scale=0.4).requires_grad_()
    result = splat.render(gaussians, CAMERA, depth=True, normals=True)
    total = points_loss(result, torch.tensor([[20.0, 15.0, 3.0]]), 1.0, 1.0) + normals_loss(result, CAMERA)
    total = total + maps_loss(result, torch.full((30, 40), 0.3), 1.0)
    (total + depth_smoothness_loss(result, torch.rand(30, 40, 3), 1.0)).backward()
    for name in ("means", "quats", "log_scales", "logit_opacities"):
        gradient = Gaussians.tensors(gaussians)[name].grad
        assert bool(gradient.isfinite().all()) and bool(gradient.any()), name
