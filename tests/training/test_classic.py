"""The published rules of density control, on hand-made statistics."""

import math

import pytest
import torch

from scenes import cloud
from splat import Gaussians
from splat.training.densify.absgrad import AbsGrad, AbsGradConfig
from splat.training.densify.base import Memory, View
from splat.training.densify.classic import Classic, ClassicConfig, split_children
from splat.training.schedules import Iteration


def scene(scales: list[float], opacities: list[float]) -> Gaussians:
    count = len(scales)
    gaussians = cloud(count, sh_degree=0)
    gaussians.log_scales = torch.tensor(scales).log()[:, None].repeat(1, 3)
    gaussians.logit_opacities = torch.tensor(opacities).logit()
    return gaussians


def seen(strategy: Classic, memory: Memory, gradients: list[float], visible: list[bool] | None = None) -> None:
    """One view with these gradient norms."""
    shown = torch.tensor(visible if visible is not None else [True] * len(gradients))
    strategy.observe(View(shown, torch.tensor(gradients), torch.tensor(gradients)), memory)


def strategy(**config) -> Classic:
    return Classic(ClassicConfig(**config), 30_000, extent=1.0)


def at(iteration: int) -> Iteration:
    return Iteration(iteration, iteration / 30_000)


GENERATOR = torch.Generator().manual_seed(0)


def test_small_are_cloned_large_are_split_faint_are_removed():
    gaussians = scene([0.005, 0.02, 0.005, 0.02, 0.02], [0.5, 0.5, 0.5, 0.5, 0.004])
    classic, memory = strategy(), {}
    seen(classic, memory, [3e-4, 3e-4, 1e-4, 1e-4, 3e-4])
    edit = classic.edit(at(600), gaussians, memory, GENERATOR)
    assert edit.remove.tolist() == [False, True, False, False, True]
    assert len(edit.append) == 3
    assert torch.equal(edit.append.means[0], gaussians.means[0])  # the clone
    torch.testing.assert_close(edit.append.scales[1:], torch.full((2, 3), 0.02 / 1.6))


def test_gradients_are_averaged_over_the_views_that_show_a_gaussian():
    gaussians = scene([0.005, 0.005], [0.5, 0.5])
    classic, memory = strategy(), {}
    seen(classic, memory, [3e-4, 3e-4], [True, True])
    seen(classic, memory, [9e-4, 0.0], [False, True])
    edit = classic.edit(at(600), gaussians, memory, GENERATOR)
    assert len(edit.append) == 1  # 3e-4 from one view, but 1.5e-4 from two
    assert torch.equal(edit.append.means[0], gaussians.means[0])


def test_threshold_is_reached_at_equality():
    classic, memory = strategy(grad_threshold=0.25), {}
    seen(classic, memory, [0.25])
    assert len(classic.edit(at(600), scene([0.005], [0.5]), memory, GENERATOR).append) == 1


def test_nothing_happens_between_rounds_and_outside_the_schedule():
    classic, memory = strategy(), {}
    seen(classic, memory, [1.0])
    for iteration in (100, 550, 15_000, 20_000):
        assert classic.edit(at(iteration), scene([0.005], [0.5]), memory, GENERATOR) is None


def test_large_ones_go_only_after_the_first_reset():
    gaussians = scene([0.2, 0.02], [0.5, 0.5])
    classic, memory = strategy(), {}
    seen(classic, memory, [0.0, 0.0])
    assert not classic.edit(at(2900), gaussians, memory, GENERATOR).remove.any()
    assert classic.edit(at(3100), gaussians, memory, GENERATOR).remove.tolist() == [True, False]


def test_opacities_are_reset_every_3000():
    classic, memory = strategy(), {}
    seen(classic, memory, [0.0])
    assert classic.edit(at(3000), scene([0.005], [0.5]), memory, GENERATOR).opacity_cap == 0.01
    assert classic.edit(at(3100), scene([0.005], [0.5]), memory, GENERATOR).opacity_cap is None


@pytest.mark.parametrize("budget", [5, 6, 7, 100])
def test_budget_holds_and_the_largest_gradients_come_first(budget):
    gaussians = scene([0.005, 0.02, 0.005, 0.02, 0.005], [0.5] * 5)
    classic, memory = strategy(budget=budget), {}
    seen(classic, memory, [3e-4, 9e-4, 5e-4, 4e-4, 0.0])
    edit = classic.edit(at(600), gaussians, memory, GENERATOR)
    count = 5 - int(edit.remove.sum()) + len(edit.append)
    assert count == min(budget, 9)
    if budget == 6:
        assert edit.remove.tolist() == [False, True, False, False, False]


def test_children_are_drawn_from_their_parent():
    """Their mean is the parent's, their covariance the parent's, so they lie along its long axis."""
    parent = scene([1.0], [0.5])
    parent.log_scales = torch.tensor([[math.log(2.0), math.log(0.1), math.log(0.1)]])
    parent.quats = torch.tensor([[0.5**0.5, 0, 0, 0.5**0.5]])  # x to y
    many = parent.map(lambda tensor: tensor.repeat(20_000, *[1] * (tensor.ndim - 1)))
    children = split_children(many, torch.Generator().manual_seed(3))
    offsets = children.means - parent.means
    assert len(children) == 40_000
    torch.testing.assert_close(offsets.std(0), torch.tensor([0.1, 2.0, 0.1]), rtol=0.02, atol=0)
    assert float(offsets.mean(0).norm()) < 0.05
    torch.testing.assert_close(children.log_scales[0], parent.log_scales[0] - math.log(1.6))


def test_needles_do_not_multiply():
    gaussians = scene([0.005, 0.005], [0.5, 0.5])
    gaussians.log_scales[1, 0] = math.log(0.005 / 200)
    classic, memory = strategy(min_axis_ratio=0.01), {}
    seen(classic, memory, [1.0, 1.0])
    assert torch.equal(classic.edit(at(600), gaussians, memory, GENERATOR).append.means, gaussians.means[:1])


def test_absgrad_splits_by_absolute_and_clones_by_signed_gradients():
    gaussians = scene([0.02, 0.02, 0.005, 0.005], [0.5] * 4)
    absgrad, memory = AbsGrad(AbsGradConfig(), 30_000, extent=1.0), {}
    signed, absolute = torch.tensor([0.0, 1.0, 3e-4, 0.0]), torch.tensor([1e-3, 7e-4, 0.0, 1.0])
    absgrad.observe(View(torch.ones(4, dtype=torch.bool), signed, absolute), memory)
    edit = absgrad.edit(at(600), gaussians, memory, GENERATOR)
    assert edit.remove.tolist() == [True, False, False, False]  # split: the first; cloned: the third
    assert len(edit.append) == 3 and torch.equal(edit.append.means[0], gaussians.means[2])
