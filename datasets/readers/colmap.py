"""COLMAP sparse models: where a capture has them, and which one is read."""

from dataclasses import replace
from pathlib import Path

from splat.datasets.readers.colmap_model import find_files, holds_model, read_folder, read_images
from splat.datasets.readers.model import Model
from splat.errors import InputError

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


def read_model(capture: Path) -> Model:
    """Read the model of a capture; of several sub-models the one with most photos.

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
            f"{capture}: no COLMAP model here (looked for cameras.bin or cameras.txt in sparse/0, sparse and the folder "
            "itself); `splat photos` finds the cameras, or run COLMAP's automatic reconstruction on the photos first"
        )
    folders = places[0]
    notes = []
    best = folders[0]
    if len(folders) > 1:
        counts = {folder: len(read_images(find_files(folder).images, [])) for folder in folders}
        best = max(folders, key=lambda folder: counts[folder])
        photos = ", ".join(f"{folder.name}: {count}" for folder, count in counts.items())
        notes.append(f"{capture}: {len(folders)} sub-models (photos in {photos}); using the largest, {best.name}")
    if len(places) > 1:
        others = ", ".join(_below(capture, folder) for place in places[1:] for folder in place)
        notes.append(
            f"{capture}: has models in several places; using {_below(capture, best)}, not {others}. Move it away to use "
            "another"
        )
    model = read_folder(best)
    return replace(model, notes=(*notes, *model.notes))


def _below(capture: Path, folder: Path) -> str:
    return folder.relative_to(capture).as_posix()


def _places(capture: Path) -> list[list[Path]]:
    """The models of every place that has any: its sub-models, or itself."""
    found = []
    for place in PLACES:
        parent = capture / place
        if not parent.is_dir():
            continue
        folders = sorted(folder for folder in parent.iterdir() if folder.is_dir() and holds_model(folder))
        numbered = [folder for folder in folders if folder.name.isdigit()]
        if not numbered and not holds_model(parent) and place.endswith("sparse"):
            numbered = folders  # such as sparse/aligned
        if numbered or holds_model(parent):
            found.append(numbered or [parent])
    return found
