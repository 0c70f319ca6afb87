"""load_capture: a folder in, photos and cameras out. Everything is looked at once here, so that a run never ends
later because of a file that could have been seen to be unusable."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
import torch

from splat.cameras import Camera
from splat.datasets.capture import Capture, Frame
from splat.datasets.images.cache import Photo, PhotoCache
from splat.datasets.images.companions import DEPTH_SUFFIXES, MASK_SUFFIXES, CompanionIndex, read_depth, read_mask
from splat.datasets.images.decode import UnusablePhoto, as_tensor, decode, resize, stored_size, target_size
from splat.datasets.images.lens import is_pinhole, undistort, undistort_map
from splat.datasets.readers import colmap, transforms_json
from splat.datasets.readers.model import Model, PosedImage
from splat.errors import InputError
from splat.io.progress import counted

SKIP_FRACTION = 0.1
"""A capture of which more than this fraction of photos cannot be used is an error."""

MaskProvider = Callable[[str, torch.Tensor], torch.Tensor]
"""Makes a mask from a photo: name and uint8 [H, W, 3] in, bool [H, W] out, True where the photo shows the scene. Called
from several threads, once for each time that a photo is decoded."""


@dataclass(frozen=True)
class PhotoOptions:
    """How photos are read. Folders are inside the capture."""

    resolution: int = 1  # divide width and height by this; -1 limits the longest side to 1600 pixels
    max_image_size: int | None = None  # longest side in pixels, at most
    images: str = "images"  # folder of the photos
    masks: str | None = "masks"  # folder of the masks; None for none
    invert_masks: bool = False  # black is scene
    depths: str | None = None  # folder of depth maps
    cache_bytes: int | None = None  # limit for decoded photos


def load_capture(
    path: Path | str,
    options: PhotoOptions | None = None,
    *,
    mask_provider: MaskProvider | None = None,
    progress: bool = False,
) -> Capture:
    """Read a capture: a COLMAP model in sparse/0, sparse or the folder itself, or a transforms.json.

    Every photo, mask and depth map is read once and resized; as many stay in memory as options.cache_bytes allows.

    Args:
        path: folder of the capture, or its transforms.json.
        mask_provider: makes a mask for the photos that have none.
        progress: show a progress bar.

    Raises:
        InputError: nothing usable; the message names the file or folder and the remedy.
    """
    capture, options = Path(path), options or PhotoOptions()
    if options.resolution != -1 and options.resolution < 1:
        raise InputError(f"`resolution` must be -1 (automatic) or at least 1, got {options.resolution}")
    if options.max_image_size is not None and options.max_image_size < 1:
        raise InputError(f"`max_image_size` must be at least 1 pixel, got {options.max_image_size}")
    model = read_model(capture)
    for note in model.notes:
        warnings.warn(note, stacklevel=2)
    if not model.images:
        raise InputError(
            f"{model.source}: the model has no photo that can be used; reconstruct the capture again"
            f"{_listed(model.skipped)}"
        )
    folder = capture if capture.is_dir() else capture.parent
    readers, skipped = _find_files(model, folder, options, mask_provider)
    cache = PhotoCache({name: reader.photo for name, reader in readers.items()}, options.cache_bytes)
    points = torch.from_numpy(model.points).float()

    def load(reader: _Reader) -> Frame | str:
        posed = reader.posed
        try:
            photo = cache.photo(posed.name)
            camera = reader.flat_camera(photo)
        except UnusablePhoto as reason:
            return str(reason)
        sparse = None
        if posed.observed is not None and len(posed.observed):
            sparse = _depths_of_points(points[torch.from_numpy(posed.observed)], camera)
        return Frame(posed.name, camera, cache, posed.held_out, sparse, hidden=photo.hidden)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(load, readers.values())
        loaded = list(counted(results, "photos", total=len(readers), unit="photo", shown=progress))
    frames = [frame for frame in loaded if isinstance(frame, Frame)]
    skipped += [(name, reason) for name, reason in zip(readers, loaded, strict=True) if isinstance(reason, str)]
    if not frames or len(skipped) > SKIP_FRACTION * (len(frames) + len(skipped)):
        raise InputError(
            f"{capture}: {len(skipped)} of {len(frames) + len(skipped)} photos cannot be used, more than a tenth; fix "
            f"them, or name the right folder of photos with `images`{_listed(skipped)}"
        )
    return Capture(
        folder, tuple(frames), points, torch.from_numpy(model.colors), tuple(skipped), _notes(readers, options)
    )


def _listed(skipped: list[tuple[str, str]]) -> str:
    """Photos that cannot be used, a line each, after a colon."""
    if not skipped:
        return ""
    more = f"\n  and {len(skipped) - 20} more" if len(skipped) > 20 else ""
    return ":" + "".join(f"\n  {name}: {reason}" for name, reason in skipped[:20]) + more


def read_model(capture: Path) -> Model:
    """The posed photos and points of a capture of any kind: COLMAP's where there is such a model, else transforms.json.

    Raises:
        InputError: there is neither, or it cannot be read.
    """
    if capture.is_file() and capture.suffix.lower() == ".json":
        return transforms_json.read_model(capture)
    if capture.is_dir() and not colmap.find_models(capture) and transforms_json.is_capture(capture):
        return transforms_json.read_model(capture)
    return colmap.read_model(capture)


def _find_files(
    model: Model, folder: Path, options: PhotoOptions, mask_provider: MaskProvider | None
) -> tuple[dict[str, "_Reader"], list[tuple[str, str]]]:
    """Where the pixels of every photo come from, and which photos have no file."""
    skipped = list(model.skipped)
    index = None
    if any(posed.path is None for posed in model.images):
        index = _PhotoIndex(_photo_folder(folder, options.images))
    masks = _companions(folder, options.masks, MASK_SUFFIXES, required=options.masks not in (None, "masks"))
    depths = _companions(folder, options.depths, DEPTH_SUFFIXES, required=True)
    readers: dict[str, _Reader] = {}
    for posed in model.images:
        try:
            if posed.path is None and index is not None:
                posed = replace(posed, path=index.find(posed.name))
            if posed.mask is None and masks is not None:
                posed = replace(posed, mask=masks.find(posed.name))
            if posed.depth is None and depths is not None:
                posed = replace(posed, depth=depths.find(posed.name))
            if options.masks is None:
                posed = replace(posed, mask=None)
            readers[posed.name] = _Reader(posed, options, mask_provider)
        except UnusablePhoto as reason:
            skipped.append((posed.name, str(reason)))
    if masks is not None:
        masks.check_use(sum(reader.posed.mask is not None for reader in readers.values()), "mask")
    if depths is not None:
        depths.check_use(sum(reader.posed.depth is not None for reader in readers.values()), "depth")
    return readers, skipped


def _companions(folder: Path, name: str | None, suffixes: tuple[str, ...], required: bool) -> CompanionIndex | None:
    if name is None:
        return None
    if (folder / name).is_dir():
        return CompanionIndex(folder / name, suffixes)
    if required:
        raise InputError(f"{folder / name}: no such folder; give the name of one inside the capture")
    return None


def _photo_folder(capture: Path, images: str) -> Path:
    folder = capture / images
    if folder.is_dir():
        return folder
    others = sorted(path.name for path in capture.iterdir() if path.is_dir() and path.name != "sparse")
    hint = f"; folders there: {', '.join(others)}" if others else ""
    raise InputError(f"{folder}: no such folder of photos; name it with `images`{hint}")


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


@dataclass(frozen=True)
class _Reader:
    """Reads one photo with its mask and depth, resized and without lens distortion."""

    posed: PosedImage
    options: PhotoOptions
    mask_provider: MaskProvider | None

    @property
    def original(self) -> tuple[int, int]:
        return self.posed.camera.width, self.posed.camera.height

    def size(self) -> tuple[int, int]:
        """Width and height in memory, lens distortion still in. A photo that is smaller than its camera is not enlarged."""
        assert self.posed.path is not None
        width, height = target_size(*self.original, self.options.resolution, self.options.max_image_size)
        stored = stored_size(self.posed.path)
        if (stored[0] > stored[1]) != (self.original[0] > self.original[1]):
            stored = stored[::-1]  # its EXIF orientation turns it
        return min(width, stored[0]), min(height, stored[1])

    def photo(self) -> Photo:
        """Decode everything.

        Raises:
            UnusablePhoto: a file is not readable or not of the camera's shape.
        """
        assert self.posed.path is not None
        size = self.size()
        image = resize(decode(self.posed.path, *self.original, size), *size)
        alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
        image = image.convert("RGB")
        mask = depth = None
        if self.posed.mask is not None:
            mask = read_mask(self.posed.mask, self.original, size, self.options.invert_masks)
        if self.posed.depth is not None:
            depth = read_depth(self.posed.depth, self.original, size)
        if not is_pinhole(self.posed.camera):
            camera = self._lens(size)
            image, flat = undistort(image, camera)
            alpha, mask, depth = (
                None if values is None else undistort_map(values, camera, flat) for values in (alpha, mask, depth)
            )
        maps = (None if values is None else torch.from_numpy(values.copy()) for values in (alpha, mask, depth))
        photo = Photo(as_tensor(image), *maps)
        if mask is None and self.mask_provider is not None:
            made = self.mask_provider(self.posed.name, photo.image)
            if made.dtype != torch.bool or made.shape != photo.image.shape[:2]:
                raise UnusablePhoto(
                    f"was given a mask of {list(made.shape)}, {made.dtype}; expected bool {list(photo.image.shape[:2])}"
                )
            photo = replace(photo, mask=made)
        return photo

    def flat_camera(self, photo: Photo) -> Camera:
        """The camera of the photo as `photo` returns it."""
        height, width = photo.image.shape[:2]
        if is_pinhole(self.posed.camera):
            camera = self.posed.camera
            K = np.diag([width / camera.width, height / camera.height, 1.0]) @ camera.calibration_matrix()
        else:
            flat = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), self._lens(self.size()))
            K = flat.calibration_matrix()
        return Camera(torch.from_numpy(self.posed.viewmat).float(), torch.from_numpy(K).float(), width, height)

    def _lens(self, size: tuple[int, int]) -> pycolmap.Camera:
        """The camera with its distortion, for a photo of this size."""
        camera = pycolmap.Camera(self.posed.camera.todict())
        camera.rescale(*size)
        return camera


def _depths_of_points(points: torch.Tensor, camera: Camera) -> torch.Tensor:  # [K, 3]: pixel x, y and depth
    """World points as a camera sees them, those inside its picture."""
    place, depth = camera.project(points)
    inside = (depth > 1e-6) & (place >= 0).all(1)
    inside &= (place < torch.tensor([camera.width, camera.height])).all(1)
    return torch.cat([place, depth[:, None]], dim=1)[inside]


def _notes(readers: dict[str, _Reader], options: PhotoOptions) -> tuple[str, ...]:
    """What was found beside the photos, for a person to check."""
    notes = []
    masks = sum(reader.posed.mask is not None for reader in readers.values())
    depths = sum(reader.posed.depth is not None for reader in readers.values())
    if masks:
        meaning = "white is ignored" if options.invert_masks else "black is ignored"
        notes.append(f"masks for {masks} of {len(readers)} photos ({meaning})")
    if depths:
        notes.append(f"depth maps for {depths} of {len(readers)} photos")
    return tuple(notes)
