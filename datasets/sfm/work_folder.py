"""What structure from motion has done so far, kept in OUT/work until the capture is there, so that it can go on."""

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splat.errors import InputError
from splat.io.atomic_file import replacing

VERSION = 3
"""Of what lies in a work folder; another one is begun anew."""
FINISHED = "work-finished"
"""Name of a work folder that is no longer needed."""
MADE = ("work", FINISHED, "images", "masks", "sparse", "photos.json", "matches.png")
"""What `splat photos` writes into its folder."""


@dataclass(frozen=True)
class WorkFolder:
    """The files of the steps.

    photos/ and masks/ are as COLMAP wants them, features.db has features and matches, attempts/ the scenes that came out.
    """

    path: Path
    resumed: bool  # whether something had been done before

    @property
    def photos(self) -> Path:
        return self.path / "photos"

    @property
    def masks(self) -> Path:
        return self.path / "masks"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    def database(self, masked: bool) -> Path:
        """Features and matches; without masks those lie in a file of their own."""
        return self.path / ("features.db" if masked else "features-unmasked.db")

    def note(self, name: str, value: Any) -> None:
        """Keep a fact for whoever goes on."""
        with replacing(self.path / f"{name}.json") as file:
            file.write_text(json.dumps(value, indent=1))

    def noted(self, name: str) -> Any:
        """A fact that was kept, or None."""
        try:
            return json.loads((self.path / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None


def is_unfinished(out: Path) -> bool:
    """Whether `out` holds work that was cut off."""
    return (out / "work").is_dir()


def open_work(out: Path, sources: Sequence[Path], settings: dict[str, Any], overwrite: bool = False) -> WorkFolder:
    """The work folder in `out`: a new one, or that of the same photos whose work was cut off.

    Args:
        sources: files that the result depends on; they are compared by size and time.
        settings: what else the work that can be kept depends on.
        overwrite: begin anew, whatever `splat photos` has left there.

    Raises:
        InputError: `out` holds something else.
    """
    work = out / "work"
    begun = {"version": VERSION, "settings": settings, "sources": [_stamp(path) for path in sources]}
    if overwrite:
        _clear(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose another name")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        if not is_unfinished(out):
            made = (out / "photos.json").is_file()
            remedy = "choose another name" + (", or start over with --overwrite" if made else "")
            raise InputError(f"{out}: exists and is not an empty folder; {remedy}")
        found = WorkFolder(work, resumed=True)
        before = found.noted("begun")
        if before == begun:
            return found
        if isinstance(before, dict) and before.get("version", VERSION) != VERSION:
            warnings.warn(f"{out}: unfinished work of another version of splat is begun anew", stacklevel=2)
            shutil.rmtree(work)
        elif any(work.iterdir()):
            what = "on other photos, or on these before they were changed"
            if isinstance(before, dict) and before.get("sources") == begun["sources"]:
                kept = before.get("settings") or {}
                what = "with other options (" + ", ".join(f"{name}: {value}" for name, value in kept.items()) + ")"
            raise InputError(
                f"{out}: holds unfinished work {what}; choose another name, or start over with --overwrite"
            )
    work.mkdir(parents=True, exist_ok=True)
    made_now = WorkFolder(work, resumed=False)
    made_now.note("begun", begun)
    return made_now


def _clear(out: Path) -> None:
    """Remove what an earlier `splat photos` has written into a folder, and nothing else.

    Raises:
        InputError: it is no such folder.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_unfinished(out) and not (out / "photos.json").is_file():
        raise InputError(f"{out}: was not made by `splat photos`, and is left as it is; choose another name")
    for name in MADE:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
