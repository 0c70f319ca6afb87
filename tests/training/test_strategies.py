"""mcmc and budget: what their rules promise, on hand-made scenes and on renders."""

import math

import pytest
import torch

import splat
from scenes import cameras, cloud, smooth
from splat import Gaussians
from splat.geometry.quaternions import rotate, rotation_matrix
from splat.training.densify.base import Edit, View
from splat.training.densify.budget import Budget, BudgetConfig, draw, halves
from splat.training.densify.mcmc import MCMC, MCMCConfig, divide
from splat.training.learned_mask import is_off, masked
from splat.training.optimizer import GaussianOptimizer
from splat.training.schedules import Iteration

GENERATOR = torch.Generator().manual_seed(0)


def at(iteration: int) -> Iteration:
    return Iteration(iteration, iteration / 30_000)


def lonely(opacity: float) -> Gaussians:
    """One Gaussian in front of the camera, a few pixels wide."""
    gaussians = cloud(1, seed=4, sh_degree=0)
    gaussians.means = torch.zeros(1, 3)
    gaussians.log_scales = torch.full((1, 3), math.log(0.3))
    gaussians.logit_opacities = torch.tensor([opacity]).logit()
    return gaussians


@pytest.mark.parametrize("opacity", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("copies", [2, 3, 10])
def test_copies_together_look_like_the_one_they_came_from(opacity, copies):
    """Exactly so at the center; nearly so in the integral along a line, which the scale is made for."""
    one = lonely(opacity)
    many = divide(one, torch.tensor([copies]))[torch.zeros(copies, dtype=torch.long)]
    assert float(1 - (1 - many.opacities).prod()) == pytest.approx(opacity, abs=1e-4)
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64)

    def along_a_line(gaussians: Gaussians) -> float:
        left = torch.ones_like(x)
        for o, s in zip(gaussians.opacities.double(), gaussians.scales[:, 0].double(), strict=True):
            left = left * (1 - o * torch.exp(-0.5 * (x / s).square()))
        return float((1 - left).sum() * (x[1] - x[0]))

    assert along_a_line(many) == pytest.approx(along_a_line(one), rel=1e-3)


def test_the_faint_move_onto_others_and_the_number_grows():
    gaussians = cloud(200, seed=1, sh_degree=0)
    gaussians.logit_opacities[:30] = -8.0
    mcmc = MCMC(MCMCConfig(), 30_000, budget=1000, start=200)
    optimizer = GaussianOptimizer(gaussians)
    mcmc.edit(at(600), optimizer.gaussians, {}, GENERATOR).apply(optimizer)
    assert len(optimizer) == 210
    assert float(optimizer.gaussians.opacities.min()) >= 0.005 - 1e-6
    alive = gaussians[torch.arange(30, 200)]
    for mean in [*optimizer.gaussians.means[:30], *optimizer.gaussians.means[200:]]:
        offsets = rotate(alive.quats * torch.tensor([1.0, -1.0, -1.0, -1.0]), mean - alive.means)
        assert float((offsets / alive.scales).norm(dim=1).min()) < 4.5  # within a parent's distribution
    assert mcmc.edit(at(29_000), gaussians, {}, GENERATOR) is None
    full = MCMC(MCMCConfig(), 30_000, budget=200, start=200)
    assert len(full.edit(at(600), gaussians, {}, GENERATOR).append) == 0


def test_short_runs_reach_the_budget_too():
    def grown_by(iterations: int) -> int:
        mcmc, count = MCMC(MCMCConfig(), iterations, budget=100_000, start=10_000), 10_000
        for _ in range(round(0.25 * 25 / 30 * iterations / 100)):
            count = min(100_000, int((1 + mcmc.growth) * count))
        return count

    assert grown_by(3000) > 90_000 and grown_by(30_000) == 100_000
    assert MCMC(MCMCConfig(), 30_000, 20_000, 10_000).growth == pytest.approx(0.05)


def test_relocation_hardly_changes_the_picture():
    gaussians = cloud(400, seed=2, sh_degree=0, scale=0.1)
    gaussians.logit_opacities[::10] = -8.0
    optimizer = GaussianOptimizer(gaussians)
    before = splat.render(gaussians, cameras(1)).rgb
    MCMC(MCMCConfig(), 30_000, budget=400, start=400).edit(at(600), optimizer.gaussians, {}, GENERATOR).apply(optimizer)
    after = splat.render(optimizer.gaussians, cameras(1)).rgb
    assert float((after - before).abs().mean()) < 0.01


def test_noise_follows_the_covariance_and_spares_the_opaque():
    gaussians = cloud(2, sh_degree=0).map(lambda tensor: tensor[:1].repeat(40_000, *[1] * (tensor.ndim - 1)))
    gaussians.logit_opacities = torch.full((40_000,), -9.0)
    start = gaussians.means.clone()
    mcmc = MCMC(MCMCConfig(noise=10.0), 30_000, 1, 1)
    mcmc.perturb(gaussians, {"means": 0.1}, torch.Generator().manual_seed(1))
    moved = gaussians.means - start
    rotation = rotation_matrix(gaussians.quats[:1])[0]
    covariance = rotation @ torch.diag(gaussians.scales[0].square()) @ rotation.T
    strength = float(torch.sigmoid(torch.tensor(0.5 - 100 / (1 + math.exp(9)))))
    expected = strength**2 * covariance @ covariance
    torch.testing.assert_close(moved.T @ moved / 40_000, expected, rtol=0.06, atol=0.002)
    solid = cloud(5, sh_degree=0)
    solid.logit_opacities = torch.full((5,), 3.0)
    before = solid.means.clone()
    mcmc.perturb(solid, {"means": 0.1}, GENERATOR)
    torch.testing.assert_close(solid.means, before, atol=1e-6, rtol=0)


def budget_view(score: list[float], pull: list[float]) -> View:
    count = len(score)
    return View(torch.ones(count, dtype=torch.bool), torch.zeros(count), torch.tensor(pull), torch.tensor(score))


def test_budget_splits_candidates_by_score_and_follows_its_curve():
    gaussians = cloud(100, sh_degree=0)
    gaussians.logit_opacities[:] = 1.0
    gaussians.logit_opacities[3] = -9.0
    strategy, memory = Budget(BudgetConfig(), 30_000, budget=150, start=100), {}
    score = [1.0] * 60 + [0.0] * 40
    pull = [1.0] * 50 + [0.0] * 50
    strategy.observe(budget_view(score, pull), memory)
    edit = strategy.edit(at(3000), gaussians, memory, torch.Generator().manual_seed(3))
    gone = edit.remove.nonzero()[:, 0].tolist()
    assert 3 in gone and all(index < 50 for index in gone)
    after = 100 - len(gone) + len(edit.append)
    assert after == strategy.target(at(3000)) and 100 < after < 150
    assert strategy.target(at(17_000)) == 150 and edit.opacity_decay > 0
    assert strategy.edit(at(20_000), gaussians, memory, GENERATOR) is None


def test_budget_never_grows_beyond_a_budget_that_is_smaller_than_the_start():
    strategy = Budget(BudgetConfig(), 30_000, budget=50, start=100)
    assert {strategy.target(at(i)) for i in (0, 9000, 29_000)} == {50}


def test_drawing_is_proportional_and_without_repetition():
    score = torch.tensor([0.0, 1.0, 3.0, 0.0])
    counts = torch.zeros(4)
    generator = torch.Generator().manual_seed(5)
    for _ in range(4000):
        counts[draw(score, 1, generator)] += 1
    assert counts[0] == counts[3] == 0 and float(counts[2] / counts[1]) == pytest.approx(3.0, rel=0.15)
    assert sorted(draw(score, 3, generator).tolist()) == [1, 2]
    assert len(draw(torch.tensor([float("nan"), float("inf")]), 2, generator)) == 0


def test_halves_cover_their_parent_end_to_end():
    parent = cloud(3, seed=6, sh_degree=1)
    children = halves(parent)
    for index in range(3):
        a, b = children[index : index + 1], children[index + 3 : index + 4]
        rotation = rotation_matrix(parent.quats[index])
        axis = int(parent.log_scales[index].argmax())
        offset = (a.means - b.means)[0] @ rotation  # in the parent's axes
        length = float(parent.scales[index, axis])
        assert abs(float(offset[axis])) == pytest.approx(2 * 3 * 0.45 * length, rel=1e-4)
        # ends: center + 3 standard deviations of the child is 3 of the parent
        assert 3 * 0.45 * length + 3 * float(a.scales[0, axis]) == pytest.approx(3 * length, rel=1e-4)
        torch.testing.assert_close((a.means + b.means)[0] / 2, parent.means[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(a.opacities[0], 0.6 * parent.opacities[index], rtol=1e-4, atol=0)
        assert torch.equal(a.sh_rest[0], parent.sh_rest[index])


def test_scores_are_blend_weights_times_errors():
    """The gradient with respect to features of zero, which `Trainer` uses, against finite differences of the features."""
    gaussians, camera = cloud(12, seed=3, sh_degree=0), cameras(1)
    error = torch.rand(1, camera.height, camera.width, generator=torch.Generator().manual_seed(0))
    probe = torch.zeros(12, 1, requires_grad=True)
    leaves = gaussians.map(lambda tensor: tensor.clone()).requires_grad_()
    result = splat.render(leaves, camera, features=probe)
    (result.features[..., 0] * error).sum().backward()
    assert all(tensor.grad is None or not tensor.grad.any() for tensor in leaves.tensors().values())
    for index in range(12):
        one = torch.zeros(12, 1)
        one[index] = 1.0
        weight = splat.render(gaussians, camera, features=one).features[..., 0]  # of this Gaussian at every pixel
        assert float(probe.grad[index, 0]) == pytest.approx(float((weight * error).sum()), rel=1e-4, abs=1e-5)


def test_masks_switch_off_and_pass_their_gradient_through():
    gaussians, camera = cloud(30, seed=5, sh_degree=0), cameras(1)
    logits = torch.ones(30)
    logits[7] = -6.0
    assert is_off(logits).nonzero()[:, 0].tolist() == [7]
    others = torch.arange(30) != 7
    shown = masked(gaussians, logits)
    assert torch.equal(splat.render(shown, camera).rgb, splat.render(gaussians[others], camera).rgb)
    assert torch.equal(shown.log_scales[others], gaussians.log_scales[others])

    # The gradient is that of a mask M that multiplies opacity and scale, at M = 1; by finite differences.
    gaussians, camera = smooth()
    logits = torch.ones(5, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(splat.render(gaussians, camera).rgb.shape, generator=torch.Generator().manual_seed(1))
    (splat.render(masked(gaussians, logits), camera).rgb * weight).sum().backward()

    def at_mask(index: int, mask: float) -> float:
        other = gaussians.map(lambda tensor: tensor.clone())
        other.logit_opacities[index] = torch.logit(mask * other.opacities[index])
        other.log_scales[index] += math.log(mask)
        return float((splat.render(other, camera).rgb * weight).sum())

    sigmoid = 1 / (1 + math.exp(-1))
    for index in range(5):
        slope = (at_mask(index, 1 + 1e-5) - at_mask(index, 1 - 1e-5)) / 2e-5
        assert float(logits.grad[index]) == pytest.approx(slope * sigmoid * (1 - sigmoid), rel=1e-5)


def test_an_edit_of_rows_keeps_the_order_of_all_others():
    optimizer = GaussianOptimizer(cloud(10, sh_degree=0))
    before = optimizer.parameters["means"].clone()
    remove = torch.zeros(10, dtype=torch.bool)
    remove[2] = True
    Edit(rows=torch.tensor([9]), values=cloud(1, seed=9, sh_degree=0), remove=remove).apply(optimizer)
    assert torch.equal(optimizer.parameters["means"][:8], before[[0, 1, 3, 4, 5, 6, 7, 8]])
    assert torch.equal(optimizer.parameters["means"][8:], cloud(1, seed=9, sh_degree=0).means)
