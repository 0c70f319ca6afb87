"""COLMAP sparse models, binary and text, through pycolmap: poses, cameras of every model, points, and who saw which."""

import math
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from splat.datasets.readers.colmap_binary import check_binary_model
from splat.datasets.readers.model import Model, PosedImage
from splat.errors import InputError


def find_models(capture: Path) -> list[Path]:
    """Folders below a capture that hold a model: sparse/0 and its siblings, sparse, or the folder itself."""

    def is_model(folder: Path) -> bool:
        return any(
            (folder / f"cameras{suffix}").is_file() or (folder / f"images{suffix}").is_file()
            for suffix in (".bin", ".txt")
        )

    for parent in (capture / "sparse", capture / "colmap" / "sparse", capture):
        if not parent.is_dir():
            continue
        inside = sorted(
            folder for folder in parent.iterdir() if folder.is_dir() and folder.name.isdigit() and is_model(folder)
        )
        if inside or is_model(parent):
            return inside or [parent]
    return []


def read_model(capture: Path) -> Model:
    """Read the model of a capture; of several sub-models the one with most photos.

    Raises:
        InputError: there is no model, or it cannot be read; the message names the file and the remedy.
    """
    if not capture.exists():
        raise InputError(f"{capture}: no such folder; give the folder of a capture, with images/ and sparse/ in it")
    if not capture.is_dir():
        raise InputError(f"{capture}: is a file; give the folder of a capture, with images/ and sparse/ in it")
    folders = find_models(capture)
    if not folders:
        raise InputError(
            f"{capture}: no COLMAP model here (looked for cameras.bin or cameras.txt in sparse/0, sparse and the folder "
            "itself); `splat photos` finds the cameras, or run COLMAP's automatic reconstruction on the photos first"
        )
    models = [_read_folder(folder) for folder in folders]
    best = max(models, key=lambda model: len(model.images))
    if len(models) == 1:
        return best
    counts = ", ".join(f"{model.source.name}: {len(model.images)}" for model in models)
    note = f"{capture}: {len(models)} sub-models (photos in {counts}); using the largest, {best.source.name}"
    return replace(best, notes=(note, *best.notes))


def _read_folder(folder: Path) -> Model:
    binary = (folder / "cameras.bin").is_file() or (folder / "images.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    reconstruction = pycolmap.Reconstruction()
    if binary:
        check_binary_model(folder)
    else:
        for name in ("cameras.txt", "images.txt"):
            if not (folder / name).is_file():
                raise InputError(f"{folder}: has no {name}; a COLMAP model needs cameras and images, export it again")
    try:
        if (folder / f"points3D{suffix}").is_file():
            reconstruction.read_binary(folder) if binary else reconstruction.read_text(folder)
        else:
            _read_without_points(reconstruction, folder, suffix)
        return _convert(folder, reconstruction)
    except InputError:
        raise
    except Exception as error:  # pycolmap raises ValueError, RuntimeError, IndexError, UnicodeDecodeError, MemoryError
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{folder}: the model's *{suffix} files cannot be read ({reason}); they are damaged, or of a camera model this "
            "pycolmap does not know: export the model again with COLMAP"
        ) from error


def _read_without_points(reconstruction: pycolmap.Reconstruction, folder: Path, suffix: str) -> None:
    """A model may come without points: give the parser an empty file in a copy of the folder."""
    with tempfile.TemporaryDirectory() as copy:
        for path in folder.glob(f"*{suffix}"):
            shutil.copy(path, copy)
        empty = b"\0" * 8 if suffix == ".bin" else b""
        (Path(copy) / f"points3D{suffix}").write_bytes(empty)
        reconstruction.read_binary(copy) if suffix == ".bin" else reconstruction.read_text(copy)


def _convert(folder: Path, reconstruction: pycolmap.Reconstruction) -> Model:
    points = list(reconstruction.points3D.values())
    xyz = np.array([point.xyz for point in points], dtype=np.float64).reshape(-1, 3)
    rgb = np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3)
    finite = np.asarray((np.isfinite(xyz) & (np.abs(xyz) < 1e9)).all(axis=1))
    observed = _observations([point for point, fine in zip(points, finite, strict=True) if fine])
    images, skipped = [], []
    for image in sorted(reconstruction.images.values(), key=lambda image: image.name):
        if not image.has_pose:
            skipped.append((image.name, "has no pose in the model"))
            continue
        camera = reconstruction.cameras[image.camera_id]
        viewmat = np.eye(4)
        viewmat[:3] = image.cam_from_world().matrix()
        if not np.isfinite(viewmat).all() or abs(np.linalg.det(viewmat[:3, :3]) - 1) > 1e-3:
            skipped.append((image.name, "has a pose that is not finite"))
        elif not all(math.isfinite(value) for value in camera.params) or camera.mean_focal_length() <= 0:
            skipped.append((image.name, "has a camera whose parameters are not usable"))
        else:
            rows = np.array(sorted(observed.get(image.image_id, ())), dtype=np.int64)
            images.append(PosedImage(image.name, camera, viewmat, observed=rows))
    return Model(folder, images, xyz[finite], rgb[finite], skipped)


def _observations(points: list[pycolmap.Point3D]) -> dict[int, set[int]]:
    """For every image, which points (by their place in the list) it has seen."""
    observed: dict[int, set[int]] = {}
    for row, point in enumerate(points):
        for element in point.track.elements:
            observed.setdefault(element.image_id, set()).add(row)
    return observed
