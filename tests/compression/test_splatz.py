"""`.splatz`: a file holds what its quantization said, errors stay within the steps, gradients pass through the rounding."""

import dataclasses
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from splatz_files import CAMERA, by_place, covariances, is_the_same, learns

import splat
from scenes import cloud
from splat import Camera, Gaussians
from splat.compression.coding.byte_reader import ByteReader
from splat.compression.coding.entropy import HEAD, pack, unpack
from splat.compression.coding.octree import MOST_BITS, pack_cells, unpack_cells
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.canonical import BOUND, canonical, quaternions
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.quantization import fit_quantization, importance_classes
from splat.compression.formats.splatz.view_metric import UNSEEN, isotropic_metric, view_metric
from splat.errors import InputError
from splat.geometry.morton import z_order

WHOLE = st.lists(st.integers(-3000, 3000) | st.integers(-(2**29), 2**29), max_size=200)


def scene(count: int = 400, degree: int = 3, seed: int = 0) -> Gaussians:
    gaussians = cloud(count, seed=seed, sh_degree=degree, scale=0.1)
    gaussians.sh_rest.mul_(0.2)
    return gaussians


@given(values=WHOLE, contexts=st.integers(1, 8), bucket=st.integers(0, 3), shifted=st.booleans())
@settings(max_examples=100, deadline=None)
def test_numbers_come_back(values, contexts, bucket, shifted):
    whole = np.array(values, dtype=np.int64)
    known = np.arange(len(whole)) % contexts
    shifts = (known % 4).astype(np.uint8) if shifted else None
    data = pack(whole, known, bucket, shifts)
    reader = ByteReader(data, "x")
    assert np.array_equal(unpack(reader, len(whole), known, bucket, shifts), whole) and reader.left == 0


def test_numbers_take_little_more_than_their_entropy():
    random = np.random.default_rng(0)
    known = random.integers(0, 2, 100_000)
    values = np.round(random.normal(0, np.where(known, 20, 2))).astype(np.int64)
    ideal = np.log2(np.sqrt(2 * np.pi * np.e) * np.sqrt(20 * 2))
    assert ideal < 8 * len(pack(values, known)) / len(values) < 1.03 * ideal
    walk = np.cumsum(random.integers(-1, 2, 100_000)) // 3
    walk = np.abs(walk % 40 - 20)
    assert len(pack(walk, bucket=1)) < 0.8 * len(pack(walk))
    assert len(pack(np.full(1_000_000, -7))) == struct.calcsize(HEAD)


@pytest.mark.parametrize(("extra", "message"), [(-1, "a far value is missing"), (1, "far values are left over")])
def test_far_values_must_be_as_many_as_their_places(extra, message):
    data = pack(np.array([1, 2, 1 << 20, 3, -(1 << 20), 2]))
    low, bits, far, size = struct.unpack_from(HEAD, data)
    changed = struct.pack(HEAD, low, bits, far + extra, size) + data[struct.calcsize(HEAD) :] + bytes(4)
    with pytest.raises(InputError, match=message):
        unpack(ByteReader(changed, "x"), 6)


@given(st.lists(st.tuples(*[st.integers(0, 1023)] * 3), min_size=1, max_size=300), st.integers(10, 12))
@settings(max_examples=60, deadline=None)
def test_cells_come_back(cells, bits):
    codes = np.sort(z_order(np.array(cells, dtype=np.int64)))
    reader = ByteReader(pack_cells(codes, bits), "x")
    found = unpack_cells(reader, len(codes), bits)
    assert np.array_equal(z_order(found.astype(np.int64)), codes) and reader.left == 0
    assert sorted(found.tolist()) == sorted(map(list, cells))


def test_cells_use_all_bits():
    cells = np.array([[0, 0, 0], [1, 2, 4], [(1 << MOST_BITS) - 1] * 3, [1 << MOST_BITS - 1, 5, 0]], dtype=np.int64)
    codes = np.sort(z_order(cells))
    found = unpack_cells(ByteReader(pack_cells(codes, MOST_BITS), "x"), 4, MOST_BITS)
    assert sorted(found.tolist()) == sorted(cells.tolist())


def test_the_order_of_positions_is_not_paid_for():
    cells = np.random.default_rng(0).integers(0, 1 << 10, (20_000, 3))
    bits = 8 * len(pack_cells(np.sort(z_order(cells)), 10)) / len(cells)
    assert bits < 30 - np.log2(len(cells)) + 1.44 + 0.7


def test_the_canonical_description_is_the_same_gaussian():
    before = scene(1000)
    rodrigues, log_scales = canonical(before.quats, before.log_scales)
    assert float(rodrigues.abs().max()) <= BOUND + 1e-5
    wanted, found = covariances(before.quats, before.log_scales), covariances(quaternions(rodrigues), log_scales)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@given(
    count=st.integers(1, 60),
    degree=st.integers(0, 4),
    codes=st.sampled_from([0, 1, 7, None]),
    exact=st.sampled_from([0.0, 0.3, 1.0]),
    classes=st.integers(1, 4),
    coarseness=st.floats(0.05, 8),
)
@settings(max_examples=60, deadline=None)
def test_the_file_decodes_to_what_the_quantization_gives(count, degree, codes, exact, classes, coarseness):
    before = scene(count, degree)
    options = SplatzOptions(coarseness=coarseness, sh_codes=codes, sh_exact=exact, classes=classes)
    quantization = fit_quantization(before, options)
    is_the_same(splatz.decode(splatz.encode(before, quantization=quantization), "x"), quantization(before))


@pytest.mark.parametrize("codes", [0, 64])
def test_threads_change_nothing(codes):
    before = scene(40_000)
    quantization = fit_quantization(before, SplatzOptions(sh_codes=codes, sh_exact=0.3))
    data, wanted = splatz.encode(before, quantization=quantization), by_place(quantization(before))
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(splatz.decode(data, "x"))
    finally:
        torch.set_num_threads(threads)
    for name, tensor in found[0].tensors().items():
        assert tensor.is_contiguous() and all(torch.equal(tensor, other.tensors()[name]) for other in found[1:]), name
        torch.testing.assert_close(by_place(found[0]).tensors()[name], wanted.tensors()[name], rtol=0, atol=2e-6)


def test_errors_stay_within_half_a_step():
    before = scene(2000)
    options = SplatzOptions(classes=1)
    quantization = fit_quantization(before, options)
    found, step = quantization(before), quantization.steps
    _, log_scales = canonical(before.quats, before.log_scales)
    assert float((found.log_scales - log_scales).abs().max()) <= step.scale / 2 + 1e-5
    assert float((found.opacities - before.opacities).abs().max()) <= step.opacity / 2 + 2e-4
    assert float((found.sh0.mean(1) - before.sh0.mean(1)).abs().max()) <= step.color / 2 + 1e-5
    stretch = (step.radius**2 + (before.means.double() - torch.tensor(step.center)).square()).sqrt()
    assert float(((found.means - before.means).abs() / stretch).max()) <= 0.51 * step.cell
    directions = torch.nn.functional.normalize(torch.randn(2000, 3), dim=1)
    seen = splat.spherical_harmonics.basis(3, directions)[:, 1:, None]
    error = ((found.sh_rest - before.sh_rest) * seen).sum(1)
    assert (
        float(error.square().mean().sqrt()) < step.sh * (3 * 15 / 12) ** 0.5
    )  # all components' errors, uniform in a step


@pytest.mark.parametrize("codes", [0, 16])
def test_gradients_pass_as_if_nothing_were_rounded(codes):
    before = scene(50)
    quantization = fit_quantization(before, SplatzOptions(sh_codes=codes, sh_exact=0.2))
    quantization.codebook.requires_grad_()
    before.requires_grad_()
    rounded = quantization(before)
    assert not torch.equal(rounded.means, before.means)
    target = {name: torch.randn_like(tensor) for name, tensor in rounded.tensors().items()}
    sum((tensor * target[name]).sum() for name, tensor in rounded.tensors().items()).backward()
    for name in ("means", "logit_opacities", "sh0"):
        torch.testing.assert_close(getattr(before, name).grad, target[name])
    assert torch.equal(before.log_scales.grad.sort(dim=1).values, target["log_scales"].sort(dim=1).values)
    assert before.quats.grad.abs().sum() > 0
    own = before.sh_rest.grad.flatten(1).abs().sum(1) > 0
    assert torch.equal(own, quantization.exact) and (int(own.sum()) == (10 if codes else 50))
    if codes:
        shared = torch.zeros_like(quantization.codebook)
        shared.index_add_(0, quantization.labels[~own], target["sh_rest"].flatten(1)[~own])
        torch.testing.assert_close(quantization.codebook.grad, shared)


def test_optimizing_on_the_quantization_makes_the_file_better():
    before = scene(300)
    learns(fit_quantization(before, SplatzOptions(coarseness=4)), before)


def test_what_matters_is_kept_better():
    before = scene(3000)
    weights = torch.where(torch.arange(3000) % 2 == 0, 100.0, 0.1)
    shifts = importance_classes(weights, 4)
    assert set(shifts[::2].tolist()) == {0} and set(shifts[1::2].tolist()) == {3}
    found = fit_quantization(before, SplatzOptions(coarseness=0.5), weights)(before)
    error = (found.sh_rest - before.sh_rest).square().flatten(1).mean(1)
    assert float(error[::2].mean()) < 0.6 * float(error[1::2].mean())
    color = (found.sh0 - before.sh0).square().mean(1)
    assert float(color[::2].mean()) < 0.1 * float(color[1::2].mean())


def test_coarser_files_are_smaller_and_worse():
    before = scene(2000)
    picture = splat.render(before, CAMERA).rgb
    sizes, errors = [], []
    for coarseness in (0.5, 1.0, 2.0, 4.0):
        data = splatz.encode(before, SplatzOptions(coarseness=coarseness))
        sizes.append(len(data))
        errors.append(float((splat.render(splatz.decode(data, "x"), CAMERA).rgb - picture).square().mean()))
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)


def test_a_metric_of_views_spends_bits_where_cameras_look():
    before = scene(3000)
    cameras = [Camera.look_at((x, -1, -8), (0, 0, 0), width=60, height=40) for x in (-1.0, 0.0, 1.0)]
    metric = view_metric(before, cameras, torch.ones(3000))
    assert float(torch.linalg.cond(metric)) > 3
    floor = float(metric.trace() - isotropic_metric(15).trace()) / 15  # squares of harmonics sum to a constant
    assert floor == pytest.approx(UNSEEN * (float(torch.linalg.eigvalsh(metric)[-1]) - floor), rel=1e-3)
    errors, sizes = [], []
    for used in (None, metric):
        data = splatz.encode(before, SplatzOptions(coarseness=0.5, sh_step=0.1 if used is None else 0.115), metric=used)
        again = splatz.decode(data, "x")
        pictures = [(splat.render(again, c).rgb - splat.render(before, c).rgb).square().mean() for c in cameras]
        errors.append(float(sum(pictures)))
        sizes.append(len(data))
    assert errors[1] < errors[0] and sizes[1] < 1.05 * sizes[0]


def test_a_quantization_is_of_one_scene():
    quantization = fit_quantization(scene(20))
    with pytest.raises(ValueError, match="quantization of 20 Gaussians"):
        quantization(scene(21))
    assert len(splatz.decode(splatz.encode(scene(20)[:5], quantization=quantization[torch.arange(5)]), "x")) == 5


def test_degrees_can_be_left_out():
    assert splatz.decode(splatz.encode(scene(20), SplatzOptions(sh_degree=1)), "x").sh_degree == 1


def test_many_copies_of_one_gaussian_are_read_again():
    before = scene(1)[torch.zeros(50_000, dtype=torch.int64)]
    data = splatz.encode(before)
    assert len(splatz.decode(data, "x")) == 50_000 and len(data) < 100_000


def test_extreme_values_survive():
    before = scene(50)
    before.means[0], before.sh0[1], before.log_scales[2] = 1e12, 1e4, -60.0
    before.sh_rest[3], before.logit_opacities[4] = 1e3, 90.0
    again = by_place(splatz.decode(splatz.encode(before, SplatzOptions(classes=1)), "x"))
    before = by_place(before)
    torch.testing.assert_close(again.means.amax(), before.means.amax(), rtol=0.2, atol=0)
    assert float(again.sh0.amax()) == pytest.approx(1e4, rel=1e-3)
    assert float(again.log_scales.amin()) == pytest.approx(-60, abs=0.2)
    assert float(again.sh_rest.amax()) == pytest.approx(1e3, rel=1e-2)


@pytest.mark.parametrize(
    "change",
    [{"coarseness": 0.0}, {"sh_codes": 70_000}, {"sh_exact": 2.0}, {"classes": 9}, {"scale_step": float("nan")}],
)
def test_options_out_of_range(change):
    with pytest.raises(InputError, match=r"\.splatz: "):
        splatz.encode(scene(10), dataclasses.replace(SplatzOptions(), **change))


@pytest.mark.parametrize("log_scales", [[-12, -12, -12], [-3, -3, -torch.inf], [-torch.inf] * 3, [-40, -40, -40]])
def test_tiny_and_flat_gaussians_are_read_again(log_scales):
    gaussians = scene(2000, degree=0)
    gaussians.log_scales[:] = torch.tensor(log_scales)
    found = splatz.decode(splatz.encode(gaussians, SplatzOptions()), "a.splatz")
    assert len(found) == 2000
    extent = float((gaussians.means.amax(0) - gaussians.means.amin(0)).max())
    apart = torch.cdist(gaussians.means.double(), found.means.double()).amin(dim=1)
    assert float(apart.max()) < 1e-4 * extent


def test_a_scene_of_nothing():
    empty = scene(3)
    empty.means[:] = torch.nan
    with pytest.raises(InputError, match="no Gaussians that can be drawn"):
        splatz.encode(empty)
