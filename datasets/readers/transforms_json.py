"""transforms.json: captures of nerfstudio and instant-ngp, and Blender's synthetic ones (transforms_train.json ...).

Poses there are camera-to-world with OpenGL axes (x right, y up, z backward); here they become world-to-camera with OpenCV
axes. Intrinsics and distortion may stand at the top or with each frame. The world itself is left as it is.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from splat.datasets.images.decode import stored_size
from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.readers.find_photos import USUAL_FOLDER, find_photos
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.transforms_points import read_points
from splat.errors import InputError

SPLITS = ("train", "val", "test")
FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")
REMEDY = "write it again with the program that made it"


def is_capture(folder: Path) -> bool:
    return bool(model_files(folder))


def model_files(folder: Path) -> list[Path]:
    """transforms.json, or else those of Blender's captures to train and to test on."""
    if (folder / "transforms.json").is_file():
        return [folder / "transforms.json"]
    if not (folder / "transforms_train.json").is_file():
        return []
    named = [folder / f"transforms_{split}.json" for split in SPLITS if split != "val"]
    return [file for file in named if file.is_file()]


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
    contents = [(file, _read_json(file)) for file in files]
    for file, values in contents:
        held_out = "train" not in file.stem if len(files) > 1 else None
        for place, own in enumerate(_frames(file, values)):
            if isinstance(own.get("file_path"), str):
                frames.append(_Frame(file, place, values, own, own["file_path"], held_out))
            else:
                skipped.append((f"frame {place}", "has no file_path"))
    found = find_photos([frame.written for frame in frames], folder, images, base=folder)
    _check_different(frames, found.files)
    names = _names(folder, images, found.files)
    posed: list[PosedImage] = []
    missing: list[str] = []
    for frame, name, photo in zip(frames, names, found.files, strict=True):
        try:
            if not isinstance(photo, Path):
                raise photo
            posed.append(_posed(frame, name, photo))
        except MissingPhoto:
            missing.append(frame.written)
        except UnusablePhoto as reason:
            skipped.append((frame.written, str(reason)))
    posed.sort(key=lambda image: image.name)
    naming = [(file, values) for file, values in contents if "ply_file_path" in values]
    points = read_points(*(naming or contents)[0], posed)
    source = files[0] if len(files) == 1 else folder
    notes = (*found.notes, *points.notes)
    return Model(source, posed, points.xyz, points.rgb, skipped, notes, tuple(missing))


@dataclass(frozen=True)
class _Frame:
    """What a file says of one photo."""

    file: Path
    place: int
    values: dict[str, Any]  # at the top, for all frames
    own: dict[str, Any]
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {REMEDY}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with frames, got a {type(values).__name__}; {REMEDY}")
    return values


def _frames(path: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    frames = values.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path}: expected a list of frames; {REMEDY}")
    return frames


def _posed(frame: _Frame, name: str, photo: Path) -> PosedImage:
    pose = np.array(frame.own.get("transform_matrix"), dtype=object)
    try:
        pose = pose.astype(np.float64)
    except (ValueError, TypeError):
        raise UnusablePhoto("has a transform_matrix that is not made of numbers") from None
    if pose.shape not in ((4, 4), (3, 4)):
        raise UnusablePhoto(f"has a transform_matrix of shape {list(pose.shape)}, expected 4 x 4")
    to_world = np.eye(4)
    to_world[:3] = pose[:3]
    to_world[:3, 1:3] *= -1  # OpenGL to OpenCV
    # Some exporters scale the axes; the rotation is what is meant.
    lengths = np.linalg.norm(to_world[:3, :3], axis=0)
    if not np.isfinite(pose).all() or (lengths < 1e-9).any():
        raise UnusablePhoto("has a pose that is not finite")
    to_world[:3, :3] /= lengths
    if abs(np.linalg.det(to_world[:3, :3]) - 1) > 1e-2:
        raise UnusablePhoto("has a transform_matrix whose axes are not a rotation")
    held_out = frame.held_out
    for split in SPLITS:  # nerfstudio may list the names of each split
        listed = frame.values.get(f"{split}_filenames")
        if isinstance(listed, list) and frame.written in listed:
            held_out = split != "train"
    return PosedImage(
        name=name,
        camera=_camera({**frame.values, **frame.own}, photo),
        viewmat=np.linalg.inv(to_world),
        path=photo,
        mask=_text(frame.own.get("mask_path")),
        depth=_text(frame.own.get("depth_file_path")),
        held_out=held_out,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _camera(values: dict[str, Any], photo: Path) -> pycolmap.Camera:
    """The lens of one frame, as a COLMAP camera."""

    def optional(name: str) -> float | None:
        value = values.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise UnusablePhoto(f"has {name} = {value!r}, expected a number")
        return float(value)

    def number(name: str, otherwise: float) -> float:
        value = optional(name)
        return otherwise if value is None else value

    width, height = optional("w"), optional("h")
    if width is None or height is None:
        width, height = (float(side) for side in stored_size(photo))
    if not (1 <= width < 1 << 20 and 1 <= height < 1 << 20):
        raise UnusablePhoto(f"states an image of {width:g} x {height:g} pixels")
    fx, fy = optional("fl_x"), optional("fl_y")
    for name in ("camera_angle_x", "camera_angle_y"):
        if not 0 <= (optional(name) or 0) < math.pi:
            raise UnusablePhoto(
                f"has {name} = {optional(name):g}, expected radians, from 0 to pi; divide degrees by 57.2958"
            )
    if fx is None and (angle := optional("camera_angle_x")):
        fx = 0.5 * width / math.tan(0.5 * angle)
    if fy is None and (angle := optional("camera_angle_y")):
        fy = 0.5 * height / math.tan(0.5 * angle)
    fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
    if fx is None or fy is None:
        raise UnusablePhoto("has no focal length (fl_x or camera_angle_x)")
    if fx <= 0 or fy <= 0:
        raise UnusablePhoto(f"has a focal length of {fx:g}, {fy:g}")
    cx, cy = number("cx", width / 2), number("cy", height / 2)
    k1, k2, k3, k4, p1, p2 = (number(name, 0.0) for name in ("k1", "k2", "k3", "k4", "p1", "p2"))
    kind = str(values.get("camera_model", "")).upper()
    if kind in FISHEYE or values.get("is_fisheye") is True:
        model, lens = "OPENCV_FISHEYE", [k1, k2, k3, k4]
    elif kind in ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE", "FULL_OPENCV"):
        if k3 or k4:
            model, lens = "FULL_OPENCV", [k1, k2, p1, p2, k3, number("k4", 0.0), number("k5", 0.0), number("k6", 0.0)]
        elif any((k1, k2, p1, p2)):
            model, lens = "OPENCV", [k1, k2, p1, p2]
        else:
            model, lens = "PINHOLE", []
    else:
        raise UnusablePhoto(f"has the camera model {kind}, which cannot be used; export it as OPENCV or OPENCV_FISHEYE")
    camera = pycolmap.Camera.create_from_model_name(1, model, 1.0, round(width), round(height))
    camera.params = [fx, fy, cx, cy, *lens]
    return camera
