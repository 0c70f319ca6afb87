"""Which files of a folder are photos to reconstruct, and which are not, after all."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splat.datasets.images.decode import decode_upright, same_shape, stored_size
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.images.photo_index import PhotoIndex, natural
from splat.datasets.sfm.prepare_photos import LENS, MODEL, exif_of
from splat.datasets.sfm.video_frames import is_video
from splat.errors import InputError
from splat.io.wording import grouped, number_of

FEWEST, SMALLEST_SIDE = 3, 64
TAKEN = 0x9003
"""Tag of EXIF, in the list of the lens."""
GLANCE, ALIKE = 32, 10.0
"""Side in pixels to which photos are shrunk to compare them, and by how much, of 255, the same photo differs from itself in
another kind of file there, in the mean: after another camera's or program's rendering, too."""
MADE = ("photos.json", "work/begun.json")
"""Files in a folder that `splat photos` has written, or was writing."""


def photo_folder(source: Path) -> Path:
    """Where the photos are: the folder itself, or images/ in it.

    Raises:
        InputError: it is no folder.
    """
    if source.is_file():
        raise InputError(f"{source}: is neither a folder of photos nor a video that is known by its suffix")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder or video")
    return source / "images" if (source / "images").is_dir() else source


def holds_photos(source: Path) -> bool:
    """Whether a path is a video, or a folder with photos that no model goes with."""
    if is_video(source):
        return True
    return source.is_dir() and bool(_photo_files(photo_folder(source)))


def usable_photos(folder: Path, out: Path | None = None) -> tuple[list[Path], list[tuple[str, str]]]:
    """Photos below a folder in the order of their names, and those that are none after all, with the reason.

    Args:
        out: a folder that is not looked into, for the result will lie there.
    """
    usable, unusable = [], []
    made: dict[Path, bool] = {}
    for path in _photo_files(folder):
        if out is not None and path.absolute().is_relative_to(out.absolute()):
            continue
        name = path.relative_to(folder).as_posix()
        try:
            if not is_unicode(name):
                raise UnusablePhoto("has a name that is not UTF-8, for which a COLMAP model has no room; rename it")
            if _is_made(path.parent, folder, made):
                raise UnusablePhoto(
                    "lies in a capture that `splat photos` has made; move that out of the photos' folder"
                )
            if min(stored_size(path)) < SMALLEST_SIDE:
                raise UnusablePhoto(f"is smaller than {SMALLEST_SIDE} pixels")
            usable.append(path)
        except UnusablePhoto as reason:
            unusable.append((name, str(reason)))
    for found, what in ((_copies, "is a copy of"), (_twins, "is the same photo as")):
        again = found(usable)
        unusable += [(path.relative_to(folder).as_posix(), f"{what} {again[path].name}") for path in again]
        usable = [path for path in usable if path not in again]
    return usable, unusable


def check_enough(source: Path, paths: Sequence[Path], unusable: Sequence[tuple[str, str]]) -> None:
    """That a scene can be made of so many.

    Raises:
        InputError: it cannot.
    """
    if len(paths) < FEWEST:
        reasons = "".join(f"\n  {line}" for line in grouped(unusable)[:10])
        raise InputError(
            f"{source}: {number_of(len(paths), 'photo')} can be read here, a scene needs at least {FEWEST} and better 20 "
            f"(JPEG, PNG, HEIC, WebP, TIFF, OpenEXR and other usual kinds){reasons}"
        )


def is_unicode(name: str) -> bool:
    """Linux lets names be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _photo_files(folder: Path) -> list[Path]:
    files = PhotoIndex(folder, leave_out=("masks",)).files
    return sorted(files, key=lambda path: natural(path.relative_to(folder).as_posix()))


def _is_made(place: Path, folder: Path, known: dict[Path, bool]) -> bool:
    """Whether a folder below another lies in a capture of `splat photos`."""
    if place not in known:
        inside = place != folder and place.is_relative_to(folder)
        here = inside and any((place / name).is_file() for name in MADE)
        known[place] = here or (inside and _is_made(place.parent, folder, known))
    return known[place]


def _copies(paths: Sequence[Path]) -> dict[Path, Path]:
    """Files that are the same, byte for byte, as an earlier one, with that one."""
    of_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        of_size[path.stat().st_size].append(path)
    copies: dict[Path, Path] = {}
    first: dict[bytes, Path] = {}
    for path in (path for same in of_size.values() if len(same) > 1 for path in same):
        content = hashlib.sha256(path.read_bytes()).digest()
        if first.setdefault(content, path) is not path:
            copies[path] = first[content]
    return copies


def _twins(paths: Sequence[Path]) -> dict[Path, Path]:
    """Photos that lie there again as another kind of file, as phones and programs save them (a.heic and a.jpg), with the one
    of them that is taken: that with the most pixels, else the first."""
    named: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        named[path.parent / path.stem.lower()].append(path)
    twins: dict[Path, Path] = {}
    for same in (same for same in named.values() if len(same) > 1):
        best, *others = sorted(same, key=lambda path: -math.prod(stored_size(path)))
        twins |= {path: best for path in others if _same_moment(best, path) or _look_alike(best, path)}
    return twins


def _same_moment(one: Path, other: Path) -> bool:
    """Whether one camera took both at one time, in one shape: EXIF is read a thousand times as fast as a photo in HEIC."""
    shapes = [(max(size), min(size)) for size in map(stored_size, (one, other))]
    return same_shape(*shapes) and (moment := _moment(one)) is not None and moment == _moment(other)


def _moment(path: Path) -> tuple[str, str] | None:
    """The model of the camera and the time, as far as EXIF says both."""
    exif = exif_of(path)
    model, time = (exif.get(MODEL), exif.get_ifd(LENS).get(TAKEN)) if exif is not None else (None, None)
    return (model, time) if model and time else None


def _look_alike(one: Path, other: Path) -> bool:
    seen = [_glance(path) for path in (one, other)]
    return seen[0] is not None and seen[1] is not None and bool(np.abs(seen[0] - seen[1]).mean() <= ALIKE)


def _glance(path: Path) -> NDArray[np.float64] | None:
    """A photo, upright, as a few gray pixels; None where it cannot be decoded, which is said elsewhere."""
    try:
        small = decode_upright(path, wanted=(GLANCE, GLANCE)).convert("L")
    except UnusablePhoto:
        return None
    return np.asarray(small.resize((GLANCE, GLANCE), Image.Resampling.BOX), dtype=np.float64)
