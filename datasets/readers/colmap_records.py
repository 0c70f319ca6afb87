"""What the files of a COLMAP model say, whether they are text or binary: the parsers make it, colmap_model.py uses it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.io.wording import listed, number_of

GRAY = 128
"""What a point without a color is given, of 255."""


@dataclass(frozen=True)
class CameraRecord:
    id: int
    model: str  # COLMAP's name of the camera model
    size: tuple[int, int]  # width and height
    params: tuple[float, ...]
    place: str  # where in the file: "line 4" or "byte 8"
    camera: pycolmap.Camera | None  # None for a panorama, which no pinhole or fisheye camera can stand for
    fault: str | None = None  # why no photo of it can be used: the end of a sentence that begins with the camera

    def says_the_same(self, other: "CameraRecord") -> bool:
        return (self.model, self.size, self.params) == (other.model, other.size, other.params)


@dataclass(frozen=True)
class ImageRecord:
    id: int
    quat: tuple[float, float, float, float]  # w, x, y, z: world to camera, as written
    translation: tuple[float, float, float]
    camera_id: int
    name: str
    keypoints: int  # number of 2D points
    place: str


@dataclass(frozen=True)
class PointTable:
    """Points in the order of the file, as written: positions may be NaN, tracks may point nowhere."""

    ids: NDArray[np.uint64]  # [P]
    xyz: NDArray[np.float64]  # [P, 3]
    colors: NDArray[np.uint8]  # [P, 3]
    lengths: NDArray[np.int64]  # [P] number of observations in the track of each point
    tracks: NDArray[np.int64]  # [T, 2] image id and index of the 2D point: the tracks one after another

    @staticmethod
    def without_tracks(xyz: NDArray[np.float64], colors: NDArray[np.uint8]) -> "PointTable":
        count = len(xyz)
        ids = np.arange(count, dtype=np.uint64)
        return PointTable(ids, xyz, colors, np.zeros(count, np.int64), np.zeros((0, 2), np.int64))


def decode_names(raw: list[bytes], path: Path, notes: list[str]) -> list[str]:
    """Names of photos as text: UTF-8, or else the code page that programs on Windows write."""
    names, foreign = [], []
    for name in raw:
        try:
            names.append(name.decode("utf-8"))
        except UnicodeDecodeError:
            names.append(name.decode("cp1252", errors="replace"))
            foreign.append(names[-1])
    if foreign:
        notes.append(
            f"{path}: names of {number_of(len(foreign), 'photo')} are not UTF-8 and were read as Windows-1252: "
            f"{listed(foreign)}"
        )
    return names
