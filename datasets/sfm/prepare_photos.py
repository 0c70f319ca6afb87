"""Photos and masks made ready for COLMAP: upright, of a kind that it reads, named as it wants them."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splat.datasets.images.companions import MASK_SUFFIXES, CompanionIndex, read_mask
from splat.datasets.images.decode import check_whole, decode_upright, stored_size, upright
from splat.datasets.images.deep import Levels, deep_header
from splat.datasets.images.file_kinds import ORIENTATION, UnusablePhoto, as_stored, open_image
from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.wording import listed, number_of

MAKE, MODEL, LENS, GPS = 0x010F, 0x0110, 0x8769, 0x8825
"""Tags of EXIF; the last two stand for lists of tags."""
INTEROP, MAKER_NOTE = 0xA005, 0x927C
"""Tags in the list of the lens that mean nothing elsewhere."""
WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 97, "subsampling": 0},
    ".jpeg": {"quality": 97, "subsampling": 0},
    ".png": {},
    ".tif": {"compression": "raw"},
    ".tiff": {"compression": "raw"},
    ".bmp": {},
}
"""Photos that COLMAP decodes itself, with what Pillow is told where they are written anew; of others it gets a JPEG."""


def mask_index(source: Path, folder: Path) -> CompanionIndex | None:
    """Masks beside the photos: masks/ in the given folder or next to it."""
    for place in (source / "masks", folder.parent / "masks"):
        if place.is_dir():
            return CompanionIndex(place, MASK_SUFFIXES)
    return None


@dataclass
class Prepared:
    """What came of photos and masks."""

    names: dict[str, str] = field(default_factory=dict)
    """The name of each photo in the capture by its name here, a number: COLMAP's lists of pairs have no room for blanks. Photos
    that COLMAP cannot read become JPEG files."""
    unusable: list[tuple[str, str]] = field(
        default_factory=list
    )  # photos that are damaged, or their masks: name, reason
    notes: list[str] = field(default_factory=list)


def prepare(
    paths: Iterable[Path],
    folder: Path,
    masks: CompanionIndex | None,
    work: Path,
    levels: Levels | None = None,
    invert: bool = False,
) -> Prepared:
    """Upright photos (links to them where COLMAP can read them as they are) and masks as COLMAP names them, below `work`.

    What is there already is left as it is. Of a photo without a mask, what is transparent is masked.

    Args:
        levels: what is white in photos of more than 8 bits.
        invert: masks are white where they hide.

    Raises:
        InputError: no mask belongs to a photo, or all of them hide everything.
    """
    done = Prepared()
    own: set[str] = set()
    damaged: list[str] = []
    transparent: list[str] = []
    shown: dict[str, bool] = {}  # of photos with a mask: whether it leaves something
    (work / "photos").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths, 1):
        written = path.relative_to(folder)
        name = written.as_posix()
        readable = path.suffix.lower() in WRITE_OPTIONS
        if not readable:
            name = written.with_suffix(".jpg").as_posix()
            if name in own or (folder / name).exists():
                name = f"{written.as_posix()}.jpg"
        target = work / "photos" / f"{number:06d}{Path(name).suffix.lower()}"
        try:
            if not target.exists() and not _prepare_photo(path, target, readable, levels):
                damaged.append(path.name)
            mask = None if masks is None else masks.find(written.as_posix())
            place = work / "masks" / f"{target.name}.png"
            if mask is not None:
                shown[name] = _prepare_mask(mask, target, place, invert)
            elif not target.is_symlink() and _mask_transparent(path, target, place):
                transparent.append(name)
        except UnusablePhoto as reason:
            target.unlink(missing_ok=True)
            done.unusable.append((written.as_posix(), str(reason)))
            continue
        done.names[target.name] = name
        own.add(name)
    if masks is not None and not done.unusable:
        masks.check_use(len(shown), "mask")
    hidden = [name for name, some in shown.items() if not some]
    if hidden and len(hidden) == len(shown):
        other = "without `invert_masks`" if invert else "with `invert_masks`"
        raise InputError(f"{folder}: masks hide everything in {len(hidden)} of {len(shown)} photos; try {other}")
    if hidden:
        done.notes.append(f"masks hide all of {number_of(len(hidden), 'photo')}: {listed(hidden)}")
    if transparent:
        done.notes.append(
            f"what is transparent in {number_of(len(transparent), 'photo')} is masked: {listed(transparent)}"
        )
    if (work / "masks").is_dir():
        _fill_up_masks(work, done.names)
    if damaged:
        warnings.warn(
            f"{number_of(len(damaged), 'photo')} with damaged EXIF, camera and place count as unknown: {listed(damaged)}",
            stacklevel=2,
        )
    return done


def _prepare_photo(path: Path, target: Path, readable: bool, levels: Levels | None) -> bool:
    """Write or link one. Returns whether its EXIF is sound; it is left out where it is not."""
    exif = exif_of(path)
    if exif is not None and readable and exif.get(ORIENTATION, 1) in (0, 1) and _is_plain(path):
        target.symlink_to(path.resolve())
        return True
    kept = Image.Exif() if exif is None else exif
    kept[ORIENTATION] = 1
    with replacing(target) as file:
        decode_upright(path, levels).save(file, exif=kept, **WRITE_OPTIONS[target.suffix])
    return exif is not None


def exif_of(path: Path) -> Image.Exif | None:
    """What a photo says of its camera, place and orientation: nothing where the kind of file has no room for it, None where
    it is damaged."""
    kept = Image.Exif()
    try:
        with open_image(path) as image:
            try:
                found = image.getexif()
                for tag in (MAKE, MODEL, ORIENTATION):
                    if tag in found:
                        kept[tag] = found[tag]
                for tag in (LENS, GPS):
                    kept.get_ifd(tag).update(found.get_ifd(tag))
                for tag in (INTEROP, MAKER_NOTE):
                    kept.get_ifd(LENS).pop(tag, None)
                kept.tobytes()
            except Exception:  # Pillow raises nearly anything
                return None
    except UnusablePhoto:
        pass
    return kept


def _is_plain(path: Path) -> bool:
    """Whether a photo has 8 bits of gray or RGB, as COLMAP reads it.

    Raises:
        UnusablePhoto: it is damaged; COLMAP would take a part of it for the whole.
    """
    return deep_header(path) is None and check_whole(path) in ("RGB", "L")


def _prepare_mask(mask: Path, photo: Path, target: Path, invert: bool) -> bool:
    """Write a mask as COLMAP wants it. Returns whether it leaves anything of the photo.

    Raises:
        UnusablePhoto: it cannot be used.
    """
    if target.exists():
        with Image.open(target) as written:
            return bool(np.asarray(written).any())
    size = stored_size(photo)
    used = read_mask(mask, size, size, invert)
    _write_mask(used, target)
    return bool(used.any())


def _mask_transparent(path: Path, photo: Path, target: Path) -> bool:
    """Mask what is transparent in a photo. Returns whether anything is."""
    if target.exists():
        with Image.open(target) as written:
            return not np.asarray(written).all()
    with open_image(path) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            return False
        used = np.asarray(upright(as_stored(image)).convert("RGBA").getchannel("A")) >= 128
    if used.all() or used.shape[::-1] != stored_size(photo):
        return False
    _write_mask(used, target)
    return True


def _fill_up_masks(work: Path, names: Iterable[str]) -> None:
    """White masks for photos without one: COLMAP leaves them out beside others."""
    for name in names:
        target = work / "masks" / f"{name}.png"
        if not target.exists():
            _write_mask(np.ones(stored_size(work / "photos" / name)[::-1], dtype=bool), target)


def _write_mask(used: NDArray[np.bool_], target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as file:
        Image.fromarray(used.astype(np.uint8) * 255).save(file)
