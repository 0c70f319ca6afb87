"""Structure from motion through pycolmap: photos in, a capture that can be trained on out."""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image, ImageOps

from splat.datasets.images.companions import MASK_SUFFIXES, CompanionIndex, read_mask
from splat.datasets.images.decode import UnusablePhoto, stored_size
from splat.datasets.images.lens import undistort_map
from splat.datasets.readers.colmap import find_models
from splat.datasets.sfm.colmap_steps import ADVICE, run_sfm, watched
from splat.datasets.sfm.video_frames import extract_frames, is_video
from splat.errors import InputError
from splat.io.progress import Counter, counted

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
EXHAUSTIVE_MAX = 200
"""Photos of which every pair is matched; with more, neighbors by GPS or by order."""
FEW_REGISTERED = 0.7
ORIENTATION, GPS = 0x0112, 0x8825
"""Tags of EXIF."""


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

    def describe(self) -> str:
        """A few lines for a person."""
        lines = [
            f"{self.registered} of {self.photos} photos registered, {self.points:,} points, mean reprojection error "
            f"{self.reprojection_error:.2f} pixels ({self.matching} matching)"
        ]
        lines += [f"warning: {name} {reason}; left out" for name, reason in self.unusable]
        if self.missing:
            shown = ", ".join(self.missing[:8]) + (
                f" and {len(self.missing) - 8} more" if len(self.missing) > 8 else ""
            )
            lines.append(f"not registered: {shown}")
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
                f"({', '.join(PHOTO_SUFFIXES)}; convert others, such as HEIC, to JPEG){reasons}"
            )
        masks = None if ordered else mask_index(source, folder)
        names = prepare(counted(paths, "photos", unit="photo", shown=options.progress), folder, masks, work)
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
    return any(path.suffix.lower() in PHOTO_SUFFIXES for path in photo_folder(source).rglob("*"))


def usable_photos(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Photos below a folder in the order of their names, and those that are none after all, with the reason."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in PHOTO_SUFFIXES]
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


def mask_index(source: Path, folder: Path) -> CompanionIndex | None:
    """Masks beside the photos: masks/ in the given folder or next to it."""
    for place in (source / "masks", folder.parent / "masks"):
        if place.is_dir():
            return CompanionIndex(place, MASK_SUFFIXES)
    return None


def prepare(paths: Iterable[Path], folder: Path, masks: CompanionIndex | None, work: Path) -> list[str]:
    """Upright photos (links to them where they are) and masks as COLMAP names them, below `work`. Returns their names."""
    names, masked = [], 0
    for path in paths:
        name = path.relative_to(folder).as_posix()
        target = work / "photos" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION, 1) not in (0, 1)
            if turned or image.mode not in ("RGB", "L"):
                exif = image.getexif()
                upright = ImageOps.exif_transpose(image)
                exif[ORIENTATION] = 1
                if target.suffix.lower() in (".jpg", ".jpeg"):
                    upright.convert("RGB").save(target, quality=97, subsampling=0, exif=exif)
                else:
                    upright.convert("RGB").save(target, exif=exif)
            else:
                target.symlink_to(path.resolve())
        names.append(name)
        if masks is not None:
            masked += _prepare_mask(path.name, masks.find(name), target, work / "masks" / f"{name}.png")
    if masks is not None:
        masks.check_use(masked, "mask")
    return names


def _prepare_mask(name: str, mask: Path | None, photo: Path, target: Path) -> bool:
    """A mask as COLMAP wants it; white where there is none, for it leaves photos out that have no mask beside others.

    Returns:
        Whether there was one.

    Raises:
        InputError: it cannot be used.
    """
    size = stored_size(photo)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        used = np.ones(size[::-1], dtype=bool) if mask is None else read_mask(mask, size, size, invert=False)
    except UnusablePhoto as reason:
        raise InputError(f"{name} {reason}") from None
    Image.fromarray(used.astype(np.uint8) * 255).save(target)
    return mask is not None


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
    with Image.open(path) as image:
        return bool(image.getexif().get_ifd(GPS))


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
