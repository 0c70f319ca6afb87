"""Checkpoints: everything a run needs to go on exactly as if it had never stopped.

What a resume restores is what `Trainer.state_dict` (trainer.py) puts into one:

- the Gaussians, both moments of Adam, the number of steps, what the strategy remembers of every Gaussian;
- gradients of a step that is not taken yet;
- what is learned per photo: poses, exposures, bilateral grids; the sky; the sorted grid;
- the random generator, the photos of this round that have not been used, the iteration and the time spent.

The settings come from config.json (config.py); `resumed_settings` says which of them may change. On a CPU a resumed run gives
the same bits as one that never stopped. A kill at any moment leaves the previous checkpoint whole.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from splat.errors import InputError
from splat.io.checkpoint_file import read_checkpoint, write_checkpoint
from splat.run import Run
from splat.training.config import TrainConfig

MAY_CHANGE = {
    "iterations": "a run may be made longer; schedules follow the new length",
    "time_limit": "the same, in time",
    "lr": "a run that diverged may go on with lower rates",
    "save_every": "says when to write, not what",
    "keep_checkpoints": "says what to keep of what is written",
    "image_cache": "memory, which another machine has more or less of",
    "device": "the run may go on elsewhere",
    "threads": "the run may go on elsewhere",
    "tensorboard": "another record of the same run",
    "lpips": "measured at the end",
}
"""Settings that may be given anew when a run is resumed, each with the reason. Everything else would make another run of
it: other photos, another loss, a state that does not fit."""


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


def resumed_settings(run: TrainConfig, asked: TrainConfig | None, given: Collection[str] | None = None) -> TrainConfig:
    """The settings of a run, with those that are asked for now.

    Args:
        given: names of the settings that were asked for, as `TrainConfig.flat` has them; unless given, those that differ
            from the defaults.

    Raises:
        InputError: a setting is asked for that cannot change; the message names all of them.
    """
    if asked is None:
        return run
    before = run.flat()
    usual = TrainConfig(densify=type(asked.densify)()).flat() | {"densify": TrainConfig().densify.name}

    changed = {
        name: value
        for name, value in asked.flat().items()
        if (value != usual[name] if given is None else name in given) and value != before.get(name)
    }
    fixed = [
        f"`{name}` {value}" + (f" (the run has {before[name]})" if name in before else "")
        for name, value in changed.items()
        if name.partition(".")[0] not in MAY_CHANGE
    ]
    if fixed:
        raise InputError(
            f"`resume` goes on with the settings of the run, which cannot become {', '.join(fixed)}. Leave them out, or "
            f"start again with `overwrite`; what may change is {', '.join(f'`{name}`' for name in MAY_CHANGE)}"
        )
    return run.with_values(changed)
