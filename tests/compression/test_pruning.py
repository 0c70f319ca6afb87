"""Scores of Gaussians, and what pruning by them leaves."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Camera, Gaussians, RenderSettings
from splat.compression.simplify.importance import importance, score, sensitivity, volume_factor
from splat.compression.simplify.prune import Fidelity, prune, prune_to_quality, ranks, recolored, survivors

KINDS = ("removal", "weight", "peak", "volume", "sensitivity")


def several(count: int = 4, width: int = 60, height: int = 44) -> list[Camera]:
    batch = cameras(count, width=width, height=height)
    return [Camera(v, K, width, height) for v, K in zip(batch.viewmat, batch.K, strict=True)]


def crowd(count: int = 600) -> Gaussians:
    return cloud(count, sh_degree=1, scale=0.12)


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_camera_sees_goes_first(kind):
    scene = crowd(200)
    scene.means[::4] += 1000
    scores = importance(scene, several(), kind)
    assert scores.dtype == torch.float64 and scores.shape == (200,)
    seen = splat.contribution(scene, several()).pixels > 0
    assert int((~seen).sum()) >= 50 and not bool((seen & ~survivors(scores, 0.25)).any())
    whole, left = splat.render(scene, several()[0]).rgb, splat.render(prune(scene, scores, 0.25), several()[0]).rgb
    assert torch.equal(whole, left)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_choose_better_than_chance(kind):
    scene, views = crowd(), several()
    measure = Fidelity(scene, views)
    chance = torch.rand(len(scene), generator=torch.Generator().manual_seed(0))
    assert measure(prune(scene, importance(scene, views, kind), 0.4)) > measure(prune(scene, chance, 0.4)) + 3


def test_sensitivity_is_the_sum_of_squared_derivatives():
    """Against one backward for every value of the image."""
    scene = cloud(5, sh_degree=1, dtype=torch.float64)
    view = several(1, width=6, height=5)[0].to(dtype=torch.float64)
    leaves = scene.map(lambda t: t.clone()).requires_grad_()
    image = splat.render(leaves, view).rgb.flatten()
    exact = {name: torch.zeros_like(tensor) for name, tensor in scene.tensors().items()}
    for value in image:
        for name, gradient in zip(
            exact, torch.autograd.grad(value, list(leaves.tensors().values()), retain_graph=True), strict=True
        ):
            exact[name] += gradient.square()
    estimate = sensitivity(scene, view, draws=3000)
    for name, value in exact.items():
        error = (estimate[name] - value).norm() / value.norm()
        assert error < 0.1, name


def test_removal_is_what_opacity_is_sensitive_to():
    """A pixel is linear in every single alpha: the squared change without a Gaussian is o^2 times the sensitivity to o."""
    scene, views = crowd(100), several()
    scene.logit_opacities.clamp_max_(1)
    settings = RenderSettings(transmittance_min=1e-12, alpha_min=1e-9)
    exact = importance(scene, views, "removal", settings=settings)
    by_logit = sensitivity(scene, views, draws=150, settings=settings)["logit_opacities"]
    torch.testing.assert_close(
        (by_logit / (1 - scene.opacities).square()).sum().double(), exact.sum(), rtol=0.05, atol=0
    )


def test_volume_counts_little_and_not_above_the_ninetieth_percentile():
    scene = crowd(100)
    factor = volume_factor(scene)
    order = scene.log_scales.sum(dim=1).argsort()
    assert bool((factor[order].diff() >= 0).all()) and float(factor[order][-10:].min()) == 1.0
    seen = splat.contribution(scene, several())
    torch.testing.assert_close(score(scene, seen, "volume"), seen.weight * factor)
    assert not len(volume_factor(crowd(0)))


@given(fraction=st.floats(0, 1), count=st.integers(0, 60), seed=st.integers(0, 5))
def test_the_fraction_is_exact_and_the_least_go(fraction, count, seed):
    scores = torch.randint(0, 9, (count,), generator=torch.Generator().manual_seed(seed)).double()
    if count:
        scores[0] = torch.nan
    keep = survivors(scores, fraction)
    assert int((~keep).sum()) == round(fraction * count)
    if count and 0 < int(keep.sum()) < count:
        rank = scores.nan_to_num(nan=-1)
        assert float(rank[~keep].max()) <= float(rank[keep].min())


def test_order_and_values_of_what_is_left_stay():
    scene = crowd(50)
    scores = torch.arange(50).flip(0).double()
    left = prune(scene, scores, 0.4)
    assert all(torch.equal(t, scene.tensors()[name][:30]) for name, t in left.tensors().items())
    with pytest.raises(ValueError, match="one for each of 50 Gaussians, got 49"):
        prune(scene, scores[:49], 0.4)
    with pytest.raises(ValueError, match=r"0 to 1, got 1\.5"):
        prune(scene, scores, 1.5)


def test_ranks_do_better_than_scores_of_the_whole_scene():
    scene, views = crowd(), several()
    measure = Fidelity(scene, views)

    def scored(gaussians: Gaussians) -> torch.Tensor:
        return importance(gaussians, views)

    once, anew = scored(scene), ranks(scene, scored)
    assert torch.equal(anew.sort().values, torch.arange(600).double())
    for fraction in (0.3, 0.6, 0.8):
        assert measure(prune(scene, anew, fraction)) > measure(prune(scene, once, fraction))
    assert not len(ranks(crowd(0), scored)) and ranks(crowd(1), scored).tolist() == [0]


def test_ranks_of_scores_that_stay_are_their_order():
    scene = crowd(97)
    scores = torch.rand(97, generator=torch.Generator().manual_seed(0))
    rows = {tuple(mean): score for mean, score in zip(scene.means.tolist(), scores.tolist(), strict=True)}
    found = ranks(scene, lambda left: torch.tensor([rows[tuple(mean)] for mean in left.means.tolist()]))
    assert torch.equal(found.argsort(), scores.argsort())


def test_recoloring_makes_up_for_some_of_it_and_changes_colors_only():
    scene, views = crowd(), several()
    measure = Fidelity(scene, views)
    left = prune(scene, importance(scene, views), 0.6)
    better = recolored(left, scene, views)
    assert measure(better) > measure(left) + 1
    assert all(torch.equal(t, better.tensors()[n]) for n, t in left.tensors().items() if n != "sh0")


def test_nothing_to_recolor_stays_as_it_is():
    scene, views = crowd(100), several()
    torch.testing.assert_close(recolored(scene, scene, views).sh0, scene.sh0)


@pytest.mark.parametrize("drop", [0.0, 5.0, 20.0, 1e9])
def test_as_many_go_as_the_quality_allows(drop):
    scene, views = crowd(300), several(2)
    scene.means[:30] += 1000  # those cost nothing
    found = prune_to_quality(scene, importance(scene, views), drop, Fidelity(scene, views))
    assert found.unpruned_quality == 60.0 and found.unpruned_quality - found.quality <= drop
    assert found.fraction >= 0.09 and len(found.gaussians) == 300 - round(found.fraction * 300)
    if drop == 1e9:
        assert found.fraction > 0.98
    elif drop:
        more = prune(scene, importance(scene, views), min(1.0, found.fraction + 0.02))
        assert Fidelity(scene, views)(more) < 60 - drop
