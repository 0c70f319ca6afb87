"""Sorted grids: every Gaussian has one pixel, neighbors are alike, and files hold the same Gaussians in another order."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import cloud
from splat import Gaussians
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.compression.formats.sog import grid_order
from splat.compression.formats.sog import writer as sog
from splat.errors import InputError
from splat.geometry.morton import morton_order


def roughness(values: torch.Tensor, order: torch.Tensor) -> float:
    """Mean squared difference of neighboring pixels."""
    height, width = grid_order.grid_size(len(values))
    image = torch.full((height * width, values.shape[1]), math.nan)
    image[: len(values)] = values[order]
    image = image.reshape(height, width, -1)
    return float(torch.cat([image.diff(dim=dim).square().sum(dim=2).flatten() for dim in (0, 1)]).nanmean())


@given(st.integers(1, 300), st.integers(0, 9), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_every_gaussian_has_one_pixel(count, seed, passes):
    order = grid_order.grid_order(cloud(count, seed=seed, sh_degree=0), seed, passes=passes)
    assert torch.equal(order.sort().values, torch.arange(count))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 1000])
def test_alike_gaussians_and_odd_counts(count):
    same = cloud(1, sh_degree=0)[torch.zeros(count, dtype=torch.int64)]
    assert torch.equal(grid_order.grid_order(same).sort().values, torch.arange(count))


@given(st.integers(1, 10**7))
def test_the_grid_has_room_and_little_to_spare(count):
    height, width = grid_order.grid_size(count)
    assert height % 4 == width % 4 == 0 and height * width >= count
    assert (height - 4) * width < count and abs(height - width) <= 4


def test_neighbors_are_much_more_alike_than_along_a_curve():
    scene = cloud(6000, sh_degree=0)
    values = grid_order.features(scene)
    morton = roughness(values, morton_order(scene.means))
    quick, full = (roughness(values, grid_order.grid_order(scene, passes=passes)) for passes in (2, 8))
    assert full < quick < morton / 4 and full < morton / 6


def test_a_gradient_is_found_again():
    """Colors of a smooth picture, shuffled, become a smooth picture."""
    line = torch.linspace(-1, 1, 40)
    picture = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=2).flatten(0, 1)
    shuffled = picture[torch.randperm(1600, generator=torch.Generator().manual_seed(0))]
    order = grid_order.sorted_grid(shuffled, torch.arange(1600), (40, 40))
    assert roughness(shuffled, order) < 3 * roughness(picture, torch.arange(1600))
    assert roughness(shuffled, torch.arange(1600)) > 100 * roughness(shuffled, order)


def test_a_seed_decides():
    scene = cloud(2000, sh_degree=0)
    first, again, other = (grid_order.grid_order(scene, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def rows(gaussians: Gaussians) -> list[bytes]:
    """Every Gaussian's bytes, sorted."""
    table = torch.cat([tensor.reshape(len(gaussians), -1) for tensor in gaussians.tensors().values()], dim=1)
    return sorted(row.tobytes() for row in table.numpy())


@pytest.mark.parametrize("name", ["scene.sog", "meta.json"])
@pytest.mark.parametrize("count", [1, 3, 777])
@pytest.mark.parametrize("degree", [0, 2])
def test_files_of_both_orders_hold_the_same(name, count, degree, tmp_path):
    before, found = cloud(count, sh_degree=degree), []
    before.means[0] = math.nan if count > 3 else 0  # left out
    for order in ("morton", "grid"):
        (tmp_path / order).mkdir()
        formats.save(before, tmp_path / order / name, FormatOptions(order=order))
        found.append(formats.load(tmp_path / order / name))
    assert len(found[0]) == count - (count > 3) and rows(found[0]) == rows(found[1])
    assert count < 4 or not torch.equal(found[0].means, found[1].means)


def test_what_is_optimized_can_be_written_as_a_grid(tmp_path):
    before, paths = cloud(500), []
    for order in ("morton", "grid"):
        paths.append(tmp_path / f"{order}.sog")
        known = formats.format_of(paths[-1])
        known.quantizer(FormatOptions(order=order), formats.Importance()).write(before, paths[-1])
    assert rows(sog.read(paths[0])) == rows(sog.read(paths[1]))
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_planes_become_smaller_where_the_order_is_free():
    """Where nothing but colors differs."""
    scene = cloud(5000, sh_degree=0)
    for tensor in (scene.means, scene.log_scales, scene.logit_opacities):
        tensor.zero_()
    morton, grid = (len(sog.encode(scene, order=order)["sh0.webp"]) for order in ("morton", "grid"))
    assert grid < 0.7 * morton


@pytest.mark.parametrize("name", ["a.ply", "a.splatz", "a.spz", "a.compressed.ply", "a.splat", "a.glb"])
def test_formats_with_an_order_of_their_own_say_so(name, tmp_path, run_splat, capsys):
    formats.save(cloud(20), tmp_path / "scene.ply")
    assert run_splat("convert", tmp_path / "scene.ply", tmp_path / name, "--order", "grid") == 1
    assert "has an order of its own; --order grid is for meta.json, .sog" in capsys.readouterr().err
    with pytest.raises(InputError, match="order of its own"):
        formats.save(cloud(20), tmp_path / name, FormatOptions(order="grid"))
    assert not (tmp_path / name).exists()


def test_all_permutations_of_four():
    permutations = grid_order.PERMUTATIONS.tolist()
    assert len({tuple(p) for p in permutations}) == 24 and all(a < b for a, b in pairwise(permutations))
