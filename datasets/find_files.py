"""The files of a capture's photos, masks and depth maps, and whether enough of the photos are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splat.datasets.images.companions import DEPTH_SUFFIXES, MASK_SUFFIXES, CompanionIndex
from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.images.photo_index import PhotoIndex, exact_file
from splat.datasets.readers.find_photos import find_photos, other_places
from splat.datasets.readers.model import Model, PosedImage
from splat.errors import InputError
from splat.io.wording import grouped, listed, number_of

USUAL_MASKS = "masks"
SKIP_FRACTION = 0.1
"""A capture of which more than this fraction of the photos that are there cannot be used is an error."""
MISSING_FRACTION = 0.5
"""A capture of which more than this fraction of photos is not there is an error."""
BESIDE = ("_mask", ".mask", "-mask")
"""Ends of the names of masks that lie beside their photos."""
MOST_LINES = 20
"""Of a message."""
FEWEST = 3
"""Photos that must be left where some are not there."""


@dataclass(frozen=True)
class FileOfPhoto:
    """A posed photo with its files."""

    posed: PosedImage
    path: Path
    mask: Path | None
    depth: Path | None


@dataclass(frozen=True)
class FoundFiles:
    """What is there of a capture."""

    photos: list[FileOfPhoto]
    missing: list[tuple[str, str]]  # photos without a file: name, reason
    unusable: list[tuple[str, str]]  # other photos that cannot be used: name, reason
    unposed: list[tuple[str, str]]  # photos that the model has not placed: name, reason
    notes: list[str]


def find_files(model: Model, folder: Path, images: str, masks: str | None, depths: str | None) -> FoundFiles:
    """Where the pixels of every photo come from, and which photos have no file.

    Args:
        folder: of the capture.
        images, masks, depths: folders inside it; None for no masks, no depth maps.

    Raises:
        InputError: a folder that was named is not there, or nothing in it belongs to a photo.
    """
    missing = [(name, "is not there") for name in model.missing]
    unusable = list(model.skipped)
    unplaced = [posed for posed in model.images if posed.path is None]
    found = find_photos([posed.name for posed in unplaced], folder, images) if unplaced else None
    files = {posed.name: file for posed, file in zip(unplaced, found.files, strict=True)} if found else {}
    notes = found.notes if found else []
    photos: list[tuple[PosedImage, Path]] = []
    for posed in model.images:
        file = posed.path or files[posed.name]
        if isinstance(file, Path):
            photos.append((posed, file))
        else:
            (missing if isinstance(file, MissingPhoto) else unusable).append((posed.name, str(file)))
    posed_images = [posed for posed, _ in photos]
    of_masks = _companions(posed_images, [posed.mask for posed in posed_images], folder, masks, "mask")
    of_depths = _companions(posed_images, [posed.depth for posed in posed_images], folder, depths, "depth map")
    kept = []
    for (posed, path), mask, depth in zip(photos, of_masks.files, of_depths.files, strict=True):
        if isinstance(mask, UnusablePhoto):
            unusable.append((posed.name, str(mask)))
        elif isinstance(depth, UnusablePhoto):
            unusable.append((posed.name, str(depth)))
        else:
            kept.append(FileOfPhoto(posed, path, mask, depth))
    found_files = FoundFiles(kept, missing, unusable, [*model.unposed], [*notes, *of_masks.notes, *of_depths.notes])
    if masks is not None:
        found_files.notes.extend(mask_hints(found_files, folder))
    return found_files


def check_any(model: Model, folder: Path, images: str) -> None:
    """That a model has a photo at all.

    Raises:
        InputError: it has none; the message says why not.
    """
    if model.images:
        return
    if model.missing:
        check_enough(folder, images, 0, model.missing, model.skipped)
    reasons = [*model.skipped, *model.unposed]
    if not reasons:
        raise InputError(
            f"{model.source}: the model has no photos; find their cameras again, for example with `splat photos`"
        )
    raise InputError(f"{model.source}: not one of its photos can be used{listed_reasons(reasons)}")


def check_enough(
    capture: Path,
    images: str,
    used: int,
    missing: Sequence[str],
    unusable: Sequence[tuple[str, str]],
    insist: bool = False,
) -> None:
    """Refuse a capture of which too little is left.

    Args:
        capture, images: its folder, and the name of that of the photos.
        used: how many photos are left.
        missing: names of those that are not there.
        unusable: others that cannot be used: name, reason.
        insist: be content with whatever is left.

    Raises:
        InputError: too many photos are missing, or damaged.
    """
    total = used + len(missing) + len(unusable)
    if missing and not (insist and used) and (len(missing) > MISSING_FRACTION * total or used < FEWEST):
        places = other_places(missing, capture, capture / images)
        there = f" ({places[0][1]} of them are in {places[0][0]})" if places else ""
        remedy = f", or train on the {used} that are there with `allow_missing`" if used else ""
        raise InputError(
            f"{capture}: {len(missing)} of {total} photos that the model names are not there: {listed(missing)}; put "
            f"them back, or name their folder with `images`{there}{remedy}{listed_reasons(unusable)}"
        )
    left = total - len(missing)
    if not used or (len(unusable) > SKIP_FRACTION * left and not insist):
        beside = [what for what in ("mask", "depth map") if any(f"has a {what}" in reason for _, reason in unusable)]
        remedy = "fix them" if beside else "fix them, or name the right folder of photos with `images`"
        remedy += "".join(f", or use no {what}s: `{what.split()[0]}s` ''" for what in beside)
        remedy += ", or leave them out with `allow_missing`" if used else ""
        raise InputError(
            f"{capture}: {len(unusable)} of {left} photos cannot be used, more than a tenth; "
            f"{remedy}{listed_reasons(unusable)}"
        )


def listed_reasons(skipped: Sequence[tuple[str, str]]) -> str:
    """Photos that cannot be used, a line for each reason, after a colon."""
    lines = grouped(skipped)
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return "".join((":" * bool(lines), *(f"\n  {line}" for line in (*lines[:MOST_LINES], *more))))


def _inside(folder: Path, name: str) -> Path:
    """A folder inside another, in whatever case its name is written."""
    if not (folder / name).is_dir() and folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name.lower() == name.lower() and path.is_dir():
                return path
    return folder / name


def mask_hints(files: FoundFiles, folder: Path) -> list[str]:
    """Sentences on masks that lie where they are not looked for, of a capture that uses none."""
    if not files.photos or any(file.mask is not None for file in files.photos):
        return []
    places = {file.path.parent for file in files.photos} | {folder}
    names, found = [file.posed.name for file in files.photos], []
    for place in sorted(
        {path for one in places for path in one.iterdir() if "mask" in path.name.lower() and path.is_dir()}
    ):
        count = sum(file is not None for file in CompanionIndex(place, MASK_SUFFIXES).find_all(names))
        where = place.relative_to(folder) if place.is_relative_to(folder) else place
        if count:
            found.append(
                f"{place} holds {number_of(count, 'file')} named like the photos: --masks {where} uses them as masks"
            )
        elif place == folder / USUAL_MASKS:
            found.append(f"{place} holds no masks of these photos")
    photos = {file.path.with_suffix("") for file in files.photos}
    beside = sorted(
        path.name
        for place in places
        for path in place.iterdir()
        if path.suffix.lower() in MASK_SUFFIXES
        and path.stem.endswith(BESIDE)
        and path.with_name(path.stem[: -len(BESIDE[0])]) in photos
    )
    if beside:
        found.append(
            f"{number_of(len(beside), 'file')} beside the photos named like masks ({listed(beside)}); put into "
            f"{folder / USUAL_MASKS} they are used"
        )
    return found


@dataclass(frozen=True)
class _Companions:
    files: list[Path | UnusablePhoto | None]  # one a photo
    notes: list[str]


def _companions(
    photos: Sequence[PosedImage], written: Sequence[str | None], folder: Path, name: str | None, what: str
) -> _Companions:
    """The masks or depth maps of photos: those that the capture names, else those in the folder of this name.

    Raises:
        InputError: the folder was asked for and is not there, or nothing in it belongs to a photo.
    """
    if name is None:
        return _Companions([None] * len(photos), [])
    suffixes = MASK_SUFFIXES if what == "mask" else DEPTH_SUFFIXES
    inside, named = _inside(folder, name), any(file is not None for file in written)
    companions = CompanionIndex(inside, suffixes) if inside.is_dir() else None
    if companions is None and not named and (what != "mask" or name != USUAL_MASKS):
        raise InputError(f"{inside}: no such folder; give the name of one inside the capture")
    beside: list[Path | UnusablePhoto | None] = [None] * len(photos)
    if companions is not None and not companions.index.files and not named and (what != "mask" or name != USUAL_MASKS):
        raise InputError(f"{inside}: holds no {what}s ({', '.join(suffixes)})")
    if companions is not None:
        beside = companions.find_all([posed.name for posed in photos])
        if not named:
            companions.check_use(sum(file is not None for file in beside), what.split()[0])
    if not named:
        return _Companions(beside, [])
    chosen = what != "mask" or name != USUAL_MASKS
    places = [PhotoIndex(inside, suffixes)] if inside.is_dir() else []
    indices = [*((index, 1) for index in places), (PhotoIndex(folder, suffixes), 2)]
    files, lacking = [], []
    for posed, wanted, file in zip(photos, written, beside, strict=True):
        if wanted is not None and not (chosen and file is not None):
            file = _written(folder, wanted, indices, what) or file
            if file is None:
                lacking.append(posed.name)
        files.append(file)
    if not lacking:
        return _Companions(files, [])
    note = (
        f"the {what}s that the capture names for {len(lacking)} of {len(photos)} photos are not there; these photos are used "
        f"without: {listed(lacking)}"
    )
    return _Companions(files, [note])


def _written(
    folder: Path, name: str, indices: Sequence[tuple[PhotoIndex, int]], what: str
) -> Path | UnusablePhoto | None:
    """The file that a capture names as a mask or depth map.

    Args:
        indices: where to look for it if it is not where its name says, and how many parts of its path must fit there: the
            photo itself may have the same name.
    """
    exact = exact_file(folder, name)
    if exact is not None:
        return exact
    for index, at_least in indices:
        try:
            match = index.find(name, at_least=at_least)
        except UnusablePhoto as reason:
            return UnusablePhoto(f"names a {what}, {name}, that {reason}")
        if match is not None:
            return match.path
    return None
