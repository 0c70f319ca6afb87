"""Turning the axes of scene and camera leaves the picture as it is; orders and rotations of three numbers."""

import pytest
import torch

import splat
from scenes import cloud
from splat import Camera
from splat.compression.coding import smallest_three
from splat.compression.formats.axes import LUF, RDF, RUB, turned
from splat.gaussians import drawable
from splat.geometry.morton import morton_order


@pytest.mark.parametrize("signs", [RUB, LUF, (-1, 1, -1)])
@pytest.mark.parametrize("degree", range(5))
def test_a_turned_scene_looks_the_same_from_a_turned_camera(signs, degree):
    scene = cloud(80, seed=2, sh_degree=degree, scale=0.3)
    camera = Camera.look_at((1, -2, -4), (0, 0, 0), width=40, height=30)
    flip = torch.diag(torch.tensor([*signs, 1.0]))
    other = Camera(camera.viewmat @ flip, camera.K, 40, 30)
    torch.testing.assert_close(
        splat.render(turned(scene, signs), other).rgb, splat.render(scene, camera).rgb, atol=1e-4, rtol=0
    )
    again = turned(turned(scene, signs), signs)
    for name, tensor in scene.tensors().items():
        torch.testing.assert_close(again.tensors()[name], tensor)


def test_mirrors_are_refused_and_our_own_axes_change_nothing():
    scene = cloud(3)
    assert turned(scene, RDF) is scene
    with pytest.raises(ValueError, match="mirror"):
        turned(scene, (1, 1, -1))


def test_three_numbers_give_the_rotation_again():
    quats = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    quats = torch.cat([quats, torch.eye(4), -torch.eye(4), torch.ones(1, 4), torch.tensor([[1.0, -1, 1, -1]])])
    largest, rest = smallest_three.split(quats)
    assert float(rest.abs().max()) <= smallest_three.BOUND + 1e-6
    unit = torch.nn.functional.normalize(quats, dim=1)
    alike = (smallest_three.join(largest, rest) * unit).sum(1).abs()
    torch.testing.assert_close(alike, torch.ones_like(alike))


def test_neighbors_in_morton_order_are_neighbors_in_space():
    means = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0))
    order = morton_order(means)
    assert sorted(order.tolist()) == list(range(4096))
    steps = means[order].diff(dim=0).norm(dim=1).mean()
    assert float(steps) < 0.2 * float(means.diff(dim=0).norm(dim=1).mean())
    grid = torch.cartesian_prod(*[torch.arange(2.0)] * 3)
    assert grid[morton_order(grid)].tolist() == [[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    assert len(morton_order(torch.zeros(0, 3))) == 0


def test_drawable_finds_every_kind_of_broken_row():
    scene = cloud(6, sh_degree=1)
    scene.means[0, 1] = torch.inf
    scene.sh_rest[1, 2, 0] = torch.nan
    scene.quats[2] = 0
    scene.logit_opacities[3] = torch.nan
    assert drawable(scene).tolist() == [False] * 4 + [True] * 2
