"""Shapes in `.splatz` as sums of entries of codebooks: written as drawn, better with every stage, learned through, and hostile
files refused."""

import dataclasses
import itertools
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from splatz_files import CAMERA, is_the_same, learns, survives_damage

import splat
from scenes import cloud
from splat import Gaussians
from splat.compression.coding.byte_reader import ByteReader
from splat.compression.formats.quantizers import SplatzQuantizer
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.canonical import canonical
from splat.compression.formats.splatz.optional.residual_codebooks import (
    ResidualCodebooks,
    fit,
    pack_codebooks,
    unpack_codebooks,
)
from splat.compression.formats.splatz.optional.shape_codebooks import rotation_weights
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.quantization import fit_quantization
from splat.errors import InputError

PUBLISHED = SplatzOptions(shape_stages=6, shape_codes=64)


def scene(count: int = 400, degree: int = 1) -> Gaussians:
    return cloud(count, seed=0, sh_degree=degree, scale=0.1)


@given(
    count=st.integers(1, 80),
    stages=st.integers(1, 8),
    codes=st.integers(2, 70),
    classes=st.integers(1, 4),
    coarseness=st.floats(0.05, 8),
)
@settings(max_examples=40, deadline=None)
def test_the_file_decodes_to_what_the_quantization_gives(count, stages, codes, classes, coarseness):
    before = scene(count)
    options = SplatzOptions(coarseness=coarseness, classes=classes, shape_stages=stages, shape_codes=codes)
    quantization = fit_quantization(before, options)
    is_the_same(splatz.decode(splatz.encode(before, quantization=quantization), "x"), quantization(before))


@given(
    shifts=st.lists(st.integers(0, 3), max_size=100),
    stages=st.integers(1, 4),
    codes=st.integers(2, 256),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_labels_come_back(shifts, stages, codes, seed):
    classes, random = np.array(shifts, dtype=np.int64), np.random.default_rng(seed)
    labels = random.integers(0, codes, (len(classes), stages))
    entries = torch.from_numpy(random.normal(size=(stages, codes, 3))).half().float()
    books = ResidualCodebooks(entries, torch.zeros(stages, codes))
    reader = ByteReader(pack_codebooks(books, labels, classes), "x")
    again, found = unpack_codebooks(reader, classes, stages, codes)
    assert np.array_equal(found, labels) and torch.equal(again.entries, entries) and reader.left == 0


def test_every_stage_makes_shapes_better_and_files_larger():
    before = scene(3000)
    _, log_scales = canonical(before.quats, before.log_scales)
    picture = splat.render(before, CAMERA).rgb
    errors, seen, sizes = [], [], []
    for stages in (1, 2, 3, 4):
        options = dataclasses.replace(PUBLISHED, shape_stages=stages, classes=1, scale_step=1e-3, rotation_step=1e-3)
        quantization = fit_quantization(before, options)
        found = quantization(before)
        errors.append(float((found.log_scales - log_scales).square().mean()))
        seen.append(float((splat.render(found, CAMERA).rgb - picture).square().mean()))
        sizes.append(len(splatz.encode(before, quantization=quantization)))
    assert all(after < 0.3 * earlier for earlier, after in itertools.pairwise(errors))
    assert seen == sorted(seen, reverse=True) and sizes == sorted(sizes)


def test_where_bits_cost_more_fewer_are_spent():
    before = scene(3000)
    _, log_scales = canonical(before.quats, before.log_scales)
    errors, sizes = [], []
    for step in (0.03, 0.1, 0.3):
        options = dataclasses.replace(PUBLISHED, classes=1, scale_step=step, shape_stages=3)
        quantization = fit_quantization(before, options)
        errors.append(float((quantization(before).log_scales - log_scales).square().mean()))
        sizes.append(len(splatz.encode(before, quantization=quantization)))
    assert errors == sorted(errors) and sizes == sorted(sizes, reverse=True)
    assert errors[1] == pytest.approx(0.1**2 / 12, rel=0.5), "about what steps of that size would do"


def test_what_matters_is_kept_better():
    before = scene(3000)
    weights = torch.where(torch.arange(3000) % 2 == 0, 100.0, 0.1)
    _, log_scales = canonical(before.quats, before.log_scales)
    error = (fit_quantization(before, PUBLISHED, weights)(before).log_scales - log_scales).square().mean(1)
    assert float(error[::2].mean()) < 0.1 * float(error[1::2].mean())


def test_rotations_are_kept_where_they_show():
    before = scene(2000)
    rodrigues, log_scales = canonical(before.quats, before.log_scales)
    quantization = fit_quantization(before, SplatzOptions(shape_stages=2, shape_codes=16, classes=1))
    shown = rotation_weights(log_scales, quantization.steps)

    def error(weights: torch.Tensor) -> float:
        prices = torch.full((2000,), 1e-9)
        books = fit(rodrigues, weights, prices, 2, 16)
        return float((shown * (books.vectors(books.labels(rodrigues, weights, prices)) - rodrigues).square()).mean())

    assert error(shown) < 0.9 * error(torch.ones(2000, 3))


@pytest.mark.parametrize("options", [SplatzOptions(), SplatzOptions(shape_stages=2), SplatzOptions(midpoints=0.2)])
def test_what_a_quantizer_said_is_written_as_it_was(options, tmp_path):
    """Rounded twice it could be something else: what came of fine-tuning is given to the writer."""
    quantizer, before = SplatzQuantizer(options), scene(2000)
    with torch.no_grad():
        said = quantizer(before)
    quantizer.write(said, tmp_path / "scene.splatz")
    is_the_same(splatz.read(tmp_path / "scene.splatz"), said)
    if options.shape_stages:
        assert not torch.equal(quantizer.fitted(said).log_scales, said.log_scales)


def test_optimizing_on_the_quantization_makes_the_file_better():
    def moves_shapes(leaf: Gaussians) -> None:
        assert float(leaf.log_scales.grad.abs().sum()) > 0 and float(leaf.quats.grad.abs().sum()) > 0

    before = scene(300)
    learns(fit_quantization(before, SplatzOptions(shape_stages=2, shape_codes=8)), before, moves_shapes)


def test_copies_and_extremes_survive():
    before = scene(1)[torch.zeros(3000, dtype=torch.int64)]
    before.log_scales[0] = -60.0
    found = splatz.decode(splatz.encode(before, PUBLISHED), "x")
    assert len(found) == 3000 and float(found.log_scales.amin()) == pytest.approx(-60, abs=0.1)


@pytest.mark.parametrize(
    "change", [{"shape_stages": -1}, {"shape_stages": 9}, {"shape_codes": 1}, {"shape_codes": 300}]
)
def test_options_out_of_range(change):
    with pytest.raises(InputError, match=r"\.splatz: shapes are sums"):
        splatz.encode(scene(10), dataclasses.replace(PUBLISHED, **change))


GOOD = splatz.encode(scene(60), PUBLISHED)
SHAPE = 134 + struct.unpack_from("<I", GOOD, 118)[0]  # where the section begins


@pytest.mark.parametrize("change", ["cut", "flip"])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_damaged_files(change, data):
    survives_damage(GOOD, change, st.integers(4, SHAPE + 60) | st.integers(SHAPE, len(GOOD) - 1), data)


def test_codebooks_that_cannot_be():
    classes = struct.unpack_from("<I", GOOD, SHAPE + 9)[0]
    place = SHAPE + 13 + classes  # behind the stream of classes
    assert struct.unpack_from("<BH", GOOD, place) == (6, 64)
    for stages, codes in ((0, 64), (9, 64), (6, 1), (6, 60_000)):
        content = bytearray(GOOD)
        struct.pack_into("<BH", content, place, stages, codes)
        with pytest.raises(InputError, match=r"codebooks of .* entries cannot be"):
            splatz.decode(bytes(content), "x")
    content = bytearray(GOOD)
    struct.pack_into("<H", content, 6, 64)
    with pytest.raises(InputError, match=r"flags 0x40 of \.splatz are not known"):
        splatz.decode(bytes(content), "x")
