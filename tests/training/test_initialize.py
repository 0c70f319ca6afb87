"""Where training starts."""

from pathlib import Path

import torch
from captures import ring

from splat.datasets.capture import Capture, Frame
from splat.datasets.images.cache import Photo, PhotoCache
from splat.gaussians import SH_C0
from splat.training.config import OptimizationConfig, TrainConfig
from splat.training.densify.choose import STRATEGIES
from splat.training.densify.mcmc import MCMCConfig
from splat.training.init.initialize import RANDOM_POINTS, initial_gaussians, neighbor_distance, with_midpoints


def capture_of(points: torch.Tensor) -> Capture:
    photos = PhotoCache.holding({str(i): Photo(torch.zeros(32, 48, 3, dtype=torch.uint8)) for i in range(6)})
    frames = tuple(Frame(str(i), camera, photos) for i, camera in enumerate(ring(6, 48, 32)))
    colors = torch.full((len(points), 3), 51, dtype=torch.uint8)
    return Capture(Path("x"), frames, points, colors)


def test_distance_to_three_neighbors_by_brute_force():
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(points.double(), points.double()).topk(4, largest=False).values[:, 1:]
    torch.testing.assert_close(neighbor_distance(points), nearest.square().mean(1).sqrt().float(), rtol=1e-4, atol=1e-6)


def test_points_on_top_of_each_other_have_a_size():
    assert bool((neighbor_distance(torch.zeros(10, 3)) > 0).all())


def test_one_gaussian_per_point():
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    gaussians = initial_gaussians(capture_of(points), TrainConfig(), torch.Generator().manual_seed(0))
    assert torch.equal(gaussians.means, points) and gaussians.sh_degree == 3
    torch.testing.assert_close(gaussians.opacities, torch.full((50,), 0.1))
    torch.testing.assert_close(gaussians.sh0 * SH_C0 + 0.5, torch.full((50, 3), 0.2))
    assert bool((gaussians.sh_rest == 0).all())


def test_without_points_they_are_random_and_in_view():
    gaussians = initial_gaussians(capture_of(torch.zeros(0, 3)), TrainConfig(), torch.Generator().manual_seed(0))
    assert len(gaussians) == RANDOM_POINTS and bool(gaussians.means.isfinite().all())
    in_view = torch.zeros(len(gaussians), dtype=torch.bool)
    for camera in ring(6, 48, 32):
        local = gaussians.means @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        pixel = local @ camera.K.T
        u, v = pixel[:, 0] / pixel[:, 2], pixel[:, 1] / pixel[:, 2]
        in_view |= (local[:, 2] > 0) & (u > -0.1) & (u < 48.1) & (v > -0.1) & (v < 32.1)
    assert bool(in_view.all())


def test_mcmc_starts_small_and_half_opaque_in_full_runs_only():
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    plain, mcmc = (
        initial_gaussians(capture_of(points), TrainConfig(densify=STRATEGIES[strategy]()), torch.Generator())
        for strategy in ("classic", "mcmc")
    )
    torch.testing.assert_close(mcmc.opacities, torch.full((50,), 0.5))
    torch.testing.assert_close(mcmc.scales, 0.1 * plain.scales)
    short = TrainConfig(optimization=OptimizationConfig(iterations=3), densify=MCMCConfig())
    start = initial_gaussians(capture_of(points), short, torch.Generator())
    torch.testing.assert_close(start.opacities, plain.opacities, rtol=1e-3, atol=0)
    torch.testing.assert_close(start.scales, plain.scales, rtol=1e-3, atol=0)


def test_midpoints_lie_between_neighbors_and_mostly_on_flat_parts():
    generator = torch.Generator().manual_seed(2)
    plane = torch.cat([torch.rand(300, 2, generator=generator), torch.zeros(300, 1)], dim=1)
    ball = torch.randn(300, 3, generator=generator) * 0.2 + torch.tensor([5.0, 0.0, 0.0])
    points = torch.cat([plane, ball])
    colors = torch.rand(600, 3, generator=generator)
    more, their_colors = with_midpoints(points, colors)
    assert torch.equal(more[:600], points) and torch.equal(their_colors[:600], colors)
    new = more[600:]
    assert len(new.unique(dim=0)) == len(new)
    on_plane = new[:, 0] < 2.0
    assert bool((new[on_plane, 2] == 0).all())
    assert int(on_plane.sum()) > 2 * int((~on_plane).sum())
    few = torch.rand(5, 3)
    assert with_midpoints(few, few)[0] is few
