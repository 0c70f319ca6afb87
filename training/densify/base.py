"""What a strategy of density control is: statistics in, structural edits out."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.result import Statistics
from splat.training.optimizer import GaussianOptimizer


@dataclass(frozen=True)
class Edit:
    """A change of the set of Gaussians: first some are removed, then new ones appended, then opacities capped."""

    remove: Tensor | None = None  # [N] bool
    append: Gaussians | None = None
    opacity_cap: float | None = None  # no opacity above this; moments of the opacities start again

    def apply(self, optimizer: GaussianOptimizer) -> None:
        """The one place where Gaussians and their Adam moments change together."""
        if self.remove is not None and bool(self.remove.any()):
            optimizer.keep(~self.remove)
        if self.append is not None and len(self.append):
            optimizer.append(self.append)
        if self.opacity_cap is not None:
            cap = float(torch.logit(torch.tensor(self.opacity_cap)))
            optimizer.replace("logit_opacities", optimizer.parameters["logit_opacities"].clamp_max(cap))


class Strategy(Protocol):
    """Decides which Gaussians come and go. All of its state is in `state_dict`, so that a run can be resumed."""

    def needs_statistics(self, iteration: int) -> bool:
        """Whether `observe` wants to see this iteration."""
        ...

    def observe(self, statistics: Statistics) -> None:
        """Take in one view's statistics, after its backward."""
        ...

    def edit(self, iteration: int, gaussians: Gaussians, generator: torch.Generator) -> Edit | None:
        """What to change after this iteration's step, if anything."""
        ...

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state: dict[str, object]) -> None: ...
