"""Codebooks: every point has its nearest code, and the codes are where they should be."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splat.compression.coding import kmeans
from splat.compression.coding.kmeans import assign, assign_near, assign_numbers, codebook_of_numbers


def points(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_clusters_that_are_there_are_found():
    centers = 20 * points(16)
    labels = torch.arange(1600) % 16
    found, codes = kmeans.kmeans(centers[labels] + 0.1 * points(1600, 1), 24)
    assert float(torch.cdist(centers, found).min(dim=1).values.max()) < 0.5
    nearest = torch.cdist(centers[labels], found).min(dim=1)
    assert float((found[codes] - centers[labels]).norm(dim=1).max()) < 1 and float(nearest.values.max()) < 1


def test_a_tree_is_nearly_as_good_as_comparing_all(monkeypatch):
    data = points(20_000) @ torch.randn(6, 12, generator=torch.Generator().manual_seed(9))

    def error() -> float:
        found, codes = kmeans.kmeans(data, 1024)
        assert len(found) <= 1024 and int(codes.max()) < len(found)
        return float((data - found[codes]).square().mean())

    direct = error()
    monkeypatch.setattr(kmeans, "DIRECT", 0)
    assert error() < 1.25 * direct


def test_weights_draw_codes_to_what_counts():
    data = torch.cat([points(1000), points(1000, 1) + 8])
    weights = torch.cat([torch.full((1000,), 100.0), torch.ones(1000)])

    def errors(weights: torch.Tensor | None) -> tuple[float, float]:
        found, codes = kmeans.kmeans(data, 50, weights)
        error = (data - found[codes]).square().sum(1)
        return float(error[:1000].mean()), float(error[1000:].mean())

    assert errors(weights)[0] < errors(None)[0] and errors(weights)[1] > errors(None)[1]


def test_fewer_points_than_codes_are_their_own_codes():
    data = points(10)
    found, codes = kmeans.kmeans(data, 64)
    assert torch.equal(found[codes], data)


def test_assignment_is_the_nearest():
    data, codes = points(500), points(40, 3)
    assert torch.equal(assign(data, codes), torch.cdist(data, codes).argmin(dim=1))


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=200), st.integers(2, 16))
@settings(max_examples=60, deadline=None)
def test_numbers_are_clustered_as_well_as_possible_by_runs(values, codes):
    data = torch.tensor(values)
    book = codebook_of_numbers(data, codes)
    assert len(book) == codes and bool((book.diff() >= 0).all())
    error = float((data.double() - book[assign_numbers(data, book)]).square().sum())
    quantiles = data.sort().values[torch.linspace(0, len(data) - 1, codes).long()]
    simple = float((data.double() - quantiles[assign_numbers(data, quantiles)]).square().sum())
    assert error <= simple * (1 + 1e-3) + 1e-3


def test_tails_keep_codes_of_their_own():
    data = torch.cat(
        [torch.randn(100_000, generator=torch.Generator().manual_seed(0)), torch.tensor([50.0, -80.0, 95.0])]
    )
    book = codebook_of_numbers(data)
    error = (data - book[assign_numbers(data, book)]).abs()
    assert float(error.max()) < 0.5 and float(error.mean()) < 0.02


def test_numbers_are_exact_where_there_are_few():
    assert torch.equal(codebook_of_numbers(torch.tensor([3.0, 1.0, 3.0, 2.0]), 4)[:3], torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("count", [300, 2000])
def test_weighted_numbers(count):
    data = torch.linspace(0, 1, count)
    weights = torch.where(data < 0.1, 1000.0, 1.0)
    book = codebook_of_numbers(data, 16, weights)
    assert int((book < 0.1).sum()) > 6


def test_a_code_nearby_is_nearly_always_the_nearest(monkeypatch):
    data, codebook = points(4000), points(300, 1)
    exact = assign(data, codebook)
    monkeypatch.setattr(kmeans, "DIRECT", 0)
    labels = assign_near(data, codebook)

    def error(labels: torch.Tensor) -> float:
        return float((data - codebook[labels]).square().sum())

    assert error(labels) <= 1.2 * error(exact)
    assert len(assign_near(data[:0], codebook)) == 0
