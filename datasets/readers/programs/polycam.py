"""Polycam: the raw data of a LiDAR or room scan (developer mode), with a keyframes folder.

Each camera is a JSON file with fx, fy, cx, cy, width, height and t_00 ... t_23, a camera-to-world matrix of ARKit: axes x
right, y up, z backward, meters, world y up. corrected_cameras and corrected_images are optimized and without distortion. Depth
maps are PNGs in millimeters.
"""

from pathlib import Path

import numpy as np

from splat.datasets.images.file_kinds import MissingPhoto
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture, photo_in
from splat.datasets.readers.programs.entries import Unusable, assemble, mapping, number, opengl_viewmat, read_json
from splat.errors import InputError

PAIRS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))
"""Folders of cameras and of their photos, the better first."""


def find(folder: Path) -> list[Path]:
    return [place for place in (folder / "keyframes", folder) if _pair(place) is not None][:1]


def accepts(path: Path) -> bool:
    return False  # a capture is a folder of many files


def _pair(keyframes: Path) -> tuple[Path, Path] | None:
    for cameras, photos in PAIRS:
        if (keyframes / photos).is_dir() and next((keyframes / cameras).glob("*.json"), None) is not None:
            return keyframes / cameras, keyframes / photos
    return None


def read_model(path: Path, found: PhotosOfCapture) -> Model:
    """The keyframes with their optimized cameras where there are any, else as ARKit tracked them.

    Raises:
        InputError: there are no keyframes.
    """
    pair = _pair(path)
    if pair is None:
        raise InputError(f"{path}: no cameras and images of Polycam here; export the scan as raw data (developer mode)")
    cameras, photos = pair
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    missing: list[str] = []
    for file in sorted(cameras.glob("*.json")):
        name = file.stem
        try:
            photo = photo_in(photos, file.stem)
            name = photo.name
            images.append(_posed(name, photo, file))
        except MissingPhoto:
            missing.append(name)
        except Unusable as reason:
            skipped.append((name, str(reason)))
        except InputError as reason:
            skipped.append((name, f"has a camera that cannot be read ({reason})"))
    notes = []
    if cameras.name == "cameras":
        notes.append(
            f"{path}: no corrected_cameras, so poses are as ARKit tracked them; --refine-poses may sharpen the scene"
        )
    elif (others := _count(path / "cameras") - _count(cameras)) > 0:
        notes.append(f"{path}: {others} keyframes have no corrected camera; they were left out")
    if next((path / "depth").glob("*.png"), None) is not None:
        depth = (path / "depth").relative_to(found.folder) if path.is_relative_to(found.folder) else path / "depth"
        notes.append(
            f"{path}: depth maps in millimeters are used with --depths {depth} --loss depth_maps=0.5 --depth-scale 0.001"
        )
    return assemble(path, images, skipped=skipped, notes=notes, missing=missing)


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.json"))


def _posed(name: str, photo: Path, file: Path) -> PosedImage:
    values = mapping(read_json(file), "a camera")
    entry = {key: number(values.get(key), key) for key in ("width", "height", "fx", "fy", "cx", "cy")}
    matrix = np.array([[number(values.get(f"t_{i}{j}"), f"t_{i}{j}") for j in range(4)] for i in range(3)])
    size, focal = (entry["width"], entry["height"]), (entry["fx"], entry["fy"])
    return PosedImage(name, lenses.perspective(size, focal, (entry["cx"], entry["cy"])), opengl_viewmat(matrix), photo)
