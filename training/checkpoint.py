"""Checkpoints: everything a run needs to go on exactly as if it had never stopped.

Written to a temporary name, flushed, then renamed: a kill at any moment leaves the previous checkpoint whole. They hold
tensors and plain values only, and are read with `weights_only=True`, so a foreign file cannot run code.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.run import Run

VERSION = 1


def save_checkpoint(run: Run, iteration: int, state: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint and delete all but the latest `keep`."""
    path = run.checkpoint_file(iteration)
    with replacing(path) as temporary:
        torch.save({"version": VERSION, "iteration": iteration, **state}, temporary)
    for old in list(run.saved_checkpoints().values())[:-keep]:
        old.unlink()
    return path


def load_latest_checkpoint(run: Run) -> tuple[dict[str, Any], list[str]]:
    """The latest checkpoint that can be read, and a note for each later one that cannot.

    Raises:
        InputError: there is none.
    """
    notes: list[str] = []
    for path in reversed(run.saved_checkpoints().values()):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["version"] != VERSION:
                raise ValueError(f"it is of version {state['version']}, this program writes {VERSION}")
            return state, notes
        except (
            OSError,
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            EOFError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            notes.append(f"{path} cannot be read ({reason}); going back to the one before")
    tried = "".join(f"\n  {note}" for note in notes)
    raise InputError(f"{run.checkpoints}: no checkpoint to resume from; start again with `overwrite`{tried}")
