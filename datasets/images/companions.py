"""Files that lie beside a photo in a folder of their own and belong to it by name: masks and depth maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from splat.datasets.images.decode import fits_camera, same_shape, stored_size
from splat.datasets.images.deep import read_exr
from splat.datasets.images.file_kinds import DECODING_ERRORS, UnusablePhoto, open_image
from splat.datasets.images.photo_index import Match, PhotoIndex
from splat.errors import InputError

MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
EXR_DEPTH = ("Z", "depth.Z", "Depth.Z", "V", "Y", "R")
"""Channels of an OpenEXR file that hold its depth, in the order of preference; else its first."""
DEPTH_SUFFIXES = (".npy", ".png", ".tif", ".tiff", ".exr")
ADDITIONS = ("", "_mask", ".mask", "-mask", "_depth", ".depth", "-depth")
"""What may follow the photo's name, with or without its own suffix: a.png, a.jpg.png, a_mask.png, a.mask.png ..."""


class CompanionIndex:
    """Finds the companion of a photo below a folder, by as much of the end of the photo's path as there is.

    For a photo `sub/a.jpg`: `sub/a.png`, `sub/a.jpg.png` (as COLMAP), `sub/a_mask.png`, `a.mask.png` and the like.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str]) -> None:
        self.folder = folder
        self.index = PhotoIndex(folder, suffixes)

    def find(self, name: str) -> Path | None:
        """The companion's file, or None where the photo has none.

        Raises:
            UnusablePhoto: several files are equally good.
        """
        match = self.index.find(name, ADDITIONS)
        return None if match is None else match.path

    def find_all(self, names: Sequence[str]) -> list[Path | UnusablePhoto | None]:
        """The companion of every photo of a capture, or None, or why there is none. No two photos have the same."""
        found = self.index.find_all(names, ADDITIONS)
        return [match.path if isinstance(match, Match) else match for match in found]

    def check_use(self, found: int, what: str) -> None:
        """Refuse a folder of which not one file belongs to a photo: it was surely meant for them.

        Raises:
            InputError: there are files, and none was found for any photo.
        """
        files = [] if found else self.index.files
        if files:
            examples = ", ".join(path.relative_to(self.folder).with_suffix("").as_posix() for path in files[:3])
            raise InputError(
                f"{self.folder}: none of its {len(files)} files is named like a photo (there: {examples}); a {what} of "
                f"a.jpg is a.png, a.jpg.png or a_{what}.png"
            )


def check_mask(path: Path, camera: tuple[int, int]) -> None:
    """Refuse a mask of another shape than its photo's camera, without decoding it.

    Args:
        camera: width and height.

    Raises:
        UnusablePhoto: not an image, or of another shape.
    """
    try:
        stored = stored_size(path)
        fits = fits_camera(path, stored, camera)
    except UnusablePhoto as error:
        raise UnusablePhoto(f"has a mask, {path}, that {error}") from error
    if not fits:
        raise _other_shape(path, stored, camera)


def _other_shape(path: Path, size: tuple[int, int], camera: tuple[int, int]) -> UnusablePhoto:
    return UnusablePhoto(
        f"has a mask, {path}, of {size[0]} x {size[1]}, but a camera of {camera[0]} x {camera[1]}: another shape"
    )


def read_mask(path: Path, camera: tuple[int, int], size: tuple[int, int], invert: bool) -> np.ndarray:  # bool [H, W]
    """A mask in the size of the photo in memory: white (at least half) or opaque is scene, black is not.

    Args:
        camera: width and height of the photo's camera, which fixes the shape that the mask must have.
        size: width and height wanted.

    Raises:
        UnusablePhoto: not a readable image, or of another shape.
    """
    image = _open(path)
    if not same_shape(image.size, camera):
        turned = ImageOps.exif_transpose(image)
        if turned is None or not same_shape(turned.size, camera):
            raise _other_shape(path, image.size, camera)
        image = turned
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        if np.asarray(alpha).min() < 255:
            image = alpha
    if image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    if values.ndim == 3:
        values = values[..., :3].max(2)
    # 0 and 1 as well as 0 and 255, and 16 bits
    top = 1 if values.max(initial=0) <= 1 else 255 if values.max() <= 255 else 65535
    used = Image.fromarray((((values.astype(np.float64) / top >= 0.5) ^ invert) * 255).astype(np.uint8))
    # A pixel of a smaller photo has something of what is masked in it unless all that it was made of is scene.
    return np.asarray(used.resize(size, Image.Resampling.BOX)) == 255


def read_depth(path: Path, camera: tuple[int, int], size: tuple[int, int]) -> np.ndarray:  # float32 [H, W]
    """A depth map in the size of the photo in memory, its values as stored; 0 where it says nothing.

    Raises:
        UnusablePhoto: not a readable file, or of another shape.
    """
    if path.suffix.lower() == ".npy":
        try:
            values = np.load(path, allow_pickle=False, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise UnusablePhoto(f"has a depth map, {path}, that cannot be read ({error})") from error
    elif path.suffix.lower() == ".exr":
        values = _exr_depth(path)
    else:
        values = np.asarray(_open(path))
    values = values[..., 0] if values.ndim == 3 else values
    if values.ndim != 2 or not same_shape((values.shape[1], values.shape[0]), camera):
        raise UnusablePhoto(
            f"has a depth map, {path}, of shape {list(values.shape)}, but a camera of {camera[0]} x {camera[1]}: "
            "another shape"
        )
    # Nearest values: an average over an edge would be a depth where nothing is.
    rows = ((np.arange(size[1]) + 0.5) * values.shape[0] / size[1]).astype(np.int64)
    columns = ((np.arange(size[0]) + 0.5) * values.shape[1] / size[0]).astype(np.int64)
    depth = values[rows[:, None], columns].astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def _exr_depth(path: Path) -> np.ndarray:  # [H, W]
    try:
        channels = read_exr(path)
    except UnusablePhoto as error:
        raise UnusablePhoto(f"has a depth map, {path}, that {error}") from error
    for name in (*EXR_DEPTH, *channels):
        if name in channels and name != "A":
            return channels[name]
    raise UnusablePhoto(f"has a depth map, {path}, without a channel (expected {', '.join(EXR_DEPTH)})")


def _open(path: Path) -> Image.Image:
    try:
        with open_image(path) as file:
            file.load()
            return file
    except UnusablePhoto as error:
        raise UnusablePhoto(f"has a companion, {path}, that {error}") from error
    except DECODING_ERRORS as error:
        raise UnusablePhoto(f"has a companion, {path}, that cannot be read ({error})") from error
