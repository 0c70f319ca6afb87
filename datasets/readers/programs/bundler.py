"""Bundler: bundle.out (v0.3), with the names of the photos in list.txt.

A camera is f k1 k2, a rotation and a translation of world to camera with axes x right, y up, z backward; pixels are measured
from the image's center with y up: p = -P / P.z, p' = f (1 + k1 |p|^2 + k2 |p|^4) p.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.images.photo_index import natural
from splat.datasets.readers.colmap_records import decode_names
from splat.datasets.readers.model import Model, PosedImage, read_bytes
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.datasets.readers.programs.entries import REMEDY, Unposed, Unusable, assemble, beginning, viewmat
from splat.errors import InputError

NAMES = ("bundle.out", "bundle.rd.out", "bundler.out", "bundle_r000.out")
PLACES = ("", "bundle", "bundler", "opensfm", "opensfm/bundle")
LISTS = ("list.txt", "list.tmp.txt", "list_focal.txt")
FOCAL = re.compile(rb"[-+.0-9eE]+")
TO_OPENCV = np.diag([1.0, -1.0, -1.0])


def find(folder: Path) -> list[Path]:
    paths = [folder / place / name for place in PLACES for name in NAMES]
    paths += [path for place in PLACES for path in sorted((folder / place).glob("*.bundle.out"))]  # COLMAP's
    return [path for path in paths if path.is_file()]


def accepts(path: Path) -> bool:
    return beginning(path, ".out", 64).startswith(b"# Bundle file")


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The cameras that Bundler placed, the points, and which camera has seen which.

    Raises:
        InputError: the file is damaged, or its photos cannot be told; the message names the line and the remedy.
    """
    file = _File(path)
    count, point_count = file.counts()
    cameras = [file.camera() for _ in range(count)]
    table, rows = file.points(point_count, count)
    names, notes, base = _names(path, photos, count)
    files = photos.find(names, base)
    missing: list[str] = []
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    unposed: list[tuple[str, str]] = []
    for place, (name, values) in enumerate(zip(names, cameras, strict=True)):
        try:
            if not values[:12].any():
                raise Unposed("has no pose")
            photo, size = files[place]
            focal, k1, k2 = values[:3]
            lens = lenses.camera("RADIAL", size, [focal, size[0] / 2, size[1] / 2, k1, k2])
            rotation, translation = TO_OPENCV @ values[3:12].reshape(3, 3), TO_OPENCV @ values[12:]
            seen = np.array(sorted(rows.get(place, ())), dtype=np.int64)
            images.append(PosedImage(name, lens, viewmat(rotation, translation=translation), photo, observed=seen))
        except MissingPhoto:
            missing.append(name)
        except Unposed as reason:
            unposed.append((name, str(reason)))
        except (Unusable, UnusablePhoto) as reason:
            skipped.append((name, str(reason)))
    return assemble(
        path,
        images,
        table[:, :3],
        table[:, 3:],
        skipped=skipped,
        notes=[*notes, *files.notes],
        missing=missing,
        unposed=unposed,
    )


class _File:
    """The numbers of a bundle.out, a line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = read_bytes(path).splitlines()
        self.line = 0
        if not self.lines or not self.lines[0].startswith(b"# Bundle file"):
            raise InputError(f"{path}: does not begin with '# Bundle file v0.3'; {REMEDY}")

    def numbers(self) -> list[float]:
        """Those of the next line that is not empty or a comment."""
        while self.line < len(self.lines):
            text = self.lines[self.line].strip()
            self.line += 1
            if text and not text.startswith(b"#"):
                try:
                    return [float(value) for value in text.split()]
                except ValueError:
                    raise self.wrong("is not made of numbers") from None
        raise InputError(f"{self.path}: ends after line {len(self.lines)}, before all was said; {REMEDY}")

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.path}: line {self.line} {what}; {REMEDY}")

    def counts(self) -> tuple[int, int]:
        values = self.numbers()
        if len(values) != 2 or not all(value >= 0 and value == int(value) for value in values if np.isfinite(value)):
            raise self.wrong("should be the numbers of cameras and points")
        if not np.isfinite(values).all() or 5 * values[0] + 3 * values[1] > len(self.lines) + 1:
            raise self.wrong(
                f"promises {values[0]:.0f} cameras and {values[1]:.0f} points, more than the file has lines for"
            )
        return int(values[0]), int(values[1])

    def camera(self) -> NDArray[np.float64]:  # [15]: f, k1, k2, rotation, translation
        values: list[float] = []
        for _ in range(5):
            row = self.numbers()
            if len(row) != 3:
                raise self.wrong(f"has {len(row)} numbers, expected the three of a row of a camera")
            values += row
        return np.array(values)

    def points(self, count: int, cameras: int) -> tuple[NDArray[np.float64], dict[int, set[int]]]:
        """Positions and colors [P, 6], and the points that each camera has seen."""
        table = np.empty((count, 6))
        rows: dict[int, set[int]] = {}
        for point in range(count):
            for columns in (slice(0, 3), slice(3, 6)):
                row = self.numbers()
                if len(row) != 3:
                    raise self.wrong(f"has {len(row)} numbers, expected the three of a point's position or color")
                table[point, columns] = row
            for camera in self.views(cameras):
                rows.setdefault(camera, set()).add(point)
        return table, rows

    def views(self, cameras: int) -> Iterator[int]:
        row = self.numbers()
        if not row or row[0] != (len(row) - 1) // 4 or len(row) % 4 != 1:
            raise self.wrong("should be a point's list of views: how many, then four numbers for each")
        for value in row[1::4]:
            if not 0 <= value < cameras:
                raise self.wrong(f"names the camera {value:g} of {cameras}")
            yield int(value)


def _names(path: Path, photos: PhotosOfCapture, count: int) -> tuple[list[str], list[str], Path]:
    """The photo of each camera: of a list beside the file, else all photos by their names; and what names are relative to."""
    own = path.name.removesuffix("bundle.out") + "list.txt"
    for parent in (path.parent, path.parent.parent):
        for name in (own, *LISTS):
            if (parent / name).is_file():
                return *_listed(parent / name, count), parent
    found = sorted(photos.names(), key=natural)
    if len(found) != count:
        raise InputError(
            f"{path}: which photo belongs to which of its {count} cameras? Put the list.txt that Bundler was given beside it "
            f"({len(found)} photos are there)"
        )
    return (
        found,
        [f"{path}: no list.txt beside it; its {count} cameras were given to the photos in the order of their names"],
        path.parent,
    )


def _listed(path: Path, count: int) -> tuple[list[str], list[str]]:
    lines = [line.strip() for line in read_bytes(path).splitlines() if line.strip()]
    if len(lines) != count:
        raise InputError(
            f"{path}: names {len(lines)} photos, but the bundle.out has {count} cameras; copy the list again"
        )
    notes: list[str] = []
    names = decode_names([_without_focal(line) for line in lines], path, notes)
    return [name.replace("\\", "/").removeprefix("./") for name in names], notes


def _without_focal(line: bytes) -> bytes:
    """The name of a line, which may be "NAME 0 FOCAL"."""
    parts = line.rsplit(None, 2)
    return parts[0] if len(parts) == 3 and parts[1] == b"0" and FOCAL.fullmatch(parts[2]) else line
