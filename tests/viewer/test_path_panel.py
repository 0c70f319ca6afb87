"""What the controls of camera paths do."""

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from captures import ring, subject
from windows import Window

import splat
from splat.errors import InputError
from splat.geometry.camera_path import CameraPath, Keyframe
from splat.io.camera_path_file import load_path, save_path, to_json
from splat.io.images import read_image
from splat.viewer.app import Viewer
from splat.viewer.path.path_panel import NONE_SAVED, PathPanel
from splat.viewer.slots import SceneSlot

STOPS = [Keyframe.of(camera) for camera in ring(8, 64, 48)]


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("scenes")
    viewer = Viewer([SceneSlot("scene", subject(), folder / "scene.ply")])
    yield viewer
    viewer.stop()


@pytest.fixture
def panel(viewer: Viewer, tmp_path: Path) -> PathPanel:
    """A fresh one, which saves into an empty folder."""
    viewer.run = tmp_path
    panel = PathPanel(viewer)
    panel.build(viewer.server.gui)
    yield panel
    panel.use(CameraPath((STOPS[0],)))
    panel.rearrange("Remove")


def adding(panel: PathPanel, count: int) -> Window:
    window = Window.at(STOPS[0])
    for stop in STOPS[:count]:
        window.look_from(stop)
        panel.add(window.does())
    return window


def positions(panel: PathPanel) -> list[int]:
    """Which of STOPS the keyframes are."""
    return [min(range(8), key=lambda i: math.dist(STOPS[i].position, k.position)) for k in panel.keyframes]


def test_keyframes_are_where_the_browser_looked_from(panel: PathPanel) -> None:
    adding(panel, 4)
    assert "**4** keyframes, 6.0 s" in panel.status.content and panel.number.value == "4"
    for keyframe, stop in zip(panel.path().keyframes, STOPS, strict=False):
        assert math.dist(keyframe.position, stop.position) < 1e-6 and keyframe.fov == pytest.approx(stop.fov)
        assert abs(sum(a * b for a, b in zip(keyframe.quaternion, stop.quaternion, strict=True))) == pytest.approx(1)


def test_new_ones_come_after_the_current_one(panel: PathPanel) -> None:
    window = adding(panel, 3)
    panel.choose(0)
    window.look_from(STOPS[7])
    panel.add(window.does())
    assert positions(panel) == [0, 7, 1, 2] and panel.current == 1


def test_order_can_be_changed(panel: PathPanel) -> None:
    adding(panel, 4)
    panel.choose(1)
    panel.rearrange("Later")
    assert positions(panel) == [0, 2, 1, 3] and panel.current == 2
    panel.rearrange("Earlier")
    panel.rearrange("Earlier")
    panel.rearrange("Earlier")  # already the first
    assert positions(panel) == [1, 0, 2, 3] and panel.current == 0
    panel.rearrange("Remove")
    assert positions(panel) == [0, 2, 3]
    for _ in range(3):
        panel.rearrange("Remove")
    assert panel.keyframes == [] and not panel.one.visible
    with pytest.raises(InputError, match="no keyframes"):
        panel.rearrange("Remove")


def test_controls_change_the_current_keyframe(panel: PathPanel) -> None:
    adding(panel, 3)
    panel.seconds.value, panel.fov.value, panel.ease.value = 5.0, 33.0, True
    panel.change_one()
    changed = panel.keyframes[2]
    assert (changed.seconds, changed.fov, changed.ease) == (5.0, 33.0, True)
    panel.choose(0)
    assert (panel.seconds.value, panel.ease.value) == (2.0, False) and panel.fov.value != 33.0
    panel.fov.value = 999.0
    with pytest.raises(InputError, match="fov"):
        panel.change_one()


def test_the_duration_is_shared_out(panel: PathPanel) -> None:
    adding(panel, 3)
    panel.duration.value = 12.0
    panel.change_duration()
    assert panel.path().duration == pytest.approx(12) and [k.seconds for k in panel.keyframes[1:]] == [6.0, 6.0]
    panel.loop.value, panel.tension.value, panel.even.value = True, 0.5, True
    panel.tell()
    path = panel.path()
    assert (path.loop, path.tension, path.constant_speed) == (True, 0.5, True)
    assert panel.duration.value == pytest.approx(path.duration)


def test_go_there_and_take_this(panel: PathPanel) -> None:
    window = adding(panel, 3)
    panel.choose(0)
    panel.look(window.does("Go there"))
    assert math.dist(window.camera.position, STOPS[0].position) < 1e-6
    window.look_from(STOPS[5])
    panel.look(window.does("Take this"))
    assert positions(panel) == [5, 1, 2]


def test_time_looks_along_the_path(panel: PathPanel) -> None:
    window = adding(panel, 3)
    panel.time.value = 0.5
    panel.scrub(window.does())
    assert math.dist(window.camera.position, STOPS[1].position) < 1e-6
    panel.time.value = 1.0
    panel.scrub(window.does())
    assert math.dist(window.camera.position, STOPS[2].position) < 1e-3


def test_preview_flies_the_browser_that_asked(panel: PathPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    window = adding(panel, 3)
    monkeypatch.setattr(panel.viewer.server, "get_clients", lambda: {window.client_id: window})
    panel.duration.value = 0.5
    panel.change_duration()
    panel.time.value = 0.0
    began = time.monotonic()
    panel.play(window.does("Play"))
    seen = []
    while panel.flight.flights and time.monotonic() - began < 10:
        seen.append(tuple(window.camera.position))
        time.sleep(0.01)
    assert 0.4 < time.monotonic() - began < 5
    assert math.dist(window.camera.position, STOPS[2].position) < 1e-6  # it ends at the last keyframe
    assert len(set(seen)) > 4
    panel.loop.value = True
    panel.play(window.does("Play"))
    panel.play(window.does("Stop"))
    time.sleep(0.1)
    stopped = tuple(window.camera.position)
    time.sleep(0.1)
    assert tuple(window.camera.position) == stopped and not panel.flight.flights


def test_files_come_and_go(panel: PathPanel, tmp_path: Path) -> None:
    window = adding(panel, 3)
    assert panel.saved.options == (NONE_SAVED,)
    with pytest.raises(InputError, match="No path"):
        panel.load(window.does())
    panel.loop.value = True
    panel.name.value = "walk"
    panel.save(window.does())
    assert load_path(tmp_path / "paths" / "walk.json") == panel.path()
    with pytest.raises(InputError, match="exists already"):
        panel.save(window.does())
    panel.overwrite.value = True
    panel.save(window.does())
    for name in ("../walk", "/etc/walk"):
        panel.name.value = name
        with pytest.raises(InputError, match="only files in"):
            panel.save(window.does())
    saved = panel.path()
    panel.rearrange("Remove")
    panel.loop.value = False
    assert panel.saved.options == ("walk.json",)
    panel.saved.value = "walk.json"
    panel.load(window.does())
    assert panel.path() == saved and panel.name.value == "walk"
    panel.name.value = "../x/walk"
    panel.download(window.does())
    assert window.downloads["walk.json"].decode() == to_json(saved)


def test_uploads_are_not_trusted(panel: PathPanel) -> None:
    window = Window.at(STOPS[0])
    path = CameraPath(tuple(STOPS[:5]), loop=True, tension=0.25)

    class File:
        name, content = "p.json", to_json(path).encode()

    panel.upload(window.does(File))
    assert panel.path() == path
    for content in (b"", b"\xff", b"[]", b"{" * 3_000_000, json.dumps({"format": "splat camera path"}).encode()):
        File.content = content
        with pytest.raises(InputError, match=r"p\.json"):
            panel.upload(window.does(File))
    assert panel.path() == path


def test_damaged_files_are_told(panel: PathPanel, tmp_path: Path) -> None:
    (tmp_path / "paths").mkdir()
    save_path(CameraPath((STOPS[0],)), tmp_path / "paths" / "bad.json")
    panel.saved.options = panel.list_saved()
    panel.saved.value = "bad.json"
    (tmp_path / "paths" / "bad.json").write_text("{}")
    with pytest.raises(InputError, match="not a camera path"):
        panel.load(Window.at(STOPS[0]).does())


def test_the_video_is_written_in_the_background(panel: PathPanel, tmp_path: Path) -> None:
    import av

    window, video = adding(panel, 3), panel.video
    panel.duration.value = 0.5
    panel.change_duration()
    video.size.value, video.fps.value, video.name.value = "640 x 360", 12.0, "walk"
    video.render(window.does())
    assert video.job is not None and video.job.wait(60)
    time.sleep(0.05)
    with av.open(str(tmp_path / "paths" / "walk.mp4")) as written:
        stream = written.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (640, 360, 7)
    assert video.progress.value == 100 and not video.progress.visible and video.download_button.visible
    video.download(window.does())
    assert window.downloads["walk.mp4"] == (tmp_path / "paths" / "walk.mp4").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        video.render(window.does())


def test_the_command_line_draws_the_saved_path_the_same(
    panel: PathPanel, tmp_path: Path, run_splat: Callable[..., int]
) -> None:
    window, video = adding(panel, 3), panel.video
    panel.tension.value, panel.even.value = 0.3, True
    panel.save(window.does())
    video.size.value, video.fps.value, video.kind.value, video.name.value = "640 x 360", 1.0, "PNGs", "viewed"
    video.render(window.does())
    assert video.job is not None and video.job.wait(60)
    splat.save(subject(), tmp_path / "scene.ply")
    path = tmp_path / "paths" / "path.json"
    flags = ("--path", path, "--size", "640x360", "--fps", 1, "-o", tmp_path / "drawn")
    assert run_splat("render", tmp_path / "scene.ply", *flags) == 0
    viewed, drawn = (sorted(folder.iterdir()) for folder in (tmp_path / "paths" / "viewed", tmp_path / "drawn"))
    assert [file.name for file in viewed] == [file.name for file in drawn] and len(viewed) == 5
    for one, other in zip(viewed, drawn, strict=True):
        assert torch.equal(read_image(one), read_image(other))


def test_a_video_can_be_canceled(panel: PathPanel, tmp_path: Path) -> None:
    window, video = adding(panel, 3), panel.video
    video.size.value, video.fps.value, video.kind.value = "1280 x 720", 240.0, "PNGs"
    video.render(window.does())
    assert video.cancel_button.visible and video.render_button.disabled
    with pytest.raises(InputError, match="being rendered"):
        video.render(window.does())
    video.cancel()
    assert video.job is not None and video.job.wait(30)
    time.sleep(0.05)
    assert "nothing was written" in video.status.content and not video.cancel_button.visible
    assert list((tmp_path / "paths").glob("*")) + list((tmp_path / "paths").glob(".*")) == []


def test_what_cannot_be_drawn_is_refused(panel: PathPanel) -> None:
    window, video = Window.at(STOPS[0]), panel.video
    with pytest.raises(InputError, match="no keyframes"):
        video.render(window.does())
    adding(panel, 2)
    panel.duration.value = 3600.0
    panel.change_duration()
    video.fps.value = 240.0
    with pytest.raises(InputError, match="pictures"):
        video.render(window.does())
    video.name.value = "../../elsewhere"
    video.fps.value = 1.0
    with pytest.raises(InputError, match="only files in"):
        video.render(window.does())


def test_no_folder_no_files(viewer: Viewer) -> None:
    viewer.run = None
    path, viewer.scenes[0].path = viewer.scenes[0].path, None
    try:
        panel = PathPanel(viewer)
        panel.build(viewer.server.gui)
        assert panel.folder is None
        panel.add(Window.at(STOPS[0]).does())
        window = Window.at(STOPS[1])
        panel.download(window.does())
        assert list(window.downloads) == ["path.json"]
    finally:
        viewer.scenes[0].path = path


def test_hostile_cameras_are_refused(panel: PathPanel) -> None:
    window = Window.at(STOPS[0])
    for name, value in (("position", torch.tensor([math.nan, 0, 0]).numpy()), ("wxyz", torch.zeros(4).numpy())):
        before = getattr(window.camera, name)
        setattr(window.camera, name, value)
        with pytest.raises(InputError):
            panel.add(window.does())
        setattr(window.camera, name, before)
    assert panel.keyframes == []
