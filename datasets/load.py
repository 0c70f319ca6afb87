"""load_scene: a capture's folder in, photos and cameras in memory out."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pycolmap
import torch
from tqdm import tqdm

from splat.cameras import Camera
from splat.datasets import colmap
from splat.datasets.images import UnusablePhoto, as_tensor, decode, resize, target_size
from splat.datasets.scene import Frame, Scene
from splat.errors import InputError

SKIP_SHARE = 0.1
"""A capture of which more than this share of photos cannot be used is an error."""


def load_scene(
    path: Path | str,
    *,
    resolution: int = 1,
    max_size: int | None = None,
    images: str = "images",
    progress: bool = False,
) -> Scene:
    """Read a COLMAP capture: photos resized in memory, each with its own camera without distortion.

    Args:
        path: folder with the photos and a sparse model (in sparse/0, sparse, or the folder itself).
        resolution: divide width and height by this; -1 limits the longest side to 1600 pixels.
        max_size: longest side in pixels, at most.
        images: name of the folder with the photos.
        progress: show a progress bar.

    Raises:
        InputError: nothing usable; the message names the file or folder and the remedy.
    """
    capture = Path(path)
    if resolution != -1 and resolution < 1:
        raise InputError(f"resolution must be -1 (automatic) or at least 1, got {resolution}")
    if max_size is not None and max_size < 1:
        raise InputError(f"max-size must be at least 1 pixel, got {max_size}")
    model = colmap.read_model(capture)
    if model.note:
        warnings.warn(model.note, stacklevel=2)
    folder = _photo_folder(capture, images)
    if not model.images:
        raise InputError(f"{model.folder}: the model has no posed photo; reconstruct the capture again")
    index = _PhotoIndex(folder)

    def load(posed: colmap.PosedImage) -> Frame | str:
        try:
            return _load_frame(posed, index.find(posed.name), resolution, max_size)
        except UnusablePhoto as reason:
            return str(reason)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        loaded = list(
            tqdm(pool.map(load, model.images), total=len(model.images), desc="photos", unit="", disable=not progress)
        )
    frames = [frame for frame in loaded if isinstance(frame, Frame)]
    skipped = list(model.skipped)
    skipped += [
        (posed.name, reason) for posed, reason in zip(model.images, loaded, strict=True) if isinstance(reason, str)
    ]
    if not frames or len(skipped) > SKIP_SHARE * (len(frames) + len(skipped)):
        listed = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:20])
        more = f"\n  and {len(skipped) - 20} more" if len(skipped) > 20 else ""
        raise InputError(
            f"{capture}: {len(skipped)} of {len(frames) + len(skipped)} photos cannot be used, more than a tenth; mend "
            f"them, or name the right folder of photos with --images:{listed}{more}"
        )
    points = torch.from_numpy(model.points).float()
    return Scene(capture, tuple(frames), points, torch.from_numpy(model.colors), tuple(skipped))


def _photo_folder(capture: Path, images: str) -> Path:
    folder = capture / images
    if folder.is_dir():
        return folder
    others = sorted(path.name for path in capture.iterdir() if path.is_dir() and path.name != "sparse")
    hint = f"; folders there: {', '.join(others)}" if others else ""
    raise InputError(f"{folder}: no such folder of photos; name it with --images{hint}")


class _PhotoIndex:
    """Finds a model's photo below a folder: by its path, else by a unique file name, else by a unique stem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_name: dict[str, list[Path]] = {}
        self.by_stem: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.by_name.setdefault(path.name.lower(), []).append(path)
                self.by_stem.setdefault(path.stem.lower(), []).append(path)

    def find(self, name: str) -> Path:
        exact = self.folder / name
        if exact.is_file():
            return exact
        wanted = Path(name.replace("\\", "/"))
        for found in (self.by_name.get(wanted.name.lower(), []), self.by_stem.get(wanted.stem.lower(), [])):
            if len(found) == 1:
                return found[0]
            if found:
                raise UnusablePhoto(f"is ambiguous: {len(found)} files below {self.folder} have that name")
        raise UnusablePhoto(f"is not below {self.folder}")


def _load_frame(posed: colmap.PosedImage, path: Path, resolution: int, max_size: int | None) -> Frame:
    photo = decode(path, posed.camera.width, posed.camera.height)
    camera = pycolmap.Camera(posed.camera.todict())
    width, height = target_size(camera.width, camera.height, resolution, max_size)
    # Never enlarge: a photo smaller than its camera stays as it is, and the camera follows.
    width, height = min(width, photo.width), min(height, photo.height)
    photo = resize(photo, width, height)
    K = camera.calibration_matrix() if colmap.is_pinhole(camera) else None
    if K is None:
        camera.rescale(width, height)
        photo, camera = colmap.undistort(photo, camera)
        K = camera.calibration_matrix()
    else:
        K = np.diag([width / camera.width, height / camera.height, 1.0]) @ K
    viewmat = torch.from_numpy(posed.viewmat).float()
    return Frame(posed.name, Camera(viewmat, torch.from_numpy(K).float(), photo.width, photo.height), as_tensor(photo))
