"""Which strategies there are, and how many Gaussians a run may have."""

from collections.abc import Sequence

from splat.datasets.capture import Frame
from splat.training.densify.absgrad import AbsGradConfig
from splat.training.densify.base import DensifyConfig, FixedConfig
from splat.training.densify.budget import BudgetConfig
from splat.training.densify.classic import ClassicConfig
from splat.training.densify.mcmc import MCMCConfig

STRATEGIES: dict[str, type[DensifyConfig]] = {
    kind.name: kind for kind in (BudgetConfig, ClassicConfig, AbsGradConfig, MCMCConfig, FixedConfig)
}
"""Name -> options of a strategy, whose `build` makes the strategy itself. The first is the default."""

PIXELS_PER_GAUSSIAN = 200
"""Of all training photos together: what captures of very different size turned out to need."""
BUDGET_MIN, BUDGET_MAX = 50_000, 3_000_000


def default_budget(frames: Sequence[Frame], start: int) -> int:
    """A number of Gaussians that suits the photos: enough to draw them, not enough to learn them by heart."""
    pixels = sum(frame.camera.width * frame.camera.height for frame in frames)
    return max(start, min(max(pixels // PIXELS_PER_GAUSSIAN, BUDGET_MIN), BUDGET_MAX))
