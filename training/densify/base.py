"""What a densification strategy is: views in, edits of the set of Gaussians out. choose.py lists those that there are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.training.optimizer import GaussianOptimizer
from splat.training.schedules import Iteration


@dataclass(frozen=True)
class Start:
    """What a strategy may know of the run before it begins."""

    iterations: int
    extent: float  # of the scene, world units
    count: int  # of the Gaussians that the run starts with
    budget: int  # of Gaussians at most, for the strategies that need a limit


@dataclass(frozen=True)
class DensifyConfig:
    """Where Gaussians come from and when they go."""

    name: ClassVar[str] = ""
    """What `--densify` calls the strategy."""
    has_budget: ClassVar[bool] = False
    """Whether it needs a number of Gaussians to stop at, so that one is chosen where none is given."""
    progressive: ClassVar[bool] = False
    """Whether runs begin with smaller photos unless they say otherwise."""
    accumulate: ClassVar[int] = 1
    """Iterations to a step in the second half of runs that do not say otherwise."""
    starts_small: ClassVar[bool] = False
    """Whether the first Gaussians are small and opaque, to be moved, and not large and faint, to be divided."""
    adds_to_gradients: ClassVar[bool] = False
    """Whether it adds to the loss, so that a step cannot be taken inside the backward."""
    budget: int | None = None
    """Never have more Gaussians than this. Unless given: by the number of photos' pixels for budget and mcmc, no limit for
    classic and absgrad."""
    init_midpoints: bool = False
    """Start with more Gaussians on flat parts: midpoints between the sparse points there (SAGS)."""
    learned_mask: float = 0.0
    """Weight of a learned mask of Gaussians that are not needed, which are pruned while training (Compact 3DGS); 5e-4 is
    usual."""

    def limits(self) -> dict[str, tuple[float, float]]:
        """Option -> smallest and largest value."""
        return {"budget": (1, math.inf), "learned_mask": (0, math.inf)}

    def build(self, start: Start) -> "Strategy":
        """The strategy itself."""
        raise NotImplementedError


@dataclass(frozen=True)
class Needs:
    """What a strategy wants to see of an iteration's view. Each costs time."""

    gradients: bool = False
    absolute: bool = False  # also the sums of absolute gradients
    scores: bool = False  # also how much each Gaussian has to do with what is wrong


@dataclass(frozen=True)
class View:
    """What one training view has shown of every Gaussian, after its backward."""

    visible: Tensor  # [N] bool
    gradient: Tensor  # [N] norm of the gradient with respect to the projected mean, in NDC-scaled units
    abs_gradient: Tensor | None = None  # [N] the same of the sums of absolute gradients
    score: Tensor | None = None  # [N] sum over pixels of the blend weight times the pixel's error


@dataclass(frozen=True)
class Edit:
    """A change of the set of Gaussians: some get new values, some are removed, new ones appended, opacities capped."""

    rows: Tensor | None = None  # [K] which get new values; their moments start again
    values: Gaussians | None = None  # [K]
    remove: Tensor | None = None  # [N] bool
    append: Gaussians | None = None
    opacity_cap: float | None = None  # no opacity above this; moments of the opacities start again
    opacity_decay: float = 0.0  # every opacity falls by this; moments stay

    def apply(self, optimizer: GaussianOptimizer) -> None:
        """The one place where Gaussians, their Adam moments and what is remembered of them change together."""
        if self.rows is not None and self.values is not None and len(self.rows):
            optimizer.assign(self.rows, self.values)
        if self.remove is not None and bool(self.remove.any()):
            optimizer.keep(~self.remove)
        if self.append is not None and len(self.append):
            optimizer.append(self.append)
        if self.opacity_cap is not None:
            cap = float(torch.logit(torch.tensor(self.opacity_cap)))
            optimizer.replace("logit_opacities", optimizer.parameters["logit_opacities"].clamp_max(cap))
        if self.opacity_decay:
            logits = optimizer.parameters["logit_opacities"]
            logits.copy_(torch.logit((logits.sigmoid() - self.opacity_decay).clamp_min(1e-5)))
        optimizer.memory.clear()  # statistics start again


Memory = dict[str, Tensor]
"""What a strategy remembers of every Gaussian: name -> [N, ...]. It follows every edit, and is part of a checkpoint."""


class Strategy:
    """Decides which Gaussians come and go. Without a subclass none does.

    All of its state is in the memory that it is handed, so that a run can be resumed.
    """

    def needs(self, now: Iteration) -> Needs:
        """What `observe` wants to see of this iteration."""
        return Needs()

    def observe(self, view: View, memory: Memory) -> None:
        """Take in one view."""

    def edit(self, now: Iteration, gaussians: Gaussians, memory: Memory, generator: torch.Generator) -> Edit | None:
        """What to change after this iteration's step, if anything."""
        return None

    def regularization(self, gaussians: Gaussians) -> Tensor | None:
        """A term to add to the loss, if any."""
        return None

    def perturb(self, gaussians: Gaussians, learning_rates: Mapping[str, float], generator: torch.Generator) -> None:
        """Change parameters in place after a step."""


def add_to(memory: Memory, name: str, values: Tensor) -> None:
    """Add to what is remembered; nothing yet is zero."""
    if name in memory:
        memory[name] += values
    else:
        memory[name] = values.clone()


def compact_enough(gaussians: Gaussians, min_axis_ratio: float) -> Tensor:  # [N] bool
    """CityGaussianV2's filter: needles, which gradients favor, do not multiply (shortest axis over longest)."""
    scales = gaussians.scales
    return scales.min(dim=1).values > min_axis_ratio * scales.max(dim=1).values


@dataclass(frozen=True)
class FixedConfig(DensifyConfig):
    """fixed: the Gaussians that the run starts with; none is added, none removed."""

    name: ClassVar[str] = "fixed"

    def build(self, start: Start) -> Strategy:
        return Strategy()
