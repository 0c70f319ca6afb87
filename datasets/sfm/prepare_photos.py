"""Photos and masks made ready for COLMAP: upright, of a kind that it reads, named as it wants them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from splat.datasets.images.companions import MASK_SUFFIXES, CompanionIndex, read_mask
from splat.datasets.images.decode import decode_upright, stored_size
from splat.datasets.images.deep import Levels, deep_header
from splat.datasets.images.file_kinds import DECODING_ERRORS, ORIENTATION, UnusablePhoto, open_image
from splat.errors import InputError
from splat.io.atomic_file import replacing

GPS = 0x8825
"""Tag of EXIF."""
READ_BY_COLMAP = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""Photos that COLMAP decodes itself; of others it gets a JPEG."""


def mask_index(source: Path, folder: Path) -> CompanionIndex | None:
    """Masks beside the photos: masks/ in the given folder or next to it."""
    for place in (source / "masks", folder.parent / "masks"):
        if place.is_dir():
            return CompanionIndex(place, MASK_SUFFIXES)
    return None


def prepare(
    paths: Iterable[Path], folder: Path, masks: CompanionIndex | None, work: Path, levels: Levels | None = None
) -> dict[str, str]:
    """Upright photos (links to them where COLMAP can read them as they are) and masks as COLMAP names them, below `work`.

    What is there already is left as it is.

    Args:
        levels: what is white in photos of more than 8 bits.

    Returns:
        The name of each photo in the capture by its name here, a number: COLMAP's lists of pairs have no room for blanks.
        Photos that COLMAP cannot read become JPEG files.

    Raises:
        InputError: a photo or a mask is damaged.
    """
    names: dict[str, str] = {}
    own: set[str] = set()
    masked = 0
    (work / "photos").mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths, 1):
        written = path.relative_to(folder)
        name = written.as_posix()
        readable = path.suffix.lower() in READ_BY_COLMAP
        if not readable:
            name = written.with_suffix(".jpg").as_posix()
            if name in own or (folder / name).exists():
                name = f"{written.as_posix()}.jpg"
        target = work / "photos" / f"{number:06d}{Path(name).suffix.lower()}"
        try:
            if not target.exists():
                _prepare_photo(path, target, readable, levels)
            if masks is not None:
                masked += _prepare_mask(masks.find(written.as_posix()), target, work / "masks" / f"{target.name}.png")
        except UnusablePhoto as reason:
            raise InputError(f"{path} {reason}; mend it, or take it out of the folder") from None
        names[target.name] = name
        own.add(name)
    if masks is not None:
        masks.check_use(masked, "mask")
    return names


def _prepare_photo(path: Path, target: Path, readable: bool, levels: Levels | None) -> None:
    exif = exif_of(path)
    if readable and exif.get(ORIENTATION, 1) in (0, 1) and _is_plain(path):
        target.symlink_to(path.resolve())
        return
    exif[ORIENTATION] = 1
    with replacing(target) as file:
        decode_upright(path, levels).save(file, exif=exif, quality=97, subsampling=0)


def exif_of(path: Path) -> Image.Exif:
    """What the camera wrote into a photo; nothing where the kind of file has no room for it."""
    try:
        with open_image(path) as image:
            exif = image.getexif()
            exif.get_ifd(GPS)  # read while the file is open
            return exif
    except (UnusablePhoto, *DECODING_ERRORS):
        return Image.Exif()


def _is_plain(path: Path) -> bool:
    """Whether a photo has 8 bits of gray or RGB."""
    if deep_header(path) is not None:
        return False
    with open_image(path) as image:
        return image.mode in ("RGB", "L")


def _prepare_mask(mask: Path | None, photo: Path, target: Path) -> bool:
    """A mask as COLMAP wants it; white where there is none, for it leaves photos out that have no mask beside others.

    Returns:
        Whether there was one.

    Raises:
        UnusablePhoto: it cannot be used.
    """
    if target.exists():
        return mask is not None
    size = stored_size(photo)
    used = np.ones(size[::-1], dtype=bool) if mask is None else read_mask(mask, size, size, invert=False)
    with replacing(target) as file:
        Image.fromarray(used.astype(np.uint8) * 255).save(file)
    return mask is not None
