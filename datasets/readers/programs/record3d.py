"""Record3D: a recording exported as EXR + RGB (a folder with metadata.json and rgb/), or an .r3d file unzipped.

metadata holds w, h, K (3 x 3 by columns), poses (qx qy qz qw tx ty tz, camera to world with axes x right, y up, z backward) and
perFrameIntrinsicCoeffs (fx fy cx cy). Frame i is rgb/i.jpg or .png, in an .r3d rgbd/i.jpg.
"""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from splat.datasets.images.file_kinds import PHOTO_SUFFIXES
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Json,
    Unusable,
    assemble,
    number,
    numbers,
    opengl_viewmat,
    read_json,
)
from splat.errors import InputError
from splat.io.wording import listed, number_of

NAMES = ("metadata.json", "metadata", "EXR_RGBD/metadata.json")
PHOTOS = ("rgb", "rgbd", "images", ".")


def find(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if accepts(folder / name)]


def accepts(path: Path) -> bool:
    """Whether a file is Record3D's: it is named metadata and speaks of poses."""
    if not path.is_file() or path.stem.lower() != "metadata" or path.suffix.lower() not in ("", ".json"):
        return False
    with open(path, "rb") as file:
        start = file.read(1 << 20)
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        end = file.read()
    return start.lstrip().startswith(b"{") and b'"poses"' in start + end


def read_model(path: Path, found: PhotosOfCapture) -> Model:
    """The frames of a recording.

    Raises:
        InputError: the file cannot be read, or has no poses; the message names it and the remedy.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("poses"), list):
        raise InputError(f"{path}: no list of poses in it; {REMEDY}")
    poses = values["poses"]
    assert isinstance(poses, list)
    own = values.get("perFrameIntrinsicCoeffs")
    each = own if isinstance(own, list) and len(own) == len(poses) else None
    notes = []
    if own and each is None:
        count = f"{len(own)} for {len(poses)} poses" if isinstance(own, list) else "not a list"
        notes.append(f"{path}: perFrameIntrinsicCoeffs do not fit ({count}); K is used for every frame")
    photos, others = _photos(path.parent)
    if others:
        notes.append(
            f"{path}: {number_of(len(others), 'picture')} not named by a frame of its own, left out: {listed(others)}"
        )
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    missing: list[str] = []
    for place, pose in enumerate(poses):
        photo = photos.get(place)
        name = str(place) if photo is None else photo.name
        if photo is None:
            missing.append(name)
            continue
        try:
            images.append(_posed(name, photo, values, None if each is None else each[place], pose))
        except Unusable as reason:
            skipped.append((name, str(reason)))
    if extra := len(photos.keys() - set(range(len(poses)))):
        notes.append(f"{path}: {extra} pictures have no pose in it; they were left out")
    return assemble(path, images, skipped=skipped, notes=notes, missing=missing)


def _photos(folder: Path) -> tuple[dict[int, Path], list[str]]:
    """The pictures by the number of their frame, and the names of others, or of a second one of a frame."""
    for place in (folder / name for name in PHOTOS if (folder / name).is_dir()):
        found: dict[int, Path] = {}
        others = []
        for path in sorted(path for path in place.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES):
            named = path.stem.isascii() and path.stem.isdigit() and len(path.stem) < 18
            if not named or found.setdefault(int(path.stem), path) is not path:
                others.append(path.name)
        if found:
            return found, others
    return {}, []


def _posed(name: str, photo: Path, values: dict[str, Json], own: Json, pose: Json) -> PosedImage:
    size = lenses.image_size(number(values.get("w"), "w"), number(values.get("h"), "h"))
    if own is not None:
        fx, fy, cx, cy = numbers(own, 4, "perFrameIntrinsicCoeffs").tolist()
    else:
        K = numbers(values.get("K"), 9, "K")
        fx, fy, cx, cy = K[0], K[4], K[6], K[7]
    turn = numbers(pose, 7, "pose")
    if np.abs(turn[:4]).max() > 1e6 or np.linalg.norm(turn[:4]) < 1e-6:
        raise Unusable("has a pose whose quaternion is not one")
    rotation = Rotation.from_quat(turn[:4]).as_matrix()
    to_world = np.concatenate([rotation, turn[4:, None]], axis=1)
    return PosedImage(name, lenses.perspective(size, (fx, fy), (cx, cy)), opengl_viewmat(to_world), photo)
