"""Looks through COLMAP's binary files before they are parsed: every count must fit the file that states it.

The parser proper is pycolmap's. It trusts the files, and a truncated or hostile one can end the process or take all
memory; after this check it gets only files whose structure is whole.
"""

import struct
from pathlib import Path

from splat.errors import InputError

REMEDY = "the file is damaged or cut off: copy it again, or export the model again with COLMAP"
CAMERA_PARAMETERS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16)
"""Number of parameters of COLMAP's camera models 0 to 11; newer ones are left to pycolmap."""

_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I7dI")
_POINT = struct.Struct("<Q3d3BdQ")
_COUNT = struct.Struct("<Q")


class _Reader:
    def __init__(self, path: Path) -> None:
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        self.path, self.offset = path, 0

    def fail(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what} at byte {self.offset} of {len(self.data)}; {REMEDY}")

    def unpack(self, layout: struct.Struct, what: str) -> tuple:
        if self.offset + layout.size > len(self.data):
            raise self.fail(f"ends inside {what}")
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def count(self, smallest: int, what: str) -> int:
        (number,) = self.unpack(_COUNT, f"the number of {what}")
        self.require(number * smallest, f"{number:,} {what}")
        return number

    def require(self, size: int, what: str) -> None:
        if size > len(self.data) - self.offset:
            raise self.fail(f"states {what}, more than it can hold,")

    def skip(self, size: int, what: str) -> None:
        self.require(size, what)
        self.offset += size


def check_binary_model(folder: Path) -> None:
    """Walk cameras.bin, images.bin and points3D.bin (if there) of a model folder.

    Raises:
        InputError: a file is missing, cut off, or states more than it holds; the message names it and the place.
    """
    for name, check in (("cameras.bin", _check_cameras), ("images.bin", _check_images)):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: has no {name}; a COLMAP model needs cameras and images, export it again")
        check(_Reader(folder / name))
    if (folder / "points3D.bin").is_file():
        _check_points(_Reader(folder / "points3D.bin"))


def _check_cameras(reader: _Reader) -> None:
    for _ in range(reader.count(_CAMERA.size, "cameras")):
        camera, model, width, height = reader.unpack(_CAMERA, "a camera")
        if not 0 <= model < 64:
            raise reader.fail(f"camera {camera} has the unknown model number {model}")
        if not (0 < width < 1 << 20 and 0 < height < 1 << 20):
            raise reader.fail(f"camera {camera} states an image of {width} x {height} pixels")
        if model >= len(CAMERA_PARAMETERS):
            return  # the length of what follows is not known here
        reader.skip(8 * CAMERA_PARAMETERS[model], "a camera's parameters")


def _check_images(reader: _Reader) -> None:
    for _ in range(reader.count(_IMAGE.size + 1 + _COUNT.size, "images")):
        reader.unpack(_IMAGE, "an image")
        end = reader.data.find(b"\0", reader.offset)
        if end < 0:
            raise reader.fail("has an image name without an end")
        reader.offset = end + 1
        reader.skip(24 * reader.count(24, "keypoints"), "keypoints")


def _check_points(reader: _Reader) -> None:
    for _ in range(reader.count(_POINT.size, "points")):
        *_, track = reader.unpack(_POINT, "a point")
        reader.skip(8 * track, f"a track of {track:,} observations")
