"""EditSession: the edits and the selection of one scene that the viewer shows."""

from collections.abc import Callable

import torch
from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.similarity import Similarity
from splat.viewer.context import ViewerContext
from splat.viewer.edit.history import EditHistory
from splat.viewer.edit.selection import Combination, combine
from splat.viewer.slots import SceneSlot


class EditSession:
    """Keeps a slot as its history says. All methods may be called from any thread.

    Where other Gaussians are put into the slot from elsewhere (another iteration, a training), edits begin anew.
    """

    def __init__(self, viewer: ViewerContext, slot: SceneSlot) -> None:
        self.viewer, self.slot = viewer, slot
        self._history = EditHistory(slot.gaussians)
        self._source = self._published = slot.gaussians  # of the history, and in the slot
        self._selected: Tensor | None = None

    @property
    def history(self) -> EditHistory:
        with self.viewer.lock:
            if self.slot.gaussians is not self._published:
                self._source = self._published = self.slot.gaussians
                self._history = EditHistory(self._source)
                self._selected = self.slot.selected = self.slot.hidden = None
            return self._history

    @property
    def selected(self) -> Tensor:  # [N] bool
        """What is selected and shown."""
        shown = self.history.shown
        return torch.zeros_like(shown) if self._selected is None else self._selected & shown

    def means(self) -> Tensor:  # [N, 3]
        """Centers in the world, of all Gaussians."""
        return self.slot.transform.points(self.history.gaussians().means)

    def shown(self) -> Gaussians:
        """What is drawn of the scene, in the world."""
        history = self.history
        return self.slot.transform.gaussians(history.gaussians()[history.shown])

    def center(self) -> Tensor:  # [3] float64
        """The middle of the selection, or of all that is shown; the median, so that single ones far away do not count."""
        history, chosen = self.history, self.selected
        means = self.means()[chosen if bool(chosen.any()) else history.shown]
        means = means[means.isfinite().all(1)]
        return means.double().cpu().median(0).values if len(means) else torch.zeros(3, dtype=torch.float64)

    def placed(self) -> Similarity:
        """How most of the scene has been moved in the world, since it was opened."""
        state, to_world = self.history.state, self.slot.transform
        most = int(state.place.bincount().argmax()) if len(state.place) else 0
        return to_world @ state.places[most] @ to_world.inverse()

    def select(self, region: Tensor | None, how: Combination = "replace") -> int:
        """Change the selection by a region, [N] bool; None selects nothing. Returns how many are selected."""
        with self.viewer.lock:
            history = self.history
            if region is not None and len(region) != len(history.original):
                return int(self.selected.sum())  # the scene has been replaced meanwhile
            self._selected = None if region is None else combine(self._selected, region, how) & history.shown
            self._publish()
        self.viewer.refresh()
        return int(self.selected.sum())

    def invert(self) -> int:
        """Select what is shown and not selected."""
        with self.viewer.lock:
            return self.select(self.history.shown & ~self.selected)

    def step(self, act: Callable[[EditHistory], int | str | None]) -> int | str | None:
        """Take a step of the history: `act` gets it and says what it did."""
        with self.viewer.lock:
            done = act(self.history)
            self._publish()
        self.viewer.refresh()
        return done

    def move(self, move: Similarity, *, selected: bool = True, amend: bool = False) -> int:
        """Move the selection, or all of the scene, in the world.

        Args:
            selected: only what is selected; where nothing is, everything.
            amend: see `EditHistory.transform`.
        """
        to_world = self.slot.transform
        own = to_world.inverse() @ move @ to_world
        chosen = self.selected
        part = chosen if selected and bool(chosen.any()) else None
        return int(self.step(lambda history: history.transform(own, part, amend=amend)) or 0)

    def describe(self) -> str:
        """How many are selected, hidden and deleted, as Markdown."""
        history = self.history
        state = history.state
        count, chosen = int(history.shown.sum()), int(self.selected.sum())
        lines = [f"**{chosen:,}** selected of {count:,} shown"]
        deleted, hidden = int(state.deleted.sum()), int((state.hidden & ~state.deleted).sum())
        if hidden or deleted:
            lines.append(f"{hidden:,} hidden, {deleted:,} deleted")
        return "  \n".join(lines)

    def _publish(self) -> None:
        """Let the slot show what the history says."""
        history, slot = self._history, self.slot
        gaussians = history.gaussians()
        if gaussians is not self._source:
            slot.replace(gaussians)
            self._source, self._published = gaussians, slot.gaussians
        hidden = ~history.shown
        selected = None if self._selected is None else self._selected & history.shown
        slot.hidden = hidden if bool(hidden.any()) else None
        slot.selected = selected if selected is not None and bool(selected.any()) else None
