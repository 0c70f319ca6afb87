"""Checkpoints: the one just written always stays, whatever lies beside it."""

import errno
import io
import random
from pathlib import Path

import pytest
import torch

from splat.errors import InputError
from splat.io import checkpoint_file
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_checkpoints_are_refused(tmp_path: Path, legacy: bool) -> None:
    """Files of before PyTorch 1.6 too, whose reader raises all kinds of errors."""
    state = {"version": 1, "a": torch.arange(4.0), "b": [1, "x"]}
    torch.save(state, tmp_path / "good.pt", _use_new_zipfile_serialization=not legacy)
    good, path = (tmp_path / "good.pt").read_bytes(), tmp_path / "bad.pt"
    choose = random.Random(0)
    for _ in range(200):
        damaged = bytearray(good)
        for _ in range(choose.randint(1, 4)):
            place = choose.randrange(len(damaged))
            damaged[place : place + choose.randint(0, 3)] = choose.randbytes(choose.randint(0, 2))
        path.write_bytes(damaged)
        try:
            checkpoint_file.read_checkpoint(path)
        except InputError as error:
            assert str(path) in str(error)


def test_old_checkpoints_go(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for iteration in (5, 10, 15, 20):
        save_checkpoint(run, iteration, {}, keep=2)
    assert list(run.saved_checkpoints()) == [15, 20]


class FullDisk(io.FileIO):
    """A file on a disk with room for so many bytes."""

    room = 0

    def write(self, data: bytes) -> int:
        if self.tell() + memoryview(data).nbytes > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 1, 64, 900, 200_000, 400_900, 421_000])
@pytest.mark.parametrize("buffer", [0, 1 << 13, 1 << 20])
def test_a_full_disk_is_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, buffer: int) -> None:
    """Wherever in the file it happens; torch itself speaks of positions."""
    run, state = Run(tmp_path), {"a": torch.zeros(100_000), "b": {"c": torch.ones(5000)}}
    save_checkpoint(run, 10, state, keep=2)

    def open_full(path: Path, mode: str) -> io.RawIOBase | io.BufferedWriter:
        file = FullDisk(path, mode)
        file.room = room
        return io.BufferedWriter(file, buffer) if buffer else file

    monkeypatch.setattr(checkpoint_file, "open", open_full, raising=False)
    with pytest.raises(OSError, match="No space left") as error:
        save_checkpoint(run, 20, state, keep=2)
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(run.checkpoint_file(20))
    assert [path.name for path in run.checkpoints.iterdir()] == ["ckpt_000010.pt"]
    assert torch.equal(load_latest_checkpoint(run)[0]["a"], state["a"])
