"""Structure from motion through pycolmap: photos in, a capture that can be trained on out."""

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

from splat.datasets.images.decode import stored_size
from splat.datasets.images.deep import measure_levels
from splat.datasets.images.file_kinds import (
    PHOTO_SUFFIXES,
    RAW_SUFFIXES,
    UnusablePhoto,
)
from splat.datasets.images.lens import undistort_map
from splat.datasets.readers.colmap import find_models
from splat.datasets.sfm.colmap_steps import ADVICE, run_sfm, watched
from splat.datasets.sfm.prepare_photos import GPS, exif_of, mask_index, prepare
from splat.datasets.sfm.video_frames import extract_frames, is_video
from splat.errors import InputError
from splat.io.progress import Counter, counted
from splat.io.wording import listed

EXHAUSTIVE_MAX = 200
"""Photos of which every pair is matched; with more, neighbors by GPS or by order."""
FEW_REGISTERED = 0.7


@dataclass(frozen=True)
class Reconstructed:
    """What came out of structure from motion."""

    capture: Path
    photos: int
    registered: int
    missing: tuple[str, ...]  # photos without a pose
    unusable: tuple[tuple[str, str], ...]  # files that could not be read: name, reason
    points: int
    reprojection_error: float  # pixels
    matching: str
    sub_models: int
    notes: tuple[str, ...] = ()  # how photos were read

    def describe(self) -> str:
        """A few lines for a person."""
        lines = [
            f"{self.registered} of {self.photos} photos registered, {self.points:,} points, mean reprojection error "
            f"{self.reprojection_error:.2f} pixels ({self.matching} matching)"
        ]
        lines += self.notes
        for reason in dict.fromkeys(reason for _, reason in self.unusable):
            names = [name for name, why in self.unusable if why == reason]
            lines.append(f"warning: {listed(names)} {reason}; left out")
        if self.missing:
            lines.append(f"not registered: {listed(self.missing)}")
        if self.registered < FEW_REGISTERED * self.photos:
            lines.append(f"warning: few photos registered. {ADVICE}.")
            if self.sub_models > 1:
                lines.append(
                    f"The photos fell into {self.sub_models} groups that do not overlap; the largest is used. More photos "
                    "between them would join them."
                )
        return "\n".join(lines)


@dataclass(frozen=True)
class SfmOptions:
    """How photos are turned into a capture."""

    frames: int = 150  # of a video
    matching: str = "auto"  # auto, exhaustive, sequential, spatial
    seed: int = 0
    progress: bool = False
    jpeg_quality: int = field(default=95)


def reconstruct(source: Path, out: Path, options: SfmOptions | None = None) -> Reconstructed:
    """Photos of a folder, or a video, to `out`: images/ without lens distortion, sparse/0, and masks/ where there were.

    Raises:
        InputError: too few photos can be read, or no scene can be made of them; the message says what to do.
    """
    options = options or SfmOptions()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; choose another name")
    if source.is_dir() and find_models(source):
        raise InputError(f"{source}: has a COLMAP model already; train on it with: splat train {source}")
    work = out / "work"
    try:
        ordered = is_video(source)
        if ordered:
            work.mkdir(parents=True)
            extract_frames(source, work / "frames", options.frames, progress=options.progress)
        folder = work / "frames" if ordered else photo_folder(source)
        paths, unusable = usable_photos(folder)
        if len(paths) < 3:
            reasons = "".join(f"\n  {name} {reason}" for name, reason in unusable[:10])
            raise InputError(
                f"{source}: {len(paths)} photos can be read here, a scene needs at least 3 and better 20 "
                f"(JPEG, PNG, HEIC, WebP, TIFF, OpenEXR and other usual kinds){reasons}"
            )
        masks = None if ordered else mask_index(source, folder)
        with ThreadPoolExecutor() as pool:
            levels, notes = measure_levels(paths, pool)
        names = prepare(counted(paths, "photos", unit="photo", shown=options.progress), folder, masks, work, levels)
        matching = choose_matching(options.matching, paths, ordered)
        model, sub_models = run_sfm(work, names, matching, options.seed, options.progress)
        write_capture(model, work, out, options)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise
    shutil.rmtree(work)
    registered = {model.images[key].name for key in model.reg_image_ids()}
    return Reconstructed(
        capture=out,
        photos=len(names),
        registered=len(registered),
        missing=tuple(sorted(set(names) - registered)),
        unusable=tuple(unusable),
        points=model.num_points3D(),
        reprojection_error=model.compute_mean_reprojection_error(),
        matching=matching,
        sub_models=sub_models,
        notes=tuple(notes),
    )


def photo_folder(source: Path) -> Path:
    """Where the photos are: the folder itself, or images/ in it.

    Raises:
        InputError: it is no folder.
    """
    if source.is_file():
        raise InputError(f"{source}: is neither a folder of photos nor a video that is known by its suffix")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder or video")
    return source / "images" if (source / "images").is_dir() else source


def holds_photos(source: Path) -> bool:
    """Whether a path is a video, or a folder with photos that no model goes with."""
    if is_video(source):
        return True
    if not source.is_dir():
        return False
    return any(path.suffix.lower() in (*PHOTO_SUFFIXES, *RAW_SUFFIXES) for path in photo_folder(source).rglob("*"))


def usable_photos(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Photos below a folder in the order of their names, and those that are none after all, with the reason."""
    kinds = (*PHOTO_SUFFIXES, *RAW_SUFFIXES)
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in kinds]
    found = [path for path in found if "masks" not in path.relative_to(folder).parts[:-1]]
    usable, unusable = [], []
    for path in sorted(found, key=lambda path: natural(path.relative_to(folder).as_posix())):
        try:
            if min(stored_size(path)) < 64:
                raise UnusablePhoto("is smaller than 64 pixels")
            usable.append(path)
        except UnusablePhoto as reason:
            unusable.append((path.name, str(reason)))
    return usable, unusable


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts 2 before 10."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def choose_matching(wanted: str, paths: Sequence[Path], ordered: bool) -> str:
    """Which pairs of photos are compared."""
    if wanted != "auto":
        return wanted
    if ordered:
        return "sequential"
    if len(paths) <= EXHAUSTIVE_MAX:
        return "exhaustive"
    if all(_has_gps(path) for path in paths):
        return "spatial"
    numbered = sum(bool(re.search(r"\d", path.stem)) for path in paths)
    return "sequential" if numbered == len(paths) else "exhaustive"


def _has_gps(path: Path) -> bool:
    return bool(exif_of(path).get_ifd(GPS))


def write_capture(model: pycolmap.Reconstruction, work: Path, out: Path, options: SfmOptions) -> None:
    """images/ and sparse/0 without lens distortion, and the masks that go with them."""
    (work / "best").mkdir()
    model.write(work / "best")
    flat = work / "flat"
    watched(
        lambda token: pycolmap.undistort_images(
            *(flat, work / "best", work / "photos"), jpeg_quality=options.jpeg_quality, cancellation_token=token
        ),
        Counter("undistorted", model.num_reg_images(), unit="photo", shown=options.progress),
        lambda: sum(path.is_file() for path in (flat / "images").rglob("*")),
    )
    (out / "sparse").mkdir()
    shutil.move(str(flat / "images"), str(out / "images"))
    shutil.move(str(flat / "sparse"), str(out / "sparse" / "0"))
    if not (work / "masks").is_dir():
        return
    straight = {image.name: image for image in pycolmap.Reconstruction(out / "sparse" / "0").images.values()}
    for image in (model.images[key] for key in model.reg_image_ids()):
        path = work / "masks" / f"{image.name}.png"
        if path.is_file():
            with Image.open(path) as mask:
                values = np.asarray(mask)
            if values.min() == 255:
                continue
            pinhole = straight[image.name].camera
            assert image.camera is not None and pinhole is not None
            target = out / "masks" / f"{image.name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(undistort_map(values, image.camera, pinhole)).save(target)
