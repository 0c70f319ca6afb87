"""A callback of a run can pause, save and stop it, and can do it no harm."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from captures import write_capture

from splat.callbacks import Action, Step, TrainingCallback
from splat.datasets.load import load_capture
from splat.run import Run
from splat.training.callback_guard import CallbackGuard
from splat.training.config import TrainConfig
from splat.training.init.initialize import initial_gaussians
from splat.training.trainer import Trainer

Make = Callable[..., Trainer]


@pytest.fixture
def trainer_of(tmp_path: Path) -> Make:
    """A run of 30 iterations on a small capture."""
    write_capture(tmp_path / "capture", photos=4, width=24, height=16)
    capture = load_capture(tmp_path / "capture")

    def make(callback: TrainingCallback | None = None, name: str = "run") -> Trainer:
        torch.set_num_threads(1)
        config = TrainConfig.from_dict({"optimization": {"iterations": 30, "sh_degree": 0}})
        (tmp_path / name).mkdir()
        initial = initial_gaussians(capture, config, torch.Generator().manual_seed(0))
        return Trainer(config, capture.frames, capture.extent, initial, Run(tmp_path / name), callback)

    return make


def test_a_callback_is_told_of_every_iteration(trainer_of: Make) -> None:
    steps: list[Step] = []
    trainer = trainer_of(lambda step: steps.append(step))
    assert trainer.run()
    assert [step.iteration for step in steps] == list(range(1, 31))
    assert [step.psnr is not None for step in steps] == [step.iteration % 10 == 0 for step in steps]
    assert steps[-1].progress == 1
    assert all(a.seconds <= b.seconds for a, b in pairwise(steps))
    assert len(steps[-1].scene()) == len(steps[-1].gaussians) == len(trainer.optimizer)


def test_watching_changes_nothing(trainer_of: Make) -> None:
    alone = trainer_of(None, "alone")
    watched = trainer_of(lambda step: Action.CONTINUE, "watched")
    alone.run()
    watched.run()
    for name, tensor in alone.scene().tensors().items():
        assert torch.equal(tensor, watched.scene().tensors()[name])


def test_a_pause_holds_the_run_and_does_not_count(trainer_of: Make) -> None:
    asked: list[int] = []

    def callback(step: Step) -> Action:
        asked.append(step.iteration)
        return Action.WAIT if step.iteration == 7 and asked.count(7) < 20 else Action.CONTINUE

    trainer = trainer_of(callback)
    began = time.perf_counter()
    assert trainer.run()
    passed = time.perf_counter() - began
    assert asked.count(7) == 20
    assert [n for n in asked if n != 7] == [n for n in range(1, 31) if n != 7]
    assert passed - trainer.clock.seconds > 19 * 0.02


def test_stop_ends_with_a_checkpoint(trainer_of: Make) -> None:
    trainer = trainer_of(lambda step: Action.STOP if step.iteration == 5 else None)
    assert not trainer.run()
    assert trainer.iteration == 5
    assert [path.name for path in trainer.folder.checkpoints.iterdir()] == ["ckpt_000005.pt"]


def test_save_writes_a_checkpoint_and_the_scene_at_once(trainer_of: Make) -> None:
    saved: list[bool] = []

    def callback(step: Step) -> Action:
        if step.iteration == 4 and not saved:
            saved.append(True)
            return Action.SAVE
        if step.iteration == 5:
            assert (trainer.folder.path / "point_cloud/iteration_4/point_cloud.ply").is_file()
            assert (trainer.folder.checkpoints / "ckpt_000004.pt").is_file()
            return Action.STOP
        return Action.CONTINUE

    trainer = trainer_of(callback)
    assert not trainer.run()
    assert trainer.iteration == 5


def test_a_run_goes_on_after_it_was_saved(trainer_of: Make) -> None:
    """Also if the callback always wants the same of the same iteration."""
    trainer = trainer_of(lambda step: {3: Action.SAVE, 6: Action.STOP}.get(step.iteration))
    assert not trainer.run()
    assert trainer.iteration == 6


def test_a_callback_that_fails_is_left_alone(trainer_of: Make) -> None:
    calls: list[int] = []

    def callback(step: Step) -> Action:
        calls.append(step.iteration)
        raise RuntimeError("the window is gone")

    trainer = trainer_of(callback)
    with pytest.warns(UserWarning, match="the window is gone"):
        assert trainer.run()
    assert calls == [1]


def test_control_c_ends_a_pause(trainer_of: Make) -> None:
    """And the run, which saves as always."""

    def callback(step: Step) -> Action:
        if step.iteration == 3:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start() if not started else None
            started.append(1)
            return Action.WAIT
        return Action.CONTINUE

    started: list[int] = []
    trainer = trainer_of(callback)
    assert not trainer.run()
    assert trainer.iteration == 3
    assert (trainer.folder.checkpoints / "ckpt_000003.pt").is_file()


def test_without_a_callback() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CallbackGuard(None)(None) is Action.CONTINUE  # type: ignore[arg-type]
