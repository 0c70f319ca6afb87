"""Checkpoints: everything a run needs to go on exactly as if it had never stopped.

What a resume restores is what `Trainer.state_dict` (trainer.py) puts into one:

- the Gaussians, both moments of Adam, the number of steps, what the strategy remembers of every Gaussian;
- gradients of a step that is not taken yet;
- what is learned per photo: poses, exposures, bilateral grids; the sky; the sorted grid;
- the random generator, the photos of this round that have not been used, the iteration and the time spent.

The settings come from config.json (config.py). On a CPU a resumed run gives the same bits as one that never stopped. A kill
at any moment leaves the previous checkpoint whole.
"""

from pathlib import Path
from typing import Any

from splat.errors import InputError
from splat.io.checkpoint_file import read_checkpoint, write_checkpoint
from splat.run import Run


def save_checkpoint(run: Run, iteration: int, state: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint and delete all but the latest `keep`."""
    path = run.checkpoint_file(iteration)
    write_checkpoint(path, {"iteration": iteration, **state})
    others = [
        other for other in run.saved_checkpoints().values() if other != path
    ]  # later ones only if they are damaged
    for old in others[: max(0, len(others) - keep + 1)]:
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
            return read_checkpoint(path), notes
        except InputError as error:
            notes.append(f"{error}; going back to the one before")
    tried = "".join(f"\n  {note}" for note in notes)
    raise InputError(f"{run.checkpoints}: no checkpoint to resume from; start again with `overwrite`{tried}")
