"""Which reader a capture takes: the table of all sources, and `read_model`, by which everything else reads."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splat.datasets.images.file_kinds import PHOTO_SUFFIXES
from splat.datasets.readers import archive, colmap, transforms_json
from splat.datasets.readers.colmap_model import read_folder
from splat.datasets.readers.find_photos import USUAL_FOLDER
from splat.datasets.readers.model import Model
from splat.datasets.readers.programs import (
    bundler,
    metashape,
    openmvg,
    opensfm,
    polycam,
    realityscan,
    realityscan_xmp,
    record3d,
)
from splat.datasets.readers.programs.beside import PhotosOfCapture, points_beside
from splat.datasets.readers.programs.entries import read_json
from splat.errors import InputError
from splat.io.wording import listed

COLMAP_FILES = ("cameras.bin", "images.bin", "points3d.bin", "cameras.txt", "images.txt", "points3d.txt")

INNER_FOLDERS = (
    "sparse",
    "colmap",
    "dense",
    "text",
    "model",
    "bundle",
    "opensfm",
    "reconstruction",
    "sfm",
    "exr_rgbd",
    "export",
)
"""How folders inside a capture begin in which programs leave models."""

MOST_FOLDERS = 300
"""So many folders are looked into for a model that lies deeper than the capture that was named."""


@dataclass(frozen=True)
class Reader:
    """One source of captures."""

    name: str
    looks_for: str  # what is looked for in a folder, in words
    find: Callable[[Path], list[Path]]  # a folder's models: files, or folders of files
    accepts: Callable[[Path], bool]  # whether a file is such a model
    read: Callable[[Path, PhotosOfCapture], Model]  # the model that `find` gave, or a file that it accepts
    own_points: bool = False  # whether the reader looks for a point cloud beside the model itself


def _colmap(path: Path, photos: PhotosOfCapture) -> Model:
    if path.is_file():
        return read_folder(path.parent)
    return colmap.read_model(path, photos.images)


def _transforms(path: Path, photos: PhotosOfCapture) -> Model:
    return transforms_json.read_model(path, photos.images)


READERS = (
    Reader(
        "COLMAP",
        "cameras.bin or cameras.txt in sparse/0, sparse and the folder itself",
        lambda folder: [folder] if colmap.find_models(folder) else [],
        lambda path: path.name.lower() in COLMAP_FILES,
        _colmap,
    ),
    Reader(
        "transforms.json",
        "transforms.json or transforms_train.json (nerfstudio, instant-ngp, Blender)",
        lambda folder: [folder] if transforms_json.is_capture(folder) else [],
        lambda path: path.name.lower().startswith("transforms") and path.suffix.lower() == ".json",
        _transforms,
        own_points=True,
    ),
    Reader(
        "Metashape", "an .xml of Metashape", metashape.find, metashape.accepts, metashape.read_model, own_points=True
    ),
    Reader(
        "RealityScan",
        "a .csv that begins with #name (RealityScan)",
        realityscan.find,
        realityscan.accepts,
        realityscan.read_model,
    ),
    Reader(
        "RealityScan's sidecars",
        ".xmp beside the photos (RealityScan)",
        realityscan_xmp.find,
        realityscan_xmp.accepts,
        realityscan_xmp.read_model,
    ),
    Reader("OpenSfM", "reconstruction.json (OpenSfM, OpenDroneMap)", opensfm.find, opensfm.accepts, opensfm.read_model),
    Reader("OpenMVG", "sfm_data.json (OpenMVG)", openmvg.find, openmvg.accepts, openmvg.read_model),
    Reader("Bundler", "bundle.out (Bundler)", bundler.find, bundler.accepts, bundler.read_model),
    Reader("Polycam", "keyframes/ with cameras (Polycam)", polycam.find, polycam.accepts, polycam.read_model),
    Reader("Record3D", "metadata.json with poses (Record3D)", record3d.find, record3d.accepts, record3d.read_model),
)
"""In the order of preference: what was made for training first, then what has points, then poses of a phone's tracking."""


@dataclass(frozen=True)
class Found:
    """A model that was found, before it is read."""

    reader: Reader
    path: Path  # of the model
    folder: Path  # of the capture, below which its photos are
    notes: tuple[str, ...] = ()  # what else is there


def holds_model(path: Path) -> bool:
    """Whether cameras are known for a folder or file, that is, `read_model` has something to read. A zip is not unpacked for
    that: it may hold anything."""
    if path.is_file():
        return _reader_of(path) is not None
    return path.is_dir() and bool(_models(path) or _below(path))


def find_model(path: Path) -> Found:
    """The model of a capture.

    Args:
        path: folder of the capture, the model's own file, or a zip of a capture, which is unpacked beside itself.

    Raises:
        InputError: there is none; the message lists what was looked for, and the remedy.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder or file; give the folder of a capture, or the file of its cameras")
    if archive.is_archive(path):
        unpacked = archive.unpack(path)
        said = (f"{path} was unpacked to {unpacked.folder}",) if unpacked.new else ()
        found = find_model(unpacked.folder)
        return replace(found, notes=(*said, *unpacked.notes, *found.notes))
    if path.is_file():
        reader = _reader_of(path)
        if reader is None:
            raise InputError(
                f"{path}: not a file of cameras that can be read; give the folder of a capture, or one of "
                f"{'; '.join(reader.looks_for for reader in READERS)}; or a .zip"
            )
        return Found(reader, path, _folder_of(path.parent))
    models = _models(path)
    if models:
        (reader, model), others = models[0], models[1:]
        own = reader.name == "COLMAP" and colmap.is_own_folder(path)
        return Found(reader, model, _folder_of(path) if own else path, _choice(reader, model, others))
    below = _below(path)
    if len(below) > 1:
        names = listed([f"{path / folder.name}" for folder in below])
        raise InputError(f"{path}: holds {len(below)} captures; name one of them: {names}")
    if below:
        found = find_model(below[0])
        found = replace(found, notes=(f"{path}: the cameras in {below[0].name}/ are used", *found.notes))
        if not (below[0] / "images").is_dir():
            found = replace(found, folder=path)
        return found
    deeper = _deeper(path)
    if deeper:
        which = listed(deeper) if len(deeper) == 1 else f"one of these: {listed(deeper)}"
        raise InputError(f"{path}: no cameras here (`splat photos` finds them), but deeper inside; name {which}")
    wanted = "".join(f"\n  {reader.looks_for}" for reader in READERS)
    raise InputError(f"{path}: no cameras here; `splat photos` finds them for a folder of photos. Looked for:{wanted}")


def read_model(path: Path, images: str = USUAL_FOLDER) -> Model:
    """The posed photos and points of a capture of any kind.

    Args:
        path: folder of the capture, the model's own file, or a zip.
        images: folder of the photos in it, for models that do not state their size.

    Raises:
        InputError: there is no model, or it cannot be read.
    """
    return read_found(find_model(path), images)


def read_found(found: Found, images: str = USUAL_FOLDER) -> Model:
    """The model that `find_model` found."""
    model = found.reader.read(found.path, PhotosOfCapture(found.folder, images))
    notes = [*found.notes, *model.notes]
    if not len(model.points) and not found.reader.own_points and model.images:
        points, colors, more = points_beside(model.source, found.folder, [model.images])
        model = replace(model, points=points, colors=colors.clip(0, 255).round().astype(np.uint8))
        notes += more
    return replace(_unique(model), notes=tuple(notes))


def _unique(model: Model) -> Model:
    """Photos that the model poses more than once are left out: nothing says which pose is right."""
    photos = [image.name if image.path is None else image.path.resolve() for image in model.images]
    counts = Counter(photos)
    named = dict(zip(photos, (image.name for image in model.images), strict=True))
    twice = [
        (named[photo], f"has {count} poses in the model, so none is certain")
        for photo, count in counts.items()
        if count > 1
    ]
    if not twice:
        return model
    images = [image for image, photo in zip(model.images, photos, strict=True) if counts[photo] == 1]
    return replace(model, images=images, skipped=[*model.skipped, *twice])


def _models(folder: Path) -> list[tuple[Reader, Path]]:
    """Every model of a folder, the preferred first.

    Raises:
        InputError: there is none, but the folder or a file in it may not be read.
    """
    found: list[tuple[Reader, Path]] = []
    failed: OSError | None = None
    for reader in READERS:
        try:
            found += [(reader, path) for path in reader.find(folder)]
        except OSError as error:
            failed = failed or error
    if failed and not found:
        raise _unreadable(folder, failed) from failed
    return found


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{error.filename or path}: cannot be looked into ({error.strerror or error})")


def _below(folder: Path) -> list[Path]:
    """Folders in a folder that hold models.

    Raises:
        InputError: one of them may not be read.
    """
    return [path for path in _folders_in(folder) if _models(path)]


def _folders_in(folder: Path) -> list[Path]:
    """
    Raises:
        InputError: it may not be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from error


def _deeper(folder: Path) -> list[Path]:
    """Folders that hold models, more than one folder down; the highest ones, of as many as are quickly looked through."""
    level, looked = _folders_in(folder), 0
    while level and looked < MOST_FOLDERS:
        looked += len(level)
        below = []
        found = []
        for path in level[:MOST_FOLDERS]:
            try:
                found += _below(path)
                below += _folders_in(path)
            except InputError:
                continue  # it may not be read
        if found:
            return found
        level = below
    return []


def _choice(reader: Reader, model: Path, others: list[tuple[Reader, Path]]) -> tuple[str, ...]:
    if not others:
        return ()
    commands = listed([f"`splat train {_named(*other)}`" for other in others])
    return (f"{_named(reader, model)} is used for the cameras ({reader.name}); there are others: {commands}",)


def _named(reader: Reader, model: Path) -> Path:
    """How a person names a model."""
    if reader.name == "COLMAP":
        best = colmap.find_models(model)[0]
        return next(best / name for name in ("cameras.bin", "cameras.txt", "") if (best / name).exists())
    if reader.name == "transforms.json":
        names = ("transforms.json", "transforms_train.json")
        return next(model / name for name in names if (model / name).is_file())
    return model


def _reader_of(path: Path) -> Reader | None:
    """The reader of a file, by its name and content.

    Raises:
        InputError: it may not be read.
    """
    try:
        for reader in READERS:
            if reader.accepts(path):
                return reader
    except OSError as error:
        raise _unreadable(path, error) from error
    if path.suffix.lower() != ".json":
        return None
    values = read_json(path)
    parts = values if isinstance(values, list) else [values]
    keys = {key for part in parts if isinstance(part, dict) for key in part}
    kinds = {"views": "OpenMVG", "shots": "OpenSfM", "poses": "Record3D", "frames": "transforms.json"}
    wanted = next((name for key, name in kinds.items() if key in keys), None)
    return next((reader for reader in READERS if reader.name == wanted), None)


def _folder_of(folder: Path) -> Path:
    """The capture of a model's own folder: the first folder with photos of that one, the one above, and those above folders in
    which programs keep models; else its own folder."""
    if _is_photo_below(folder, depth=8):
        return folder
    name = folder.absolute().name
    for above in folder.absolute().parents[:3]:
        inner = name.isdigit() or name.lower().startswith(INNER_FOLDERS)
        if (above / "images").is_dir() or (inner and _is_photo_below(above, depth=2)):
            return above
        if not inner:
            break
        name = above.name
    return folder


def _is_photo_below(folder: Path, depth: int) -> bool:
    """Whether a photo is in a folder, or in its folders to some depth."""
    seen: set[str] = set()  # links may lead around in circles
    level = [folder]
    for _ in range(depth):
        below = []
        for place in level:
            try:
                inside = [path for path in place.iterdir() if not path.name.startswith(".")]
            except OSError:
                continue  # not allowed to look there
            if any(path.suffix.lower() in PHOTO_SUFFIXES for path in inside):
                return True
            below += [path for path in inside if path.is_dir()]
        level = []
        for path in below:
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                level.append(path)
    return False
