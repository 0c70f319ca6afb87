"""`.glb` with KHR_gaussian_splatting: binary glTF 2.0 whose points carry rotation, scale, opacity and harmonics as floats.

glTF's axes are left, up, forward. Scales and opacities are stored as they are, not as logarithms and logits; rotations as
(x, y, z, w).
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, ByteReader, read_file
from splat.compression.formats.axes import LUF, turned
from splat.compression.formats.blocks import blocks, drawable_order, joined, ranges
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.io.atomic_file import replacing
from splat.version import __version__

MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, POINTS = 5126, 0
EXTENSION = "KHR_gaussian_splatting"
KIND = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
JSON_LIMIT = 1 << 22
MOST_STRIDE = 252
"""Bytes from one Gaussian to the next, at most (glTF 2.0)."""
NUMBERS = {5120: ("i1", 127.0), 5121: ("u1", 255.0), 5122: ("<i2", 32767.0), 5123: ("<u2", 65535.0), 5126: ("<f4", 1.0)}
"""Component types of accessors, and what normalized integers are divided by."""


def harmonic_names(degree: int) -> list[str]:
    """Attributes of the harmonics of degree 0 to `degree`, in the order of ours."""
    return [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def write(gaussians: Gaussians, path: Path) -> None:
    """Write a `.glb`, atomically. What cannot be drawn is left out.

    Raises:
        InputError: harmonics of a degree above 3, or more than the 4 GiB that a .glb holds.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    if gaussians.sh_degree > 3:
        raise InputError(f"{path}: {EXTENSION} holds harmonics up to degree 3; reduce the degree (`sh_degree` 3)")
    order = drawable_order(gaussians)
    count = len(order)
    widths = {name: columns.shape[1] for name, columns in _columns(gaussians[:0]).items()}
    means = gaussians.means.detach().to("cpu", torch.float32)[order] * torch.tensor(LUF)
    text = _document(count, widths, (means.amin(dim=0).tolist(), means.amax(dim=0).tolist()) if count else None)
    del means
    size = 4 * count * sum(widths.values())
    total = 12 + 8 + len(text) + 8 + size
    if total >= 1 << 32:
        raise InputError(f"{path}: {count:,} Gaussians take {total:,} bytes, a .glb holds 4 GiB; use .spz or .sog")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<III", MAGIC, 2, total))
        file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
        file.write(struct.pack("<II", size, BINARY_CHUNK))
        base, first = file.tell(), 0
        for block in blocks(gaussians, order):
            start = base
            for name, columns in _columns(turned(block, LUF)).items():
                file.seek(start + 4 * widths[name] * first)
                file.write(columns.contiguous().numpy().astype("<f4", copy=False).data)
                start += 4 * widths[name] * count
            first += len(block)


def _columns(scene: Gaussians) -> dict[str, Tensor]:  # each [N, 1, 3 or 4]
    """What the attributes hold, by name, in the order of the file."""
    color = torch.cat([(scene.sh0 * SH_C0 + 0.5).clamp(0, 1), scene.opacities[:, None]], dim=1)
    columns = {
        "POSITION": scene.means,
        "COLOR_0": color,
        f"{EXTENSION}:ROTATION": torch.nn.functional.normalize(scene.quats, dim=1)[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": scene.scales,
        f"{EXTENSION}:OPACITY": scene.opacities[:, None],
    }
    harmonics = (scene.sh0, *scene.sh_rest.unbind(1))
    return columns | dict(zip(harmonic_names(scene.sh_degree), harmonics, strict=True))


def _document(count: int, widths: dict[str, int], bounds: tuple[list[float], list[float]] | None) -> bytes:
    """The JSON: attributes one after the other, as floats."""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for width in widths.values():
        size = 4 * width * count
        accessors.append({"bufferView": len(views), "componentType": FLOAT, "count": count, "type": KIND[width]})
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": size})
        offset += size
    if bounds is not None:
        accessors[0] |= {"min": bounds[0], "max": bounds[1]}
    primitive = {
        "mode": POINTS,
        "attributes": {name: index for index, name in enumerate(widths)},
        "extensions": {EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    document = {
        "asset": {"version": "2.0", "generator": f"splat {__version__}"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document).encode()
    return text + b" " * (-len(text) % 4)


def read(path: Path) -> Gaussians:
    """Read the first primitive with Gaussians of a `.glb`.

    Raises:
        InputError: it is damaged, has no Gaussians, or keeps them compressed or outside the file.
    """
    document, binary = _chunks(path)
    primitive = _primitive(path, document)
    attributes = primitive.get("attributes")
    if not isinstance(attributes, dict):
        raise InputError(f"{path}: the primitive has no attributes. {REMEDY}")

    def column(name: str, width: int) -> Column:
        if name not in attributes:
            raise InputError(f"{path}: the attribute {name} is missing. {REMEDY}")
        return _accessor(path, document, binary, attributes[name], width, name)

    degree = -1
    while degree < 4 and f"{EXTENSION}:SH_DEGREE_{degree + 1}_COEF_0" in attributes:
        degree += 1
    if degree < 0:
        raise InputError(f"{path}: the attribute {EXTENSION}:SH_DEGREE_0_COEF_0 is missing. {REMEDY}")
    shape = {f"{EXTENSION}:ROTATION": 4, f"{EXTENSION}:SCALE": 3, f"{EXTENSION}:OPACITY": 1}
    means, quats, scales, opacities = (column(name, width) for name, width in {"POSITION": 3, **shape}.items())
    sh0, *rest = (column(name, 3) for name in harmonic_names(degree))
    if any(one.count != means.count for one in (quats, scales, opacities, sh0, *rest)):
        raise InputError(f"{path}: its attributes are of different lengths. {REMEDY}")

    def parts() -> Iterator[Gaussians]:
        with open(path, "rb") as file:
            for place in ranges(means.count):
                harmonics = [one.rows(file, place) for one in rest]
                block = Gaussians(
                    means=means.rows(file, place),
                    quats=quats.rows(file, place)[:, [3, 0, 1, 2]],
                    log_scales=scales.rows(file, place).clamp_min(1e-30).log(),
                    logit_opacities=opacities.rows(file, place)[:, 0].clamp(1e-6, 1 - 1e-6).logit(),
                    sh0=sh0.rows(file, place),
                    sh_rest=torch.stack(harmonics, dim=1) if rest else torch.zeros(place.stop - place.start, 0, 3),
                )
                yield turned(block, LUF)

    return joined(means.count, len(rest), parts())


@dataclass(frozen=True)
class Column:
    """Where the numbers of an attribute lie in the file."""

    count: int
    width: int
    dtype: str
    scale: float  # that normalized integers are divided by
    first: int  # byte
    stride: int  # bytes

    def rows(self, file: BinaryIO, place: slice) -> Tensor:  # [M, width] float32
        """Those of some Gaussians."""
        number, size = place.stop - place.start, np.dtype(self.dtype).itemsize
        file.seek(self.first + place.start * self.stride)
        data = file.read((number - 1) * self.stride + size * self.width)
        rows = np.ndarray((number, self.width), self.dtype, data, 0, (self.stride, size))
        values = torch.from_numpy(rows.astype(np.float32))
        return values if self.scale == 1 else (values / self.scale).clamp_min(-1)


def _chunks(path: Path) -> tuple[dict[str, Any], tuple[int, int]]:
    """The JSON, and where the binary part begins and ends."""
    start = ByteReader(read_file(path, JSON_LIMIT + 28), str(path))
    length = path.stat().st_size
    magic, version, _ = start.unpack("<III", "a header")
    if magic != MAGIC or version != 2:
        raise InputError(f"{path}: not a binary glTF 2.0 file: it begins with {magic:08x}, version {version}")
    size, kind = start.unpack("<II", "a chunk's header")
    if kind != JSON_CHUNK or size > JSON_LIMIT:
        raise InputError(f"{path}: at byte 12: expected JSON of at most {JSON_LIMIT:,} bytes. {REMEDY}")
    try:
        document = json.loads(bytes(start.take(size, "JSON")))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its JSON cannot be read ({error}). {REMEDY}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: its JSON is not an object. {REMEDY}")
    if start.left < 8:
        raise InputError(f"{path}: has no binary part: its Gaussians are in another file, which is not supported")
    size, kind = start.unpack("<II", "a chunk's header")
    if kind != BINARY_CHUNK:
        raise InputError(f"{path}: at byte {start.offset - 4}: expected a binary chunk. {REMEDY}")
    if size > length - start.offset:
        raise InputError(
            f"{path}: at byte {start.offset}: expected the binary part of {size:,} bytes, got {length - start.offset:,}. "
            f"{REMEDY}"
        )
    return document, (start.offset, start.offset + size)


def _primitive(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    for mesh in _list(document.get("meshes")):
        for primitive in _list(mesh.get("primitives")):
            extension = (primitive.get("extensions") or {}).get(EXTENSION)
            if isinstance(extension, dict):
                packed = [name for name in extension.get("extensions") or {} if "compression" in name]
                if packed:
                    raise InputError(f"{path}: its Gaussians are packed by {packed[0]}; only plain ones can be read")
                return primitive
    raise InputError(f"{path}: no mesh in it has {EXTENSION}: this is a model of triangles or points, not Gaussians")


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _accessor(
    path: Path, document: dict[str, Any], binary: tuple[int, int], index: Any, width: int, name: str
) -> Column:
    """Where the numbers of an accessor lie, within the binary part."""
    try:
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        count = accessor["count"]
        first = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        dtype, scale = NUMBERS[accessor["componentType"]]
        size = np.dtype(dtype).itemsize * width
        stride = int(view.get("byteStride", size))
        fits = accessor["type"] == KIND[width] and view.get("buffer", 0) == 0 and "sparse" not in accessor
        fits &= isinstance(count, int) and count >= 0 and first >= 0 and size <= stride <= MOST_STRIDE
        fits &= not count or binary[0] + first + (count - 1) * stride + size <= binary[1]
    except (KeyError, IndexError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"{path}: {name}: its accessor does not fit the file. {REMEDY}")
    return Column(count, width, dtype, scale, binary[0] + first, stride)
