"""Which files are images, by their suffix, and opening them whatever their kind."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".tga")
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
PHOTO_SUFFIXES = (*PLAIN_SUFFIXES, *HEIF_SUFFIXES, ".avif", ".jp2", ".exr", ".hdr", ".jxl")
"""Files that can be photos. Sidecars beside them (.xmp, .json, .txt, .npy ...) are none."""
RAW_SUFFIXES = (
    ".dng",
    ".cr2",
    ".cr3",
    ".crw",
    ".nef",
    ".nrw",
    ".arw",
    ".sr2",
    ".raf",
    ".rw2",
    ".orf",
    ".pef",
    ".srw",
    ".raw",
)
"""What the sensor saw, before a camera or a program makes a picture of it."""

ORIENTATION = 274
"""Tag of EXIF and TIFF."""
LYING = (5, 6, 7, 8)
"""Orientations of photos whose width and height are exchanged."""
TURNED_BACK = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What makes an upright photo lie again as it is stored, by its EXIF orientation."""

Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, 1 << 29)
"""Pillow warns of photos with more pixels, and refuses twice as many; its own limit is below what phones take."""


class UnusablePhoto(Exception):
    """One photo cannot be used; the capture may do without it. The message is the reason."""


class MissingPhoto(UnusablePhoto):
    """The file of a photo is not there."""


@contextmanager
def decoding() -> Iterator[None]:
    """A damaged file makes libraries raise nearly anything: whatever it is, the file is a photo that cannot be used.

    Raises:
        UnusablePhoto: the body has raised something.
    """
    try:
        yield
    except UnusablePhoto:
        raise
    except UnidentifiedImageError as error:
        raise UnusablePhoto("is not an image that can be read") from error
    except MemoryError as error:
        raise UnusablePhoto("cannot be decoded: there is no memory for the size that it claims to have") from error
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise UnusablePhoto(f"cannot be decoded ({lines[-1] if lines else type(error).__name__})") from error


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """An image of any kind that Pillow reads, or a plugin of it that is here; only the header is read yet.

    Raises:
        UnusablePhoto: not an image that can be read, or one that needs another program or package first; also for what
            the body raises.
    """
    with decoding(), _open(path) as image:
        yield image


def orientation_of(image: Image.Image) -> int:
    """By EXIF. As stored (1) where that is damaged, which is how programs show such a photo."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        return 1


def size_as_stored(image: Image.Image) -> tuple[int, int]:
    """Width and height of the pixels as they are stored, before the image is loaded."""
    return (image.height, image.width) if _is_turned(image) else image.size


def as_stored(image: Image.Image) -> Image.Image:
    """Load the pixels as they are stored: Pillow makes some kinds upright by itself."""
    orientation = orientation_of(image) if _is_turned(image) else None
    image.load()
    if orientation is None:
        return image
    stored, exif = image.transpose(TURNED_BACK[orientation]), Image.Exif()
    exif[ORIENTATION] = orientation
    stored.info["exif"] = exif.tobytes()
    return stored


def _is_turned(image: Image.Image) -> bool:
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(ORIENTATION) in LYING


def _open(path: Path) -> Image.Image:
    suffix = path.suffix.lower()
    if suffix in RAW_SUFFIXES:
        # Pillow would take the thumbnail in it for the photo.
        raise UnusablePhoto(
            "is a camera's raw file; develop it to JPEG, or TIFF or PNG with 16 bits, under the same name with that suffix"
        )
    if suffix in HEIF_SUFFIXES:
        importlib.import_module("pillow_heif").register_heif_opener()
    elif suffix == ".jxl":
        try:
            importlib.import_module("pillow_jxl")
        except ImportError:
            raise UnusablePhoto("is JPEG XL, which needs another package: pip install pillow-jxl-plugin") from None
    image = Image.open(path)
    if _is_turned(image):
        # Pillow turns these itself, but puts the rows of gray ones together wrongly where it maps the file into memory.
        image.close()
        image = Image.open(BytesIO(path.read_bytes()))
    return image
