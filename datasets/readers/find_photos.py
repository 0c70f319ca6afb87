"""Which file each photo of a capture is: in the folder of photos, beside the model, or wherever they have been moved to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.images.photo_index import EXACT, Match, PhotoIndex, exact_file, natural
from splat.errors import InputError
from splat.io.wording import listed, number_of

USUAL_FOLDER = "images"
"""Where photos are unless something else is said."""
NOT_PHOTOS = ("mask", "depth", "normal", "segment", "sparse")
"""Folders with these words in their names hold other images than photos, often under the photos' names."""
SHOWN = 8
"""Names that a sentence lists at most."""


@dataclass(frozen=True)
class FoundPhotos:
    """The file of every photo, in the order of the names; where there is none, why."""

    files: list[Path | UnusablePhoto]
    notes: list[str]


def find_photos(names: Sequence[str], capture: Path, images: str, base: Path | None = None) -> FoundPhotos:
    """Find the photos of a model.

    Args:
        names: as the model writes them.
        capture: its folder.
        images: the folder of photos in it. If it is the usual one and has none of them, another one that does is taken.
        base: the folder that names are relative to, where it is not that of the photos (transforms.json).

    Raises:
        InputError: there is no such folder, several hold the photos, or it holds others only; the message names them.
    """
    folder, chosen = capture / images, Path(images) != Path(USUAL_FOLDER)
    notes: list[str] = []
    found: list[Match | UnusablePhoto | None] = [None] * len(names)
    if base is not None and not chosen:
        found = [_exact(base, name) for name in names]
    exact = any(match is not None for match in found)
    rest = [row for row, match in enumerate(found) if match is None]
    if exact:
        # What is not where the model says is probably gone: only where its folder fits, too, is no other image meant.
        whole, loose = PhotoIndex(capture), PhotoIndex(capture, deep=False)
        _fill(found, rest, [_find(whole, names[row], at_least=2) or _find(loose, names[row]) for row in rest])
    elif folder.is_dir():
        _fill(found, rest, PhotoIndex(folder).find_all([names[row] for row in rest]))
    elif chosen:
        raise InputError(f"{folder}: no such folder of photos; name it with `images`{_hint(names, capture)}")
    nowhere = bool(rest) and not any(found)
    if nowhere and chosen:
        raise InputError(
            f"{folder}: has none of the {len(names)} photos{_held(folder)}; name their folder with `images`"
            f"{_hint(names, capture)}"
        )
    if chosen and base is not None:
        _beside_the_model(found, names, base, images, notes)
    if nowhere:
        place = _other_folder(names, capture, folder, base)
        if place is not None:
            other, matches = place
            _fill(found, rest, matches)
            reason = "has none of the photos" if folder.is_dir() else "is not there"
            where = "the capture's own folder" if other == capture else f"{other.name}/"
            notes.append(f"{folder} {reason}: {_count(matches)} of {len(names)} photos are taken from {where}")
        elif held := _held(folder):
            raise InputError(
                f"{folder}: has none of the {len(names)} photos, such as {names[0]}{held}; give them back the names that the "
                f"model has, or name the right folder with `images`"
            )
    notes += _moved(found, names, capture, quiet=chosen and base is not None)
    looked = folder if folder.is_dir() else capture
    index = PhotoIndex(looked)
    owners = {match.path: name for match, name in zip(found, names, strict=True) if isinstance(match, Match)}
    files = [
        match.path if isinstance(match, Match) else match or _missing(index, name, owners)
        for match, name in zip(found, names, strict=True)
    ]
    return FoundPhotos(files if base is not None else _distinct(files, names), notes)


def _missing(index: PhotoIndex, name: str, owners: Mapping[Path, str]) -> MissingPhoto:
    """Why a photo has no file: the one like it may be another photo's."""
    near = _find(index, name)
    if near is None:
        return MissingPhoto(f"is not there (nothing like it below {index.folder})")
    if isinstance(near, UnusablePhoto):
        return MissingPhoto(f"is not there (what is like it {near})")
    owner = owners.get(near.path)
    return MissingPhoto(
        f"is not there ({near.path} is {'in another place' if owner is None else f'the file of {owner}'})"
    )


def _distinct(files: list[Path | UnusablePhoto], names: Sequence[str]) -> list[Path | UnusablePhoto]:
    """Photos of one file have several poses, of which none is certain."""
    rows: dict[Path, list[int]] = {}
    for row, file in enumerate(files):
        if isinstance(file, Path):
            rows.setdefault(file.resolve(), []).append(row)
    distinct = list(files)
    for file, same in rows.items():
        for row in same if len(same) > 1 else ():
            others = listed(names[other] for other in same if other != row)
            distinct[row] = UnusablePhoto(f"is the same file as {others}, {file}, so no pose of it is certain")
    return distinct


def other_places(names: Sequence[str], capture: Path, folder: Path) -> list[tuple[str, int]]:
    """Folders inside a capture besides one that hold photos of these names, and how many, the most first."""
    places = [(place, _count(matches)) for place, matches in _candidates(names, capture, folder)]
    held = [("." if place == capture else place.name, count) for place, count in places if count]
    return sorted(held, key=lambda place: (-place[1], place[0]))


def _held(folder: Path) -> str:
    """What else a folder holds, for the middle of a message."""
    if not folder.is_dir():
        return ""
    held = sorted((path.relative_to(folder).as_posix() for path in PhotoIndex(folder).files), key=natural)
    return f", but {number_of(len(held), 'photo')} of other names ({listed(held)})" if held else ""


def _hint(names: Sequence[str], capture: Path) -> str:
    """Where the photos may be, for the end of a message."""
    places = other_places(names, capture, capture / "\0")
    if places:
        return "; photos of these names are in " + ", ".join(f"{name} ({count})" for name, count in places[:SHOWN])
    folders = sorted(path.name for path in capture.iterdir() if path.is_dir() and path.name != "sparse")
    return f"; folders there: {', '.join(folders[:SHOWN])}" if folders else ""


def _exact(base: Path, name: str) -> Match | None:
    path = exact_file(base, name)
    return None if path is None else Match(path, EXACT)


def _find(index: PhotoIndex, name: str, at_least: int = 1) -> Match | UnusablePhoto | None:
    try:
        return index.find(name, at_least=at_least)
    except UnusablePhoto as reason:
        return reason


def _fill(
    found: list[Match | UnusablePhoto | None], rows: Sequence[int], matches: Sequence[Match | UnusablePhoto | None]
) -> None:
    """Put matches where they belong, unless another name has the file already."""
    taken = {match.path for match in found if isinstance(match, Match)}
    for row, match in zip(rows, matches, strict=True):
        if not (isinstance(match, Match) and match.path in taken):
            found[row] = match


def _beside_the_model(
    found: list[Match | UnusablePhoto | None], names: Sequence[str], base: Path, images: str, notes: list[str]
) -> None:
    """What a chosen folder lacks is read from where the model says; a few photos of another size do no harm."""
    lacking = [row for row, match in enumerate(found) if match is None]
    if len(lacking) == len(names):
        return
    _fill(found, lacking, [_exact(base, names[row]) for row in lacking])
    there = [names[row] for row in lacking if found[row] is not None]
    if there:
        notes.append(
            f"{len(there)} of {len(names)} photos are not in {images} and are read from where the model says: "
            f"{listed(there)}"
        )


def _candidates(
    names: Sequence[str], capture: Path, folder: Path
) -> list[tuple[Path, list[Match | UnusablePhoto | None]]]:
    """The capture's own folder (what lies loose in it) and those inside, each with what it has of the photos."""
    inside = sorted(path for path in capture.iterdir() if path.is_dir() and path != folder and _may_hold_photos(path))
    indices = [PhotoIndex(capture, deep=False), *(PhotoIndex(capture, below=path) for path in inside)]
    return [(index.below, index.find_all(names)) for index in indices]


def _may_hold_photos(folder: Path) -> bool:
    return not folder.name.startswith(".") and not any(word in folder.name.lower() for word in NOT_PHOTOS)


def _other_folder(
    names: Sequence[str], capture: Path, folder: Path, base: Path | None
) -> tuple[Path, list[Match | UnusablePhoto | None]] | None:
    """The one folder that holds the photos, and what it has; None if none does and the names are no folder's.

    Raises:
        InputError: several hold as many, or none does and the folder of photos is not there either.
    """
    candidates = _candidates(names, capture, folder)
    ranked = sorted(candidates, key=lambda candidate: _rank(candidate[1]), reverse=True)
    best, matches = ranked[0]
    if sum(_count(matches) > 0 for _, matches in candidates) > 1:
        # Photos in several folders at once, such as one for each camera of a rig.
        others = [path.name for path in capture.iterdir() if path.is_dir() and not _may_hold_photos(path)]
        together = PhotoIndex(capture, leave_out=others).find_all(names)
        if _count(together) > _count(matches):
            return capture, together
    if not _count(matches):
        if base is None and not folder.is_dir():
            raise InputError(f"{folder}: no such folder of photos; name it with `images`{_hint(names, capture)}")
        return None
    equal = [place for place, those in ranked if _rank(those) == _rank(matches)]
    if len(equal) > 1:
        where = ", ".join("." if place == capture else place.name for place in sorted(equal))
        reason = "has none of the photos" if folder.is_dir() else "no such folder of photos"
        raise InputError(
            f"{folder}: {reason}, and {len(equal)} folders hold {_count(matches)} of {len(names)} each; name one with "
            f"`images`: {where}"
        )
    return best, matches


def _count(matches: Sequence[Match | UnusablePhoto | None]) -> int:
    return sum(isinstance(match, Match) for match in matches)


def _rank(matches: Sequence[Match | UnusablePhoto | None]) -> tuple[int, int]:
    """How many photos are there, and how well their paths fit."""
    return _count(matches), sum(match.length for match in matches if isinstance(match, Match))


def _moved(
    found: Sequence[Match | UnusablePhoto | None], names: Sequence[str], capture: Path, quiet: bool
) -> list[str]:
    """That photos were found by the end of their names."""
    moved = [
        (name, match.path)
        for name, match in zip(names, found, strict=True)
        if isinstance(match, Match) and match.length < EXACT
    ]
    if quiet or not moved:
        return []
    name, path = moved[0]
    place = path.relative_to(capture).as_posix() if path.is_relative_to(capture) else str(path)
    return [
        f"{len(moved)} of {len(names)} photos are not where the model says and were found by the end of their paths, such as "
        f"{place} for {name}"
    ]
