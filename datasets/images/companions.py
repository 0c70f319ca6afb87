"""Files that lie beside a photo in a folder of their own and belong to it by name: masks and depth maps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from splat.datasets.images.decode import as_rgb, check_whole, fits_camera, same_shape, stored_size, upright
from splat.datasets.images.deep import deep_header, deep_pixels, read_exr
from splat.datasets.images.file_kinds import LYING, UnusablePhoto, as_stored, open_image, orientation_of
from splat.datasets.images.photo_index import Match, PhotoIndex
from splat.errors import InputError

BRIGHTNESS = ("1", "L", "LA", "F", "RGB", "RGBA")
"""Modes of Pillow whose values are brightness, as those of all kinds of I are. Others hold indices into a palette, or ink."""
DIM = 32, 128
"""Brightness of 8 bits from which on a color is not black, and from which on it is white, in a mask."""
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
    """Refuse a mask of another shape than its photo's camera, or a damaged one.

    Args:
        camera: width and height.

    Raises:
        UnusablePhoto: not an image, or of another shape.
    """
    with _named(path, "mask"):
        stored = stored_size(path)
        fits = fits_camera(path, stored, camera)
        check_whole(path)
    if not fits:
        raise _other_shape(path, stored, camera)


def _other_shape(path: Path, size: tuple[int, int], camera: tuple[int, int]) -> UnusablePhoto:
    turned = ", turned by 90 degrees; turn it back" if same_shape(size[::-1], camera) else ""
    return UnusablePhoto(
        f"has a mask, {path}, of {size[0]} x {size[1]}, but a camera of {camera[0]} x {camera[1]}: another shape{turned}"
    )


def read_mask(path: Path, camera: tuple[int, int], size: tuple[int, int], invert: bool) -> np.ndarray:  # bool [H, W]
    """A mask in the size of the photo in memory: white (at least half) or opaque is scene, black is not.

    Of a color its brightest channel counts, in a palette too: labels 0 (black) and 1 (dark red, say) are no scene and scene.

    Args:
        camera: width and height of the photo's camera, which fixes the shape that the mask must have.
        size: width and height wanted.

    Raises:
        UnusablePhoto: not a readable image, of another shape, or a palette of more than what is scene and what is not.
    """
    image, palette = _open(path, "mask")
    if not same_shape(image.size, camera):
        turned = upright(image)
        if not same_shape(turned.size, camera):
            raise _other_shape(path, image.size, camera)
        image = turned
    values = np.asarray(image.getchannel("A") if image.mode in ("RGBA", "LA") else image)
    if values.ndim == 3:
        bright = values.max(2)
        dim = (bright >= DIM[0]) & (bright < DIM[1]) & (values.min(2) < bright // 2)
        if palette and dim.any():
            color = tuple(values[dim][0].tolist())
            raise UnusablePhoto(
                f"has a mask, {path}, of labels, one of them {color}: neither black nor bright; save it in black and white"
            )
        values = bright
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
        values = _array(path)
    elif path.suffix.lower() == ".exr":
        values = _exr_depth(path)
    else:
        values = _image_depth(path, camera)
    if values.ndim not in (2, 3) or not values.size or not same_shape((values.shape[1], values.shape[0]), camera):
        raise UnusablePhoto(
            f"has a depth map, {path}, of shape {list(values.shape)}, but a camera of {camera[0]} x {camera[1]}: "
            "another shape"
        )
    if values.ndim == 3:
        first, *others = np.moveaxis(values, 2, 0)
        if not all(np.array_equal(first, other, equal_nan=True) for other in others):
            raise UnusablePhoto(
                f"has a depth map, {path}, of {values.shape[2]} channels that differ, a picture in colors maybe; save the "
                "depth itself, in one channel"
            )
        values = first
    # Nearest values: an average over an edge would be a depth where nothing is.
    rows = ((np.arange(size[1]) + 0.5) * values.shape[0] / size[1]).astype(np.int64)
    columns = ((np.arange(size[0]) + 0.5) * values.shape[1] / size[0]).astype(np.int64)
    depth = values[rows[:, None], columns].astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def _array(path: Path) -> np.ndarray:
    """The numbers of a .npy file."""
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # a header can hold anything
        raise UnusablePhoto(f"has a depth map, {path}, that cannot be read ({error})") from error
    if not isinstance(values, np.ndarray):
        values.close()
        raise UnusablePhoto(f"has a depth map, {path}, that is an archive of arrays (.npz); save the array alone")
    if values.dtype.kind not in "uif":
        raise UnusablePhoto(f"has a depth map, {path}, of {values.dtype}; save it as float32")
    return values


def _image_depth(path: Path, camera: tuple[int, int]) -> np.ndarray:  # [H, W] or [H, W, bands]
    """The values of an image, turned by its EXIF orientation only where that gives it the shape of its camera."""
    with _named(path, "depth map"):
        header = deep_header(path)
        if header is not None:
            values, orientation = deep_pixels(path, header), header.orientation
        else:
            image, _ = _open(path, "depth map")
            values, orientation = np.asarray(image), orientation_of(image)
    if orientation not in LYING or same_shape((values.shape[1], values.shape[0]), camera):
        return values
    down, right = {5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}[orientation]
    return values.swapaxes(0, 1)[::down, ::right]


def _exr_depth(path: Path) -> np.ndarray:  # [H, W] or [H, W, 3]
    with _named(path, "depth map"):
        channels = read_exr(path)
    for name in (*EXR_DEPTH, *channels):
        if name in channels and name != "A":
            colors = [channels[color] for color in "RGB" if color in channels]
            return np.stack(colors, axis=2) if name == "R" else channels[name]
    raise UnusablePhoto(f"has a depth map, {path}, without a channel (expected {', '.join(EXR_DEPTH)})")


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """Reasons are those of a photo, and say which of its companions they are about."""
    try:
        yield
    except UnusablePhoto as error:
        raise UnusablePhoto(f"has a {what}, {path}, that {error}") from error


def _open(path: Path, what: str) -> tuple[Image.Image, bool]:
    """A companion in brightness, without an alpha that is opaque everywhere; and whether it has a palette."""
    with _named(path, what), open_image(path) as opened:
        file = as_stored(opened)
        palette = file.mode == "P"
        image = file if file.mode in BRIGHTNESS or file.mode.startswith("I") else as_rgb(file)
        if image.mode in ("RGBA", "LA") and np.asarray(image.getchannel("A")).min(initial=255) == 255:
            image = image.convert(image.mode.removesuffix("A"))
        return image, palette
