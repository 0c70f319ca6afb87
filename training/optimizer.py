"""Adam over the parameters of the Gaussians, with exact surgery when Gaussians come and go."""

from collections.abc import Mapping

import torch
from torch import Tensor

from splat.cuda_rasterizer.ops import PARAMETERS, FusedAdam, adam_step
from splat.gaussians import Gaussians


class GaussianOptimizer:
    """The Gaussians being trained and the two moments of every number of theirs.

    Rows of parameters and moments always belong together: every edit goes through `keep`, `append` or `replace`.
    """

    EPS = 1e-15
    """As published: the default 1e-8 would damp the tiny gradients of Gaussians that cover few pixels."""

    def __init__(self, gaussians: Gaussians) -> None:
        self.parameters = {name: tensor.detach().clone().contiguous() for name, tensor in gaussians.tensors().items()}
        self.exp_avg = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.exp_avg_sq = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.steps = 0

    def __len__(self) -> int:
        return self.parameters["means"].shape[0]

    @property
    def gaussians(self) -> Gaussians:
        """The parameters as they are now, sharing memory, without gradients."""
        return Gaussians(**self.parameters)

    def leaves(self) -> Gaussians:
        """The parameters as fresh leaves of a graph, sharing memory."""
        return Gaussians(**{name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()})

    def fused(self, learning_rates: Mapping[str, float], visible_only: bool) -> FusedAdam:
        """The next step, for `splat.render` to take inside its backward."""
        self.steps += 1
        return FusedAdam(
            [self.exp_avg[name] for name in PARAMETERS],
            [self.exp_avg_sq[name] for name in PARAMETERS],
            [learning_rates[name] for name in PARAMETERS],
            self.steps,
            eps=self.EPS,
            visible_only=visible_only,
        )

    def step(self, leaves: Gaussians, learning_rates: Mapping[str, float], visible: Tensor | None = None) -> None:
        """One step with the gradients of `leaves`; rows that are not `visible` ([N] bool, if given) are left alone."""
        self.steps += 1
        for name, leaf in leaves.tensors().items():
            if leaf.grad is None:
                continue
            adam_step(
                self.parameters[name],
                leaf.grad,
                self.exp_avg[name],
                self.exp_avg_sq[name],
                step=self.steps,
                lr=learning_rates[name],
                eps=self.EPS,
                visible=visible,
            )

    def keep(self, rows: Tensor) -> None:
        """Keep some Gaussians, by mask or index."""
        for table in (self.parameters, self.exp_avg, self.exp_avg_sq):
            for name, tensor in table.items():
                table[name] = tensor[rows].contiguous()

    def append(self, more: Gaussians) -> None:
        """Add Gaussians; their moments start at zero."""
        for name, tensor in more.tensors().items():
            zeros = torch.zeros_like(tensor)
            self.parameters[name] = torch.cat([self.parameters[name], tensor.detach()])
            self.exp_avg[name] = torch.cat([self.exp_avg[name], zeros])
            self.exp_avg_sq[name] = torch.cat([self.exp_avg_sq[name], zeros])

    def replace(self, name: str, values: Tensor) -> None:
        """Set one parameter of all Gaussians; its moments start again at zero."""
        self.parameters[name] = values.detach().clone().contiguous()
        self.exp_avg[name].zero_()
        self.exp_avg_sq[name].zero_()

    def state_dict(self) -> dict[str, object]:
        tables = {"parameters": self.parameters, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}
        return {"steps": self.steps, **{key: dict(table) for key, table in tables.items()}}

    @classmethod
    def from_state_dict(
        cls, state: Mapping[str, dict[str, Tensor]], device: torch.device | str = "cpu"
    ) -> "GaussianOptimizer":
        optimizer = cls(Gaussians(**state["parameters"]).to(device))
        optimizer.exp_avg = {name: tensor.to(device).contiguous() for name, tensor in state["exp_avg"].items()}
        optimizer.exp_avg_sq = {name: tensor.to(device).contiguous() for name, tensor in state["exp_avg_sq"].items()}
        optimizer.steps = int(state["steps"])  # type: ignore[call-overload]
        return optimizer
