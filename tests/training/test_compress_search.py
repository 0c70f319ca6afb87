"""The search: it hits targets where losses do what they do in practice, and says so where nothing can."""

import math

from hypothesis import given
from hypothesis import strategies as st

from splat.training.compress.judge import Score
from splat.training.compress.search import FRACTIONS, Model, Recipe, Target, Trial, choose, pareto, search

WHOLE = 30.0


def lost(recipe: Recipe, mixed: float = 0.0) -> float:
    """dB: pruning costs more and more, each degree and each level of quality about twice the one before."""
    pruning = 0.5 * recipe.fraction**2 + 3 * recipe.fraction**8
    stored = 0.02 * 3**recipe.level + 0.1 * (2 ** (3 - recipe.degree) - 1)
    return pruning + stored + mixed * pruning * stored


def follow_of(mixed: float, overhead: int = 2000):
    def follow(recipe: Recipe) -> Trial:
        each = (8 + (recipe.degree + 1) ** 2) / (1 + 0.4 * recipe.level)
        count = round(100_000 * (1 - recipe.fraction))
        return Trial(recipe, overhead + round(each * count), count, Score(WHOLE - lost(recipe, mixed), 0.9), 0.1)

    return follow


def model_of(follow) -> Model:
    kinds = [follow(Recipe(0.0, 3, level)) for level in range(4)] + [follow(Recipe(0.0, d, 0)) for d in range(3)]
    pruned = [WHOLE - lost(Recipe(fraction, 3, 0)) + 0.02 for fraction in FRACTIONS]
    return Model(WHOLE, pruned, kinds)


@given(drop=st.floats(0.1, 2.0), mixed=st.floats(0, 1.0))
def test_the_smallest_file_within_a_loss(drop, mixed):
    follow, target = follow_of(mixed), Target(drop=drop)
    model = model_of(follow)
    trials = search(model, target, follow)
    best = choose([*model.kinds.values(), *trials], target, WHOLE)
    assert best is not None and WHOLE - best.score.psnr <= drop
    fractions = [place / 50 for place in range(48)]
    possible = [follow(Recipe(s, d, level)) for s in fractions for d in range(4) for level in range(4)]
    least = min(trial.size for trial in possible if WHOLE - trial.score.psnr <= drop)
    assert best.size <= 1.15 * least


@given(size=st.integers(60_000, 2_000_000), mixed=st.floats(0, 1.0))
def test_the_best_picture_within_a_size(size, mixed):
    follow, target = follow_of(mixed), Target(size=size)
    model = model_of(follow)
    trials = search(model, target, follow)
    best = choose([*model.kinds.values(), *trials], target, WHOLE)
    assert best is not None and best.size <= size
    fractions = [place / 50 for place in range(50)]
    possible = [follow(Recipe(s, d, level)) for s in fractions for d in range(4) for level in range(4)]
    most = max(trial.score.psnr for trial in possible if trial.size <= size)
    assert best.score.psnr >= most - 0.15 - 0.1 * lost(best.recipe, mixed)


def test_what_cannot_be_reached_is_said():
    follow = follow_of(0.0)
    model = model_of(follow)
    assert search(model, Target(size=1000), follow) == []
    assert search(model, Target(drop=0.001), follow) == []
    assert choose([follow(Recipe(0.0, 3, 0))], Target(size=10), WHOLE) is None


def test_the_front_has_no_trial_that_another_beats():
    follow = follow_of(0.3)
    trials = [follow(Recipe(s / 10, d, level)) for s in range(10) for d in range(4) for level in range(4)]
    front = pareto(trials)
    assert [trial.size for trial in front] == sorted(trial.size for trial in front)
    for trial in front:
        assert not any(t.size <= trial.size and t.score.psnr > trial.score.psnr for t in trials)
    assert max(trial.score.psnr for trial in trials) == front[-1].score.psnr
    assert math.isclose(min(trial.size for trial in trials), front[0].size)
