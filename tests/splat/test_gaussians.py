"""Gaussians: several scenes as one, and degrees of harmonics changed."""

import pytest
import torch

from scenes import cloud
from splat import Gaussians


def test_cat_keeps_the_order_and_pads_lower_degrees_with_zeros():
    scenes = [cloud(5, sh_degree=1), cloud(0, sh_degree=0), cloud(7, sh_degree=3, seed=1)]
    whole = Gaussians.cat(scene for scene in scenes)
    assert (len(whole), whole.sh_degree) == (12, 3)
    assert torch.equal(whole.means, torch.cat([scene.means for scene in scenes]))
    assert torch.equal(whole.sh_rest[:5, :3], scenes[0].sh_rest) and not bool(whole.sh_rest[:5, 3:].any())
    assert torch.equal(whole.sh_rest[5:], scenes[2].sh_rest)


def test_cat_is_differentiable():
    one, two = (cloud(3, sh_degree=degree).requires_grad_() for degree in (0, 2))
    Gaussians.cat([one, two]).means.sum().backward()
    assert one.means.grad is not None and two.means.grad is not None


def test_cat_of_one_is_that_one():
    scene = cloud(4)
    assert Gaussians.cat([scene]) is scene


def test_cat_names_what_does_not_fit():
    with pytest.raises(ValueError, match=r"Gaussians\.cat: scenes must hold at least one, got none"):
        Gaussians.cat([])
    with pytest.raises(
        ValueError, match=r"scenes\[0\] has cpu and torch\.float32, scenes\[1\] has cpu and torch\.float64"
    ):
        Gaussians.cat([cloud(2), cloud(2, dtype=torch.float64)])


@pytest.mark.parametrize("degree", range(5))
def test_with_sh_degree_leaves_out_or_pads(degree):
    scene = cloud(6, sh_degree=2)
    found = scene.with_sh_degree(degree)
    kept = min(degree + 1, 3) ** 2 - 1
    assert found.sh_degree == degree and scene.sh_degree == 2
    assert torch.equal(found.sh_rest[:, :kept], scene.sh_rest[:, :kept]) and not bool(found.sh_rest[:, kept:].any())


def test_with_sh_degree_says_which_degrees_there_are():
    with pytest.raises(ValueError, match="degree must be 0 to 4, got 5"):
        cloud(2).with_sh_degree(5)
