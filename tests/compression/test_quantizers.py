"""Grids of formats: what is written is what was optimized, and gradients pass."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Gaussians
from splat.compression.coding import smallest_three
from splat.compression.formats import compressed_ply, spz
from splat.compression.formats import registry as formats
from splat.compression.formats.quantizers import (
    CompressedPlyQuantizer,
    Quantizer,
    SogQuantizer,
    SplatzQuantizer,
    SpzQuantizer,
    straight_through,
)
from splat.compression.formats.sog import codes as sog_codes
from splat.compression.formats.spz import SpzOptions
from splat.geometry.morton import morton_order
from splat.geometry.quaternions import rotation_matrix

QUANTIZERS = {
    "spz": (lambda: SpzQuantizer(), "scene.spz"),
    "spz, few bits": (lambda: SpzQuantizer(SpzOptions(version=3, sh_bits=(5, 4), frame="rub")), "scene.spz"),
    "spz 2": (lambda: SpzQuantizer(SpzOptions(version=2, frame="rub")), "scene.spz"),
    "sog": (lambda: SogQuantizer(palette=64), "scene.sog"),
    "sog, unzipped": (lambda: SogQuantizer(palette=300), "meta.json"),
    "compressed ply": (lambda: CompressedPlyQuantizer(), "scene.compressed.ply"),
}


def scene(count: int = 700, degree: int = 2, seed: int = 3) -> Gaussians:
    gaussians = cloud(count, sh_degree=degree, seed=seed, scale=0.1)
    gaussians.quats[:20] = torch.tensor([1.0, 1.0, 0.001, 0.0])  # two components almost the largest
    gaussians.quats[20:40] = torch.tensor([-0.5, 0.5, 0.5, -0.5])
    gaussians.means[0] = torch.tensor([900.0, -0.001, 3.0])
    return gaussians


def read(path: Path, quantizer: Quantizer) -> Gaussians:
    return spz.read(path, quantizer.options) if isinstance(quantizer, SpzQuantizer) else formats.load(path)


def in_file_order(gaussians: Gaussians, quantizer: Quantizer) -> Gaussians:
    if isinstance(quantizer, CompressedPlyQuantizer):
        return gaussians[quantizer.order]
    return gaussians[morton_order(gaussians.means)] if isinstance(quantizer, SogQuantizer) else gaussians


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("degree", [0, 3])
def test_what_is_read_back_is_what_the_quantizer_said(name, degree, tmp_path):
    """Bit for bit, but for the compressed .ply, whose bounds are floats that come out of others."""
    make, file = QUANTIZERS[name]
    quantizer, before = make(), scene(degree=degree)
    said = quantizer(before)
    quantizer.write(before, tmp_path / file)
    found, expected = read(tmp_path / file, quantizer), in_file_order(said, quantizer)
    for key, value in expected.tensors().items():
        if isinstance(quantizer, CompressedPlyQuantizer):
            torch.testing.assert_close(found.tensors()[key], value, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(found.tensors()[key], value), key


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_quantizer_leaves_what_lies_on_it(name):
    quantizer = QUANTIZERS[name][0]()
    once = quantizer(scene())
    again = quantizer(once)
    for key, value in once.tensors().items():
        if isinstance(quantizer, CompressedPlyQuantizer):
            torch.testing.assert_close(again.tensors()[key], value, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(again.tensors()[key], value), key


@pytest.mark.parametrize("name", ["spz", "sog", "compressed ply"])
def test_a_fitted_quantizer_follows_parameters_that_move(name, tmp_path):
    make, file = QUANTIZERS[name]
    quantizer, before = make(), scene()
    quantizer.refresh(before)
    moved = before.map(lambda t: t + 0.01 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1)))
    quantizer.write(moved, tmp_path / file)
    found, expected = read(tmp_path / file, quantizer), in_file_order(quantizer(moved), quantizer)
    torch.testing.assert_close(found.sh_rest, expected.sh_rest, rtol=1e-5, atol=1e-6)
    quantizer.refresh(moved)
    assert float((quantizer(moved).log_scales - moved.log_scales).abs().max()) < 0.06


@pytest.mark.parametrize("name", QUANTIZERS)
def test_gradients_pass_straight_through(name):
    """As of an unquantized render at the rounded values; a palette's entry gathers those of all its Gaussians."""
    quantizer, leaves = QUANTIZERS[name][0](), scene(200).requires_grad_()
    there = quantizer(leaves)
    splat.render(there, cameras(2)).rgb.square().sum().backward()
    moved = there.detach().map(lambda t: t.clone()).requires_grad_()
    splat.render(moved, cameras(2)).rgb.square().sum().backward()
    for key, value in leaves.tensors().items():
        expected = moved.tensors()[key].grad
        if key == "quats":  # q and -q are one rotation
            expected = expected * torch.where((leaves.quats * there.quats).sum(1, keepdim=True) < 0, -1.0, 1.0)
        if key == "sh_rest" and isinstance(quantizer, SogQuantizer):
            labels, weights = quantizer.fitted.labels, quantizer.weights
            sums = torch.zeros(len(quantizer.fitted.palette), *expected.shape[1:]).index_add_(0, labels, expected)
            total = torch.zeros(len(sums)).index_add_(0, labels, weights)
            expected = sums[labels] * (weights / total[labels])[:, None, None]
        torch.testing.assert_close(value.grad, expected, rtol=1e-4, atol=1e-5)


@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).filter(lambda q: sum(x * x for x in q) > 1e-3))
def test_rounded_rotations_settle(quat):
    quats = torch.tensor([quat])
    for rounded, bound in (
        (lambda q: spz._unpack_rotation(spz._pack_rotation(q, 3), 3), 0.01),
        (lambda q: spz._unpack_rotation(spz._pack_rotation(q, 2), 2), 0.2),
        (lambda q: sog_codes.quats_of(sog_codes.quat_codes(q)), 0.03),
        (lambda q: compressed_ply._unpack_rotation(compressed_ply._pack_rotation(q)), 0.01),
    ):
        found = smallest_three.settled(quats, rounded)
        assert torch.equal(rounded(found), found)
        assert float((rotation_matrix(found) - rotation_matrix(quats)).abs().max()) < bound


def test_straight_through_keeps_the_other_values():
    one, other = scene(10).requires_grad_(), scene(10, seed=9)
    both = straight_through(one, other)
    assert all(torch.equal(t, other.tensors()[name]) for name, t in both.tensors().items())
    both.means.sum().backward()
    assert bool((one.means.grad == 1).all())


@pytest.mark.parametrize("kind", [lambda **of: SogQuantizer(palette=64, **of), SplatzQuantizer])
def test_what_is_fitted_belongs_to_one_set_of_gaussians(kind):
    quantizer = kind()
    quantizer.refresh(scene(700))
    quantizer.refresh(scene(300))
    assert quantizer(scene(300)).sh_rest.shape == (300, 8, 3)
    with pytest.raises(ValueError, match="one for each of 300 Gaussians, got 700"):
        kind(weights=torch.ones(700))(scene(300))


def test_weights_decide_what_a_palette_keeps():
    before = scene(700)
    weights = torch.full((700,), 1e-6)
    weights[:64] = 1.0
    error = (SogQuantizer(64, weights=weights)(before).sh_rest - before.sh_rest).square().sum((1, 2))
    assert float(error[:64].max()) < 0.01 * float(error[64:].mean())
