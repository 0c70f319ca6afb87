"""Checkpoints: the one just written always stays, whatever lies beside it."""

from pathlib import Path

import pytest

from splat.run import Run
from splat.training.checkpoint import load_latest_checkpoint, save_checkpoint


@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_later_checkpoint_does_not_displace_the_good_ones(tmp_path: Path, keep: int) -> None:
    run = Run(tmp_path)
    save_checkpoint(run, 10, {"value": 1}, keep)
    run.checkpoint_file(20).write_bytes(b"half of a checkpoint")
    state, notes = load_latest_checkpoint(run)
    assert state["iteration"] == 10 and len(notes) == 1
    save_checkpoint(run, 15, {"value": 2}, keep)
    assert load_latest_checkpoint(run)[0]["iteration"] == 15
    assert len(run.saved_checkpoints()) == keep


def test_old_checkpoints_go(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for iteration in (5, 10, 15, 20):
        save_checkpoint(run, iteration, {}, keep=2)
    assert list(run.saved_checkpoints()) == [15, 20]
