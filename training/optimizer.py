"""Adam over the parameters of the Gaussians, with exact surgery when Gaussians come and go."""

from collections.abc import Mapping

import torch
from torch import Tensor

from splat.cuda_rasterizer.ops.adam import FusedAdam, adam_steps
from splat.cuda_rasterizer.ops.schema import PARAMETERS
from splat.gaussians import Gaussians
from splat.training.learned_mask import MASK, MASK_START


class GaussianOptimizer:
    """The Gaussians being trained and the two moments of every number of theirs.

    Rows of parameters, moments and memory always belong together: every edit goes through `keep`, `append`, `assign` or
    `replace`. With `masks`, every Gaussian has a learnable mask besides (see learned_mask.py).
    """

    EPS = 1e-15
    """As published: the default 1e-8 would damp the tiny gradients of Gaussians that cover few pixels."""

    def __init__(self, gaussians: Gaussians, masks: bool = False) -> None:
        self.parameters = {name: tensor.detach().clone().contiguous() for name, tensor in gaussians.tensors().items()}
        if masks:
            self.parameters[MASK] = torch.full_like(self.parameters["logit_opacities"], MASK_START)
        self.exp_avg = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.exp_avg_sq = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.memory: dict[str, Tensor] = {}  # what a strategy of density control knows of every Gaussian
        self.steps = 0

    def __len__(self) -> int:
        return self.parameters["means"].shape[0]

    @property
    def gaussians(self) -> Gaussians:
        """The parameters as they are now, sharing memory, without gradients."""
        return Gaussians(**{name: self.parameters[name] for name in PARAMETERS})

    def leaves(self) -> dict[str, Tensor]:
        """The parameters as fresh leaves of a graph, sharing memory."""
        return {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()}

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

    def step(
        self, leaves: Mapping[str, Tensor], learning_rates: Mapping[str, float], visible: Tensor | None = None
    ) -> None:
        """One step with the gradients of `leaves`; rows that are not `visible` ([N] bool, if given) are left alone."""
        self.steps += 1
        gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        adam_steps(
            [self.parameters[name] for name in gradients],
            list(gradients.values()),
            [self.exp_avg[name] for name in gradients],
            [self.exp_avg_sq[name] for name in gradients],
            [learning_rates[name] for name in gradients],
            step=self.steps,
            eps=self.EPS,
            visible=visible,
        )

    def keep(self, rows: Tensor) -> None:
        """Keep some Gaussians, by mask or index."""
        for table in (self.parameters, self.exp_avg, self.exp_avg_sq, self.memory):
            for name, tensor in table.items():
                table[name] = tensor[rows].contiguous()

    def append(self, more: Gaussians) -> None:
        """Add Gaussians; their moments and what is remembered of them start at zero."""
        added = more.detach().tensors()
        if MASK in self.parameters:
            added[MASK] = torch.full_like(added["logit_opacities"], MASK_START)
        for table, new in ((self.parameters, added), (self.exp_avg, {}), (self.exp_avg_sq, {}), (self.memory, {})):
            for name, tensor in table.items():
                table[name] = torch.cat([tensor, new.get(name, tensor.new_zeros(len(more), *tensor.shape[1:]))])

    def assign(self, rows: Tensor, values: Gaussians) -> None:
        """Give some Gaussians, by index, new values; their moments start again at zero."""
        for name, tensor in values.detach().tensors().items():
            self.parameters[name][rows] = tensor
            self.exp_avg[name][rows] = 0
            self.exp_avg_sq[name][rows] = 0

    def replace(self, name: str, values: Tensor) -> None:
        """Set one parameter of all Gaussians; its moments start again at zero."""
        self.parameters[name] = values.detach().clone().contiguous()
        self.exp_avg[name].zero_()
        self.exp_avg_sq[name].zero_()

    def state_dict(self) -> dict[str, object]:
        tables = {
            "parameters": self.parameters,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
            "memory": self.memory,
        }
        return {"steps": self.steps, **{key: dict(table) for key, table in tables.items()}}

    @classmethod
    def from_state_dict(
        cls, state: Mapping[str, dict[str, Tensor]], device: torch.device | str = "cpu"
    ) -> "GaussianOptimizer":
        optimizer = cls(Gaussians(**{name: state["parameters"][name] for name in PARAMETERS}).to(device))
        for name in ("parameters", "exp_avg", "exp_avg_sq", "memory"):
            table = {key: tensor.to(device).contiguous() for key, tensor in state[name].items()}
            setattr(optimizer, name, table)
        optimizer.steps = int(state["steps"])  # type: ignore[call-overload]
        return optimizer
