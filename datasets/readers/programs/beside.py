"""What lies beside a model and belongs to it: a point cloud that it does not name, and photos whose size it does not state."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splat.datasets.images.decode import UnusablePhoto, stored_size
from splat.datasets.readers.model import PosedImage
from splat.datasets.readers.programs.entries import MOST, listed
from splat.errors import InputError
from splat.io.ply_container import read_rows

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".exr")

MOST_POINTS = 1_000_000
"""Of a dense cloud so many are used: training starts with a Gaussian for each."""

SEEN = 0.2
"""A cloud of which the cameras see a smaller fraction is in other coordinates, or of another scene."""

TELLING = ("sparse_pc", "sparse", "points", "cloud", "pc")
"""Parts of the names of point clouds, the most telling first."""

NONE = np.zeros((0, 3))


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
            points, colors = read_points(file)
        except InputError as error:
            notes.append(f"{error}; its points were not used")
            continue
        if not len(points):
            continue
        seen = max((seen_fraction(points, images) for images in candidates), default=0.0)
        if seen < SEEN:
            notes.append(
                f"{file}: the cameras see {100 * seen:.0f} % of its points, so it is in other coordinates than they are; it "
                "was not used. Export points and cameras in the same coordinates"
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


def read_points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in the precision of the file, and colors in 0..255 (gray where there are none), of a PLY's points that are
    finite.

    Raises:
        InputError: it is not a PLY, has no positions, or holds Gaussians.
    """
    rows = read_rows(path, "vertex")
    names = set(rows.dtype.names or ())
    if not {"x", "y", "z"} <= names:
        raise InputError(f"{path}: expected the properties x, y and z, got {listed(sorted(names)) or 'none'}")
    if "f_dc_0" in names:
        raise InputError(f"{path}: is a scene of Gaussians")
    points = np.stack([rows[name].astype(np.float64) for name in ("x", "y", "z")], axis=1)
    colors = np.full(points.shape, 128.0)
    for channels in (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue")):
        if names.issuperset(channels):
            kinds = [rows.dtype[name] for name in channels]
            scale = 255.0 if kinds[0].kind == "f" else 255.0 / np.iinfo(kinds[0]).max if kinds[0].itemsize == 2 else 1.0
            colors = scale * np.stack([rows[name].astype(np.float64) for name in channels], axis=1)
            break
    fine = (np.isfinite(points) & (np.abs(points) < MOST)).all(axis=1)
    return points[fine], colors[fine]


def seen_fraction(points: NDArray[np.float64], images: Sequence[PosedImage]) -> float:
    """The fraction of points that some photo shows, lens distortion aside, of a sample of both."""
    points = points[:: max(1, len(points) // 2000)]
    seen = np.zeros(len(points), dtype=bool)
    for image in images[:: max(1, len(images) // 100)]:
        local = points @ image.viewmat[:3, :3].T + image.viewmat[:3, 3]
        K = image.camera.calibration_matrix()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            place = local[:, :2] / local[:, 2:] * (K[0, 0], K[1, 1]) + K[:2, 2]
            size = (image.camera.width, image.camera.height)
            seen |= (local[:, 2] > 0) & ((place >= 0) & (place <= size)).all(axis=1)
    return float(seen.mean()) if len(seen) else 0.0


class PhotoSizes:
    """Finds photos below a capture and says how large they are, for models that do not."""

    def __init__(self, folder: Path, images: str = "images") -> None:
        """
        Args:
            folder: of the capture.
            images: folder in it where the photos are, if there is one of that name; else they are looked for below `folder`.
        """
        self.folder = folder
        self.images = folder / images if (folder / images).is_dir() else folder
        self._files: list[Path] | None = None
        self._by_name: dict[str, list[Path]] = {}

    def files(self) -> list[Path]:
        if self._files is None:
            self._files = [
                path
                for path in sorted(self.images.rglob("*"))
                if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()
            ]
            for path in self._files:
                self._by_name.setdefault(path.stem.lower(), []).append(path)
        return self._files

    def names(self) -> list[str]:
        """All photos, by their path below the folder of the photos."""
        return [path.relative_to(self.images).as_posix() for path in self.files()]

    def of(self, name: str, near: Path) -> tuple[Path, tuple[int, int]]:
        """The file of a photo, and its width and height as stored.

        Args:
            name: as the model says.
            near: folder of the model, to which its names may be relative.

        Raises:
            UnusablePhoto: it is not there, several files could be meant, or it is not an image.
        """
        for parent in (self.images, near, self.folder):
            if (parent / name).is_file():
                return parent / name, stored_size(parent / name)
        self.files()
        parts = Path(name.lower().replace("\\", "/")).with_suffix("").parts
        found = self._by_name.get(parts[-1] if parts else "", [])
        for length in range(1, len(parts) + 1):
            if len(found) <= 1:
                break
            found = [path for path in found if _tail(path, length) == parts[-length:]]
        if len(found) != 1:
            raise UnusablePhoto(
                f"is ambiguous: {len(found)} files below {self.images} have that name"
                if found
                else f"is not below {self.images}"
            )
        return found[0], stored_size(found[0])

    def beside(self, file: Path) -> Path:
        """The photo that a sidecar stands beside.

        Raises:
            UnusablePhoto: there is none.
        """
        for suffix in PHOTO_SUFFIXES:
            for candidate in (file.with_suffix(suffix), file.with_suffix(suffix.upper())):
                if candidate.is_file():
                    return candidate
        raise UnusablePhoto(f"has no photo beside its {file.name}")


def _tail(path: Path, length: int) -> tuple[str, ...]:
    return Path(path.as_posix().lower()).with_suffix("").parts[-length:]
