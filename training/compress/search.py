"""A target instead of knobs: which fraction to prune, which degree of harmonics and which precision give the best picture for a
size, or the smallest file for a loss.

Losses of different kinds nearly add up in dB, and bytes go with a power of the Gaussians left. So each kind is measured
alone, the sums say which combination is promising, and that is written, read back and measured for real, which corrects the
sums and says what to try next.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splat.training.compress.judge import Score

FRACTIONS = (0.0, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Pruned fractions at which the loss is measured; between them it is interpolated."""
TRIALS = 9
"""Recipes that are followed, at most."""
WORTH = 0.01
"""Gain in size, relative, or in dB below which the next trial is not worth its time."""
POWER = 0.8
"""Bytes go with this power of the Gaussians that are left, at first: those that go are stored more coarsely than others."""
TELLING = 0.02
"""Fractions below this say nothing about pruning."""
STEP = 0.0005
"""Fractions nearer to each other than this are the same."""
NEAR = 0.03
"""dB within which a limit is used up."""
MARGIN = 0.97
"""Of a size limit, which is what the predicted sizes aim at."""


@dataclass(frozen=True)
class Recipe:
    """One way to compress."""

    fraction: float  # of the Gaussians, pruned
    degree: int  # of harmonics that are kept
    level: int  # of the format's quality levels, 0 the finest

    def __str__(self) -> str:
        return f"prune {100 * self.fraction:.1f} %, degree {self.degree}, precision {self.level}"


@dataclass(frozen=True)
class Trial:
    """A recipe, followed: the file it gave and what that was worth."""

    recipe: Recipe
    size: int  # bytes
    gaussians: int
    score: Score
    seconds: float


Fractions = NDArray[np.float64]
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
        pruned: PSNR without `FRACTIONS` of the Gaussians, in that order, at full precision.
        kinds: files of all Gaussians, one of each precision at full degree and of each degree at the finest precision.
    """

    def __init__(self, whole: float, pruned: Sequence[float], kinds: Sequence[Trial]) -> None:
        self.whole = whole
        self.drops = np.maximum.accumulate([whole - value for value in pruned])
        self.kinds = {(trial.recipe.degree, trial.recipe.level): trial for trial in kinds}
        self.degree = max(degree for degree, _ in self.kinds)
        self.finest = self.kinds[self.degree, 0]
        self.learned: dict[tuple[int, int], tuple[float, float]] = {}  # what `_correction` gives

    def learn(self, trial: Trial) -> None:
        """Correct the predictions by what came out: for this degree and precision, and in the mean for the others."""
        recipe, fraction = trial.recipe, trial.recipe.fraction
        if fraction < TELLING or fraction >= 1:
            return
        off = self.whole - trial.score.psnr - float(self._alone(recipe, np.array(fraction)))
        power = math.log(trial.size / self.size(Recipe(0.0, recipe.degree, recipe.level))) / math.log(1 - fraction)
        self.learned[recipe.degree, recipe.level] = min(max(power, 0.3), 2.0), off / fraction

    def combinations(self) -> Iterator[tuple[int, int]]:
        """Degrees and levels of which something is known."""
        for degree in sorted({degree for degree, _ in self.kinds}, reverse=True):
            for level in sorted({level for _, level in self.kinds}):
                yield degree, level

    def size(self, recipe: Recipe) -> float:
        """Bytes."""
        by_degree, by_level = self._kinds(recipe)
        ratio = by_degree.size / self.finest.size * by_level.size / self.finest.size
        return self.finest.size * ratio * (1 - recipe.fraction) ** self._correction(recipe)[0]

    def drop(self, recipe: Recipe) -> float:
        """dB lost."""
        return float(self._drops(recipe, np.array(recipe.fraction)))

    def fraction_for(self, degree: int, level: int, target: Target) -> float | None:
        """The least fraction that keeps within a size, or the largest that keeps within a loss; None where none does."""
        whole = Recipe(0.0, degree, level)
        if target.size is not None:
            fraction = 1 - (MARGIN * target.size / self.size(whole)) ** (1 / self._correction(whole)[0])
            return min(max(fraction, 0.0), 1.0) if fraction < FRACTIONS[-1] else None
        assert target.drop is not None
        fractions = np.linspace(0, FRACTIONS[-1], 1901)
        fitting = fractions[self._drops(whole, fractions) <= target.drop]
        return float(fitting.max()) if len(fitting) else None

    def best(self, target: Target) -> list[Recipe]:
        """Recipes that should reach the target, the most promising first."""
        found = []
        for degree, level in self.combinations():
            fraction = self.fraction_for(degree, level, target)
            if fraction is not None:
                found.append(Recipe(round(fraction, 4), degree, level))
        return sorted(found, key=self.drop if target.size is not None else self.size)

    def _drops(self, recipe: Recipe, fractions: Fractions) -> Fractions:
        """dB lost with the recipe's degree and precision, at any fractions."""
        return self._alone(recipe, fractions) + self._correction(recipe)[1] * fractions

    def _alone(self, recipe: Recipe, fractions: Fractions) -> Fractions:
        """The sum of what was measured alone."""
        by_degree, by_level = self._kinds(recipe)
        stored = self.whole + self.finest.score.psnr - by_degree.score.psnr - by_level.score.psnr
        return np.interp(fractions, FRACTIONS, self.drops) + stored

    def _kinds(self, recipe: Recipe) -> tuple[Trial, Trial]:
        return self.kinds[recipe.degree, 0], self.kinds[self.degree, recipe.level]

    def _correction(self, recipe: Recipe) -> tuple[float, float]:
        """The power of what is left to which bytes are in proportion, and dB to add for all Gaussians pruned."""
        known = self.learned.get((recipe.degree, recipe.level))
        if known is None and self.learned:
            powers, offs = zip(*self.learned.values(), strict=True)
            known = sum(powers) / len(powers), sum(offs) / len(offs)
        return known or (POWER, 0.0)


def search(model: Model, target: Target, follow: Follow) -> list[Trial]:
    """Follow the most promising recipe, learn from what comes out, and so on while another promises more. Returns every trial;
    none if no recipe is predicted to come near the target."""
    trials: list[Trial] = []
    # Aims within the limit: what is a little beyond it is lost altogether.
    aim = target if target.drop is None else Target(drop=max(target.drop - NEAR / 2, target.drop / 2))
    for _ in range(TRIALS):
        best = choose([*model.kinds.values(), *trials], target, model.whole)
        for recipe in model.best(aim):
            if not _is_near(recipe, trials) and (best is None or _promises(model, recipe, best, target)):
                break
        else:
            break
        trial = follow(recipe)
        trials.append(trial)
        model.learn(trial)
    return trials


def _is_near(recipe: Recipe, trials: Sequence[Trial]) -> bool:
    """Whether nearly the same was tried already."""
    tried = [t.recipe for t in trials if (t.recipe.degree, t.recipe.level) == (recipe.degree, recipe.level)]
    return any(abs(one.fraction - recipe.fraction) < STEP for one in tried)


def _promises(model: Model, recipe: Recipe, best: Trial, target: Target) -> bool:
    """Whether a recipe should do better than the best that reaches the target."""
    if target.size is not None:
        return model.whole - best.score.psnr - model.drop(recipe) > WORTH
    return model.size(recipe) < (1 - WORTH) * best.size


def choose(trials: Sequence[Trial], target: Target, whole: float) -> Trial | None:
    """The best trial that reaches the target, if any does."""
    if target.size is not None:
        fitting = [trial for trial in trials if trial.size <= target.size]
        return max(fitting, key=lambda trial: trial.score.psnr) if fitting else None
    assert target.drop is not None
    fitting = [trial for trial in trials if whole - trial.score.psnr <= target.drop]
    return min(fitting, key=lambda trial: trial.size) if fitting else None


def pareto(trials: Sequence[Trial]) -> list[Trial]:
    """Those that no other beats in both size and PSNR, by size."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.size, -trial.score.psnr)):
        if not front or trial.score.psnr > front[-1].score.psnr:
            front.append(trial)
    return front
