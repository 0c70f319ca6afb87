"""Which strategy a run uses, and how many Gaussians it may have."""

from collections.abc import Sequence

from splat.datasets.capture import Frame
from splat.training.config import TrainConfig
from splat.training.densify.absgrad import AbsGrad
from splat.training.densify.base import Strategy
from splat.training.densify.budget import Budget
from splat.training.densify.classic import Classic
from splat.training.densify.mcmc import MCMC

PIXELS_PER_GAUSSIAN = 200
"""Of all training photos together: what captures of very different size turned out to need."""
BUDGET_MIN, BUDGET_MAX = 50_000, 3_000_000


def default_budget(frames: Sequence[Frame], start: int) -> int:
    """A number of Gaussians that suits the photos: enough to draw them, not enough to learn them by heart."""
    pixels = sum(frame.camera.width * frame.camera.height for frame in frames)
    return max(start, min(max(pixels // PIXELS_PER_GAUSSIAN, BUDGET_MIN), BUDGET_MAX))


def choose_strategy(config: TrainConfig, extent: float, start: int, budget: int) -> Strategy:
    """
    Args:
        start: number of Gaussians that the run starts with.
        budget: number of Gaussians at most, for the strategies that need one.
    """
    densify, iterations = config.densify, config.optimization.iterations
    match densify.strategy:
        case "classic":
            return Classic(densify, iterations, extent)
        case "absgrad":
            return AbsGrad(densify, iterations, extent)
        case "mcmc":
            return MCMC(densify, iterations, budget, start)
        case "budget":
            return Budget(densify, iterations, budget, start)
        case "fixed":
            return Strategy()
