"""Finds photos, masks and depth maps by the names that a capture gives them, wherever they have been moved since.

A name is first taken as it is. Else the file is meant whose path ends like the name, over as many parts as possible:
captures are copied between machines, their folders renamed, photos converted. Upper and lower case, `\\` and `/`, the
suffix and the form of accented letters (macOS writes them as two characters) make no difference, unless they decide
between two files. Nothing is guessed: two files that fit equally well are an error that names them.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from splat.datasets.images.file_kinds import (
    PHOTO_SUFFIXES,
    PLAIN_SUFFIXES,
    RAW_SUFFIXES,
    MissingPhoto,
    UnusablePhoto,
    open_image,
)

EXACT = 1 << 20
"""Length of a match where the file lies exactly where its name says."""


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key by which 10.jpg comes after 9.jpg; upper and lower case decide only between names that are else the same."""
    parts = re.split(r"([0-9]{1,18})", name.lower())
    return [(int(part) if place % 2 else -1, part) for place, part in enumerate(parts)], name


@dataclass(frozen=True)
class Match:
    """A file, and over how many parts from the end its path is as the name says."""

    path: Path
    length: int


@dataclass(frozen=True)
class _Entry:
    path: Path
    parts: tuple[str, ...]  # below the folder, comparable, the last one without its suffix
    suffix: str


@dataclass(frozen=True)
class _Fit:
    name: str
    length: int
    entries: list[_Entry]


class PhotoIndex:
    """The images below a folder, by name.

    Args:
        folder: what names are relative to, if to anything.
        suffixes: of the files that count; None for photos.
        below: the part of the folder that is looked through; all of it unless given.
        leave_out: names of folders that are not looked through.
        deep: look through folders in it, too.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: Collection[str] | None = None,
        *,
        below: Path | None = None,
        leave_out: Collection[str] = (),
        deep: bool = True,
    ) -> None:
        self.folder, self.below = folder, folder if below is None else below
        self.suffixes = (*PHOTO_SUFFIXES, *RAW_SUFFIXES) if suffixes is None else tuple(suffixes)
        self.bare = suffixes is None  # whether files without a suffix count, too, if they are images
        self.leave_out, self.deep = leave_out, deep
        self._by_stem: dict[str, list[_Entry]] | None = None

    @property
    def files(self) -> list[Path]:
        """All images by their suffixes, in the order of their paths."""
        return sorted(entry.path for entries in self._entries.values() for entry in entries if entry.suffix)

    @property
    def _entries(self) -> dict[str, list[_Entry]]:
        """Read when it is first needed: where every photo lies where its name says, no folder has to be looked through."""
        if self._by_stem is None:
            self._by_stem = {}
            for path in _walk(self.below, self.leave_out, self.deep):
                suffix = path.suffix.lower()
                if suffix in self.suffixes or (self.bare and not suffix):
                    stem = "".join(_parts(path.stem))
                    parts = (*_parts(path.parent.relative_to(self.folder).as_posix()), stem)
                    self._by_stem.setdefault(stem, []).append(_Entry(path, parts, suffix))
        return self._by_stem

    def find(self, name: str, endings: Sequence[str] = ("",), at_least: int = 1) -> Match | None:
        """The file that is meant by a name, or None.

        Args:
            name: as a capture writes it, a path of this or another system.
            endings: what may follow the name, with or without its suffix, in the order of preference.
            at_least: parts from the end that must be as the name says.

        Raises:
            UnusablePhoto: several files fit equally well, or the one that does holds no image.
        """
        exact = exact_file(self.below, name) if "" in endings else None
        if exact is not None and exact.suffix.lower() in self.suffixes and exact.suffix.lower() not in RAW_SUFFIXES:
            return Match(exact, EXACT)
        match = self._longest(name, endings, at_least)
        if match is not None and match.path != exact:
            return match
        return None if exact is None else Match(exact, EXACT)

    def find_all(self, names: Sequence[str], endings: Sequence[str] = ("",)) -> list[Match | UnusablePhoto | None]:
        """The file of every name; why there is none where several fit, and None where none does.

        A file belongs to one name, the one that it fits best: if `b/1.jpg` is gone, `a/1.jpg` is not taken for it.
        """
        found: list[Match | UnusablePhoto | None] = []
        for name in names:
            try:
                found.append(self.find(name, endings))
            except UnusablePhoto as reason:
                found.append(reason)
        claims: dict[Path, list[int]] = {}
        for row, match in enumerate(found):
            if isinstance(match, Match):
                claims.setdefault(match.path, []).append(row)
        for path, rows in claims.items():
            lengths = {row: match.length for row in rows if isinstance(match := found[row], Match)}
            best = [row for row in rows if lengths[row] == max(lengths.values())]
            same = len({tuple(_parts(names[row])) for row in best}) == 1
            for row in rows:
                if row not in best:
                    found[row] = None
                elif not same:
                    other = next(names[there] for there in best if there != row)
                    found[row] = UnusablePhoto(f"is ambiguous: {self._shown(path)} fits {other} equally well")
        return found

    def _longest(self, name: str, endings: Sequence[str], at_least: int) -> Match | None:
        """The one file whose path is as the name says over the most parts."""
        fits = [self._candidates(written, endings) for written in dict.fromkeys((name, unquote(name)))]
        fit = max(fits, key=lambda fit: fit.length)  # the name as it is, where it is no worse than without its %20
        if fit.length < max(at_least, 1):
            return None
        parts, length, best = _parts(fit.name), fit.length, fit.entries
        stem, suffix = _split(parts[-1])
        written = PurePosixPath(fit.name.replace("\\", "/")).parts
        decisive: list[Callable[[_Entry], bool]] = [
            lambda entry: os.path.isfile(entry.path),
            lambda entry: bool(entry.suffix),
            lambda entry: entry.suffix not in RAW_SUFFIXES,
            lambda entry: entry.suffix == suffix,
            lambda entry: len(entry.parts) == len(parts) == length,
            lambda entry: entry.path.parts[-length:] == written[-length:],
            lambda entry: (*entry.path.parts[-length:-1], entry.path.stem) == (*written[-length:-1], stem),
        ]
        for decides in decisive:
            best = [entry for entry in best if decides(entry)] or best
        if len({os.path.realpath(entry.path) for entry in best}) > 1:
            shown = ", ".join(self._shown(entry.path) for entry in best[:4]) + (", ..." if len(best) > 4 else "")
            raise UnusablePhoto(f"is ambiguous: {len(best)} files fit equally well ({shown})")
        _check_file(best[0].path)
        return Match(best[0].path, length)

    def _candidates(self, name: str, endings: Sequence[str]) -> "_Fit":
        """The files that a name fits over the most parts, with the first ending of which there are any."""
        parts = _parts(name)
        if not parts:
            return _Fit(name, 0, [])
        *folders, last = parts
        stem = _split(last)[0]
        bases = (stem, last) if tuple(endings) == ("",) else (last, stem)
        best = _Fit(name, 0, [])
        for key in dict.fromkeys(base + ending for base in bases for ending in endings):
            entries = self._entries.get(key, [])
            lengths = [1 + _same_from_the_end(folders, entry.parts[:-1]) for entry in entries]
            length = max(lengths, default=0)
            if length > best.length:
                best = _Fit(name, length, [entry for entry, own in zip(entries, lengths, strict=True) if own == length])
        return best

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def exact_file(folder: Path, name: str) -> Path | None:
    """The file that lies where a name says; one without a suffix may be any photo of that name, as in Blender's captures."""
    written = name.replace("\\", "/")
    suffixes = () if _split(written.lower())[1] else (*PLAIN_SUFFIXES, ".PNG", ".JPG", ".JPEG")
    for tried in (name, written, *(written + suffix for suffix in suffixes)):
        try:
            if tried and (folder / tried).is_file():
                return folder / tried
        except OSError:  # a name that no file can have
            return None
    return None


def _check_file(path: Path) -> None:
    """
    Raises:
        UnusablePhoto: a file that an image's name stands for holds none: a link to nothing, a pipe, any file without a suffix.
    """
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        raise MissingPhoto(f"is a link to {os.readlink(path)}, which is not there ({path})") from None
    except OSError as error:
        raise UnusablePhoto(f"cannot be read ({error.strerror}; {path})") from None
    if not is_file:
        raise UnusablePhoto(f"is a pipe, a socket or a device, and no file ({path})")
    if path.suffix:
        return
    try:
        with open_image(path):
            pass
    except UnusablePhoto:
        raise UnusablePhoto(f"is not there; {path}, which has no suffix, is not an image that can be read") from None


def _walk(folder: Path, leave_out: Collection[str], deep: bool) -> Iterator[Path]:
    """Files below a folder, links followed; not those that systems keep for themselves."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link in a circle, or a second way to the same folder
            folders.clear()
            continue
        seen.add(real)
        kept = sorted(name for name in folders if not _is_system(name) and name not in leave_out) if deep else []
        folders[:] = kept
        for name in sorted(files):
            if not _is_system(name):
                yield Path(place, name)


def _is_system(name: str) -> bool:
    """Hidden files, and the thumbnails and resource forks that systems put beside photos."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "Thumbs.db")


def _parts(name: str) -> list[str]:
    """The parts of a path, such that those of equal meaning are equal."""
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    text = unicodedata.normalize("NFC", text.casefold())
    return [part.strip() for part in text.split("/") if part.strip() not in ("", ".")]


def _split(last: str) -> tuple[str, str]:
    """Stem and suffix of a file's name, if it is the suffix of an image: `frame.0001` has none."""
    stem, dot, suffix = last.rpartition(".")
    known = dot + suffix in (*PHOTO_SUFFIXES, *RAW_SUFFIXES) and bool(stem)
    return (stem, dot + suffix) if known else (last, "")


def _same_from_the_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts are equal."""
    same = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        same += 1
    return same
