"""Morton order, against its definition bit by bit."""

import pytest
import torch

from splat.geometry.morton import BITS, morton_order, spread_bits


def test_bits_are_interleaved():
    generator = torch.Generator().manual_seed(0)
    values = torch.cat([torch.randint(2**BITS, (50,), generator=generator), torch.tensor([0, 1, 2**BITS - 1])])
    for value, spread in zip(values.tolist(), spread_bits(values).tolist(), strict=True):
        assert spread == sum((value >> bit & 1) << 3 * bit for bit in range(BITS))


@pytest.mark.parametrize("exact", [True, False])
def test_octants_stay_together(exact):
    """A Morton curve finishes one octant of the box before it enters the next."""
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1))
    points[0], points[1] = torch.zeros(3), torch.ones(3)
    order = morton_order(points, exact=exact)
    assert torch.equal(order.sort().values, torch.arange(4000))
    octant = ((points[order] >= 0.5).long() * torch.tensor([1, 2, 4])).sum(1)
    assert bool((octant.diff() >= 0).all())


@pytest.mark.parametrize("exact", [True, False])
def test_any_points(exact):
    nan = torch.tensor([[float("nan"), 0, 0], [1.0, 2, 3], [float("inf"), 0, 0], [0.0, 0, 0]])
    assert morton_order(nan, exact=exact).tolist()[2:] == [0, 2]
    for points in (torch.zeros(0, 3), torch.zeros(5, 3), torch.full((3, 3), float("nan"))):
        assert torch.equal(morton_order(points, exact=exact), torch.arange(len(points)))
