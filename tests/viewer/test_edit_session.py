"""A session keeps its slot as the history says, in the world that the slot is placed in."""

import threading
from types import SimpleNamespace

import pytest
import torch

from scenes import cloud
from splat.geometry.similarity import Similarity
from splat.viewer.edit.session import EditSession
from splat.viewer.slots import SceneSlot

N = 30


def session(transform: Similarity | None = None) -> EditSession:
    viewer = SimpleNamespace(lock=threading.RLock(), refreshed=0)
    viewer.refresh = lambda: setattr(viewer, "refreshed", viewer.refreshed + 1)
    slot = SceneSlot("scene", cloud(N, sh_degree=1), transform=transform or Similarity.identity())
    return EditSession(viewer, slot)  # type: ignore[arg-type]


def rows(*indices: int) -> torch.Tensor:
    mask = torch.zeros(N, dtype=torch.bool)
    mask[list(indices)] = True
    return mask


def test_selection_is_shown_and_combined() -> None:
    edits = session()
    assert edits.select(rows(1, 2)) == 2 and torch.equal(edits.slot.selected, rows(1, 2))
    assert edits.select(rows(2, 3), "add") == 3
    assert edits.select(rows(1), "subtract") == 2
    assert edits.invert() == N - 2
    assert edits.select(None) == 0 and edits.slot.selected is None
    assert edits.viewer.refreshed == 5
    assert edits.slot.version == 0  # the Gaussians themselves were not touched


def test_steps_are_shown_and_taken_back() -> None:
    edits = session()
    edits.select(rows(0, 1, 2))
    edits.step(lambda history: history.delete(edits.selected))
    assert torch.equal(edits.slot.hidden, rows(0, 1, 2)) and not edits.selected.any() and edits.slot.selected is None
    edits.step(lambda history: history.hide(rows(5)))
    assert torch.equal(edits.slot.hidden, rows(0, 1, 2, 5))
    assert "**0** selected of 26 shown" in edits.describe() and "1 hidden, 3 deleted" in edits.describe()
    edits.step(lambda history: history.undo())
    edits.step(lambda history: history.undo())
    assert edits.slot.hidden is None
    assert torch.equal(edits.slot.selected, rows(0, 1, 2))  # what was deleted comes back selected


def test_what_is_hidden_cannot_be_selected() -> None:
    edits = session()
    edits.step(lambda history: history.hide(rows(4)))
    assert edits.select(torch.ones(N, dtype=torch.bool)) == N - 1 and not edits.selected[4]


@pytest.mark.parametrize("placed", [Similarity.identity(), Similarity.from_euler((0, 90, 20), (1, 2, 3), 2.0)])
def test_moves_are_moves_in_the_world(placed: Similarity) -> None:
    edits = session(placed)
    before = edits.means()
    move = Similarity.from_euler((30, 0, 0), (0, 0, 5), 0.5)
    edits.select(rows(3, 4))
    assert edits.move(move) == 2
    expected = torch.where(rows(3, 4)[:, None], move.points(before), before)
    torch.testing.assert_close(edits.means(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(edits.slot.gaussians.means, edits.history.gaussians().means)
    edits.select(None)
    assert edits.move(move) == N  # nothing selected: everything
    torch.testing.assert_close(edits.means(), move.points(expected), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(edits.shown().means, edits.means())


def test_the_middle_is_that_of_the_selection() -> None:
    edits = session()
    edits.select(rows(3))
    torch.testing.assert_close(edits.center(), edits.means()[3].double())
    edits.select(None)
    torch.testing.assert_close(edits.center(), edits.means().double().median(0).values)


def test_edits_begin_anew_where_the_scene_was_replaced() -> None:
    edits = session()
    edits.select(rows(1))
    edits.step(lambda history: history.delete(edits.selected))
    edits.slot.replace(cloud(N + 5, sh_degree=1, seed=3))
    assert edits.history.undo_name is None and len(edits.history.original) == N + 5
    assert edits.slot.hidden is None and not edits.selected.any()
    assert edits.select(rows(1)) == 0  # a region of the scene before
    edits.slot.replace(cloud(N + 5, sh_degree=1, seed=4))  # also where the number is the same
    edits.step(lambda history: history.show_all())
    torch.testing.assert_close(edits.history.original.means, edits.slot.gaussians.means)
