"""A target instead of knobs: which share to prune, which degree of harmonics and which precision give the best picture for a
size, or the smallest file for a loss.

Losses of different kinds nearly add up in dB, and bytes are nearly in proportion to the Gaussians that are left. So each kind
is measured alone, the sums say which combinations are promising, and those are written, read back and measured for real.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from splat.training.compress_judge import Score

SHARES = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Pruned shares at which the loss is measured; between them it is interpolated."""
TRIED = 3
"""Combinations that are written and measured at the end."""
CORRECTIONS = 3
"""How often the share of one combination is corrected by what was measured."""
STEP = 0.01
"""Shares nearer to each other than this are the same."""
NEAR = 0.03
"""dB within which a limit is used up."""
MARGIN = 0.97
"""Of a size limit, which is what the predicted sizes aim at."""


@dataclass(frozen=True)
class Recipe:
    """One way to compress."""

    share: float  # of the Gaussians, pruned
    degree: int  # of harmonics that are kept
    level: int  # place in the format's ladder of precisions, 0 the finest

    def __str__(self) -> str:
        return f"prune {100 * self.share:.1f} %, degree {self.degree}, precision {self.level}"


@dataclass(frozen=True)
class Trial:
    """A recipe, followed: the file it gave and what that was worth."""

    recipe: Recipe
    size: int  # bytes
    gaussians: int
    score: Score
    seconds: float


Follow = Callable[[Recipe], Trial]
"""Prunes, writes, reads back and measures."""


@dataclass(frozen=True)
class Target:
    """What is wanted: the best picture in `size` bytes, or the smallest file that loses at most `drop` dB."""

    size: int | None = None
    drop: float | None = None


class Model:
    """Predictions from losses that were measured alone.

    Args:
        whole: PSNR of the scene as it is, dB.
        pruned: PSNR without `SHARES` of the Gaussians, in that order, at full precision.
        kinds: files of all Gaussians, one of each precision at full degree and of each degree at the finest precision.
    """

    def __init__(self, whole: float, pruned: Sequence[float], kinds: Sequence[Trial]) -> None:
        self.whole = whole
        self.drops = np.maximum.accumulate([whole - value for value in pruned])
        self.kinds = {(trial.recipe.degree, trial.recipe.level): trial for trial in kinds}
        self.degree = max(degree for degree, _ in self.kinds)
        self.finest = self.kinds[self.degree, 0]

    def combinations(self) -> Iterator[tuple[int, int]]:
        """Degrees and levels of which something is known."""
        for degree in sorted({degree for degree, _ in self.kinds}, reverse=True):
            for level in sorted({level for _, level in self.kinds}):
                yield degree, level

    def size(self, recipe: Recipe) -> float:
        """Bytes."""
        by_degree, by_level = self._kinds(recipe)
        ratio = by_degree.size / self.finest.size * by_level.size / self.finest.size
        return self.finest.size * ratio * (1 - recipe.share)

    def drop(self, recipe: Recipe) -> float:
        """dB lost."""
        return float(np.interp(recipe.share, SHARES, self.drops)) + self._stored(recipe)

    def share_for(self, degree: int, level: int, target: Target) -> float | None:
        """The least share that keeps within a size, or the largest that keeps within a loss; None where none does."""
        if target.size is not None:
            share = 1 - MARGIN * target.size / self.size(Recipe(0.0, degree, level))
            return min(max(share, 0.0), 1.0) if share < SHARES[-1] else None
        assert target.drop is not None
        shares = np.linspace(0, SHARES[-1], 1901)
        drops = np.interp(shares, SHARES, self.drops) + self._stored(Recipe(0.0, degree, level))
        fitting = shares[drops <= target.drop]
        return float(fitting.max()) if len(fitting) else None

    def best(self, target: Target) -> list[Recipe]:
        """Recipes that should reach the target, the most promising first."""
        found = []
        for degree, level in self.combinations():
            share = self.share_for(degree, level, target)
            if share is not None:
                found.append(Recipe(round(share, 4), degree, level))
        return sorted(found, key=self.drop if target.size is not None else self.size)

    def _stored(self, recipe: Recipe) -> float:
        """dB lost by degree and precision alone."""
        kinds = self._kinds(recipe)
        return sum(self.whole - trial.score.psnr for trial in kinds) - (self.whole - self.finest.score.psnr)

    def _kinds(self, recipe: Recipe) -> tuple[Trial, Trial]:
        return self.kinds[recipe.degree, 0], self.kinds[self.degree, recipe.level]


def search(model: Model, target: Target, follow: Follow) -> list[Trial]:
    """Follow the most promising recipes, correct their shares by what comes out, and return every trial.

    Raises:
        ValueError: no recipe is predicted to come near the target.
    """
    recipes = model.best(target)[:TRIED]
    if not recipes:
        raise ValueError("no recipe reaches the target")
    trials: list[Trial] = []
    for recipe in recipes:
        trials += _correct(model, target, follow, recipe)
    return trials


def choose(trials: Sequence[Trial], target: Target, whole: float) -> Trial | None:
    """The best trial that reaches the target, if any does."""
    if target.size is not None:
        fitting = [trial for trial in trials if trial.size <= target.size]
        return max(fitting, key=lambda trial: trial.score.psnr) if fitting else None
    assert target.drop is not None
    fitting = [trial for trial in trials if whole - trial.score.psnr <= target.drop]
    return min(fitting, key=lambda trial: trial.size) if fitting else None


def _correct(model: Model, target: Target, follow: Follow, recipe: Recipe) -> list[Trial]:
    """Follow a recipe, and again with its share moved by how far the prediction was off."""
    trials: list[Trial] = []
    for _ in range(CORRECTIONS):
        trial = follow(recipe)
        trials.append(trial)
        if target.size is not None:
            # Bytes are in proportion to what is left: aim again by the bytes a Gaussian really took.
            share = max(1 - (1 - recipe.share) * MARGIN * target.size / trial.size, 0.0)
            done = trial.size <= target.size and share > recipe.share - 2 * STEP
        else:
            assert target.drop is not None
            lost = model.whole - trial.score.psnr
            off = lost - model.drop(recipe)
            # Aims within the limit: what is a little beyond it is lost altogether.
            found = model.share_for(recipe.degree, recipe.level, Target(drop=target.drop - NEAR / 2 - off))
            share = 0.0 if found is None else found
            done = lost <= target.drop and (abs(share - recipe.share) < STEP or target.drop - lost < NEAR)
        if done or share >= 1 or round(share, 4) == recipe.share:
            break
        recipe = Recipe(round(share, 4), recipe.degree, recipe.level)
    return trials


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """Those that no other beats in both size and PSNR, by size."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.size, -trial.score.psnr)):
        if not front or trial.score.psnr > front[-1].score.psnr:
            front.append(trial)
    return front
