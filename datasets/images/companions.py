"""Files that lie beside a photo in a folder of their own and belong to it by name: masks and depth maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from splat.datasets.images.decode import UnusablePhoto, same_shape
from splat.errors import InputError

MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
DEPTH_SUFFIXES = (".npy", ".png", ".tif", ".tiff", ".exr")
ADDITIONS = ("", "_mask", ".mask", "-mask", "_depth", ".depth", "-depth")
"""What may follow the photo's name, with or without its own suffix: a.png, a.jpg.png, a_mask.png, a.mask.png ..."""


class CompanionIndex:
    """Finds the companion of a photo below a folder, by the photo's path there, else by its file name if that is unique.

    For a photo `sub/a.jpg`: `sub/a.png`, `sub/a.jpg.png` (as COLMAP), `sub/a_mask.png`, `a.mask.png` and the like.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str]) -> None:
        self.folder = folder
        self.by_path: dict[str, list[Path]] = {}
        self.by_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix.lower() in suffixes:
                relative = path.relative_to(folder).with_suffix("").as_posix().lower()
                self.by_path.setdefault(relative, []).append(path)
                self.by_name.setdefault(relative.rpartition("/")[2], []).append(path)
        self.files = sum(len(paths) for paths in self.by_path.values())

    def find(self, name: str) -> Path | None:
        """The companion's file, or None where the photo has none.

        Raises:
            UnusablePhoto: several files are equally good.
        """
        full = name.replace("\\", "/").lower()
        stem = full.rpartition(".")[0] if "." in full.rpartition("/")[2] else full
        for table, keep in ((self.by_path, lambda key: key), (self.by_name, lambda key: key.rpartition("/")[2])):
            for base in (full, stem):
                for addition in ADDITIONS:
                    found = table.get(keep(base) + addition, [])
                    if len(found) == 1:
                        return found[0]
                    if found:
                        names = ", ".join(str(path.relative_to(self.folder)) for path in found[:3])
                        raise UnusablePhoto(f"has several files in {self.folder} that could be its own: {names}")
        return None

    def check_use(self, found: int, what: str) -> None:
        """Refuse a folder of which not one file belongs to a photo: it was surely meant for them.

        Raises:
            InputError: there are files, and none was found for any photo.
        """
        if self.files and not found:
            examples = ", ".join(sorted(self.by_path)[:3])
            raise InputError(
                f"{self.folder}: none of its {self.files} files is named like a photo (there: {examples}); a {what} of "
                f"a.jpg is a.png, a.jpg.png or a_{what}.png"
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
            raise UnusablePhoto(
                f"has a mask, {path}, of {image.width} x {image.height}, but a camera of {camera[0]} x {camera[1]}: "
                "another shape"
            )
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


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as file:
            file.load()
            return file
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnusablePhoto(f"has a companion, {path}, that cannot be read ({error})") from error
