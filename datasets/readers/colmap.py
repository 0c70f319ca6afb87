"""COLMAP sparse models: where a capture has them, and which one is read."""

from dataclasses import replace
from pathlib import Path

from splat.datasets.images.photo_index import natural
from splat.datasets.readers.colmap_model import find_files, holds_model, read_folder, read_images
from splat.datasets.readers.find_photos import USUAL_FOLDER
from splat.datasets.readers.model import Model
from splat.errors import InputError
from splat.io.wording import number_of, was

PLACES = (
    "sparse",
    "colmap/sparse",  # nerfstudio
    ".",
    "dense/sparse",  # colmap image_undistorter into dense/
    "dense/0/sparse",  # colmap automatic_reconstructor
    "undistorted/sparse",
    "sfm",  # hloc
    "colmap",
    "model",
    "sparse_txt",
    "colmap_text",  # instant-ngp
    "text",
    "distorted/sparse",  # what the INRIA converter undistorts
)
"""Where a capture may have its model, the first that does is read: each is a model or has numbered sub-models in it."""


def find_models(capture: Path) -> list[Path]:
    """Folders below a capture that hold its model: sparse/0 and its siblings, sparse, or another usual place."""
    places = _places(capture)
    return places[0] if places else []


def is_own_folder(folder: Path) -> bool:
    """Whether a folder is that of a model itself, or of its numbered sub-models, and not of the capture around it."""
    return any(path == folder or (path.parent == folder and path.name.isdigit()) for path in find_models(folder))


def read_model(capture: Path, images: str = USUAL_FOLDER) -> Model:
    """Read the model of a capture; of several sub-models that can be read, the one with most photos.

    Args:
        images: folder of the photos, inside the capture. If it is the usual one, and the model has one of its own, as
            dense/sparse has dense/images of undistorted photos, that is taken.

    Raises:
        InputError: there is no model, or it cannot be read; the message names the file, the place and the remedy.
    """
    if not capture.exists():
        raise InputError(f"{capture}: no such folder; give the folder of a capture, with images/ and sparse/ in it")
    if not capture.is_dir():
        raise InputError(f"{capture}: is a file; give the folder of a capture, with images/ and sparse/ in it")
    places = _places(capture)
    if not places:
        raise InputError(
            f"{capture}: no COLMAP model here (looked for cameras.bin or cameras.txt in sparse, sparse/0, the folder itself "
            "and other usual places); `splat photos` finds the cameras, or run COLMAP's automatic reconstruction on the "
            "photos first"
        )
    notes: list[str] = []
    best = places[0][0] if len(places[0]) == 1 else _largest(capture, places[0], notes)
    if len(places) > 1:
        others = ", ".join(_below(capture, folder) for place in places[1:] for folder in place)
        notes.append(
            f"{capture}: has models in several places; using {_below(capture, best)}, not {others}. Move it away to use "
            "another"
        )
    model = read_folder(best)
    model = replace(model, notes=(*notes, *model.notes))
    return _with_its_photos(model, capture) if images == USUAL_FOLDER else model


def _largest(capture: Path, folders: list[Path], notes: list[str]) -> Path:
    """The sub-model with most photos.

    Raises:
        InputError: not one has images that can be read.
    """
    counts: dict[Path, int] = {}
    failed: dict[Path, InputError] = {}
    for folder in folders:
        try:
            counts[folder] = len(read_images(find_files(folder).images, []))
        except InputError as error:
            failed[folder] = error
    if not counts:
        raise failed[folders[0]]
    most = max(counts.values())
    largest = [folder for folder, count in counts.items() if count == most]
    photos = ", ".join(f"{folder.name}: {count}" for folder, count in counts.items())
    choice = "the largest" if len(largest) == 1 else "the first of the largest"
    choice = "the only one that can be read" if len(counts) == 1 else choice
    notes.append(f"{capture}: {len(folders)} sub-models (photos in {photos}); using {choice}, {largest[0].name}")
    notes += [f"{capture}: sub-model {folder.name} was left out. {error}" for folder, error in failed.items()]
    return largest[0]


def _with_its_photos(model: Model, capture: Path) -> Model:
    """Take the photos beside the folder `sparse` of a model where that is not the capture's: others may be distorted."""
    sparse = next((folder for folder in (model.source, model.source.parent) if folder.name == "sparse"), capture)
    folder = sparse.parent / USUAL_FOLDER
    if sparse in (capture, capture / "sparse") or not folder.is_relative_to(capture) or not folder.is_dir():
        return model
    placed = [replace(posed, path=folder / posed.name) for posed in model.images if (folder / posed.name).is_file()]
    if not placed:
        return model
    there = {posed.name for posed in placed}
    missing = tuple(posed.name for posed in model.images if posed.name not in there)
    count = f"{number_of(len(placed), 'photo')} {was(len(placed))}"
    note = f"{capture}: {count} taken from {_below(capture, folder)}, beside the model"
    return replace(model, images=placed, missing=missing, notes=(*model.notes, note))


def _below(capture: Path, folder: Path) -> str:
    return folder.relative_to(capture).as_posix()


def _places(capture: Path) -> list[list[Path]]:
    """The models of every place that has any: numbered sub-models, itself, or others in it, such as sparse/aligned."""
    found: list[list[Path]] = []
    for place in PLACES:
        parent = capture / place
        if not parent.is_dir():
            continue
        folders = [folder for folder in parent.iterdir() if folder.is_dir() and holds_model(folder)]
        folders.sort(key=lambda folder: natural(folder.name))
        found.append([folder for folder in folders if folder.name.isdigit()])
        found.append([parent] if holds_model(parent) else [])
        if place.endswith("sparse"):
            found.append([folder for folder in folders if not folder.name.isdigit()])
    return [folders for folders in found if folders]
