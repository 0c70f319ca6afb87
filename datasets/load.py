"""load_capture: a folder in, photos and cameras out. Everything is looked at once here, so that a run never ends
later because of a file that could have been seen to be unusable."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
import torch

from splat.cameras import Camera
from splat.datasets.capture import Capture, Frame
from splat.datasets.find_files import FileOfPhoto, check_any, check_enough, find_files
from splat.datasets.images.cache import Photo, PhotoCache
from splat.datasets.images.companions import read_depth, read_mask
from splat.datasets.images.decode import as_tensor, decode, resize, stored_size, target_size
from splat.datasets.images.deep import Levels, measure_levels
from splat.datasets.images.file_kinds import UnusablePhoto
from splat.datasets.images.lens import is_pinhole, undistort, undistort_map
from splat.datasets.images.pages import page_notes
from splat.datasets.local_frame import frame_of_scene, local_frame, localized, placement_notes
from splat.datasets.readers.choose import find_model, read_found
from splat.datasets.readers.find_photos import USUAL_FOLDER
from splat.datasets.readers.model import PosedImage
from splat.errors import InputError
from splat.geometry.georeference import Georeference
from splat.io.progress import counted
from splat.io.wording import listed, number_of

MaskProvider = Callable[[str, torch.Tensor], torch.Tensor]
"""Makes a mask from a photo: name and uint8 [H, W, 3] in, bool [H, W] out, True where the photo shows the scene. Called
from several threads, once for each time that a photo is decoded."""


@dataclass(frozen=True)
class PhotoOptions:
    """How photos are read. Folders are inside the capture."""

    resolution: int = 1  # divide width and height by this; -1 limits the longest side to 1600 pixels
    max_image_size: int | None = None  # longest side in pixels, at most
    images: str = USUAL_FOLDER  # folder of the photos
    masks: str | None = "masks"  # folder of the masks; None for none
    invert_masks: bool = False  # black is scene
    depths: str | None = None  # folder of depth maps
    cache_bytes: int | None = None  # limit for decoded photos
    allow_missing: bool = False  # use what is left, however many photos are not there or damaged


def load_capture(
    path: Path | str,
    options: PhotoOptions | None = None,
    *,
    mask_provider: MaskProvider | None = None,
    georeference: Georeference | None = None,
    scene: torch.Tensor | None = None,
    progress: bool = False,
) -> Capture:
    """Read a capture of COLMAP, transforms.json, or another program (splat.datasets.readers.choose has the list).

    Every photo, mask and depth map is read once and resized; as many stay in memory as options.cache_bytes allows.

    Args:
        path: folder of the capture, the file of its cameras, or a zip, which is unpacked beside itself.
        mask_provider: makes a mask for the photos that have none.
        georeference: the local coordinates to use, those of a scene that was trained on the capture; chosen by where the
            capture lies and how large it is unless given.
        scene: centers of Gaussians [N, 3] in coordinates of which nobody says whether they are local ones: those that fit.
        progress: show a progress bar.

    Raises:
        InputError: nothing usable; the message names the file or folder and the remedy.
    """
    capture, options = Path(path), options or PhotoOptions()
    if options.resolution != -1 and options.resolution < 1:
        raise InputError(f"`resolution` must be -1 (automatic) or at least 1, got {options.resolution}")
    if options.max_image_size is not None and options.max_image_size < 1:
        raise InputError(f"`max_image_size` must be at least 1 pixel, got {options.max_image_size}")
    found = find_model(capture)
    model, folder = read_found(found, options.images), found.folder
    check_any(model, folder, options.images)
    if georeference is None:
        georeference = local_frame(model) if scene is None else frame_of_scene(model, scene)
    placement = placement_notes(model, georeference)
    model = localized(model, georeference)
    files = find_files(model, folder, options.images, options.masks, options.depths)
    missing = [name for name, _ in files.missing]
    check_enough(folder, options.images, len(files.photos), missing, files.unusable, options.allow_missing)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        paths = [file.path for file in files.photos]
        levels, photo_notes = measure_levels(paths, pool)
        photo_notes += page_notes(paths, pool)
    readers = {
        file.posed.name: _Reader(file, options, mask_provider, levels, georeference.unit) for file in files.photos
    }
    cache = PhotoCache({name: reader.photo for name, reader in readers.items()}, options.cache_bytes)
    points = torch.from_numpy(model.points).float()

    empty_depth: list[str] = []

    def load(reader: _Reader) -> Frame | str:
        posed = reader.file.posed
        try:
            photo = cache.photo(posed.name)
            camera = reader.flat_camera(photo)
        except UnusablePhoto as reason:
            return str(reason)
        sparse = None
        if photo.depth is not None and not bool((photo.depth > 0).any()):
            empty_depth.append(posed.name)
        if posed.observed is not None and len(posed.observed):
            sparse = _depths_of_points(points[torch.from_numpy(posed.observed)], camera)
        return Frame(posed.name, camera, cache, posed.held_out, sparse, hidden=photo.hidden)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(load, readers.values())
        loaded = list(counted(results, "photos", total=len(readers), unit="photo", shown=progress))
    frames = [frame for frame in loaded if isinstance(frame, Frame)]
    unusable = [(name, reason) for name, reason in zip(readers, loaded, strict=True) if isinstance(reason, str)]
    unusable = [*files.unusable, *unusable]
    check_enough(folder, options.images, len(frames), missing, unusable, options.allow_missing)
    depth_notes = _check_depths(
        folder, len([file for file in files.photos if file.depth is not None]), sorted(empty_depth)
    )
    return Capture(
        folder,
        tuple(frames),
        points,
        torch.from_numpy(model.colors),
        (*files.missing, *files.unposed, *unusable),
        (*model.notes, *placement, *files.notes, *photo_notes, *_notes(readers, options), *depth_notes),
        model.source,
        georeference,
    )


@dataclass(frozen=True)
class _Reader:
    """Reads one photo with its mask and depth, resized and without lens distortion."""

    file: FileOfPhoto
    options: PhotoOptions
    mask_provider: MaskProvider | None
    levels: Levels
    unit: float  # of the local coordinates, by which metric depth is divided; others are fitted anyway

    @property
    def posed(self) -> PosedImage:
        return self.file.posed

    @property
    def original(self) -> tuple[int, int]:
        return self.posed.camera.width, self.posed.camera.height

    def size(self) -> tuple[int, int]:
        """Width and height in memory, lens distortion still in. A photo that is smaller than its camera is not enlarged."""
        width, height = target_size(*self.original, self.options.resolution, self.options.max_image_size)
        stored = stored_size(self.file.path)
        if (stored[0] > stored[1]) != (self.original[0] > self.original[1]):
            stored = stored[::-1]  # its EXIF orientation turns it
        return min(width, stored[0]), min(height, stored[1])

    def photo(self) -> Photo:
        """Decode everything.

        Raises:
            UnusablePhoto: a file is not readable or not of the camera's shape.
        """
        size = self.size()
        image = resize(decode(self.file.path, *self.original, size, self.levels), *size)
        alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
        image = image.convert("RGB")
        mask = depth = None
        if self.file.mask is not None:
            mask = read_mask(self.file.mask, self.original, size, self.options.invert_masks)
        if self.file.depth is not None:
            depth = read_depth(self.file.depth, self.original, size) / np.float32(self.unit)
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
    masks = sum(reader.file.mask is not None for reader in readers.values())
    depths = sum(reader.file.depth is not None for reader in readers.values())
    if masks:
        meaning = "white is ignored" if options.invert_masks else "black is ignored"
        notes.append(f"masks for {masks} of {len(readers)} photos ({meaning})")
    if depths:
        notes.append(f"depth maps for {depths} of {len(readers)} photos")
    return tuple(notes)


def _check_depths(folder: Path, count: int, empty: list[str]) -> list[str]:
    """Say which depth maps say nothing.

    Raises:
        InputError: not one of them says anything.
    """
    if not empty:
        return []
    if len(empty) == count:
        raise InputError(f"{folder}: not one of the {count} depth maps has a pixel above 0, where 0 means unknown")
    return [f"depth maps of {number_of(len(empty), 'photo')} have no pixel above 0 and say nothing: {listed(empty)}"]
