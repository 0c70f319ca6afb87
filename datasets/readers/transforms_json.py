"""transforms.json: captures of nerfstudio and instant-ngp, and Blender's synthetic ones (transforms_train.json ...).

Poses there are camera-to-world with OpenGL axes (x right, y up, z backward); here they become world-to-camera with OpenCV
axes. Intrinsics and distortion may stand at the top or with each frame. The world itself is left as it is.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.images.decode import stored_size
from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.readers.find_photos import USUAL_FOLDER, find_photos
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.entries import (
    REMEDY,
    Json,
    Unusable,
    number,
    opengl_viewmat,
    optional,
    pose_matrix,
    read_json,
    sequence,
)
from splat.datasets.readers.transforms_points import read_points
from splat.errors import InputError
from splat.io.wording import number_of

SPLITS = ("train", "test", "val")
FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")
PANORAMAS = ("EQUIRECTANGULAR", "SPHERICAL", "OMNI")
PERSPECTIVE = ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE", "FULL_OPENCV")
COEFFICIENTS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
SCALED = 1e-3
"""By how much the axes of a pose may be longer or shorter than 1 before it is said."""


def is_capture(folder: Path) -> bool:
    return bool(model_files(folder))


def model_files(folder: Path) -> list[Path]:
    """transforms.json, or else those of Blender's captures: to train on, and to test or else to validate on."""
    if (folder / "transforms.json").is_file():
        return [folder / "transforms.json"]
    train, *others = (folder / f"transforms_{split}.json" for split in SPLITS)
    held_out = [file for file in others if file.is_file()][:1]
    return [train, *held_out] if train.is_file() else held_out


def unused_files(folder: Path) -> list[Path]:
    """Those that `model_files` leaves out."""
    every = [folder / f"transforms_{split}.json" for split in SPLITS]
    return [file for file in every if file.is_file() and file not in model_files(folder)]


def read_model(path: Path, images: str = USUAL_FOLDER) -> Model:
    """The posed photos of a capture's folder or of one transforms.json, and its points where there is a file of them.

    Args:
        images: folder of the photos inside the capture. Unless it is the usual one, it is looked into before the places that
            the file names.

    Raises:
        InputError: the file cannot be read, or says something that cannot be used; the message names it and the frame.
    """
    files, folder = ([path], path.parent) if path.is_file() else (model_files(path), path)
    if not files:
        raise InputError(f"{path}: has no transforms.json")
    frames: list[_Frame] = []
    skipped: list[tuple[str, str]] = []
    contents = [(file, _read(file)) for file in files]
    for file, values in contents:
        held_out = "train" not in file.stem if len(files) > 1 else None
        for place, entry in enumerate(sequence(values["frames"], "frames")):
            own = entry if isinstance(entry, dict) else {}
            if isinstance(written := own.get("file_path"), str):
                frames.append(_Frame(file, place, values, own, written, held_out))
            else:
                skipped.append((f"frame {place}", "has no file_path"))
    found = find_photos([frame.written for frame in frames], folder, images, base=folder)
    _check_different(frames, found.files)
    names = _names(folder, images, found.files)
    posed: list[PosedImage] = []
    missing: list[str] = []
    scaled = 0
    for frame, name, photo in zip(frames, names, found.files, strict=True):
        try:
            if not isinstance(photo, Path):
                raise photo
            pose = pose_matrix(frame.own.get("transform_matrix"), "a transform_matrix")
            posed.append(_posed(frame, name, photo, pose))
            scaled += bool(np.abs(_axis_lengths(pose) - 1).max() > SCALED)
        except MissingPhoto:
            missing.append(frame.written)
        except (UnusablePhoto, Unusable) as reason:
            skipped.append((frame.written, str(reason)))
    posed.sort(key=lambda image: image.name)
    naming = [(file, values) for file, values in contents if "ply_file_path" in values]
    points = read_points(*(naming or contents)[0], posed)
    source = files[0] if len(files) == 1 else folder
    notes = [*found.notes, *points.notes]
    if scaled:
        notes.append(f"{source}: poses of {number_of(scaled, 'photo')} have scaled axes; their rotation is used")
    unposed = [] if path.is_file() else _unused(folder, [frame.written for frame in frames], notes)
    return Model(source, posed, points.xyz, points.rgb, skipped, tuple(notes), tuple(missing), tuple(unposed))


def _unused(folder: Path, used: Sequence[str], notes: list[str]) -> list[tuple[str, str]]:
    """The photos of files that are not read, so that none is lost from the count, with the reason."""
    unposed = []
    for file in unused_files(folder):
        notes.append(
            f"{file} is not used besides {' and '.join(one.name for one in model_files(folder))}; name it to use it"
        )
        try:
            entries = sequence(_read(file)["frames"], "frames")
        except InputError as error:
            notes.append(str(error))
            continue
        written = [entry.get("file_path") for entry in entries if isinstance(entry, dict)]
        unposed += [
            (name, f"is in {file.name}, which is not used")
            for name in written
            if isinstance(name, str) and name not in used
        ]
    return unposed


@dataclass(frozen=True)
class _Frame:
    """What a file says of one photo."""

    file: Path
    place: int
    values: dict[str, Json]  # at the top, for all frames
    own: dict[str, Json]
    written: str  # its file_path
    held_out: bool | None


def _check_different(frames: Sequence[_Frame], photos: Sequence[Path | UnusablePhoto]) -> None:
    """Two poses of one photo cannot both be right.

    Raises:
        InputError: two frames mean the same file.
    """
    first: dict[Path, _Frame] = {}
    for frame, photo in zip(frames, photos, strict=True):
        if not isinstance(photo, Path):
            continue
        other = first.setdefault(photo.resolve(), frame)
        if other is not frame:
            raise InputError(
                f"{frame.file}: names a photo twice: frame {other.place} ({other.written}) and frame {frame.place} "
                f"({frame.written}) are both {photo}; take one of them out"
            )


def _names(folder: Path, images: str, photos: Sequence[Path | UnusablePhoto]) -> list[str]:
    """The paths below the photos' folder, as COLMAP names its photos; longer ones where those of two photos are equal."""
    whole = ["" if isinstance(photo, UnusablePhoto) else _below(folder, photo) for photo in photos]
    short = [name.removeprefix(f"{Path(images).as_posix()}/").removeprefix(f"{USUAL_FOLDER}/") for name in whole]
    count = Counter(short)
    return [name if count[name] == 1 else long for name, long in zip(short, whole, strict=True)]


def _below(folder: Path, photo: Path) -> str:
    """The path from a folder, in a form that two photos do not share."""
    try:
        return photo.relative_to(folder).as_posix().replace("../", "")
    except ValueError:
        return photo.as_posix().lstrip("/")


def _read(path: Path) -> dict[str, Json]:
    """A file with a list of frames.

    Raises:
        InputError: it is none.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("frames"), list):
        raise InputError(f"{path}: expected an object with a list of frames; {REMEDY}")
    return values


def _posed(frame: _Frame, name: str, photo: Path, to_world: NDArray[np.float64]) -> PosedImage:
    held_out = frame.held_out
    for split in SPLITS:  # nerfstudio may list the names of each split
        listed = frame.values.get(f"{split}_filenames")
        if isinstance(listed, list) and frame.written in listed:
            held_out = split != "train"
    return PosedImage(
        name=name,
        camera=_camera({**frame.values, **frame.own}, photo),
        viewmat=opengl_viewmat(to_world / _axis_lengths(to_world)),
        path=photo,
        mask=_text(frame.own.get("mask_path")),
        depth=_text(frame.own.get("depth_file_path")),
        held_out=held_out,
    )


def _axis_lengths(to_world: NDArray[np.float64]) -> NDArray[np.float64]:  # [4], the last is 1
    """Lengths of a pose's axes, for some exporters scale them; the rotation is what is meant."""
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(to_world[:3, :3], axis=0)
    if not ((lengths > 1e-9) & (lengths < 1e9)).all():
        raise Unusable(
            f"has a transform_matrix with axes of the lengths {', '.join(f'{length:g}' for length in lengths)}"
        )
    return np.append(lengths, 1.0)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _camera(values: dict[str, Json], photo: Path) -> pycolmap.Camera:
    """The lens of one frame, as a COLMAP camera."""

    def given(name: str) -> float | None:
        return None if values.get(name) is None else number(values[name], name)

    width, height = given("w"), given("h")
    if width is None or height is None:
        width, height = (float(side) for side in stored_size(photo))
    size = lenses.image_size(width, height)
    fx, fy = given("fl_x"), given("fl_y")
    for name in ("camera_angle_x", "camera_angle_y"):
        if not 0 <= (given(name) or 0) < math.pi:
            raise Unusable(f"has {name} = {given(name):g}, expected radians, from 0 to pi; divide degrees by 57.2958")
    if fx is None and (angle := given("camera_angle_x")):
        fx = 0.5 * width / math.tan(0.5 * angle)
    if fy is None and (angle := given("camera_angle_y")):
        fy = 0.5 * height / math.tan(0.5 * angle)
    fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
    if fx is None or fy is None:
        raise Unusable("has no focal length (fl_x or camera_angle_x)")
    cx, cy = given("cx"), given("cy")
    center = (width / 2 if cx is None else cx, height / 2 if cy is None else cy)
    k1, k2, k3, k4, k5, k6, p1, p2 = (optional(values, name) for name in COEFFICIENTS)
    kind = str(values.get("camera_model") or "").upper()
    if kind in FISHEYE or values.get("is_fisheye") is True:
        return lenses.fisheye(size, (fx, fy), center, (k1, k2, k3, k4), (p1, p2))
    if kind in PANORAMAS:
        raise Unusable(lenses.PANORAMA)
    if kind not in PERSPECTIVE:
        raise Unusable(f"has the camera model {kind}, which cannot be used; export it as OPENCV or OPENCV_FISHEYE")
    if k5 or k6 or (k4 and kind == "FULL_OPENCV"):  # elsewhere k4 is Brown's, as Metashape's
        return lenses.camera("FULL_OPENCV", size, [fx, fy, *center, k1, k2, p1, p2, k3, k4, k5, k6])
    return lenses.perspective(size, (fx, fy), center, (k1, k2, k3, k4), (p1, p2))
