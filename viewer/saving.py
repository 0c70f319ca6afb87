"""Where browsers may write: the folders that the server was given, and nowhere else."""

from collections.abc import Sequence
from pathlib import Path

from splat.errors import InputError
from splat.viewer.slots import SceneSlot


def given_folders(run: Path | None, slots: Sequence[SceneSlot]) -> list[Path]:
    """The run that is shown, and the folders that scenes were opened from; none for scenes that came from nowhere."""
    found = [] if run is None else [run]
    for slot in slots:
        if slot.path is not None:
            found.append(slot.path if slot.path.is_dir() else slot.path.parent)
    return list(dict.fromkeys(folder.resolve() for folder in found))


def allowed_file(name: str, folders: Sequence[Path], *, overwrite: bool = False) -> Path:
    """The file that a client names, if it may be written: in one of the folders, or below.

    Args:
        name: relative to the first folder, or absolute. Links are followed before it is compared.

    Raises:
        InputError: it lies elsewhere, exists, or is no name of a file.
    """
    roots = [folder.resolve() for folder in folders]
    where = " or ".join(map(str, roots))
    if not roots or not name.strip() or "\0" in name or len(name) > 1000:
        raise InputError(f"give a name of a file in {where}")
    try:
        file = (roots[0] / name.strip()).resolve()
        exists = file.exists()
    except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
        raise InputError(f"{name[:100]}: not a name of a file ({error})") from None
    if not any(file.is_relative_to(root) for root in roots):
        raise InputError(f"{name}: only files in {where} can be written from here")
    if file.is_dir() or file in roots:
        raise InputError(f"{name}: is a folder; give the name of a file in it")
    if exists and not overwrite:
        raise InputError(f"{name}: exists already; choose another name, or tick overwrite")
    return file
