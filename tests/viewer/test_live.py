"""A run in the viewer: it follows, obeys the buttons, and is not hurt by anything that happens to the viewer."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from captures import ring, subject
from wire import Wire

from splat.callbacks import Action, Step
from splat.datasets.capture import Capture
from splat.gaussians import Gaussians
from splat.viewer.live import LiveTraining
from splat.viewer.panels.training_history import MOST_POINTS, History

FRONT = ring(4, 96, 64)[0]


@pytest.fixture
def live(capture: Capture, tmp_path: Path) -> Iterator[LiveTraining]:
    made = LiveTraining(
        subject(),
        capture,
        tmp_path,
        iterations=1000,
        antialiased=False,
        background=(0, 0, 0),
        host="127.0.0.1",
        port=0,
        fraction=0.5,
    )
    yield made
    made.close()


class Run:
    """Calls a watcher as a run does, a few hundred iterations a second."""

    def __init__(self, live: LiveTraining) -> None:
        self.live = live
        self.iteration = 0
        self.saved: list[int] = []
        self.ended = threading.Event()
        self.gaussians = subject()
        self.thread = threading.Thread(target=self.go, daemon=True)

    def __enter__(self) -> "Run":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()

    def go(self) -> None:
        while not self.ended.is_set():
            self.iteration += 1
            self.gaussians.means.add_(0.001)
            step = Step(self.iteration, 1 / self.iteration, self.gaussians, self.scene, 20.0, 0.1, self.iteration / 300)
            order = Action.WAIT
            while order in (Action.WAIT, Action.SAVE) and not self.ended.is_set():
                order = self.live(step)
                if order is Action.SAVE:
                    self.saved.append(self.iteration)
                time.sleep(0.003)
            if order is Action.STOP:
                self.ended.set()

    def scene(self) -> Gaussians:
        return self.gaussians


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_nothing_is_copied_while_nobody_looks(live: LiveTraining) -> None:
    first = live.slot.gaussians
    with Run(live) as run:
        until(lambda: run.iteration > 100)
    assert live.slot.gaussians is first
    assert live.history.now.iteration >= 100


def test_the_picture_follows_with_copies(live: LiveTraining) -> None:
    with Wire(live.viewer) as wire, Run(live) as run:
        wire.look(FRONT)
        wire.wait(lambda: len(wire.frames()) > 5 or None)
        seen = live.slot.gaussians
        assert seen.means.data_ptr() != run.gaussians.means.data_ptr()
        kept = seen.means.clone()
        until(lambda: live.slot.gaussians is not seen)
        assert torch.equal(kept, seen.means)
        assert {frame["format"] for frame in wire.frames()[1:]} == {"jpeg"}


def test_pause_step_resume_save_stop(live: LiveTraining) -> None:
    with Wire(live.viewer) as wire, Run(live) as run:
        wire.look(FRONT)
        wire.set("Pause", True)
        until(lambda: live.paused)
        time.sleep(0.1)
        held = run.iteration
        time.sleep(0.2)
        assert run.iteration == held
        until(lambda: live.shown == held)  # standing still, it shows exactly where it stands
        wire.set("One step", True)
        until(lambda: run.iteration == held + 1)
        time.sleep(0.2)
        assert run.iteration == held + 1
        wire.set("Save now", True)
        until(lambda: run.saved == [held + 1])
        wire.set("Pause", True)
        until(lambda: run.iteration > held + 20)
        wire.set("Stop", True)
        until(run.ended.is_set)


def test_a_browser_that_is_closed_while_paused_leaves_the_run_to_others(live: LiveTraining) -> None:
    with Run(live) as run:
        with Wire(live.viewer) as wire:
            wire.look(FRONT)
            wire.set("Pause", True)
            until(lambda: live.paused)
        until(lambda: not live.viewer.loop.watched)
        with Wire(live.viewer) as other:
            other.look(FRONT)
            before = run.iteration
            other.set("Resume", True)
            until(lambda: run.iteration > before + 5)


def test_a_viewer_that_breaks_does_not_stop_the_run(live: LiveTraining, capsys: pytest.CaptureFixture[str]) -> None:
    with Wire(live.viewer) as wire, Run(live) as run:
        wire.look(FRONT)
        wire.wait(lambda: wire.frames() or None)
        run.scene = lambda: SimpleNamespace(map=lambda copy: subject()[:0].map(lambda t: t.double()))  # type: ignore[method-assign]
        until(lambda: bool(wire.notifications()))
        before = run.iteration
        until(lambda: run.iteration > before + 50)
        live.viewer.server.stop()
        before = run.iteration
        until(lambda: run.iteration > before + 50)


def test_it_ends_when_the_last_browser_goes(live: LiveTraining) -> None:
    ending = threading.Thread(target=live.end, args=(subject(),), daemon=True)
    with Wire(live.viewer) as wire:
        wire.look(FRONT)
        wire.wait(lambda: wire.frames() or None)
        ending.start()
        time.sleep(0.7)
        assert ending.is_alive()
    ending.join(timeout=30)
    assert not ending.is_alive()


def test_history_stays_small_and_tells_where_the_run_is() -> None:
    history = History()
    for iteration in range(1, 20_001):
        history.add(iteration, 1.0, 20.0 if iteration % 10 == 0 else None, 7, iteration / 20_000, iteration / 100)
        history.add(iteration, 99.0, None, 7, 0, 0)  # asked again in a pause
    (x, loss), (_, psnr) = history.curves()
    assert len(x) <= MOST_POINTS and len(psnr) <= MOST_POINTS
    assert x[0] == 1 and x[-1] > 19_000
    assert set(loss) == {1.0} and set(psnr) == {20.0}
    assert history.speed == pytest.approx(100, rel=0.01)
    assert history.now.iteration == 20_000


def test_train_with_view_leaves_the_same_files(
    tmp_path: Path, run_splat: Callable[..., int], small_run: tuple[Path, Path]
) -> None:
    """Nobody looks: the run ends by itself."""
    flags = ("--iterations", 20, "--sh-degree", 0, "--threads", 1)
    assert run_splat("train", small_run[0], "-o", tmp_path / "a", *flags, "--view", "--view-port", 18090) == 0
    assert run_splat("train", small_run[0], "-o", tmp_path / "b", *flags) == 0
    scenes = [(tmp_path / name / "point_cloud/iteration_20/point_cloud.ply").read_bytes() for name in "ab"]
    assert scenes[0] == scenes[1]
