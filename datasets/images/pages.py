"""Files that hold several pictures: animations, and TIFF files with several pages."""

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

from PIL import TiffImagePlugin

from splat.datasets.images.file_kinds import UnusablePhoto, open_image
from splat.io.wording import listed, number_of

MAY_HAVE_MORE = (".tif", ".tiff", ".png", ".webp", ".avif")
"""Kinds of files that can hold several pictures. Phones store previews and depth maps as further pictures in JPEG and HEIC."""

KIND_OF_PAGE, SMALLER = 254, 1
"""Tag of TIFF, and its bit that says that a page is a smaller version of another one."""


def page_notes(paths: Sequence[Path], pool: Executor) -> list[str]:
    """What to know of photos that hold several pictures. Those that cannot be read are passed over."""
    asked = [path for path in paths if path.suffix.lower() in MAY_HAVE_MORE]
    several = [path.name for path, count in zip(asked, pool.map(_count, asked), strict=True) if count > 1]
    if not several:
        return []
    holds = "holds" if len(several) == 1 else "hold"
    return [
        f"{number_of(len(several), 'photo')} {holds} several pictures, of which the first is used: {listed(several)}"
    ]


def _count(path: Path) -> int:
    """The pictures of a file, smaller versions of others aside."""
    try:
        with open_image(path) as image:
            count = int(getattr(image, "n_frames", 1))
            if count == 1 or not isinstance(image, TiffImagePlugin.TiffImageFile):
                return count
            smaller = 0
            for page in range(count):
                image.seek(page)
                smaller += int(image.tag_v2.get(KIND_OF_PAGE, 0)) & SMALLER
            return count - smaller
    except UnusablePhoto:
        return 1
