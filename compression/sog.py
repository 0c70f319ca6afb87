"""SOG version 2 of PlayCanvas: attributes as lossless WebP images, one pixel a Gaussian, with codebooks; a folder with a
`meta.json`, or the same in a ZIP (`.sog`). Version 1 is read.

Positions: 16 bits of sign(x) ln(|x| + 1) between bounds. Rotations: three bytes and the index of the largest. Logarithms of
scales and constant colours: 256 numbers each. Harmonics: a palette of vectors, whose entries are of 256 numbers as well.
"""

import io
import json
import math
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from splat import __version__
from splat.atomic_file import replacing
from splat.compression import smallest_three
from splat.compression.byte_reader import REMEDY, read_file
from splat.compression.frames import drawable
from splat.compression.grid_order import grid_order, grid_size
from splat.compression.kmeans import assign_numbers, codebook_of_numbers, kmeans
from splat.compression.ordering import morton_order
from splat.errors import InputError
from splat.gaussians import Gaussians

PALETTE_COLUMNS = 64
"""Entries in a row of the palette's image."""
PALETTE_LIMIT = 64
"""Largest palette, in units of 1,024."""
MOST_PIXELS = 1 << 26
META_LIMIT = 1 << 20
NAME_LIMIT = 100

Members = Callable[[str], bytes]
Order = Literal["morton", "grid"]
"""Of the pixels: along a Z-order curve, row by row; or sorted in two dimensions (see grid_order.py)."""


def read(path: Path) -> Gaussians:
    """Read a `.sog`, or the `meta.json` of an unzipped one, or its folder.

    Raises:
        InputError: it is damaged, of another version, or its images do not fit together.
    """
    if path.is_dir():
        path = path / "meta.json"
    if path.suffix.lower() == ".json":
        return _Reader(str(path), _folder(path.parent), read_file(path)).gaussians()
    try:
        with zipfile.ZipFile(path) as archive:
            members = _archive(path, archive)
            return _Reader(str(path), members, members("meta.json")).gaussians()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, RuntimeError, OSError, EOFError) as error:
        raise InputError(f"{path}: the ZIP cannot be read ({error}). {REMEDY}") from None


@dataclass(frozen=True)
class Quantization:
    """What the codes of a SOG refer to, of N Gaussians with K harmonics above the constant one."""

    low: Tensor  # [3] bounds of sign(x) ln(|x| + 1)
    high: Tensor  # [3]
    scales: Tensor  # [256] ascending, logarithms
    sh0: Tensor  # [256] ascending
    palette: Tensor | None = None  # [P, 3 K] harmonics
    numbers: Tensor | None = None  # [256] ascending, that the palette is written with
    labels: Tensor | None = None  # [N] entry of the palette of every Gaussian

    def to(self, device: torch.device | str) -> "Quantization":
        """The same on another device."""
        moved: dict[str, Any] = {
            field.name: None if getattr(self, field.name) is None else getattr(self, field.name).to(device)
            for field in fields(self)
        }
        return Quantization(**moved)


def fit(
    scene: Gaussians, palette: int | None = None, seed: int = 0, weights: Tensor | None = None
) -> Quantization:  # of drawable Gaussians
    """Bounds, codebooks and palette that suit a scene.

    Args:
        palette: entries for the harmonics, up to 65,536; chosen by the number of Gaussians unless given.
        weights: [N] how much the harmonics of each Gaussian count; opacity unless given.
    """
    log = _log_means(scene)
    found = Quantization(
        log.amin(dim=0),
        log.amax(dim=0),
        codebook_of_numbers(scene.log_scales),
        codebook_of_numbers(scene.sh0),
    )
    if not scene.sh_degree:
        return found
    weights = scene.opacities.clamp_min(1e-3) if weights is None else weights
    entries, labels = kmeans(scene.sh_rest.flatten(1), palette or palette_size(len(scene)), weights, seed)
    return replace(found, palette=entries, numbers=codebook_of_numbers(entries), labels=labels)


def quantized(scene: Gaussians, by: Quantization) -> Gaussians:
    """What is read back of a file that is written with this quantisation. Written once more, it stays the same."""
    rest = scene.sh_rest
    if by.palette is not None and by.numbers is not None and by.labels is not None:
        rest = by.numbers[assign_numbers(by.palette, by.numbers)][by.labels].reshape(scene.sh_rest.shape)
    return Gaussians(
        means=_means_of(_mean_codes(scene, by), by.low, by.high),
        quats=smallest_three.settled(scene.quats, lambda quats: _quats_of(_quat_codes(quats))),
        log_scales=by.scales[assign_numbers(scene.log_scales, by.scales)],
        logit_opacities=_logits_of((scene.opacities * 255).round()),
        sh0=by.sh0[assign_numbers(scene.sh0, by.sh0)],
        sh_rest=rest,
    )


def write(
    gaussians: Gaussians,
    path: Path,
    antialiased: bool = False,
    palette: int | None = None,
    seed: int = 0,
    by: Quantization | None = None,
    order: Order = "morton",
) -> None:
    """Write a `.sog`, or, where `path` is a `meta.json`, its members beside it. What cannot be drawn is left out.

    Raises:
        InputError: harmonics of a degree above 3.
        OSError: the folder cannot be written or the disk is full.
    """
    members = encode(gaussians, antialiased, palette, seed, by, order)
    if path.suffix.lower() == ".json":
        for name, content in members.items():
            with replacing(path.parent / name) as temporary:
                temporary.write_bytes(content)
        return
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def encode(
    gaussians: Gaussians,
    antialiased: bool = False,
    palette: int | None = None,
    seed: int = 0,
    by: Quantization | None = None,
    order: Order = "morton",
) -> dict[str, bytes]:
    """The members of a SOG by name, `meta.json` last.

    Args:
        palette: entries for the harmonics, up to 65,536.
        by: write with this quantisation, in place of one that is fitted now.
        order: of the pixels; it changes nothing but the size.
    """
    scene = gaussians.detach().to("cpu", torch.float32)
    rows = drawable(scene).nonzero()[:, 0]
    if scene.sh_degree > 3:
        raise InputError(
            "SOG holds harmonics up to degree 3; write another format, or reduce the degree (--sh-degree 3)"
        )
    if not len(rows):
        raise InputError("the scene has no Gaussians that can be drawn; SOG needs one")
    rows = rows[morton_order(scene.means[rows])]
    scene = scene[rows]
    if by is None:
        by = fit(scene, palette, seed)
    elif by.labels is not None:
        by = replace(by, labels=by.labels[rows])
    if order == "grid":  # after all that depends on the order: files of both hold the same Gaussians
        rows = grid_order(scene, seed, progress=sys.stderr.isatty())
        scene, by = scene[rows], replace(by, labels=None if by.labels is None else by.labels[rows])
    count = len(scene)
    height, width = grid_size(count)

    def image(planes: Tensor) -> bytes:  # from [N, 3 or 4] of 0..255
        return webp(_raster(planes, width, height))

    means = _mean_codes(scene, by)
    opacity = (scene.opacities * 255).round().long()[:, None]
    members = {
        "means_l.webp": image(means & 255),
        "means_u.webp": image(means >> 8),
        "quats.webp": image(_quat_codes(scene.quats)),
        "scales.webp": image(assign_numbers(scene.log_scales, by.scales)),
        "sh0.webp": image(torch.cat([assign_numbers(scene.sh0, by.sh0), opacity], dim=1)),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": f"splat {__version__}"},
        "count": count,
        "means": {"mins": by.low.tolist(), "maxs": by.high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": by.scales.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": by.sh0.tolist(), "files": ["sh0.webp"]},
    }
    if antialiased:
        meta["model"] = "antialiased"
    if by.palette is not None and by.numbers is not None and by.labels is not None:
        codes = assign_numbers(by.palette, by.numbers).reshape(len(by.palette), -1, 3)  # [P, K, RGB]
        bases = codes.shape[1]
        lines = math.ceil(len(codes) / PALETTE_COLUMNS)
        padded = torch.zeros(lines * PALETTE_COLUMNS, bases, 3, dtype=torch.int64)
        padded[: len(codes)] = codes
        pixels = padded.reshape(lines, PALETTE_COLUMNS * bases, 3).to(torch.uint8).numpy()
        members["shN_centroids.webp"] = webp(pixels)
        labels = torch.stack([by.labels & 255, by.labels >> 8, torch.zeros_like(by.labels)], dim=1)
        members["shN_labels.webp"] = image(labels)
        files = ["shN_centroids.webp", "shN_labels.webp"]
        meta["shN"] = {"count": len(codes), "bands": scene.sh_degree, "codebook": by.numbers.tolist(), "files": files}
    return {**members, "meta.json": json.dumps(meta).encode()}


def _log_means(scene: Gaussians) -> Tensor:  # [N, 3]
    return scene.means.sign() * scene.means.abs().log1p()


def _mean_codes(scene: Gaussians, by: Quantization) -> Tensor:  # [N, 3] int64
    size = (by.high - by.low).double().clamp_min(1e-30)
    return ((_log_means(scene) - by.low).double() / size * 65535).round().long().clamp(0, 65535)


def _means_of(codes: Tensor, low: Tensor, high: Tensor) -> Tensor:  # [N, 3]
    log = low + codes.float() / 65535 * (high - low)
    return log.sign() * log.abs().clamp_max(80).expm1()


def _quat_codes(quats: Tensor) -> Tensor:  # [N, 4] int64
    """Three bytes, and 252 and up for the index of the largest."""
    largest, rest = smallest_three.split(quats)
    return torch.cat([((rest * 2**0.5 / 2 + 0.5) * 255).round().long(), 252 + largest[:, None]], dim=1)


def _quats_of(codes: Tensor) -> Tensor:  # [N, 4]
    return smallest_three.join((codes[:, 3].long() - 252).clamp(0, 3), (codes[:, :3].float() / 255 - 0.5) * 2**0.5)


def _logits_of(codes: Tensor) -> Tensor:
    return (codes.float() / 255).clamp(1e-6, 1 - 1e-6).logit()


def palette_size(count: int) -> int:
    """Entries of the palette for so many Gaussians unless one is asked for: a sixteenth, as a power of two times 1,024.

    A palette of half the Gaussians, as other programs write, takes three fifths of the whole file.
    """
    return min(PALETTE_LIMIT, 2 ** max(0, int(math.log2(max(1.0, count / 16 / 1024))))) * 1024


def webp(pixels: NDArray[np.uint8]) -> bytes:
    """An image [H, W, 3 or 4] as lossless WebP; colours under zero alpha are kept."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="WEBP", lossless=True, quality=100, method=4, exact=True)
    return out.getvalue()


def _raster(planes: Tensor, width: int, height: int) -> NDArray[np.uint8]:  # [height, width, channels]
    pixels = torch.zeros(width * height, planes.shape[1], dtype=torch.uint8)
    pixels[: len(planes)] = planes.clamp(0, 255).to(torch.uint8)
    if planes.shape[1] == 4:
        pixels[len(planes) :, 3] = 255
    return pixels.reshape(height, width, -1).numpy()


def _folder(folder: Path) -> Members:
    def member(name: str) -> bytes:
        if Path(name).name != name:
            raise InputError(f"{folder / 'meta.json'}: names a file outside its folder, {name[:NAME_LIMIT]!r}")
        return read_file(folder / name)

    return member


def _archive(path: Path, archive: zipfile.ZipFile) -> Members:
    sizes = {info.filename: info for info in archive.infolist()}
    whole = path.stat().st_size

    def member(name: str) -> bytes:
        if name not in sizes:
            raise InputError(f"{path}: {name[:NAME_LIMIT]!r} is missing in the ZIP. {REMEDY}")
        if sizes[name].file_size > max(META_LIMIT, 20 * whole):
            raise InputError(
                f"{path}: {name!r} promises {sizes[name].file_size:,} bytes in a ZIP of {whole:,}. {REMEDY}"
            )
        return archive.read(name)

    return member


class _Reader:
    """A SOG whose members come from somewhere. Every value of the meta data is looked at before it is used."""

    def __init__(self, name: str, members: Members, meta: bytes) -> None:
        self.name, self.members = name, members
        if len(meta) > META_LIMIT:
            raise InputError(f"{name}: meta.json has {len(meta):,} bytes; expected at most {META_LIMIT:,}")
        try:
            self.meta = json.loads(meta)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}: meta.json is not JSON ({error}). {REMEDY}") from None
        self.version = self.get("version") if isinstance(self.meta, dict) and "version" in self.meta else 1
        if self.version not in (1, 2):
            raise InputError(f"{name}: version {self.version!r} of SOG; 1 and 2 can be read")
        count = self.get("count") if self.version == 2 else self.get("means", "shape", 0)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MOST_PIXELS:
            raise InputError(f"{name}: meta.json: expected a count of 1 to {MOST_PIXELS:,}, got {count!r}")
        self.count: int = count

    def get(self, *keys: str | int) -> Any:
        """A value of the meta data."""
        value = self.meta
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                where = ".".join(map(str, keys))
                raise InputError(f"{self.name}: meta.json: {where} is missing. {REMEDY}") from None
        return value

    def numbers(self, count: int | None, *keys: str | int) -> Tensor:  # [count] float32
        """Finite numbers of the meta data; any number of them, up to 256, where `count` is None."""
        values = self.get(*keys)
        fine = isinstance(values, list) and (len(values) == count if count is not None else 0 < len(values) <= 256)
        fine = fine and all(isinstance(v, int | float) and abs(v) < 1e30 for v in values)
        if not fine:
            expected = f"{count} numbers" if count is not None else "1 to 256 numbers"
            raise InputError(f"{self.name}: meta.json: {'.'.join(map(str, keys))}: expected {expected}. {REMEDY}")
        return torch.tensor(values, dtype=torch.float32)

    def image(self, channels: int, *keys: str | int) -> Tensor:  # uint8 [H, W, channels]
        """A member that is an image."""
        name = self.get(*keys)
        if not isinstance(name, str):
            raise InputError(f"{self.name}: meta.json: {'.'.join(map(str, keys))}: expected the name of a file")
        content = self.members(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content), formats=["WEBP"]) as file:
                    if file.width * file.height > min(MOST_PIXELS, max(1 << 20, 200 * len(content))):
                        raise InputError(
                            f"{self.name}: {name}: {file.width} x {file.height} pixels in {len(content):,} bytes. {REMEDY}"
                        )
                    pixels = np.asarray(file.convert("RGBA" if channels == 4 else "RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.name}: {name}: not a WebP image ({error}). {REMEDY}") from None
        return torch.from_numpy(pixels.copy())

    def plane(self, channels: int, *keys: str | int) -> Tensor:  # uint8 [N, channels]
        """The pixels of an image with one for every Gaussian."""
        pixels = self.image(channels, *keys).flatten(0, 1)
        if len(pixels) < self.count:
            raise InputError(
                f"{self.name}: {self.get(*keys)}: expected at least {self.count:,} pixels, got {len(pixels):,}. {REMEDY}"
            )
        return pixels[: self.count]

    def looked_up(self, codes: Tensor, *keys: str | int) -> Tensor:
        """Numbers of a codebook."""
        codebook = self.numbers(None, *keys)
        return codebook[codes.long().clamp_max(len(codebook) - 1)]

    def gaussians(self) -> Gaussians:
        low, high = self.numbers(3, "means", "mins"), self.numbers(3, "means", "maxs")
        planes = [self.plane(3, "means", "files", index).long() for index in (0, 1)]
        scales, colors = self.plane(3, "scales", "files", 0), self.plane(4, "sh0", "files", 0)
        if self.version == 2:
            log_scales, sh0 = (
                self.looked_up(scales, "scales", "codebook"),
                self.looked_up(colors[:, :3], "sh0", "codebook"),
            )
            logits = _logits_of(colors[:, 3])
        else:
            log_scales = self._between(scales, 3, "scales")
            sh0, logits = self._between(colors, 4, "sh0").split([3, 1], dim=1)
            logits = logits[:, 0]
        return Gaussians(
            means=_means_of(planes[0] + 256 * planes[1], low, high),
            quats=_quats_of(self.plane(4, "quats", "files", 0)),
            log_scales=log_scales,
            logit_opacities=logits.contiguous(),
            sh0=sh0.contiguous(),
            sh_rest=self._harmonics(),
        )

    def _between(self, codes: Tensor, count: int, name: str) -> Tensor:  # [N, count]
        low, high = self.numbers(count, name, "mins"), self.numbers(count, name, "maxs")
        return low + codes.float() / 255 * (high - low)

    def _harmonics(self) -> Tensor:  # [N, K, 3]
        if not isinstance(self.meta.get("shN"), dict):
            return torch.zeros(self.count, 0, 3)
        centroids = self.image(3, "shN", "files", 0)
        bases, leftover = divmod(centroids.shape[1], PALETTE_COLUMNS)
        if leftover or bases not in (3, 8, 15):
            raise InputError(
                f"{self.name}: {self.get('shN', 'files', 0)}: a width of {centroids.shape[1]} is of no degree. {REMEDY}"
            )
        entries = centroids.reshape(-1, bases, 3)
        if self.version == 2:
            palette = self.looked_up(entries, "shN", "codebook")
        else:
            low, high = (self.get("shN", end) for end in ("mins", "maxs"))
            if not all(isinstance(value, int | float) for value in (low, high)):
                raise InputError(f"{self.name}: meta.json: shN: expected mins and maxs. {REMEDY}")
            palette = low + entries.float() / 255 * (high - low)
        pixels = self.plane(3, "shN", "files", 1).long()
        labels = pixels[:, 0] + 256 * pixels[:, 1]
        if int(labels.max()) >= len(palette):
            raise InputError(f"{self.name}: a label of {int(labels.max())} in a palette of {len(palette)}. {REMEDY}")
        return palette[labels]
