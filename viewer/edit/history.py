"""EditHistory: what was deleted, hidden and moved in a scene, step by step, back and forth."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splat.compression.formats import registry as formats
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity

MAX_BYTES = 256 << 20
"""Memory for the steps of a history; the oldest are forgotten beyond."""
MAX_STEPS = 1000
MAX_PLACES = 256
"""Different places that parts of a scene can be moved to: a byte per Gaussian says which."""


@dataclass(frozen=True)
class State:
    """The scene after a step. Tensors are never changed, so that states share those that did not change."""

    name: str  # of the step that led here
    deleted: Tensor  # [N] bool
    hidden: Tensor  # [N] bool
    place: Tensor  # [N] uint8: index into `places`
    places: tuple[Similarity, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.deleted, self.hidden, self.place

    def georeference(self, original: Georeference) -> Georeference | None:
        """Where the coordinates lie in the capture's, from where they did before; None where a part was moved by itself, or
        the scene was turned.
        """
        return original.after(self.places[0]) if len(self.places) == 1 else None


class EditHistory:
    """The edits of one scene. Rows keep their numbers: what is deleted stays, masked, until the scene is saved.

    Moved parts are always calculated from the original scene, so that nothing is lost by moving them often.

    Args:
        original: the scene; never changed.
        max_bytes: for all steps together; the latest one is kept in any case.
    """

    def __init__(self, original: Gaussians, max_bytes: int = MAX_BYTES) -> None:
        self.original = original
        self.max_bytes = max_bytes
        none = torch.zeros(len(original), dtype=torch.bool, device=original.device)
        start = State("open", none, none, none.to(torch.uint8), (Similarity.identity(),))
        self._states = [start]
        self._at = 0
        self._moved: tuple[State, Gaussians] | None = None

    @property
    def state(self) -> State:
        return self._states[self._at]

    @property
    def undo_name(self) -> str | None:
        """The step that `undo` would take back."""
        return self.state.name if self._at else None

    @property
    def redo_name(self) -> str | None:
        return self._states[self._at + 1].name if self._at + 1 < len(self._states) else None

    @property
    def shown(self) -> Tensor:  # [N] bool
        """What is to be drawn: neither deleted nor hidden."""
        return ~(self.state.deleted | self.state.hidden)

    @property
    def changed(self) -> bool:
        """Whether saving would write something other than what was opened."""
        return bool(self.state.deleted.any()) or bool(self.state.place.any())

    @property
    def bytes(self) -> int:
        """Memory of all steps; tensors that they share count once."""
        tensors = {id(tensor): tensor for state in self._states for tensor in state.tensors}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

    def gaussians(self) -> Gaussians:
        """All N Gaussians where they are now, also those deleted and hidden."""
        state = self.state
        if self._moved is None or self._moved[0].place is not state.place or self._moved[0].places != state.places:
            self._moved = state, _placed(self.original, state)
        return self._moved[1]

    def kept(self) -> Gaussians:
        """The scene as it would be saved: without what was deleted; what is hidden stays."""
        return self.gaussians()[~self.state.deleted]

    def delete(self, selected: Tensor) -> int:
        """Take out what is selected and shown. Returns how many that were."""
        gone = selected & self.shown
        return self._step("delete", int(gone.sum()), deleted=self.state.deleted | gone)

    def hide(self, selected: Tensor) -> int:
        """Do not draw what is selected; it is saved all the same."""
        gone = selected & self.shown
        return self._step("hide", int(gone.sum()), hidden=self.state.hidden | gone)

    def isolate(self, selected: Tensor) -> int:
        """Hide everything but what is selected. Nothing happens where nothing is. Returns how many are shown then."""
        kept = selected & self.shown
        return self._step("isolate", int(kept.sum()), hidden=self.state.hidden | ~kept)

    def show_all(self) -> int:
        """Draw again what was hidden. Returns how many that were."""
        back = self.state.hidden & ~self.state.deleted
        return self._step("show all", int(back.sum()), hidden=torch.zeros_like(back))

    def transform(self, move: Similarity, selected: Tensor | None = None, *, amend: bool = False) -> int:
        """Move what is selected and shown, or the whole scene with what is hidden.

        Args:
            move: from where things are now.
            amend: replace the step before, if it moved something too: a drag is one step, however many times it is told.

        Returns:
            How many Gaussians were moved.

        Raises:
            InputError: the parts of the scene have been moved to too many different places.
        """
        at = self._at - 1 if amend and self.undo_name == "transform" else self._at
        state = self._states[at]
        chosen = ~state.deleted if selected is None else selected & ~(state.deleted | state.hidden)
        place, places = _moved(state, move, chosen)
        self._at = at
        return self._step("transform", int(chosen.sum()), place=place, places=places)

    def undo(self) -> str | None:
        """Take the latest step back. Returns its name; None where there is none."""
        name = self.undo_name
        self._at -= name is not None
        return name

    def redo(self) -> str | None:
        """Take a step again that was taken back."""
        name = self.redo_name
        self._at += name is not None
        return name

    def save(self, file: Path, options: formats.FormatOptions | None = None) -> int:
        """Write the scene as edited, in the format that the name ends in. Returns the number of Gaussians.

        Raises:
            InputError: nothing is left, or the format cannot hold it.
            OSError: the folder cannot be written or the disk is full.
        """
        scene = self.kept()
        if not len(scene):
            raise InputError(f"{file}: everything was deleted, so there is nothing to save; undo")
        formats.save(scene, file, options)
        return len(scene)

    def _step(self, name: str, count: int, **changes: Any) -> int:
        """Go to a new state, if the step does something. What was taken back before is forgotten."""
        if not count:
            return 0
        del self._states[self._at + 1 :]
        self._states.append(replace(self.state, name=name, **changes))
        while len(self._states) > 2 and (self.bytes > self.max_bytes or len(self._states) > MAX_STEPS):
            del self._states[0]
        self._at = len(self._states) - 1
        return count


def _placed(original: Gaussians, state: State) -> Gaussians:
    """Every part of the scene at its place."""
    if len(state.places) == 1:
        return state.places[0].gaussians(original)
    tensors = {name: tensor.clone() for name, tensor in original.tensors().items()}
    for index, move in enumerate(state.places):
        rows = state.place == index
        if not move.is_identity:
            for name, tensor in move.gaussians(original[rows]).tensors().items():
                tensors[name][rows] = tensor
    return Gaussians(**tensors)


def _moved(state: State, move: Similarity, chosen: Tensor) -> tuple[Tensor, tuple[Similarity, ...]]:
    """Where every Gaussian is after the chosen ones were moved, with as few places as needed."""
    count = len(state.places)
    place = torch.where(chosen, state.place.int() + count, state.place.int())  # moved places come after those there are
    places = [*state.places, *(move @ one for one in state.places)]
    used = place.bincount(minlength=2 * count).nonzero()[:, 0] if len(place) else place.new_zeros(1, dtype=torch.long)
    if len(used) > MAX_PLACES:
        raise InputError(
            f"parts of the scene are in more than {MAX_PLACES} different places; save it and go on with that"
        )
    number = torch.zeros(2 * count, dtype=torch.uint8, device=place.device)
    number[used] = torch.arange(len(used), dtype=torch.uint8, device=place.device)
    return number[place.long()], tuple(places[index] for index in used.tolist())
