"""Prepared: the Gaussians that are drawn of a slot, after its transform and a browser's sliders. Made once per change."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splat.gaussians import SH_C0, Gaussians
from splat.viewer.draw.look import Look
from splat.viewer.slots import SceneSlot

SELECTION_COLOR = (1.0, 0.75, 0.1)
SELECTION_FRACTION = 0.7
"""How much of a selected Gaussian's color is the selection's."""
KEPT = 12
"""Prepared scenes that are kept."""


@dataclass(frozen=True)
class Prepared:
    """Gaussians in world coordinates, as they are drawn."""

    gaussians: Gaussians
    index: Tensor | None  # [N] which of the slot's they are; None for all of them


def prepare(slot: SceneSlot, look: Look) -> Prepared:
    """What is drawn of a slot: moved, without the hidden, inside the crop box, thinner or smaller, the selection colored."""
    gaussians = slot.transform.gaussians(slot.gaussians)
    keep = None if slot.hidden is None else ~slot.hidden
    if look.crop is not None:
        low, high = gaussians.means.new_tensor(look.crop)
        inside = ((gaussians.means >= low) & (gaussians.means <= high)).all(dim=1)
        keep = inside if keep is None else keep & inside
    if slot.selected is not None and bool(slot.selected.any()):
        gaussians = highlighted(gaussians, slot.selected)
    index = None
    if keep is not None and not bool(keep.all()):
        index = keep.nonzero()[:, 0]
        gaussians = gaussians[index]
    values = gaussians.tensors()
    if look.opacity != 1:
        opacities = (gaussians.opacities * look.opacity).clamp(1e-6, 1 - 1e-6)
        values["logit_opacities"] = opacities.logit()
    if look.scale != 1:
        values["log_scales"] = gaussians.log_scales + float(torch.tensor(look.scale).log())
    return Prepared(Gaussians(**values), index)


def highlighted(gaussians: Gaussians, selected: Tensor) -> Gaussians:
    """The same with the selected ones in the color of the selection."""
    color = (gaussians.sh0.new_tensor(SELECTION_COLOR) - 0.5) / SH_C0
    values = gaussians.tensors()
    mixed = gaussians.sh0 * (1 - SELECTION_FRACTION) + color * SELECTION_FRACTION
    values["sh0"] = torch.where(selected[:, None], mixed, gaussians.sh0)
    values["sh_rest"] = torch.where(
        selected[:, None, None], gaussians.sh_rest * (1 - SELECTION_FRACTION), gaussians.sh_rest
    )
    return Gaussians(**values)


class PreparedCache:
    """The prepared scenes that were drawn last. Used by the drawing thread alone."""

    def __init__(self) -> None:
        self.entries: OrderedDict[tuple[Any, ...], tuple[tuple[Any, ...], Prepared]] = OrderedDict()

    def get(self, slot: SceneSlot, look: Look) -> Prepared:
        # Tensors are told apart by identity; the entry holds them, so that an identity is never used twice.
        inputs = (slot.gaussians, slot.hidden, slot.selected, slot.transform)
        key = (*map(id, inputs), look.opacity, look.scale, look.crop)
        if key not in self.entries:
            self.entries[key] = (inputs, prepare(slot, look))
            while len(self.entries) > KEPT:
                self.entries.popitem(last=False)
        self.entries.move_to_end(key)
        return self.entries[key][1]
