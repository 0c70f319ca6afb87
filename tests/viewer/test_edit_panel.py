"""What the controls of editing do."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from captures import ring, subject
from windows import Window

import splat
from splat.compression.formats import registry as formats
from splat.datasets.capture import Capture
from splat.errors import InputError
from splat.geometry.alignment import UP
from splat.geometry.camera_path import Keyframe
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io.georeference_file import georeference_beside
from splat.viewer.app import Viewer
from splat.viewer.edit.edit_panel import EditPanel
from splat.viewer.edit.selection import Seen
from splat.viewer.slots import SceneSlot

FRONT = Keyframe.of(ring(4, 64, 48)[0])


@pytest.fixture
def panel(viewer_of: Callable[..., Viewer], tmp_path: Path) -> EditPanel:
    viewer = viewer_of(SceneSlot("subject", subject(), tmp_path / "scene.ply"))
    return next(panel for panel in viewer.panels if isinstance(panel, EditPanel))


def rows(panel: EditPanel, count: int) -> torch.Tensor:
    return torch.arange(len(panel.session().history.original)) < count


def button(value: str) -> object:
    return Window.at(FRONT).does(value)


def test_selected_ones_are_deleted_hidden_isolated_and_come_back(panel: EditPanel) -> None:
    slot, session = panel.viewer.scenes[0], panel.session()
    session.select(rows(panel, 10))
    panel.change("Delete")
    assert (
        int(slot.hidden.sum()) == 10 and "290 shown" in panel.status.content and "undo: delete" in panel.status.content
    )
    session.select(rows(panel, 30))
    panel.change("Hide")
    assert int(slot.hidden.sum()) == 30
    panel.go(button("Show all"))
    assert int(slot.hidden.sum()) == 10
    session.select(rows(panel, 40))
    panel.change("Isolate")
    assert int(slot.hidden.sum()) == 270
    for left in (10, 30, 10, None):
        panel.go(button("Undo"))
        assert slot.hidden is None if left is None else int(slot.hidden.sum()) == left
    panel.go(button("Redo"))
    assert int(slot.hidden.sum()) == 10 and "redo: hide" in panel.status.content


def test_what_does_nothing_is_told(panel: EditPanel) -> None:
    for what in ("Delete", "Hide", "Isolate"):
        with pytest.raises(InputError, match="Select something"):
            panel.change(what)
    with pytest.raises(InputError, match="Nothing is hidden"):
        panel.change("Show all")
    panel.go_back()
    panel.go_forth()


def test_all_none_invert(panel: EditPanel) -> None:
    session = panel.session()
    panel.select.select_simply(button("All"))
    assert session.selected.all() and "**300** selected" in panel.status.content
    panel.select.select_simply(button("None"))
    assert not session.selected.any()
    session.select(rows(panel, 100))
    panel.select.select_simply(button("Invert"))
    assert torch.equal(session.selected, ~rows(panel, 100))


def test_box_and_sphere_select_what_they_hold(panel: EditPanel) -> None:
    tools, means = panel.select, subject().means
    tools.tool.value = "box"
    assert tools.inside.visible and tools.size.visible and not tools.ball.visible and tools.gizmo is not None
    tools.gizmo.position, tools.gizmo.wxyz = (0.3, 0.0, 0.0), (math.cos(0.3), 0.0, math.sin(0.3), 0.0)
    tools.size.value = (1.0, 2.0, 0.5)
    tools.select_inside(None)
    placed = Similarity.from_euler((0, math.degrees(0.6), 0), (0.3, 0, 0))
    local = placed.inverse().points(means)
    assert torch.equal(panel.session().selected, (local.abs() <= torch.tensor([0.5, 1.0, 0.25])).all(1))
    assert 0 < int(panel.session().selected.sum()) < 100
    before = panel.session().selected
    tools.tool.value = "sphere"
    assert tools.ball.visible and not tools.size.visible and tools.gizmo is not None
    tools.gizmo.position, tools.ball.value, tools.how.value = (0.0, -1.0, 0.0), 0.7, "add"
    tools.select_inside(None)
    near = (means - torch.tensor([0.0, -1.0, 0.0])).norm(dim=1) <= float(tools.ball.value)
    assert torch.equal(panel.session().selected, before | near)
    tools.tool.value = "off"
    assert tools.gizmo is None and not tools.inside.visible and not tools.advice.visible
    tools.select_inside(None)  # a click that comes too late


def test_rectangle_selects_in_the_picture_of_whoever_drags(panel: EditPanel) -> None:
    tools, window = panel.select, Window.at(FRONT)
    tools.tool.value = "rectangle"
    camera, means = ring(4, 64, 48)[0], subject().means
    depth = splat.render(subject(), camera, depth=True).median_depth
    drag = window.does(screen_min=(0.25, 0.25), screen_max=(0.5, 0.75), modifier=None)
    tools.front.value = False
    tools.select_rectangle(drag)
    everything = Seen.by(camera, means).rectangle((16, 12), (32, 36))
    assert torch.equal(panel.session().selected, everything)
    tools.front.value = True
    tools.select_rectangle(drag)
    front = Seen.by(camera, means, depth).rectangle((16, 12), (32, 36))
    assert torch.equal(panel.session().selected, front)
    assert 0 < int(front.sum()) < int(everything.sum())
    tools.front.value = False
    more = window.does(screen_min=(0.5, 0.25), screen_max=(0.75, 0.75), modifier="shift")
    tools.select_rectangle(more)
    right = Seen.by(camera, means).rectangle((32, 12), (48, 36))
    assert torch.equal(panel.session().selected, front | right)
    less = window.does(screen_min=(0.5, 0.0), screen_max=(1.0, 1.0), modifier="cmd/ctrl")
    tools.select_rectangle(less)
    assert torch.equal(panel.session().selected, front & ~Seen.by(camera, means).rectangle((32, 0), (64, 48)))


def test_by_value(panel: EditPanel) -> None:
    tools = panel.select
    tools.value.value = "scale"
    low, high = tools.range.value
    assert low == pytest.approx(float(subject().scales.max(1).values.min()), abs=1e-5) and low < high
    tools.range.value = (0.2, 9.0)
    tools.select_by_value(None)
    assert torch.equal(panel.session().selected, subject().scales.max(1).values >= 0.2)
    panel.session().select(rows(panel, 1))
    panel.session().move(Similarity.from_euler(translation=(50, 0, 0)))
    tools.select_floaters(None)
    assert torch.equal(panel.session().selected, rows(panel, 1))


def test_numbers_move_the_selection_about_its_middle(panel: EditPanel) -> None:
    session, move = panel.session(), panel.move
    session.select(rows(panel, 50))
    center = session.center()
    move.by.value, move.turn.value, move.scale.value = (1.0, 0.0, 0.0), (0.0, 90.0, 0.0), 2.0
    move.apply()
    wanted = Similarity.from_euler((0, 90, 0), scale=2.0).about(center)
    expected = wanted.points(subject().means) + torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(session.means()[:50], expected[:50], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(session.means()[50:], subject().means[50:])
    assert move.scale.value == 1.0 and move.by.value == (0.0, 0.0, 0.0)
    assert session.history.undo_name == "transform"
    move.scale.value = 1e3
    move.scale.value = -5.0
    with pytest.raises(InputError, match="scale"):
        move.apply()


def test_a_drag_of_the_handles_is_one_step(panel: EditPanel) -> None:
    session, move = panel.session(), panel.move
    move.handles.value = True
    gizmo = move.gizmo
    assert gizmo is not None
    start = torch.tensor(gizmo.position)

    def drags(phase: str, x: float) -> None:
        gizmo.position = (start + torch.tensor([x, 0.0, 0.0])).tolist()
        event = Window.at(FRONT).does(phase=phase)
        event.target = gizmo
        move.drag(event)

    drags("start", 0.0)
    for x in (0.2, 0.5, 1.0):
        drags("update", x)
    drags("end", 1.5)
    torch.testing.assert_close(session.means(), subject().means + torch.tensor([1.5, 0, 0]), atol=1e-5, rtol=0)
    panel.go_back()
    torch.testing.assert_close(session.means(), subject().means)
    assert session.history.undo_name is None
    move.handles.value = False
    assert move.gizmo is None


def test_standing_on_the_ground(viewer_of: Callable[..., Viewer]) -> None:
    tilt = Similarity.from_euler((15, 0, 10), (1, 2, 3))
    scene = subject()
    floor = subject()[:200]
    floor.means = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 0.01, 9.0])
    floor.means += torch.tensor([-4.5, 3.0, -4.5])
    both = splat.Gaussians(
        *(torch.cat(pair) for pair in zip(scene.tensors().values(), floor.tensors().values(), strict=True))
    )
    both.logit_opacities.fill_(3.0)
    viewer = viewer_of(SceneSlot("tilted", tilt.gaussians(both)))
    panel = next(panel for panel in viewer.panels if isinstance(panel, EditPanel))
    panel.move.stand_up("Ground", None)
    means = panel.session().means()
    assert means[300:, 1].abs().max() < 0.15 and float(means[:300, 1].median()) < -2.0
    panel.move.stand_up("Ground", None)  # and stays
    torch.testing.assert_close(panel.session().means(), means, atol=0.05, rtol=0)
    with pytest.raises(InputError, match="No cameras"):
        panel.move.stand_up("Cameras", None)


def test_standing_as_the_cameras_did(viewer_of: Callable[..., Viewer], capture: Capture) -> None:
    viewer = viewer_of(capture=capture)
    panel = next(panel for panel in viewer.panels if isinstance(panel, EditPanel))
    panel.session().select(torch.arange(300) < 5)  # the whole scene is turned, whatever is selected
    panel.move.stand_up("Cameras", None)
    turned = panel.session().means()
    torch.testing.assert_close(turned, subject().means, atol=0.2, rtol=0.05)  # the ring is upright already
    panel.session().move(Similarity.from_euler((40, 20, 0)), selected=False)
    for _ in range(2):  # wherever the scene is turned to, it comes back, and then stays
        panel.move.stand_up("Cameras", None)
        heights = panel.session().means()[:, 1]
        torch.testing.assert_close(heights, turned[:, 1], atol=1e-4, rtol=0)
    assert viewer.view.up @ torch.tensor(UP) > 0.9


def test_a_saved_scene_says_where_it_lies(panel: EditPanel, tmp_path: Path) -> None:
    """Also where it was moved and scaled as a whole; a georeference has no turn, nor parts."""
    georeference = Georeference((500_000.0, 4_649_776.0, 0.0), 0.1)
    panel.session().slot.georeference = georeference
    window = Window.at(FRONT)
    panel.name.value = "a.ply"
    panel.save(window.does())
    assert georeference_beside(tmp_path / "a.ply") == georeference
    panel.overwrite.value = True
    move = Similarity.from_euler(translation=(1, 2, 3), scale=2)
    panel.session().move(move, selected=False)
    panel.save(window.does())
    moved = georeference_beside(tmp_path / "a.ply")
    assert moved is not None
    point = torch.rand(1, 3, dtype=torch.float64)
    torch.testing.assert_close(
        moved.placement.points(move.points(point)), georeference.placement.points(point), atol=1e-6, rtol=0
    )
    panel.session().move(Similarity.from_euler((0, 90, 0)), selected=False)
    panel.save(window.does())
    assert georeference_beside(tmp_path / "a.ply") is None


def test_lengths_are_in_the_units_of_the_capture(panel: EditPanel) -> None:
    measure, window = panel.measure, Window.at(FRONT)
    measure.pick(window.does(screen_pos=(0.45, 0.5)))
    measure.pick(window.does(screen_pos=(0.55, 0.55)))
    total = measure.measured.total
    panel.session().slot.georeference = Georeference(unit=1000.0)
    measure.show(measure.measured)
    assert f"{1000 * total:.5g}" in measure.text.content


def test_distances_between_picked_points(panel: EditPanel) -> None:
    measure, window = panel.measure, Window.at(FRONT)
    measure.pick(window.does(screen_pos=(0.45, 0.5)))
    measure.pick(window.does(screen_pos=(0.55, 0.55)))
    (a, b), total = measure.measured.points, measure.measured.total
    assert math.dist(a, b) == pytest.approx(total) and total > 0.05 and f"{total:.5g}" in measure.text.content
    camera = ring(4, 64, 48)[0]
    pixels = (torch.tensor([a, b]) @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]) @ camera.K.T
    torch.testing.assert_close(
        pixels[:, :2] / pixels[:, 2:], torch.tensor([[0.45 * 64, 24.0], [0.55 * 64, 0.55 * 48]]), atol=0.02, rtol=0
    )
    with pytest.raises(InputError, match="Nothing is there"):
        measure.pick(window.does(screen_pos=(0.001, 0.001)))
    measure.pick(window.does(screen_pos=(-3.0, 0.5)))  # beside the picture
    assert len(measure.measured.points) == 2
    measure.length.value = 2 * total
    measure.scale_scene()
    torch.testing.assert_close(panel.session().means(), 2 * subject().means, atol=1e-5, rtol=1e-5)
    assert measure.measured.total == pytest.approx(2 * total)
    panel.go_back()  # the scene is elsewhere, so the points are gone
    assert measure.measured.points == ()
    with pytest.raises(InputError, match="pick two points"):
        measure.scale_scene()


@pytest.mark.parametrize("name", ["a.ply", "sub/a.spz"])
def test_saved_where_the_scene_came_from(panel: EditPanel, tmp_path: Path, name: str) -> None:
    window = Window.at(FRONT)
    panel.session().select(rows(panel, 50))
    panel.change("Delete")
    panel.name.value = name
    panel.save(window.does())
    assert len(formats.load(tmp_path / name)) == 250 and "250 Gaussians" in window.told[-1][1]
    with pytest.raises(InputError, match="exists already"):
        panel.save(window.does())
    panel.overwrite.value = True
    panel.save(window.does())
    for wrong, message in (("../a.ply", "only files in"), ("/etc/a.ply", "only files in"), ("a.txt", "ending in")):
        panel.name.value = wrong
        with pytest.raises(InputError, match=message):
            panel.save(window.does())
    assert not panel.save_button.disabled


def test_each_scene_has_edits_of_its_own(viewer_of: Callable[..., Viewer]) -> None:
    viewer = viewer_of(SceneSlot("one", subject()), SceneSlot("two", subject()[:100]))
    panel = next(panel for panel in viewer.panels if isinstance(panel, EditPanel))
    panel.session().select(rows(panel, 5))
    panel.change("Delete")
    panel.scene.value = "two"
    assert "of 100 shown" in panel.status.content and viewer.scenes[1].hidden is None
    panel.select.select_simply(button("All"))
    panel.change("Hide")
    assert viewer.scenes[1].hidden.all() and int(viewer.scenes[0].hidden.sum()) == 5
