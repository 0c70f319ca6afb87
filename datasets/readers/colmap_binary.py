"""cameras.bin, images.bin and points3D.bin of COLMAP (doc/format.rst and reconstruction_io_binary.cc there).

No count is believed: each must fit what is left of the file before anything is read or allocated by it. rigs.bin and
frames.bin of COLMAP 3.12 and later are not needed, for images.bin still holds the pose of every image.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.readers.colmap_lens import known_models, make_camera, model_of_number, parameter_names
from splat.datasets.readers.colmap_records import (
    CameraRecord,
    ImageRecord,
    PointTable,
    decode_names,
)
from splat.datasets.readers.model import read_bytes
from splat.errors import InputError
from splat.io.wording import number_of, was

REMEDY = "the file is damaged or cut off: copy it again, or export the model again with COLMAP"
BLOCK = 1 << 16
"""So many points are taken apart at a time, to bound the memory for their indices."""
TEXT = bytes(range(32, 127)) + b"\t\r\n"
"""A file that begins with 64 of these is not binary: even a huge count has zeros in it."""

_CAMERA = struct.Struct("<IiQQ")  # id, model, width, height
_IMAGE = struct.Struct("<I7dI")  # id, quaternion and translation, camera; the name and the 2D points follow
_COUNT = struct.Struct("<Q")
_KEYPOINT = 24  # x, y and the id of a point, 8 bytes each
_POINT = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("color", "u1", 3), ("error", "<f8"), ("track", "<u8")])
_OBSERVATION = 8  # image and 2D point, 4 bytes each


class _Reader:
    def __init__(self, path: Path) -> None:
        self.data = read_bytes(path)
        self.path, self.offset = path, 0
        if len(self.data) > _COUNT.size and not self.data[:64].translate(None, TEXT):
            raise InputError(f"{path}: is text, not one of COLMAP's binary files; rename it to {path.stem}.txt")

    def fail(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what} at byte {self.offset} of {len(self.data)}; {REMEDY}")

    def unpack(self, layout: struct.Struct, what: str) -> tuple[float, ...]:
        if self.offset + layout.size > len(self.data):
            raise self.fail(f"ends inside {what}")
        values: tuple[float, ...] = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def count(self, smallest: int, what: str) -> int:
        number = int(self.unpack(_COUNT, f"the number of {what}")[0])
        self.require(number * smallest, f"{number:,} {what}")
        return number

    def require(self, size: int, what: str) -> None:
        if size > len(self.data) - self.offset:
            raise self.fail(f"states {what}, more than it can hold,")

    def skip(self, size: int, what: str) -> None:
        self.require(size, what)
        self.offset += size

    def finish(self, what: str, notes: list[str]) -> None:
        """Say what is left behind the last record."""
        rest = len(self.data) - self.offset
        if rest:
            notes.append(f"{self.path}: {number_of(rest, 'byte')} behind the last of its {what} {was(rest)} ignored")


def read_cameras(path: Path, notes: list[str]) -> list[CameraRecord]:
    """Cameras in the order of the file; what was ignored is added to `notes`.

    Raises:
        InputError: the file is cut off, or states what cannot be; the message names the byte.
    """
    reader = _Reader(path)
    cameras = []
    number = reader.count(_CAMERA.size, "cameras")
    for _ in range(number):
        place = f"byte {reader.offset}"
        where = f"{path}, {place}"
        camera_id, model_number, width, height = (int(value) for value in reader.unpack(_CAMERA, "a camera"))
        model = model_of_number(model_number)
        if model is None:
            raise InputError(
                f"{where}: camera {camera_id} has the unknown model number {model_number}; known are 0 to "
                f"{max(known_models().values())}: {', '.join(known_models())}. {REMEDY[0].upper()}{REMEDY[1:]}"
            )
        params = struct.Struct(f"<{len(parameter_names(model))}d")
        values = list(reader.unpack(params, "a camera's parameters"))
        cameras.append(make_camera(where, place, camera_id, model, width, height, values))
    reader.finish(number_of(number, "camera"), notes)
    return cameras


def read_images(path: Path, notes: list[str]) -> list[ImageRecord]:
    """Images in the order of the file, without their 2D points; what was ignored is added to `notes`.

    Raises:
        InputError: the file is cut off, or states what cannot be; the message names the byte.
    """
    reader = _Reader(path)
    heads, raw = [], []
    number = reader.count(_IMAGE.size + 1 + _COUNT.size, "images")
    for _ in range(number):
        place = f"byte {reader.offset}"
        values = reader.unpack(_IMAGE, "an image")
        end = reader.data.find(b"\0", reader.offset)
        if end < 0:
            raise reader.fail("has an image name without an end")
        raw.append(reader.data[reader.offset : end])
        reader.offset = end + 1
        keypoints = reader.count(_KEYPOINT, "2D points")
        reader.skip(_KEYPOINT * keypoints, "2D points")
        heads.append((place, values, keypoints))
    reader.finish(number_of(number, "image"), notes)
    names = decode_names(raw, path, notes)
    return [
        ImageRecord(
            int(values[0]),
            (values[1], values[2], values[3], values[4]),
            (values[5], values[6], values[7]),
            int(values[8]),
            name,
            keypoints,
            place,
        )
        for name, (place, values, keypoints) in zip(names, heads, strict=True)
    ]


def read_points(path: Path, notes: list[str]) -> PointTable:
    """Points and their tracks in the order of the file; what was ignored is added to `notes`.

    Raises:
        InputError: the file is cut off, or states what cannot be; the message names the byte.
    """
    reader = _Reader(path)
    number = reader.count(_POINT.itemsize, "points")
    starts = _point_starts(reader, number)
    reader.finish(number_of(number, "point"), notes)
    data = np.frombuffer(reader.data, dtype=np.uint8)
    heads = np.empty(number, dtype=_POINT)
    tracks = [np.zeros((0, 2), np.int64)]
    inside = np.arange(_POINT.itemsize)
    for first in range(0, number, BLOCK):
        begin, end = starts[first], starts[min(first + BLOCK, number)]
        block = data[begin:end]
        fixed = (starts[first : min(first + BLOCK, number), None] - begin + inside).ravel()
        is_track = np.ones(len(block), dtype=bool)
        is_track[fixed] = False
        heads[first : first + BLOCK] = block[fixed].view(_POINT)
        tracks.append(block[is_track].view("<u4").reshape(-1, 2).astype(np.int64))
    return PointTable(
        heads["id"].copy(),
        heads["xyz"].copy(),
        heads["color"].copy(),
        heads["track"].astype(np.int64),
        np.concatenate(tracks),
    )


def _point_starts(reader: _Reader, number: int) -> NDArray[np.int64]:  # [number + 1]
    """Where each point begins, and where the last one ends."""
    starts = np.empty(number + 1, dtype=np.int64)
    data, last, offset = reader.data, len(reader.data) - _POINT.itemsize, reader.offset
    size, unpack, length_at = _POINT.itemsize, _COUNT.unpack_from, _POINT.itemsize - _COUNT.size
    for index in range(number):
        starts[index] = offset
        if offset > last:
            reader.offset = offset
            raise reader.fail("ends inside a point")
        (length,) = unpack(data, offset + length_at)
        offset += size + length * _OBSERVATION
        if offset > len(data):
            reader.offset = int(starts[index]) + size
            raise reader.fail(f"states a track of {length:,} observations, more than it can hold,")
    starts[number] = reader.offset = offset
    return starts
