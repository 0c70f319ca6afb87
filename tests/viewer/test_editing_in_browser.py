"""Editing and camera paths with a real mouse and real keys, in Chromium."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captures import subject

from splat import Camera
from splat.io.camera_path_file import load_path
from splat.viewer.app import Viewer
from splat.viewer.draw.client_camera import ClientCamera
from splat.viewer.edit.edit_panel import EditPanel
from splat.viewer.edit.selection import Seen
from splat.viewer.path.path_panel import PathPanel
from splat.viewer.slots import SceneSlot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HEIGHT = 640
MIDDLE = (318, 320)
"""Where the scene is, in a page of 960 x 640 with controls at the right."""


class Bench:
    """A viewer, a page that shows it, and its panels."""

    def __init__(self, viewer: Viewer, page: "Page") -> None:
        self.viewer, self.page = viewer, page
        self.edit: EditPanel = next(p for p in viewer.panels if isinstance(p, EditPanel))
        self.path: PathPanel = next(p for p in viewer.panels if isinstance(p, PathPanel))

    @property
    def client(self) -> Any:
        return next(iter(self.viewer.server.get_clients().values()))

    def until(self, true: Callable[[], Any], what: str, seconds: float = 20) -> None:
        """Wait for something, or fail."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, what
            self.page.wait_for_timeout(50)

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        self.page.wait_for_timeout(300)

    def rest(self) -> None:
        """Wait until the camera stands still and its picture has been sent."""
        views, steady, seen = self.viewer.loop.views, 0, None
        deadline = time.monotonic() + 30
        while steady < 8:
            now = ClientCamera.of(self.client.camera)
            steady = steady + 1 if now == seen and all(view.has_all for view in list(views.values())) else 0
            seen = now
            assert time.monotonic() < deadline, "the camera never rests"
            self.page.wait_for_timeout(100)

    def drag(self, *points: tuple[float, float], steps: int = 6) -> None:
        """Press the left button at the first point, move along the others, let go."""
        mouse = self.page.mouse
        mouse.move(*points[0])
        mouse.down()
        for point in points[1:]:
            mouse.move(*point, steps=steps)
            self.page.wait_for_timeout(80)
        mouse.up()

    def camera(self) -> Camera:
        """What the page shows once the camera rests, in pixels of the page: viser counts those that it draws, which are
        fewer on slow machines."""
        self.rest()
        camera = ClientCamera.of(self.client.camera).camera()
        return camera.resized(round(camera.width * HEIGHT / camera.height), HEIGHT)

    def seen(self) -> Seen:
        """Where the page shows every Gaussian."""
        return Seen.by(self.camera(), self.edit.session().means())

    def tool(self, name: str) -> None:
        self.edit.select.tool.value = name
        self.page.wait_for_timeout(500)


@pytest.fixture(scope="module")
def bench(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("edited")
    torch.set_num_threads(1)
    viewer = Viewer([SceneSlot("subject", subject(), folder / "scene.ply")], port=0)
    page = browser.new_page(viewport={"width": 960, "height": HEIGHT})
    page.goto(f"http://127.0.0.1:{viewer.port}")
    bench = Bench(viewer, page)
    bench.until(viewer.server.get_clients, "the page has not connected", 60)
    page.get_by_role("tab", name="Edit").wait_for()
    bench.until(lambda: all(view.has_all for view in viewer.loop.views.values()), "no picture", 60)
    yield bench
    page.close()
    viewer.stop()


@pytest.fixture(autouse=True)
def fresh(bench: Bench) -> Iterator[None]:
    """Every test begins with nothing selected, deleted or picked."""
    yield
    while bench.edit.session().history.undo_name:
        bench.edit.go_back()
    bench.edit.clear()
    bench.tool("off")
    bench.edit.measure.clear()


def test_a_rectangle_dragged_over_the_picture_selects_what_is_in_it(bench: Bench) -> None:
    bench.tab("Edit")
    bench.tool("rectangle")
    bench.edit.select.front.value = False
    start = tuple(bench.client.camera.position)
    bench.drag((200, 200), (260, 300), (400, 420))
    bench.until(lambda: bench.edit.session().selected.any(), "nothing was selected")
    assert tuple(bench.client.camera.position) == start  # the drag did not turn the view
    seen = bench.seen()
    sure, most = seen.rectangle((203, 203), (397, 417)), seen.rectangle((197, 197), (403, 423))
    chosen = bench.edit.session().selected
    assert (sure <= chosen).all() and (chosen <= most).all() and 10 < int(chosen.sum()) < 290
    assert f"**{int(chosen.sum())}** selected" in bench.page.content().replace("<strong>", "**").replace(
        "</strong>", "**"
    )
    bench.page.keyboard.down("Control")
    bench.drag((190, 190), (300, 300), (420, 430))
    bench.page.keyboard.up("Control")
    bench.until(lambda: not bench.edit.session().selected.any(), "Ctrl did not take away")


def test_a_stroke_of_the_brush_selects_what_it_touches(bench: Bench) -> None:
    bench.tab("Edit")
    bench.tool("brush")
    bench.edit.select.front.value = False
    bench.edit.select.radius.value = 100 * 20 / HEIGHT
    start = tuple(bench.client.camera.position)
    bench.drag((200, 330), (300, 330), (400, 330), steps=3)
    bench.until(lambda: bench.edit.session().selected.any() and not bench.edit.select.strokes, "nothing was selected")
    assert tuple(bench.client.camera.position) == start
    seen = bench.seen()
    line = [[200.0, 330.0], [400.0, 330.0]]
    sure, most = seen.brush([[240, 330], [395, 330]], 17), seen.brush(line, 23)
    chosen = bench.edit.session().selected
    assert (sure <= chosen).all() and (chosen <= most).all() and int(chosen.sum()) > 10
    bench.tool("off")
    bench.drag(MIDDLE, (360, 320))
    bench.until(lambda: tuple(bench.client.camera.position) != start, "the mouse does not turn the view any more")


def test_keys_delete_and_undo(bench: Bench) -> None:
    bench.tab("Edit")
    bench.edit.session().select(torch.arange(300) < 120)
    bench.page.mouse.click(*MIDDLE)
    bench.page.keyboard.press("x")
    bench.until(lambda: bench.viewer.scenes[0].hidden is not None, "X did not delete")
    assert int(bench.viewer.scenes[0].hidden.sum()) == 120
    bench.page.keyboard.press("Control+z")
    bench.until(lambda: bench.viewer.scenes[0].hidden is None, "Ctrl Z did not undo")
    bench.page.keyboard.press("Control+Shift+z")
    bench.until(lambda: bench.viewer.scenes[0].hidden is not None, "Ctrl Shift Z did not redo")


def test_a_click_picks_the_point_under_it(bench: Bench) -> None:
    bench.tab("Edit")
    bench.edit.measure.picking.value = True
    bench.page.wait_for_timeout(400)
    try:
        seen = bench.seen()
        solid = (subject().opacities > 0.9) & seen.rectangle((150, 150), (500, 500))
        for index in (solid.nonzero()[0, 0], solid.nonzero()[-1, 0]):
            count = len(bench.edit.measure.measured.points)
            x, y = seen.pixels[index].tolist()
            bench.page.mouse.click(x, y)
            bench.until(lambda count=count: len(bench.edit.measure.measured.points) > count, "nothing was picked")
            point = torch.tensor(bench.edit.measure.measured.points[-1])
            found = Seen.by(bench.camera(), point[None]).pixels[0]
            assert (found - torch.tensor([x, y])).abs().max() < 2
        assert bench.edit.measure.measured.total > 0
    finally:
        bench.edit.measure.picking.value = False


def test_handles_move_the_scene(bench: Bench) -> None:
    bench.tab("Edit")
    bench.edit.move.handles.value = True
    bench.page.wait_for_timeout(800)
    gizmo = bench.edit.move.gizmo
    assert gizmo is not None
    try:
        size = 0.3 * bench.viewer.view.extent
        ends = torch.tensor(gizmo.position).float() + size * torch.tensor([[0.0, 0, 0], [0.95, 0, 0]])
        (start, tip) = Seen.by(bench.camera(), ends).pixels.tolist()
        away = [2 * b - a for a, b in zip(start, tip, strict=True)]
        bench.drag(tuple(tip), tuple(away))
        bench.until(lambda: bench.edit.session().history.undo_name == "transform", "nothing was moved")
        bench.page.wait_for_timeout(500)
        moved = bench.edit.session().means() - subject().means
        assert (moved - moved[0]).abs().max() < 1e-4
        assert float(moved[0, 0]) > 0.2 * size and moved[0, 1:].abs().max() < 0.2 * float(moved[0, 0])
        bench.edit.go_back()
        assert bench.edit.session().history.undo_name is None  # one step
    finally:
        bench.edit.move.handles.value = False


def test_a_path_is_made_flown_and_saved_with_the_mouse(bench: Bench) -> None:
    page, panel = bench.page, bench.path
    bench.tab("Path")
    for index, end in enumerate([(360, 300), (420, 340), (380, 260)]):
        bench.drag(MIDDLE, end)
        page.wait_for_timeout(600)
        page.get_by_role("button", name="Add keyframe").click()
        bench.until(lambda index=index: len(panel.keyframes) == index + 1, "no keyframe was added")
    assert len({keyframe.position for keyframe in panel.keyframes}) == 3
    panel.duration.value = 1.0
    panel.change_duration()
    page.get_by_text("Go there", exact=True).click()
    page.wait_for_timeout(300)
    page.get_by_text("Play", exact=True).click()
    bench.until(lambda: panel.flight.flights, "it does not fly")
    bench.until(lambda: not panel.flight.flights, "it does not end")
    last = torch.tensor(panel.keyframes[-1].position)
    bench.until(lambda: (torch.tensor(bench.client.camera.position) - last).norm() < 1e-3, "it did not arrive")
    page.get_by_text("File", exact=True).click()
    page.get_by_role("button", name="Save", exact=True).click()
    file = Path(panel.folder) / "path.json"
    bench.until(file.is_file, "nothing was saved")
    assert load_path(file) == panel.path()
    page.mouse.click(*MIDDLE)
    page.keyboard.press("k")
    bench.until(lambda: len(panel.keyframes) == 4, "K did not add a keyframe")
    page.get_by_role("button", name="Remove").click()
    bench.until(lambda: len(panel.keyframes) == 3, "the keyframe was not removed")
