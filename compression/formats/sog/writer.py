"""SOG version 2 of PlayCanvas: attributes as lossless WebP images, one pixel a Gaussian, with codebooks; a folder with a
`meta.json`, or the same in a ZIP (`.sog`). Version 1 is read.

Positions: 16 bits of sign(x) ln(|x| + 1) between bounds. Rotations: three bytes and the index of the largest. Logarithms of
scales and constant colors: 256 numbers each. Harmonics: a palette of vectors, whose entries are of 256 numbers as well.
"""

import io
import json
import math
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count as numbers_from
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splat.compression.coding.kmeans import assign_numbers
from splat.compression.formats.blocks import drawable_order, ranges
from splat.compression.formats.sog.codes import Quantization, fit, mean_codes, quat_codes
from splat.compression.formats.sog.grid_order import grid_order, grid_size
from splat.compression.formats.sog.reader import META, PALETTE_COLUMNS, read
from splat.errors import InputError
from splat.gaussians import FLAT, Gaussians, with_finite_values
from splat.geometry.morton import morton_order
from splat.io.atomic_file import replacing
from splat.version import __version__

OWN_NAME = re.compile(r"(means_[lu]|scales|quats|sh0|shN_(centroids|labels))(-\d+)?\.webp")
"""Names of images that are written here."""

MOST_COLOR = 1e4
"""Largest coefficient of a color. All that are shown are far below."""
Plane = Callable[[Gaussians, Quantization, Tensor], Tensor]
"""The pixels [M, 3 or 4] of an image, of 0 to 255, for some Gaussians, those of the rows [M]."""

__all__ = ["Order", "encode", "read", "write"]

Order = Literal["morton", "grid"]
"""Order of the pixels: along a Z-order curve, row by row; or sorted in two dimensions (see grid_order.py)."""


def write(
    gaussians: Gaussians,
    path: Path,
    antialiased: bool = False,
    palette: int | None = None,
    seed: int = 0,
    quantization: Quantization | None = None,
    order: Order = "morton",
) -> None:
    """Write a `.sog`, or, where `path` is a `meta.json`, its members beside it. What cannot be drawn is left out.

    Raises:
        InputError: harmonics of a degree above 3.
        OSError: the folder cannot be written or the disk is full.
    """
    members = encode(gaussians, antialiased, palette, seed, quantization, order)
    if path.suffix.lower() == ".json":
        write_folder(members, path)
        return
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def write_folder(members: dict[str, bytes], path: Path) -> None:
    """Write the members of a SOG beside its description `path`, which comes last.

    Images that are there keep their names until then, so that the old description never means new images: the new ones are
    called means_l-2.webp, and so on.

    Raises:
        OSError: the folder cannot be written or the disk is full; a scene that is there is then unharmed.
    """
    meta = json.loads(members[META])
    written: list[Path] = []
    try:
        for entry in meta.values():
            files = entry.get("files", []) if isinstance(entry, dict) else []
            for index, name in enumerate(files):
                written.append(_unused(path.with_name(name)))
                with replacing(written[-1]) as temporary:
                    temporary.write_bytes(members[name])
                files[index] = written[-1].name
        with replacing(path) as temporary:
            temporary.write_bytes(json.dumps(meta).encode())
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    for file in path.parent.iterdir():
        if OWN_NAME.fullmatch(file.name) and file not in written:
            with suppress(OSError):  # another program has it open; nothing names it any more
                file.unlink()


def _unused(path: Path) -> Path:
    """The name itself, or numbered, if there is such a file."""
    names = (path if number == 1 else path.with_stem(f"{path.stem}-{number}") for number in numbers_from(1))
    return next(name for name in names if not name.exists())


def encode(
    gaussians: Gaussians,
    antialiased: bool = False,
    palette: int | None = None,
    seed: int = 0,
    quantization: Quantization | None = None,
    order: Order = "morton",
) -> dict[str, bytes]:
    """The members of a SOG by name, `meta.json` last.

    Args:
        palette: entries for the harmonics, up to 65,536.
        quantization: write with this one, in place of one that is fitted now.
        order: of the pixels; it changes nothing but the size.
    """
    if gaussians.sh_degree > 3:
        raise InputError(
            "SOG holds harmonics up to degree 3; write another format, or reduce the degree (`sh_degree` 3)"
        )
    fine = drawable_order(gaussians)
    if not len(fine):
        raise InputError("the scene has no Gaussians that can be drawn; SOG needs one")
    scene = with_finite_values(gaussians.detach().to("cpu", torch.float32))
    if len(fine) < len(scene):
        scene = scene[fine]
        if quantization is not None and quantization.labels is not None:
            quantization = replace(quantization, labels=quantization.labels[fine])
    del fine  # of five million, 40 MB
    scene = _within_reach(scene)
    # What depends on the order comes after what does not.
    fitted = fit(scene, palette, seed) if quantization is None else quantization
    pixels = grid_order(scene, seed, progress=sys.stderr.isatty()) if order == "grid" else morton_order(scene.means)
    count = len(scene)
    size = grid_size(count)
    bare = scene.with_sh_degree(0)  # harmonics are in the palette

    def image(plane: Plane) -> bytes:
        rows = (pixels[place] for place in ranges(count))
        codes = (plane(bare[some], fitted, some).clamp(0, 255).to(torch.uint8) for some in rows)
        return webp(_raster([block.numpy() for block in codes], *size))

    members = {f"{name}.webp": image(plane) for name, plane in PLANES.items()}
    if fitted.labels is not None:
        members["shN_labels.webp"] = image(_labels)
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": f"splat {__version__}"},
        "count": count,
        "means": {"mins": fitted.low.tolist(), "maxs": fitted.high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": fitted.scales.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": fitted.sh0.tolist(), "files": ["sh0.webp"]},
    }
    if antialiased:
        meta["model"] = "antialiased"
    if fitted.palette is not None and fitted.numbers is not None and fitted.labels is not None:
        codes = assign_numbers(fitted.palette, fitted.numbers).reshape(len(fitted.palette), -1, 3)  # [P, K, RGB]
        bases = codes.shape[1]
        lines = math.ceil(len(codes) / PALETTE_COLUMNS)
        padded = torch.zeros(lines * PALETTE_COLUMNS, bases, 3, dtype=torch.int64)
        padded[: len(codes)] = codes
        texels = padded.reshape(lines, PALETTE_COLUMNS * bases, 3).to(torch.uint8).numpy()
        members["shN_centroids.webp"] = webp(texels)
        files = ["shN_centroids.webp", "shN_labels.webp"]
        numbers = fitted.numbers.tolist()
        meta["shN"] = {"count": len(codes), "bands": scene.sh_degree, "codebook": numbers, "files": files}
    return {**members, META: json.dumps(meta).encode()}


def _within_reach(scene: Gaussians) -> Gaussians:
    """The scene without numbers so large that a codebook of 256 would have none left for the others: colors that are shown the
    same become smaller, and flat Gaussians as thin as `FLAT`. How many colors those are is said."""
    tensors, beyond = scene.tensors(), torch.zeros(len(scene), dtype=torch.bool)
    if float(scene.log_scales.amin()) < FLAT:
        tensors["log_scales"] = scene.log_scales.clamp_min(FLAT)
    for name in ("sh0", "sh_rest"):
        values = tensors[name]
        if values.numel() and max(map(abs, map(float, values.aminmax()))) > MOST_COLOR:
            beyond |= (values.abs() > MOST_COLOR).flatten(1).any(dim=1)
            tensors[name] = values.clamp(-MOST_COLOR, MOST_COLOR)
    if beyond.any():
        warnings.warn(
            f"SOG: {int(beyond.sum()):,} of {len(scene):,} Gaussians have colors beyond {MOST_COLOR:,.0f}, and get that",
            stacklevel=4,
        )
    return Gaussians(**tensors)


def _appearance(scene: Gaussians, fitted: Quantization, rows: Tensor) -> Tensor:  # [M, 4]
    return torch.cat([assign_numbers(scene.sh0, fitted.sh0), (scene.opacities * 255).round().long()[:, None]], dim=1)


def _labels(scene: Gaussians, fitted: Quantization, rows: Tensor) -> Tensor:  # [M, 3]
    assert fitted.labels is not None
    labels = fitted.labels[rows]
    return torch.stack([labels & 255, labels >> 8, torch.zeros_like(labels)], dim=1)


PLANES: dict[str, Plane] = {
    "means_l": lambda scene, fitted, rows: mean_codes(scene, fitted) & 255,
    "means_u": lambda scene, fitted, rows: mean_codes(scene, fitted) >> 8,
    "quats": lambda scene, fitted, rows: quat_codes(scene.quats),
    "scales": lambda scene, fitted, rows: assign_numbers(scene.log_scales, fitted.scales),
    "sh0": _appearance,
}


def webp(pixels: NDArray[np.uint8]) -> bytes:
    """An image [H, W, 3 or 4] as lossless WebP; colors under zero alpha are kept."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="WEBP", lossless=True, quality=100, method=4, exact=True)
    return out.getvalue()


def _raster(blocks: list[NDArray[np.uint8]], height: int, width: int) -> NDArray[np.uint8]:  # [height, width, channels]
    channels, first = blocks[0].shape[1], 0
    pixels = np.zeros((width * height, channels), dtype=np.uint8)
    for block in blocks:
        pixels[first : first + len(block)] = block
        first += len(block)
    if channels == 4:
        pixels[first:, 3] = 255
    return pixels.reshape(height, width, -1)
