"""`.glb` with KHR_gaussian_splatting: binary glTF 2.0 whose points carry rotation, scale, opacity and harmonics as floats.

glTF's axes are left, up, forward. Scales and opacities are stored as they are, not as logarithms and logits; rotations as
(x, y, z, w).
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splat import __version__
from splat.atomic_file import replacing
from splat.compression.byte_reader import REMEDY, ByteReader, read_file
from splat.compression.frames import LUF, drawable, turned
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians

MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, POINTS = 5126, 0
EXTENSION = "KHR_gaussian_splatting"
KIND = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
JSON_LIMIT = 1 << 22
NUMBERS = {5120: ("i1", 127.0), 5121: ("u1", 255.0), 5122: ("<i2", 32767.0), 5123: ("<u2", 65535.0), 5126: ("<f4", 1.0)}
"""Component types of accessors, and what normalised integers are divided by."""


def harmonic_names(degree: int) -> list[str]:
    """Attributes of the harmonics of degree 0 to `degree`, in the order of ours."""
    return [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]


def write(gaussians: Gaussians, path: Path) -> None:
    """Write a `.glb`, atomically. What cannot be drawn is left out.

    Raises:
        InputError: harmonics of a degree above 3, or more than the 4 GiB that a .glb holds.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    scene = gaussians.detach().to("cpu", torch.float32)
    scene = turned(scene[drawable(scene)], LUF)
    if scene.sh_degree > 3:
        raise InputError(f"{path}: {EXTENSION} holds harmonics up to degree 3; reduce the degree (--sh-degree 3)")
    color = torch.cat([(scene.sh0 * SH_C0 + 0.5).clamp(0, 1), scene.opacities[:, None]], dim=1)
    attributes = {
        "POSITION": scene.means,
        "COLOR_0": color,
        f"{EXTENSION}:ROTATION": torch.nn.functional.normalize(scene.quats, dim=1)[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": scene.scales,
        f"{EXTENSION}:OPACITY": scene.opacities[:, None],
    }
    harmonics = (scene.sh0, *scene.sh_rest.unbind(1))
    attributes |= dict(zip(harmonic_names(scene.sh_degree), harmonics, strict=True))
    views, accessors, offset = [], [], 0
    for tensor in attributes.values():
        size = 4 * tensor.numel()
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": size})
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": FLOAT,
                "count": len(tensor),
                "type": KIND[tensor.shape[1]],
            }
        )
        offset += size
    if len(scene):
        accessors[0] |= {"min": scene.means.amin(dim=0).tolist(), "max": scene.means.amax(dim=0).tolist()}
    primitive = {
        "mode": POINTS,
        "attributes": {name: index for index, name in enumerate(attributes)},
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
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + offset
    if total >= 1 << 32:
        raise InputError(f"{path}: {len(scene):,} Gaussians take {total:,} bytes, a .glb holds 4 GiB; use .spz or .sog")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<III", MAGIC, 2, total))
        file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
        file.write(struct.pack("<II", offset, BINARY_CHUNK))
        for tensor in attributes.values():
            file.write(tensor.contiguous().numpy().astype("<f4", copy=False).data)


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

    def column(name: str, width: int) -> Tensor:
        if name not in attributes:
            raise InputError(f"{path}: the attribute {name} is missing. {REMEDY}")
        return _accessor(path, document, binary, attributes[name], width, name)

    degree = -1
    while degree < 4 and f"{EXTENSION}:SH_DEGREE_{degree + 1}_COEF_0" in attributes:
        degree += 1
    if degree < 0:
        raise InputError(f"{path}: the attribute {EXTENSION}:SH_DEGREE_0_COEF_0 is missing. {REMEDY}")
    means = column("POSITION", 3)
    sh0, *rest = (column(name, 3) for name in harmonic_names(degree))
    parts = {
        "quats": column(f"{EXTENSION}:ROTATION", 4)[:, [3, 0, 1, 2]],
        "log_scales": column(f"{EXTENSION}:SCALE", 3).clamp_min(1e-30).log(),
        "logit_opacities": column(f"{EXTENSION}:OPACITY", 1)[:, 0].clamp(1e-6, 1 - 1e-6).logit(),
        "sh0": sh0,
        "sh_rest": torch.stack(rest, dim=1)
        if rest and all(len(r) == len(means) for r in rest)
        else means[:, None][:, :0],
    }
    if any(len(part) != len(means) for part in (*parts.values(), *rest)):
        raise InputError(f"{path}: its attributes are of different lengths. {REMEDY}")
    return turned(Gaussians(means=means, **parts), LUF)


def _chunks(path: Path) -> tuple[dict[str, Any], bytes | memoryview]:
    """The JSON and the binary part."""
    reader = ByteReader(read_file(path), str(path))
    magic, version, _ = reader.unpack("<III", "a header")
    if magic != MAGIC or version != 2:
        raise InputError(f"{path}: not a binary glTF 2.0 file: it begins with {magic:08x}, version {version}")
    size, kind = reader.unpack("<II", "a chunk's header")
    if kind != JSON_CHUNK or size > JSON_LIMIT:
        raise InputError(f"{path}: at byte 12: expected JSON of at most {JSON_LIMIT:,} bytes. {REMEDY}")
    try:
        document = json.loads(bytes(reader.take(size, "JSON")))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its JSON cannot be read ({error}). {REMEDY}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: its JSON is not an object. {REMEDY}")
    if reader.left < 8:
        raise InputError(f"{path}: has no binary part: its Gaussians are in another file, which is not supported")
    size, kind = reader.unpack("<II", "a chunk's header")
    if kind != BINARY_CHUNK:
        raise InputError(f"{path}: at byte {reader.offset - 4}: expected a binary chunk. {REMEDY}")
    return document, reader.take(size, "the binary part")


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
    path: Path, document: dict[str, Any], binary: bytes | memoryview, index: Any, width: int, name: str
) -> Tensor:  # [N, width]
    """Numbers as an accessor describes them, normalised integers as floats."""
    try:
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        kind, count = accessor["componentType"], accessor["count"]
        first = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        dtype, scale = NUMBERS[kind]
        size = np.dtype(dtype).itemsize * width
        stride = int(view.get("byteStride", size))
        end = first + (count - 1) * stride + size
        fits = accessor["type"] == KIND[width] and view.get("buffer", 0) == 0 and "sparse" not in accessor
        fits &= (
            isinstance(count, int)
            and count >= 0
            and first >= 0
            and stride >= size
            and (not count or end <= len(binary))
        )
    except (KeyError, IndexError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"{path}: {name}: its accessor does not fit the file. {REMEDY}")
    rows = np.ndarray((count, width), dtype, binary, first, (stride, np.dtype(dtype).itemsize)) if count else []
    values = torch.from_numpy(np.asarray(rows, dtype=np.float32).reshape(count, width).copy())
    return values if kind == FLOAT else (values / scale).clamp_min(-1)
