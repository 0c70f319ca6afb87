"""RealityScan (RealityCapture): an .xmp file beside each photo, as Alignment > Export > Metadata (XMP) writes them.

xcr:Rotation is of world to camera, by rows, xcr:Position the camera's center; FocalLength35mm is in units of 36 a longer side,
PrincipalPointU and V are offsets from the image's center in longer sides; DistortionCoeficients (so spelled) are k1 k2 k3 k4 t1
t2, of which t1 and t2 are OpenCV's p2 and p1.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pycolmap

from splat.datasets.images.decode import stored_size
from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.readers.programs import lenses
from splat.datasets.readers.programs.beside import PhotosOfCapture, photo_beside
from splat.datasets.readers.programs.entries import (
    Unposed,
    Unusable,
    assemble,
    beginning,
    number,
    numbers,
    optional,
    read_xml,
    viewmat,
)
from splat.errors import InputError

SPACE = "{http://www.capturingreality.com/ns/xcr/"
NAMESPACE = b"capturingreality.com/ns/xcr"
EXPORT = "export Metadata (XMP) with poses (Export mode: Exact)"


def find(folder: Path) -> list[Path]:
    """The first file of RealityScan's in the folder or a folder in it; the first few of each are looked at."""
    for place in (folder, folder / "images", *sorted(path for path in folder.iterdir() if path.is_dir())):
        files = sorted(place.glob("*.[xX][mM][pP]"))[:20]
        if found := next((file for file in files if accepts(file)), None):
            return [found]
    return []


def accepts(path: Path) -> bool:
    return NAMESPACE in beginning(path, ".xmp", 8192)


def read_model(path: Path, photos: PhotosOfCapture) -> Model:
    """The photos that have such a file with a pose beside them.

    Args:
        path: any of the files; all of them below the capture's folder are read.

    Raises:
        InputError: no file has a pose; the message says how to export them.
    """
    folder = photos.folder
    found: list[tuple[str, PosedImage]] = []
    skipped: list[tuple[str, str]] = []
    unposed: list[tuple[str, str]] = []
    missing: list[str] = []
    for file in sorted(folder.rglob("*.[xX][mM][pP]")):
        if not accepts(file):
            continue
        name = file.relative_to(folder).with_suffix("").as_posix().removeprefix("images/")
        try:
            values = _values(file)
            photo = photo_beside(file)
            name = photo.relative_to(folder).as_posix().removeprefix("images/")
            found.append((values.get("ComponentId", ""), _posed(name, photo, values)))
        except MissingPhoto:
            missing.append(name)
        except Unposed as reason:
            unposed.append((name, str(reason)))
        except (Unusable, UnusablePhoto) as reason:
            skipped.append((name, str(reason)))
        except InputError as reason:
            skipped.append((name, f"has a sidecar that cannot be read ({reason})"))
    if not found and not skipped and not missing and not unposed:
        raise InputError(f"{path}: no .xmp file of RealityScan here; in RealityScan, {EXPORT}")
    components = Counter(component for component, _ in found)
    largest = components.most_common(1)[0][0] if components else ""
    unposed += [
        (image.name, "is of another component than most photos") for component, image in found if component != largest
    ]
    images = [image for component, image in found if component == largest]
    return assemble(folder, images, skipped=skipped, missing=missing, unposed=unposed)


def _values(path: Path) -> dict[str, str]:
    """What a file says in the namespace, as attributes or elements, by name."""
    values: dict[str, str] = {}
    for element in read_xml(path).iter():
        entries = [*element.attrib.items(), (element.tag, element.text or "")]
        values |= {key.rpartition("}")[2]: text.strip() for key, text in entries if key.startswith(SPACE)}
    return values


def _posed(name: str, photo: Path, values: Mapping[str, str]) -> PosedImage:
    if "Rotation" not in values or "Position" not in values:
        raise Unposed(f"has a sidecar without a pose; in RealityScan, {EXPORT}")
    rotation = numbers(values["Rotation"], 9, "Rotation").reshape(3, 3)
    center = numbers(values["Position"], 3, "Position").tolist()
    return PosedImage(name, _lens(values, stored_size(photo)), viewmat(rotation, center=center), photo)


def _lens(values: Mapping[str, str], size: tuple[int, int]) -> pycolmap.Camera:
    scale = max(size)
    focal = number(values.get("FocalLength35mm"), "FocalLength35mm") * scale / 36
    center = (
        optional(values, "PrincipalPointU") * scale + size[0] / 2,
        optional(values, "PrincipalPointV") * scale + size[1] / 2,
    )
    aspect = optional(values, "AspectRatio") or 1.0
    if abs(aspect - 1) > 1e-6 or abs(optional(values, "Skew")) > 1e-6:
        raise Unusable("has a lens with skew or pixels that are not square; export undistorted photos")
    kind = values.get("DistortionModel", "none").lower()
    k1, k2, k3, k4, t1, t2 = numbers(
        values.get("DistortionCoeficients", "0 0 0 0 0 0"), 6, "DistortionCoeficients"
    ).tolist()
    if "DistortionModel" not in values and any((k1, k2, k3, k4, t1, t2)):
        raise Unusable(f"has coefficients of a lens, but not the distortion model that they belong to; {EXPORT}")
    if kind in ("none", "perspective"):
        return lenses.perspective(size, (focal, focal), center)
    if kind == "division":
        return lenses.division(size, (focal, focal), center, k1)
    if kind not in ("brown3", "brown4", "brown3t2", "brown4t2"):
        raise Unusable(f"has a lens of the type {kind[:40]}, which cannot be used; export undistorted photos")
    return lenses.perspective(size, (focal, focal), center, (k1, k2, k3, k4), (t2, t1))
