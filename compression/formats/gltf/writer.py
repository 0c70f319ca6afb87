"""Writing `.glb`: one node, one primitive, every attribute as floats."""

import json
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splat.compression.formats.axes import LUF, turned
from splat.compression.formats.blocks import blocks, drawable_order
from splat.compression.formats.gltf import EXTENSION, harmonic_names
from splat.compression.formats.gltf.document import BINARY_CHUNK, JSON_CHUNK, KIND, MAGIC
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.quaternions import from_rotation_matrix, unit
from splat.geometry.similarity import Similarity
from splat.io.atomic_file import replacing
from splat.version import __version__

FLOAT, POINTS = 5126, 0


def write(gaussians: Gaussians, path: Path, placement: Similarity | None = None) -> None:
    """Write a `.glb`, atomically. What cannot be drawn is left out.

    Args:
        placement: from the scene's coordinates to those of the world, in the scene's axes: the node's rotation, scale and
            translation, which are in double precision where the positions of Gaussians are not.

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
    bounds = (means.amin(dim=0).tolist(), means.amax(dim=0).tolist()) if count else None
    text = _document(count, widths, bounds, placement)
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
    shown = (scene.sh0 * SH_C0 + 0.5).clamp(0, 1)
    columns = {
        "POSITION": scene.means,
        "COLOR_0": torch.cat([_linear(shown), scene.opacities[:, None]], dim=1),  # of points, for other programs
        f"{EXTENSION}:ROTATION": unit(scene.quats)[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": scene.scales,
        f"{EXTENSION}:OPACITY": scene.opacities[:, None],
    }
    harmonics = (scene.sh0, *scene.sh_rest.unbind(1))
    return columns | dict(zip(harmonic_names(scene.sh_degree), harmonics, strict=True))


def _linear(srgb: Tensor) -> Tensor:
    """The inverse of sRGB's transfer function (IEC 61966-2-1), 0 to 1: what glTF's own colors are."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _document(
    count: int,
    widths: dict[str, int],
    bounds: tuple[list[float], list[float]] | None,
    placement: Similarity | None,
) -> bytes:
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
        "nodes": [{"mesh": 0} | ({} if placement is None else _node(placement))],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document).encode()
    return text + b" " * (-len(text) % 4)


def _node(placement: Similarity) -> dict[str, list[float]]:
    """Translation, rotation and scale of a node, in glTF's axes."""
    flip = torch.tensor(LUF, dtype=torch.float64)
    w, x, y, z = from_rotation_matrix(flip[:, None] * placement.rotation * flip).tolist()
    return {
        "translation": (flip * placement.translation).tolist(),
        "rotation": [x, y, z, w],
        "scale": [placement.scale] * 3,
    }
