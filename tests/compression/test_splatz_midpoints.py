"""Midpoints in `.splatz`: what is half-way between two others is found, told in little, made again as drawn, and learned
through."""

import dataclasses
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from splatz_files import CAMERA, covariances, is_the_same, survives_damage

import splat
from scenes import cloud
from splat import Gaussians
from splat.compression.coding.byte_reader import ByteReader
from splat.compression.formats.quantizers import SplatzQuantizer
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.canonical import nearest_equivalent
from splat.compression.formats.splatz.optional.midpoints import (
    LISTED,
    Neighbors,
    choose,
    difference,
    midpoints,
    pack_midpoints,
    unpack_midpoints,
)
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.quantization import fit_quantization
from splat.errors import InputError

THIRD = SplatzOptions(midpoints=0.3)


def scene(count: int = 400, degree: int = 1) -> Gaussians:
    return cloud(count, seed=0, sh_degree=degree, scale=0.1)


def doubled(count: int = 200) -> Gaussians:
    """Pairs of Gaussians and what is between them: the last third need not be stored."""
    one = scene(count)
    other = one.map(
        lambda tensor: tensor + 0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))
    )
    parts = [part.tensors() for part in (one, other, midpoints(one, other))]
    return Gaussians(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def test_a_description_like_another_is_the_same_gaussian():
    first, second = scene(1000), scene(1100)[100:]
    quats, log_scales = nearest_equivalent(first.quats, second.quats, second.log_scales)
    torch.testing.assert_close(covariances(quats, log_scales), covariances(second.quats, second.log_scales))
    near = (torch.nn.functional.normalize(first.quats, dim=1) * quats).sum(dim=1)
    assert (
        float(near.min()) > 0.84
    )  # half an angle of at most 62.8 degrees, the farthest from all of the cube's rotations
    again, _ = nearest_equivalent(quats, -quats, log_scales)
    torch.testing.assert_close(again, quats)


def test_midpoints_are_means():
    first = scene(50)
    second = first.map(lambda tensor: tensor + 0.02)
    found = midpoints(first, second)
    for name in ("means", "logit_opacities", "sh0", "sh_rest", "log_scales"):
        torch.testing.assert_close(getattr(found, name), getattr(first, name) + 0.01)
    same = midpoints(first, first)
    torch.testing.assert_close(covariances(same.quats, same.log_scales), covariances(first.quats, first.log_scales))


def test_the_difference_of_gaussians_in_space():
    first = scene(50)
    assert float(difference(first, first).max()) < 1e-5
    away = dataclasses.replace(first, means=first.means + 1000)
    torch.testing.assert_close(difference(first, away), torch.full((50,), 2.0))
    gone = dataclasses.replace(first, logit_opacities=first.logit_opacities - 40)
    torch.testing.assert_close(difference(first, gone), torch.ones(50))
    side = torch.linspace(-2, 2, 61, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(side, side, side, indexing="ij"), dim=-1).reshape(-1, 3)
    two = scene(2)
    two.means[:], two.sh0[:] = torch.tensor([[0.1, 0, 0], [-0.1, 0.1, 0]]), torch.tensor([[-20.0], [0.5]])
    two.log_scales[:] = torch.tensor([[-1.5, -1.2, -1.0], [-1.0, -1.1, -1.6]])
    two.sh0[0] = two.sh0[1]
    apart = points[None] - two.means.double()[:, None]
    inverse = torch.linalg.inv(covariances(two.quats, two.log_scales))
    density = two.opacities[:, None] * (-0.5 * torch.einsum("gpi,gij,gpj->gp", apart, inverse, apart)).exp()
    expected = (density[0] - density[1]).square().sum() / density[0].square().sum()
    assert float(difference(two[:1], two[1:])) == pytest.approx(float(expected), rel=0.01)


def test_what_is_half_way_is_found():
    before = doubled()
    parents = choose(before, torch.ones(600), 0.3)
    gone = parents[:, 0] >= 0
    assert int(gone.sum()) == 180
    assert int(gone[400:].sum()) >= 170
    assert not bool(gone[parents[gone]].any()), "neighbors are stored"
    assert len(parents[gone, 0].unique()) == 180, "no more than one midpoint is told of one Gaussian"
    assert float(difference(before[gone], midpoints(before[parents[gone, 0]], before[parents[gone, 1]])).mean()) < 0.05
    picture, sizes = splat.render(before, CAMERA).rgb, []
    for options in (SplatzOptions(coarseness=0.3), SplatzOptions(coarseness=0.3, midpoints=0.3)):
        data = splatz.encode(before, options)
        again = splatz.decode(data, "x")
        assert len(again) == 600
        assert float((splat.render(again, CAMERA).rgb - picture).square().mean()) < 1e-4
        sizes.append(len(data))
    assert sizes[1] < 0.85 * sizes[0]


def test_what_matters_stays():
    before = doubled()
    before.sh0 += 0.1 * torch.randn(600, 3, generator=torch.Generator().manual_seed(2))
    losses = torch.ones(600)
    losses[500:] = 1e6
    gone = choose(before, losses, 0.15)[:, 0] >= 0
    assert int(gone[400:500].sum()) > 75 and int(gone[500:].sum()) == 0 and int(gone.sum()) == 90


@given(
    count=st.integers(1, 80),
    fraction=st.floats(0, 0.5),
    stages=st.sampled_from([0, 2]),
    codes=st.sampled_from([0, 3]),
    coarseness=st.floats(0.05, 8),
)
@settings(max_examples=40, deadline=None)
def test_the_file_decodes_to_what_the_quantization_gives(count, fraction, stages, codes, coarseness):
    before = scene(count)
    options = SplatzOptions(coarseness=coarseness, shape_stages=stages, sh_codes=codes, midpoints=fraction)
    quantization = fit_quantization(before, options)
    said = quantization(before)
    assert len(said) == count
    is_the_same(splatz.decode(splatz.encode(before, quantization=quantization), "x"), said)


@given(
    cells=st.lists(st.tuples(*[st.integers(0, 1 << 20)] * 3), min_size=2, max_size=120),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_pairs_come_back(cells, seed):
    """Also of Gaussians in one cell, and of those that are far from each other in the file."""
    random, places = np.random.default_rng(seed), np.array(sorted(cells), dtype=np.int64)
    owners = np.sort(random.choice(len(places), random.integers(0, len(places) + 1), replace=False))
    partners = random.integers(0, len(places), len(owners))
    reader = ByteReader(pack_midpoints(owners, partners, places), "x")
    found = unpack_midpoints(reader, places)
    assert np.array_equal(found[0], owners) and np.array_equal(found[1], partners) and reader.left == 0


def test_neighbors_do_not_depend_on_how_they_are_found():
    """Distances that are equal, and more Gaussians in a cell than are listed."""
    random = np.random.default_rng(0)
    cells = np.array(sorted(random.integers(0, 6, (400, 3)).tolist()) + [[9, 9, 9]] * 100)
    found = Neighbors(cells).of(np.arange(500))
    first = np.unique(cells, axis=0, return_index=True)[1]
    for owner in range(0, 500, 7):
        far = ((cells[first] - cells[owner]) ** 2).sum(axis=1)
        there = sorted(
            (distance, index) for distance, index in zip(far.tolist(), first.tolist(), strict=True) if distance
        )
        wanted = [index for distance, index in there if distance < there[LISTED - 1][0]][: LISTED - 1]
        assert found[owner].tolist() == wanted + [-1] * (LISTED - 1 - len(wanted))


def test_neighbors_take_few_bits():
    cells = np.random.default_rng(0).integers(0, 4, (4000, 3)).cumsum(axis=0)
    owners = np.arange(0, 4000, 2)
    assert 8 * len(pack_midpoints(owners, owners + 1, cells)) / len(owners) < 5


def test_gradients_reach_both_neighbors():
    quantizer = SplatzQuantizer(THIRD)
    leaves = doubled().requires_grad_()
    there = quantizer(leaves)
    parents = quantizer.fitted.parents
    gone = parents[:, 0] >= 0
    target = torch.randn_like(there.means)
    (there.means * target).sum().backward()
    expected = target * ~gone[:, None]
    for side in (0, 1):
        expected.index_add_(0, parents[gone, side], target[gone] / 2)
    torch.testing.assert_close(leaves.means.grad, expected)
    for name in ("quats", "log_scales", "logit_opacities", "sh0", "sh_rest"):
        leaves = leaves.detach().requires_grad_()
        there = quantizer(leaves).tensors()[name][gone]
        (there * torch.randn_like(there)).sum().backward()
        moved = (
            getattr(leaves, name).grad.flatten(1) if name != "logit_opacities" else leaves.logit_opacities.grad[:, None]
        )
        assert bool((moved[parents[gone]].abs().sum(dim=(1, 2)) > 0).all()) and not bool(moved[gone].any()), name


def test_a_quantizer_that_has_learned_is_written_as_it_is(tmp_path):
    quantizer, leaves = SplatzQuantizer(dataclasses.replace(THIRD, sh_codes=8)), doubled()
    quantizer.refresh(leaves)
    moved = leaves.map(lambda t: t + 0.05 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1)))
    quantizer.write(moved, tmp_path / "scene.splatz")
    is_the_same(splatz.read(tmp_path / "scene.splatz"), quantizer(moved))


def test_a_midpoint_without_its_neighbors_is_stored():
    before = doubled()
    quantization = fit_quantization(before, THIRD)
    gone = (quantization.parents[:, 0] >= 0).nonzero()[:, 0]
    left = torch.ones(600, dtype=torch.bool)
    left[quantization.parents[gone[0], 0]] = False
    assert int((~quantization[left].stored).sum()) == len(gone) - 1 and quantization[gone].parents is None
    before.means[quantization.parents[gone[0], 0]] = torch.nan
    assert len(splatz.decode(splatz.encode(before, quantization=quantization), "x")) == 599


def test_copies_in_one_place():
    before = scene(1)[torch.zeros(3000, dtype=torch.int64)]
    assert len(splatz.decode(splatz.encode(before, THIRD), "x")) == 3000


@pytest.mark.parametrize("fraction", [-0.1, 0.6, float("nan")])
def test_fractions_out_of_range(fraction):
    with pytest.raises(InputError, match=r"\.splatz: midpoints must be a fraction"):
        splatz.encode(scene(10), SplatzOptions(midpoints=fraction))


GOOD = splatz.encode(doubled(30), THIRD)
SECTION = 138 + sum(struct.unpack_from("<4I", GOOD, 118))  # where midpoints begin


@pytest.mark.parametrize("change", ["cut", "flip"])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_files(change, data):
    survives_damage(GOOD, change, st.integers(4, 150) | st.integers(SECTION, len(GOOD) - 1), data)


def test_numbers_that_cannot_be():
    cells = np.arange(90).reshape(30, 3)
    owners = np.arange(30)
    assert unpack_midpoints(ByteReader(pack_midpoints(owners, owners[::-1], cells), "x"), cells)[1].tolist() == list(
        range(29, -1, -1)
    )
    for partner in (30, 1 << 29):
        data = pack_midpoints(owners[:1], np.array([partner]), cells)
        with pytest.raises(InputError, match="a Gaussian that there is not"):
            unpack_midpoints(ByteReader(data, "x"), cells)
    few = cells[:3]  # the last of many neighbors of three is none
    whole = splatz.pack(np.array([LISTED - 1, 0, 0]), bucket=1)
    with pytest.raises(InputError, match="a Gaussian that there is not"):
        unpack_midpoints(ByteReader(whole, "x"), few)


def test_promises_are_counted_with_their_midpoints():
    content = bytearray(GOOD)
    struct.pack_into("<I", content, 8, 40_000)  # alone just believed, not with as many midpoints
    with pytest.raises(InputError, match="which no scene does"):
        splatz.decode(bytes(content), "x")
