"""transforms.json: captures of nerfstudio and instant-ngp, and Blender's synthetic ones (transforms_train.json ...).

Poses there are camera-to-world with OpenGL axes (x right, y up, z backward); here they become world-to-camera with OpenCV
axes. Intrinsics and distortion may stand at the top or with each frame. The world itself is left as it is.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

from splat.datasets.readers.model import Model, PosedImage
from splat.errors import InputError
from splat.io.ply import load_points

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".webp")
"""Tried in turn where a frame's file_path has no suffix, as in Blender's captures."""
FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")
REMEDY = "write it again with the program that made it"


def is_capture(folder: Path) -> bool:
    return (folder / "transforms.json").is_file() or (folder / "transforms_train.json").is_file()


def read_model(path: Path) -> Model:
    """The posed photos of a capture's folder or of one transforms.json, and its points where it names a file of them.

    Raises:
        InputError: the file cannot be read, or says something that cannot be used; the message names it and the frame.
    """
    files: list[tuple[Path, bool | None]]
    folder = path
    if path.is_file():
        files, folder = [(path, None)], path.parent
    elif (path / "transforms.json").is_file():
        files = [(path / "transforms.json", None)]
    else:
        named = [(path / f"transforms_{split}.json", split != "train") for split in SPLITS]
        files = [(file, held) for file, held in named if file.is_file() and "_val" not in file.stem]
    images: list[PosedImage] = []
    skipped: list[tuple[str, str]] = []
    points, colors = np.zeros((0, 3)), np.zeros((0, 3), dtype=np.uint8)
    for file, held_out in files:
        values = _read_json(file)
        for place, frame in enumerate(_frames(file, values)):
            try:
                images.append(_posed(file, values, frame, held_out))
            except _Unusable as reason:
                skipped.append((str(frame.get("file_path", f"frame {place}")), str(reason)))
        if isinstance(values.get("ply_file_path"), str):
            points, colors = _points(file, file.parent / values["ply_file_path"])
    images.sort(key=lambda posed: posed.name)
    names = [posed.name for posed in images]
    if len(set(names)) < len(names):
        raise InputError(f"{files[0][0]}: names a photo twice; {REMEDY}")
    return Model(files[0][0] if len(files) == 1 else folder, images, points, colors, skipped)


class _Unusable(Exception):
    """One frame cannot be used; the message is the reason."""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
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


def _posed(file: Path, values: dict[str, Any], frame: dict[str, Any], held_out: bool | None) -> PosedImage:
    written = frame.get("file_path")
    if not isinstance(written, str):
        raise _Unusable("has no file_path")
    photo = _photo(file.parent, written)
    pose = np.array(frame.get("transform_matrix"), dtype=object)
    try:
        pose = pose.astype(np.float64)
    except (ValueError, TypeError):
        raise _Unusable("has a transform_matrix that is not made of numbers") from None
    if pose.shape not in ((4, 4), (3, 4)):
        raise _Unusable(f"has a transform_matrix of shape {list(pose.shape)}, expected 4 x 4")
    to_world = np.eye(4)
    to_world[:3] = pose[:3]
    to_world[:3, 1:3] *= -1  # OpenGL to OpenCV
    # Some exporters scale the axes; the rotation is what is meant.
    lengths = np.linalg.norm(to_world[:3, :3], axis=0)
    if not np.isfinite(pose).all() or (lengths < 1e-9).any():
        raise _Unusable("has a pose that is not finite")
    to_world[:3, :3] /= lengths
    if abs(np.linalg.det(to_world[:3, :3]) - 1) > 1e-2:
        raise _Unusable("has a transform_matrix whose axes are not a rotation")
    for split in SPLITS:  # nerfstudio may list the names of each split
        if isinstance(values.get(f"{split}_filenames"), list) and written in values[f"{split}_filenames"]:
            held_out = split != "train"
    base = file.parent
    return PosedImage(
        name=_name(base, photo),
        camera=_camera({**values, **frame}, photo),
        viewmat=np.linalg.inv(to_world),
        path=photo,
        mask=_optional(base, frame.get("mask_path")),
        depth=_optional(base, frame.get("depth_file_path")),
        held_out=held_out,
    )


def _photo(base: Path, written: str) -> Path:
    path = base / written.replace("\\", "/")
    if path.is_file():
        return path
    for suffix in IMAGE_SUFFIXES:
        if path.with_name(path.name + suffix).is_file():
            return path.with_name(path.name + suffix)
    raise _Unusable(f"is not there ({path})")


def _optional(base: Path, written: Any) -> Path | None:
    if not isinstance(written, str):
        return None
    path = base / written.replace("\\", "/")
    if not path.is_file():
        raise _Unusable(f"names a file that is not there ({path})")
    return path


def _name(base: Path, photo: Path) -> str:
    """The path below the capture, without a leading images/, as COLMAP names its photos."""
    try:
        name = photo.resolve().relative_to(base.resolve()).as_posix()
    except ValueError:
        name = photo.name
    return name.removeprefix("images/")


def _camera(values: dict[str, Any], photo: Path) -> pycolmap.Camera:
    """The lens of one frame, as a COLMAP camera."""

    def optional(name: str) -> float | None:
        value = values.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise _Unusable(f"has {name} = {value!r}, expected a number")
        return float(value)

    def number(name: str, otherwise: float) -> float:
        value = optional(name)
        return otherwise if value is None else value

    width, height = optional("w"), optional("h")
    if width is None or height is None:
        try:
            with Image.open(photo) as image:
                width, height = float(image.width), float(image.height)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _Unusable(f"cannot be decoded ({error})") from error
    if not (1 <= width < 1 << 20 and 1 <= height < 1 << 20):
        raise _Unusable(f"states an image of {width:g} x {height:g} pixels")
    fx, fy = optional("fl_x"), optional("fl_y")
    if fx is None and (angle := optional("camera_angle_x")):
        fx = 0.5 * width / math.tan(0.5 * angle)
    if fy is None and (angle := optional("camera_angle_y")):
        fy = 0.5 * height / math.tan(0.5 * angle)
    fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
    if fx is None or fy is None:
        raise _Unusable("has no focal length (fl_x or camera_angle_x)")
    if fx <= 0 or fy <= 0:
        raise _Unusable(f"has a focal length of {fx:g}, {fy:g}")
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
        raise _Unusable(f"has the camera model {kind}, which cannot be used; export it as OPENCV or OPENCV_FISHEYE")
    camera = pycolmap.Camera.create_from_model_name(1, model, 1.0, round(width), round(height))
    camera.params = [fx, fy, cx, cy, *lens]
    return camera


def _points(file: Path, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sparse points from a .ply that the capture names."""
    if not path.is_file():
        raise InputError(f"{file}: names the points {path}, which are not there; copy them too, or take the name out")
    points, colors = load_points(path)
    return points.double().numpy(), colors.numpy()
