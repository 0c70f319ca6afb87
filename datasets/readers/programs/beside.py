"""What lies beside a model and belongs to it: a point cloud that it does not name, and photos whose size it does not state."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from splat.datasets.images.decode import stored_size
from splat.datasets.images.file_kinds import PHOTO_SUFFIXES, MissingPhoto, UnusablePhoto
from splat.datasets.images.photo_index import PhotoIndex
from splat.datasets.readers.find_photos import USUAL_FOLDER, find_photos
from splat.datasets.readers.model import PosedImage, lost_points, seen_fraction
from splat.errors import InputError
from splat.io.ply import load_points
from splat.io.ply_container import HEADER_LIMIT

MOST_POINTS = 1_000_000
"""Of a dense cloud so many are used: training starts with a Gaussian for each."""

SEEN = 0.2
"""A cloud of which the cameras see a smaller fraction is in other coordinates, or of another scene."""

TELLING = ("sparse_pc", "sparse", "points", "cloud", "pc")
"""Parts of the names of point clouds, the most telling first."""

NONE = np.zeros((0, 3), dtype=np.float64)


def points_beside(
    model: Path, folder: Path, candidates: Sequence[list[PosedImage]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """The points of a PLY beside the model or in the capture's folder, where the cameras see them.

    Args:
        model: file or folder of the model.
        folder: of the capture.
        candidates: the photos, posed in each of the coordinate systems that the points may be in.

    Returns:
        [P, 3] in world units, colors [P, 3] in 0..255, both empty where there are none, and sentences that say what was used.
    """
    files, notes = cloud_files(model if model.is_dir() else model.parent, folder), []
    for file in files:
        try:
            points, colors, lost = read_points(file)
        except InputError as error:
            notes.append(f"{error}; its points were not used")
            continue
        notes += lost
        if not len(points):
            continue
        seen = max((seen_fraction(points, images) for images in candidates), default=0.0)
        if seen < SEEN:
            notes.append(
                f"{file}: cameras see {100 * seen:.0f} % of its points from two sides, so it is in other coordinates than they "
                "are; it was not used. Export points and cameras in the same coordinates"
            )
            continue
        count = len(points)
        said = f"{file}: {count:,} points, used to start from"
        if count > MOST_POINTS:
            rows = np.random.default_rng(0).choice(count, MOST_POINTS, replace=False)
            points, colors = points[np.sort(rows)], colors[np.sort(rows)]
            said = f"{file}: {MOST_POINTS:,} of {count:,} points, used to start from"
        return points, colors, [*notes, said]
    return NONE, NONE, notes


def cloud_files(*folders: Path) -> list[Path]:
    """Every PLY in these folders, those first whose names say that they are points."""
    found = {path.resolve(): path for folder in folders for path in sorted(folder.glob("*.[pP][lL][yY]"))}

    def rank(path: Path) -> tuple[int, str]:
        name = path.stem.lower()
        return next((place for place, part in enumerate(TELLING) if part in name), len(TELLING)), name

    return sorted((path for path in found.values() if path.is_file()), key=rank)


def read_points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Positions and colors of a PLY's points, and a word on those left out.

    Raises:
        InputError: it is not a PLY, has no positions, or holds Gaussians.
    """
    cloud = load_points(path, torch.float64)
    with open(path, "rb") as file:
        if b" f_dc_0" in file.read(HEADER_LIMIT).partition(b"end_header")[0]:
            raise InputError(f"{path}: is a scene of Gaussians")
    return cloud.points.numpy(), cloud.colors.double().numpy(), lost_points(path, cloud)


@dataclass(frozen=True)
class PhotosOfCapture:
    """Where the photos of a capture are looked for, for models that do not state their size."""

    folder: Path  # of the capture
    images: str = USUAL_FOLDER  # the folder of photos in it

    def find(self, names: Sequence[str], base: Path) -> "FoundFiles":
        """The files of photos, and their sizes.

        Args:
            names: as the model writes them.
            base: folder of the model, to which they may be relative.

        Raises:
            InputError: there is no such folder of photos.
        """
        found = find_photos(names, self.folder, self.images, base=base)
        sizes: list[tuple[Path, tuple[int, int]] | UnusablePhoto] = []
        for file in found.files:
            try:
                sizes.append((file, stored_size(file)) if isinstance(file, Path) else file)
            except UnusablePhoto as reason:
                sizes.append(reason)
        return FoundFiles(tuple(names), tuple(sizes), tuple(found.notes))

    def names(self) -> list[str]:
        """All photos, by their path below the folder of the photos."""
        place = self.folder / self.images if (self.folder / self.images).is_dir() else self.folder
        return [path.relative_to(place).as_posix() for path in PhotoIndex(place, PHOTO_SUFFIXES).files]


@dataclass(frozen=True)
class FoundFiles:
    """Photos that were looked for."""

    names: tuple[str, ...]
    sizes: tuple[tuple[Path, tuple[int, int]] | UnusablePhoto, ...]  # file, and width and height as stored; or why not
    notes: tuple[str, ...]

    def __getitem__(self, place: int) -> tuple[Path, tuple[int, int]]:
        """
        Raises:
            UnusablePhoto: the photo is not there, or not an image.
        """
        entry = self.sizes[place]
        if isinstance(entry, UnusablePhoto):
            raise entry
        return entry


def photo_beside(file: Path) -> Path:
    """The photo that a sidecar stands beside.

    Raises:
        MissingPhoto: there is none.
    """
    return photo_in(file.parent, file.stem)


def photo_in(folder: Path, stem: str) -> Path:
    """The photo of a name without its suffix, directly in a folder.

    Raises:
        MissingPhoto: there is none.
    """
    for path in sorted(folder.glob(glob.escape(stem) + ".*")):
        if path.suffix.lower() in PHOTO_SUFFIXES and path.stem == stem and path.is_file():
            return path
    raise MissingPhoto(f"is not in {folder}")
