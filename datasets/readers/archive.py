"""Captures in a zip file, unpacked beside it: photos.zip to photos/. Nothing of it is written anywhere else."""

import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from splat.errors import InputError
from splat.io.progress import counted
from splat.io.wording import listed

SUFFIXES = (".zip", ".r3d")
"""Of zip files that may hold a capture; .r3d is Record3D's."""

RESERVE = 1 << 28
"""Bytes of the disk that are left free."""

DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, UnicodeError, ValueError)
TEXTS = ("readme", "license", "licence", "copying", "changelog")
"""How files for people begin that lie beside a capture."""
MOST_MEMBERS = 1_000_000
BLOCK = 1 << 20
UTF8 = 1 << 11
"""Flag of a member whose name is UTF-8."""


def is_archive(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


@dataclass(frozen=True)
class Unpacked:
    """Where the files of a zip are."""

    folder: Path
    new: bool  # whether they were not there before
    notes: tuple[str, ...] = ()  # what was left out


def unpack(path: Path, into: Path | None = None, *, progress: bool = False) -> Unpacked:
    """Unpack a zip into a folder of its name beside it; a folder that holds its files already is used as it is.

    What macOS adds (__MACOSX, .DS_Store) and links are left out.

    Args:
        into: where that folder is to be, if not beside the zip.
        progress: show how far it is.

    Raises:
        InputError: it is damaged or encrypted, names files outside of its folder, is larger than the disk has room for, or the
            folder is there with other files; the message says what to do.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members, notes = _members(path, archive)
            target = (into or path.parent) / path.stem
            if target.exists() or target.is_symlink():
                _check_same(path, target, members)
                return Unpacked(_inner(target), False, notes)
            _check_room(path, members, target.parent)
            _extract(path, archive, members, target, progress)
            return Unpacked(_inner(target), True, notes)
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: cannot be unpacked ({error}); it is damaged or not a zip file: copy it again"
        ) from error
    except (OSError, RuntimeError, MemoryError, OverflowError) as error:  # RuntimeError: encrypted, and no password
        raise InputError(
            f"{path}: cannot be unpacked to {into or path.parent} ({error}); unpack it by hand, and name the folder"
        ) from error


def _members(path: Path, archive: zipfile.ZipFile) -> tuple[dict[PurePosixPath, zipfile.ZipInfo], tuple[str, ...]]:
    """The files by their place in the folder, and sentences on what is left out."""
    if len(archive.infolist()) > MOST_MEMBERS:
        raise InputError(
            f"{path}: holds more than {MOST_MEMBERS:,} files; unpack what is needed by hand, and name the folder"
        )
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    links = []
    for info in archive.infolist():
        place = PurePosixPath(_name(info).replace("\\", "/"))
        if info.is_dir() or not place.parts:
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            links.append(place)
            continue
        if place.parts[0] == "__MACOSX" or place.name == ".DS_Store":
            continue
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0] or "\0" in info.filename:
            raise InputError(
                f"{path}: names a file outside of its folder ({info.filename[:80]!r}); it was not unpacked"
            )
        if info.flag_bits & 1:
            raise InputError(f"{path}: is encrypted; unpack it by hand, and name the folder")
        if place in members:
            raise InputError(f"{path}: holds two files named {place}; unpack it by hand, and name the folder")
        members[place] = info
    if not members:
        raise InputError(f"{path}: holds no files")
    notes = (f"{path}: links were not unpacked: {listed(links)}",) if links else ()
    return members, notes


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name. Many programs write UTF-8 without the flag that says so, and zipfile takes it for DOS's code page."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _check_same(path: Path, target: Path, members: dict[PurePosixPath, zipfile.ZipInfo]) -> None:
    for place, info in members.items():
        file = target / place
        if not file.is_file() or file.stat().st_size != info.file_size:
            raise InputError(
                f"{path}: {target} is there and has not the same files ({place} differs); name that folder to use it as it is, "
                "or move it away to unpack the zip again"
            )


def _check_room(path: Path, members: dict[PurePosixPath, zipfile.ZipInfo], folder: Path) -> None:
    total = sum(info.file_size for info in members.values())
    room = shutil.disk_usage(folder).free - RESERVE
    if total > room:
        raise InputError(
            f"{path}: its files take {total / 1e9:.1f} GB, and the disk has room for {max(room, 0) / 1e9:.1f} GB; unpack it "
            "elsewhere, and name the folder"
        )


def _extract(
    path: Path,
    archive: zipfile.ZipFile,
    members: dict[PurePosixPath, zipfile.ZipInfo],
    target: Path,
    progress: bool,
) -> None:
    """Into a folder of another name first, so that a whole one is seen or none."""
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=target.parent))
    try:
        for place, info in counted(members.items(), "unpacking", unit="file", shown=progress):
            file = partial / place
            file.parent.mkdir(parents=True, exist_ok=True)
            written = 0
            with archive.open(info) as source, open(file, "xb") as sink:
                while block := source.read(BLOCK):
                    written += len(block)
                    if written > info.file_size:
                        raise InputError(f"{path}: {place} is larger than it states; the zip is damaged, copy it again")
                    sink.write(block)
            if written != info.file_size:
                raise InputError(f"{path}: {place} is shorter than it states; the zip is damaged, copy it again")
        partial.chmod(0o777 & ~_umask())
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _inner(folder: Path) -> Path:
    """The one folder in it, and in that one, where nothing else is but texts for people, as most programs pack a folder."""
    inside = [path for path in folder.iterdir() if path.is_dir() or not path.name.lower().startswith(TEXTS)]
    if len(inside) == 1 and inside[0].is_dir() and inside[0].name not in ("images", "sparse", "keyframes"):
        return _inner(inside[0])
    return folder
