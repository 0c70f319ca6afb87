"""Checkpoint files: tensors and plain values, read with `weights_only=True`, so that a foreign file cannot run code."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from splat.errors import InputError
from splat.io.atomic_file import replacing

VERSION = 1


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, flushed, then renamed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    # Through a file of Python's, whose errors say what is the matter. torch's writer then fails once more while it closes
    # the archive, with a RuntimeError about positions in the file, behind which the cause is found.
    with replacing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save({"version": VERSION, **state}, file)
        except RuntimeError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            raise (error if cause is None else cause) from None


def read_checkpoint(path: Path, mmap: bool = False) -> dict[str, Any]:
    """What `write_checkpoint` has written.

    Args:
        mmap: leave tensors in the file until they are used.

    Raises:
        InputError: it is gone, damaged, or of another version.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        if state["version"] != VERSION:
            raise ValueError(f"it is of version {state['version']}, this program writes {VERSION}")
        return state
    except FileNotFoundError:
        raise InputError(f"{path}: the checkpoint is gone; runs keep only the latest ones") from None
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        EOFError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read: not a checkpoint, or damaged ({reason})") from None
