"""Edits can be taken back to the bit, in bounded memory; what is saved is what was left."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import splat
from scenes import cloud
from splat import Gaussians
from splat.compression.formats import registry as formats
from splat.errors import InputError
from splat.geometry.similarity import Similarity
from splat.viewer.edit import history as edits
from splat.viewer.edit.history import EditHistory
from splat.viewer.saving import allowed_file, given_folders
from splat.viewer.slots import SceneSlot

N = 40
masks = st.lists(st.booleans(), min_size=N, max_size=N).map(torch.tensor)
moves = st.builds(
    lambda turn, by, scale: Similarity.from_euler(turn, by, scale),
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.floats(0.5, 2),
)


def rows(*indices: int) -> torch.Tensor:
    mask = torch.zeros(N, dtype=torch.bool)
    mask[list(indices)] = True
    return mask


def same(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.tensors().values(), b.tensors().values(), strict=True))


class Editing(RuleBasedStateMachine):
    """Any steps, against a model that keeps whole copies."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = cloud(N, sh_degree=1)
        self.history = EditHistory(self.scene)
        zeros = torch.zeros(N, dtype=torch.bool)
        self.model = [(zeros, zeros, self.scene.means.double())]  # deleted, hidden, positions
        self.at = 0

    def do(self, count: int, deleted=None, hidden=None, means=None) -> None:
        old = self.model[self.at]
        if count:
            new = tuple(b if b is not None else a for a, b in zip(old, (deleted, hidden, means), strict=True))
            self.model = [*self.model[: self.at + 1], new]
            self.at += 1

    @rule(mask=masks)
    def delete(self, mask) -> None:
        deleted, hidden, _ = self.model[self.at]
        gone = mask & ~deleted & ~hidden
        assert self.history.delete(mask) == int(gone.sum())
        self.do(int(gone.sum()), deleted=deleted | gone)

    @rule(mask=masks)
    def hide(self, mask) -> None:
        deleted, hidden, _ = self.model[self.at]
        gone = mask & ~deleted & ~hidden
        assert self.history.hide(mask) == int(gone.sum())
        self.do(int(gone.sum()), hidden=hidden | gone)

    @rule(mask=masks)
    def isolate(self, mask) -> None:
        deleted, hidden, _ = self.model[self.at]
        kept = mask & ~deleted & ~hidden
        assert self.history.isolate(mask) == int(kept.sum())
        self.do(int(kept.sum()), hidden=hidden | ~kept)

    @rule()
    def show_all(self) -> None:
        deleted, hidden, _ = self.model[self.at]
        back = self.history.show_all()
        assert back == int((hidden & ~deleted).sum())
        self.do(back, hidden=torch.zeros_like(hidden))

    @rule(mask=st.none() | masks, move=moves)
    def transform(self, mask, move) -> None:
        deleted, hidden, means = self.model[self.at]
        chosen = ~deleted if mask is None else mask & ~deleted & ~hidden
        assert self.history.transform(move, mask) == int(chosen.sum())
        self.do(int(chosen.sum()), means=torch.where(chosen[:, None], move.points(means), means))

    @rule()
    def undo(self) -> None:
        assert (self.history.undo() is None) == (self.at == 0)
        self.at = max(0, self.at - 1)

    @rule()
    def redo(self) -> None:
        last = len(self.model) - 1
        assert (self.history.redo() is None) == (self.at == last)
        self.at = min(last, self.at + 1)

    @invariant()
    def agrees(self) -> None:
        deleted, hidden, means = self.model[self.at]
        assert torch.equal(self.history.shown, ~(deleted | hidden))
        assert len(self.history.kept()) == int((~deleted).sum())
        alive = ~deleted
        torch.testing.assert_close(
            self.history.gaussians().means[alive].double(), means[alive], atol=1e-3, rtol=1e-4
        )  # float32 positions after moves of up to three units each


Editing.TestCase.settings = hypothesis_settings(max_examples=25, stateful_step_count=20, deadline=None)
test_any_sequence_of_steps = Editing.TestCase


def test_undo_gives_back_the_bits() -> None:
    scene = cloud(N, sh_degree=3)
    copy = scene.map(torch.clone)
    history = EditHistory(scene)
    move = Similarity.from_euler((10, 20, 30), (1, 2, 3), 1.5)
    history.transform(move, rows(1, 2, 3))
    history.delete(rows(3, 4))
    history.transform(move)
    assert history.changed and not same(history.gaussians(), copy)
    assert [history.undo(), history.undo(), history.undo(), history.undo()] == [
        "transform",
        "delete",
        "transform",
        None,
    ]
    assert same(history.gaussians(), copy) and same(scene, copy) and not history.changed


def test_moving_there_and_back_often_loses_nothing() -> None:
    scene = cloud(N, sh_degree=2)
    history = EditHistory(scene)
    move = Similarity.from_euler((10, 20, 30), (1, 2, 3), 1.5)
    for _ in range(50):
        history.transform(move, rows(*range(20)))
        history.transform(move.inverse(), rows(*range(20)))
    for name, tensor in history.gaussians().tensors().items():
        torch.testing.assert_close(tensor, scene.tensors()[name], atol=2e-6, rtol=2e-6) if name != "quats" else None


def test_a_drag_is_one_step() -> None:
    history = EditHistory(cloud(N))
    history.transform(Similarity.from_euler(translation=(0, 0, 1)), rows(0))
    for step in range(1, 10):
        history.transform(Similarity.from_euler(translation=(0, 0, 1 + step)), rows(0), amend=True)
    assert float(history.gaussians().means[0, 2] - history.original.means[0, 2]) == pytest.approx(10)
    assert history.undo() == "transform" and history.undo() is None
    history.redo()
    history.delete(rows(5))
    history.transform(
        Similarity.from_euler(translation=(0, 0, 1)), rows(0), amend=True
    )  # the step before is another one
    assert [history.undo() for _ in range(3)] == ["transform", "delete", "transform"]


def test_steps_that_do_nothing_are_none() -> None:
    history = EditHistory(cloud(N))
    nothing = torch.zeros(N, dtype=torch.bool)
    for act in (history.delete, history.hide, history.isolate):
        assert act(nothing) == 0
    assert history.show_all() == 0 and history.transform(Similarity.identity(), nothing) == 0
    assert history.undo_name is None
    history.delete(rows(1))
    assert history.delete(rows(1)) == 0 and history.undo_name == "delete"


def test_a_new_step_forgets_what_was_taken_back() -> None:
    history = EditHistory(cloud(N))
    history.delete(rows(1))
    history.undo()
    assert history.redo_name == "delete"
    history.hide(rows(2))
    assert history.redo_name is None and history.redo() is None
    assert history.shown[1] and not history.shown[2]


def test_memory_is_bounded_and_the_latest_steps_stay() -> None:
    count = 10_000
    history = EditHistory(cloud(count, sh_degree=0), max_bytes=10 * count)
    mask = torch.zeros(count, dtype=torch.bool)
    for index in range(100):
        history.delete(mask.clone().index_fill_(0, torch.tensor([index]), True))
        assert history.bytes <= 10 * count
    assert not history.shown[:100].any() and history.shown[100:].all()
    undone = 0
    while history.undo():
        undone += 1
    assert 5 <= undone <= 10
    assert history.shown[:100].sum() == undone


def test_too_many_places_are_refused_and_nothing_changes(monkeypatch) -> None:
    monkeypatch.setattr(edits, "MAX_PLACES", 4)
    history = EditHistory(cloud(N))
    for index in range(3):
        history.transform(Similarity.from_euler(translation=(index + 1, 0, 0)), rows(index))
    before = history.gaussians().means.clone()
    with pytest.raises(InputError, match="save it"):
        history.transform(Similarity.from_euler(translation=(9, 0, 0)), rows(7))
    assert torch.equal(history.gaussians().means, before)
    history.transform(Similarity.from_euler(translation=(0, 9, 0)))  # all together makes no new place
    torch.testing.assert_close(history.gaussians().means[:, 1], before[:, 1] + 9)


def test_an_empty_scene_can_be_opened() -> None:
    history = EditHistory(cloud(3)[:0])
    empty = torch.zeros(0, dtype=torch.bool)
    assert history.delete(empty) == 0 and history.transform(Similarity.identity()) == 0 and not history.changed


@pytest.mark.parametrize("name", ["out.ply", "out.spz", "out.splat", "out.sog", "out.compressed.ply"])
def test_saved_in_any_format_without_what_was_deleted(name: str, tmp_path: Path) -> None:
    history = EditHistory(cloud(N, sh_degree=1))
    history.delete(rows(*range(10)))
    history.hide(rows(20))
    history.transform(Similarity.from_euler(translation=(5, 0, 0)))
    assert history.save(tmp_path / name) == 30
    saved = formats.load(tmp_path / name)
    assert len(saved) == 30
    expected = history.original.means[10:, 0] + 5
    torch.testing.assert_close(saved.means[:, 0].sort().values, expected.sort().values, atol=5e-3, rtol=0)


def test_nothing_to_save_and_formats_that_cannot_be_written_are_explained(tmp_path: Path) -> None:
    history = EditHistory(cloud(N))
    with pytest.raises(InputError, match="ending in"):
        history.save(tmp_path / "scene.txt")
    with pytest.raises(InputError, match="read only"):
        history.save(tmp_path / "scene.ksplat")
    history.delete(torch.ones(N, dtype=torch.bool))
    with pytest.raises(InputError, match="undo"):
        history.save(tmp_path / "scene.ply")
    assert list(tmp_path.iterdir()) == []


def test_files_only_where_they_are_allowed(tmp_path: Path) -> None:
    inside, other, outside = (tmp_path / name for name in ("scenes", "runs", "private"))
    for folder in (inside, other, outside):
        folder.mkdir()
    (outside / "key").touch()
    (inside / "old.ply").touch()
    os.symlink(outside, inside / "link")
    os.symlink("loop", inside / "loop")
    allowed = [inside, other]
    assert allowed_file("a.ply", allowed) == inside / "a.ply"
    assert allowed_file("sub/a.ply", allowed) == inside / "sub" / "a.ply"
    assert allowed_file(str(other / "a.ply"), allowed) == other / "a.ply"
    assert allowed_file("../runs/a.ply", allowed) == other / "a.ply"
    assert allowed_file("old.ply", allowed, overwrite=True) == inside / "old.ply"
    for name, message in (
        ("../private/a.ply", "only files in"),
        (str(outside / "a.ply"), "only files in"),
        ("link/a.ply", "only files in"),
        ("link/key", "only files in"),
        ("/etc/passwd", "only files in"),
        ("../scenes-evil/a.ply", "only files in"),
        ("old.ply", "exists already"),
        ("", "give a name"),
        ("   ", "give a name"),
        ("a\0.ply", "give a name"),
        ("x" * 5000, "give a name"),
        ("x" * 400, "not a name"),
        (".", "is a folder"),
        (str(other), "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            allowed_file(name, allowed)
    with pytest.raises(InputError):
        allowed_file("loop/a.ply", allowed)
    with pytest.raises(InputError, match="give a name"):
        allowed_file("a.ply", [])


def test_a_scene_edited_is_drawn_as_it_is_saved(tmp_path: Path) -> None:
    from scenes import cameras

    history = EditHistory(cloud(N, sh_degree=3))
    history.transform(Similarity.from_euler((0, 40, 0), (0.2, 0, 0), 0.8), rows(*range(0, N, 2)))
    history.delete(rows(*range(0, N, 5)))
    history.save(tmp_path / "scene.ply")
    drawn = splat.render(history.gaussians()[history.shown], cameras()).rgb
    torch.testing.assert_close(splat.render(splat.load(tmp_path / "scene.ply"), cameras()).rgb, drawn)


def test_folders_given_are_those_of_the_scenes_and_the_run(tmp_path: Path) -> None:
    scene = cloud(2)
    slots = [
        SceneSlot("memory", scene),
        SceneSlot("file", scene, tmp_path / "a" / "scene.ply"),
        SceneSlot("run", scene, tmp_path),
        SceneSlot("another", scene, tmp_path / "a" / "other.ply"),
    ]
    assert given_folders(None, slots[:1]) == []
    assert given_folders(tmp_path, slots) == [tmp_path.resolve(), (tmp_path / "a").resolve()]
