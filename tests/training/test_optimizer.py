"""Surgery: parameters and moments stay together."""

import pytest
import torch

from scenes import cloud
from splat.training.densify.base import Edit
from splat.training.optimizer import GaussianOptimizer

RATES = dict.fromkeys(("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest"), 0.01)


def stepped(count: int = 20) -> GaussianOptimizer:
    """After one step with different gradients for every number."""
    optimizer = GaussianOptimizer(cloud(count))
    leaves = optimizer.leaves()
    for index, tensor in enumerate(leaves.values()):
        tensor.grad = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(index))
    optimizer.step(leaves, RATES)
    return optimizer


def tables(optimizer: GaussianOptimizer):
    return (optimizer.parameters, optimizer.exp_avg, optimizer.exp_avg_sq)


def test_keep_takes_moments_along():
    before, after = stepped(), stepped()
    rows = torch.arange(20) % 3 == 1
    after.keep(rows)
    for old, new in zip(tables(before), tables(after), strict=True):
        for name in old:
            assert torch.equal(new[name], old[name][rows]), name


def test_append_starts_moments_at_zero_and_leaves_the_others():
    before, after = stepped(), stepped()
    after.append(cloud(5, seed=9))
    assert len(after) == 25
    for old, new in zip(tables(before), tables(after), strict=True):
        for name in old:
            assert torch.equal(new[name][:20], old[name]), name
    assert all(bool((after.exp_avg[name][20:] == 0).all()) for name in RATES)
    assert torch.equal(after.parameters["means"][20:], cloud(5, seed=9).means)


def test_what_stays_moves_as_if_nothing_had_come_or_gone():
    plain, edited = stepped(), stepped()
    remove = torch.zeros(20, dtype=torch.bool)
    remove[3:9] = True
    Edit(remove=remove, append=cloud(4, seed=5)).apply(edited)
    for optimizer, rows in ((plain, 20), (edited, 18)):
        leaves = optimizer.leaves()
        for tensor in leaves.values():
            tensor.grad = torch.ones_like(tensor)
        assert len(optimizer) == rows
        optimizer.step(leaves, RATES)
    for name in RATES:
        assert torch.equal(edited.parameters[name][:14], plain.parameters[name][~remove]), name


def test_opacity_cap_clears_its_moments_only():
    optimizer, before = stepped(), stepped()
    Edit(opacity_cap=0.01).apply(optimizer)
    assert optimizer.gaussians.opacities.max() <= 0.01 + 1e-6
    assert bool((optimizer.exp_avg["logit_opacities"] == 0).all())
    assert torch.equal(optimizer.exp_avg["means"], before.exp_avg["means"])


def test_steps_do_not_touch_gaussians_handed_out_before_surgery():
    """Leaves share memory with the parameters, and surgery makes new memory."""
    optimizer = stepped()
    held = optimizer.gaussians
    optimizer.keep(torch.ones(20, dtype=torch.bool))
    kept = held.means.clone()
    leaves = optimizer.leaves()
    leaves["means"].grad = torch.ones_like(leaves["means"])
    optimizer.step(leaves, RATES)
    assert torch.equal(held.means, kept)


def test_state_survives_the_round_trip():
    optimizer = stepped()
    again = GaussianOptimizer.from_state_dict(optimizer.state_dict())
    assert again.steps == 1
    for old, new in zip(tables(optimizer), tables(again), strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_memory_follows_every_edit_and_is_forgotten_after_one():
    optimizer = stepped()
    optimizer.memory["views"] = torch.arange(20.0)
    optimizer.keep(torch.arange(20) >= 15)
    optimizer.append(cloud(2, seed=3))
    assert optimizer.memory["views"].tolist() == [15, 16, 17, 18, 19, 0, 0]
    Edit(opacity_decay=0.1).apply(optimizer)
    assert not optimizer.memory


def test_assigned_rows_start_again_and_the_others_stay():
    optimizer, before = stepped(), stepped()
    rows = torch.tensor([4, 11])
    Edit(rows=rows, values=cloud(2, seed=8)).apply(optimizer)
    others = torch.ones(20, dtype=torch.bool).index_fill_(0, rows, False)
    for name in RATES:
        assert torch.equal(optimizer.parameters[name][rows], cloud(2, seed=8).tensors()[name])
        assert bool((optimizer.exp_avg[name][rows] == 0).all()) and bool((optimizer.exp_avg_sq[name][rows] == 0).all())
        assert torch.equal(optimizer.exp_avg[name][others], before.exp_avg[name][others])


def test_opacities_fall_by_a_little_and_keep_their_moments():
    optimizer, before = stepped(), stepped()
    Edit(opacity_decay=0.05).apply(optimizer)
    expected = (before.gaussians.opacities - 0.05).clamp_min(1e-5)
    torch.testing.assert_close(optimizer.gaussians.opacities, expected)
    assert torch.equal(optimizer.exp_avg["logit_opacities"], before.exp_avg["logit_opacities"])


def test_masks_and_memory_survive_the_round_trip():
    optimizer = GaussianOptimizer(cloud(6), masks=True)
    optimizer.memory["score"] = torch.rand(6)
    again = GaussianOptimizer.from_state_dict(optimizer.state_dict())
    assert again.parameters.keys() == optimizer.parameters.keys() and "mask" in again.parameters
    assert torch.equal(again.memory["score"], optimizer.memory["score"])


def test_an_edit_caps_and_then_lowers_opacities():
    optimizer = GaussianOptimizer(cloud(20, seed=1))
    Edit(opacity_cap=0.05, opacity_decay=0.02).apply(optimizer)
    assert float(optimizer.gaussians.opacities.max()) == pytest.approx(0.03, abs=1e-6)
