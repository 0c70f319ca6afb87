"""Reading SOG: the members of a ZIP or a folder, each checked before it is used."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, read_file, read_tail, warn_of_rest
from splat.compression.formats.blocks import joined, ranges
from splat.compression.formats.sog.codes import logits_of, means_of, quats_of
from splat.errors import InputError
from splat.gaussians import Gaussians

PALETTE_COLUMNS = 64
"""Entries in a row of the palette's image."""
MOST = float(np.finfo(np.float32).max)
MOST_PIXELS = 1 << 26
META, META_LIMIT = "meta.json", 1 << 20
NAME_LIMIT = 100
IMAGES = ["WEBP", "PNG"]
"""Image formats in which the numbers of a SOG are kept without loss."""
PNG_DEPTH = 24
"""Byte of a PNG that says how many bits a channel has."""
LZMA_ERROR: type[Exception] = getattr(getattr(zipfile, "lzma", None), "LZMAError", zlib.error)
"""There is none where Python was built without it."""

Members = Callable[[str], bytes]
PARTS = ("means", "scales", "quats", "sh0", "shN")
"""Of the meta data, each with images of its own."""
ZIP_END = 22
"""Bytes of the record that ends a ZIP, without the comment that may follow it."""


def read(path: Path) -> Gaussians:
    """Read a `.sog`, or the `meta.json` of an unzipped one, or its folder.

    Raises:
        InputError: it is damaged, of another version, or its images do not fit together.
    """
    with opened(path) as members:
        return _Reader(str(path), members, members(META)).gaussians()


@contextmanager
def opened(path: Path, again: bool = False) -> Iterator[Members]:
    """The members of a `.sog`, or of the folder of a `meta.json`, each by its name.

    Args:
        again: bytes after the end have been reported.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir() or path.suffix.lower() == ".json":
        yield _folder(path / META if path.is_dir() else path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = _archive(path, archive)
            warn_of_rest(str(path), 0 if again else _rest(path, archive))
            yield members
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except InputError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        LZMA_ERROR,
        struct.error,
        ValueError,
        RuntimeError,
        OSError,
        EOFError,
    ) as error:
        raise InputError(f"{path}: the ZIP cannot be read ({error}). {REMEDY}") from None


def antialiased(path: Path) -> bool | None:
    """Whether a file that `read` accepts says that its scene was trained with antialiasing; None where it says nothing."""
    with opened(path, again=True) as members:
        return says_antialiased(json.loads(members(META)))


def says_antialiased(meta: dict[str, Any]) -> bool | None:
    """The same of a description; `antialias` is what some programs wrote before `model` was specified."""
    return True if meta.get("model") == "antialiased" or meta.get("antialias") is True else None


def _folder(path: Path) -> Members:
    def member(name: str) -> bytes:
        if name == META:
            return read_file(path)
        if Path(name).name != name:
            raise InputError(f"{path}: names a file outside its folder, {name[:NAME_LIMIT]!r}")
        return read_file(path.parent / name)

    return member


def _rest(path: Path, archive: zipfile.ZipFile) -> int:
    """Bytes after the end of a ZIP and its comment."""
    tail = read_tail(path, (1 << 16) + ZIP_END)
    return len(tail) - tail.rfind(b"PK\5\6") - ZIP_END - len(archive.comment)


def folder_of(names: Iterable[str]) -> str:
    """The folder in a ZIP that holds the description of a SOG, with the slash behind it; empty where it is in none, or where
    several are."""
    found = [name.removesuffix(META) for name in names if name == META or name.endswith(f"/{META}")]
    return found[0] if len(found) == 1 else ""


def _archive(path: Path, archive: zipfile.ZipFile) -> Members:
    sizes = {info.filename: info for info in archive.infolist()}
    if folder := folder_of(sizes):
        sizes = {name.removeprefix(folder): info for name, info in sizes.items() if name.startswith(folder)}
    whole = path.stat().st_size

    def member(name: str) -> bytes:
        if name not in sizes:
            raise InputError(f"{path}: {name[:NAME_LIMIT]!r} is missing in the ZIP. {REMEDY}")
        if sizes[name].file_size > max(META_LIMIT, 20 * whole):
            raise InputError(
                f"{path}: {name!r} promises {sizes[name].file_size:,} bytes in a ZIP of {whole:,}. {REMEDY}"
            )
        return archive.read(sizes[name])

    return member


def _is_number(value: object) -> bool:
    """Whether it is one that 32-bit floats can hold."""
    return isinstance(value, int | float) and abs(value) <= MOST


def fill_codebooks(meta: object) -> list[str]:
    """Put the first number of each codebook where it is null, as early versions of splat-transform wrote it; which ones it
    was."""
    filled = []
    for key, part in meta.items() if isinstance(meta, dict) else ():
        book = part.get("codebook") if isinstance(part, dict) else None
        if (
            isinstance(book, list)
            and len(book) > 1
            and book[0] is None
            and _is_number(book[1])
            and _is_number(book[-1])
        ):
            book[0] = book[1] + (book[1] - book[-1]) / 255
            filled.append(key)
    return filled


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
        for key in fill_codebooks(self.meta):
            warnings.warn(
                f"{name}: meta.json: {key}.codebook: its first number is null, and was worked out from the others, as "
                "PlayCanvas does",
                stacklevel=4,
            )
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
        fine = fine and all(_is_number(value) for value in values)
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
                with Image.open(io.BytesIO(content), formats=IMAGES) as file:
                    if file.width * file.height > min(MOST_PIXELS, max(1 << 20, 200 * len(content))):
                        raise InputError(
                            f"{self.name}: {name}: {file.width} x {file.height} pixels in {len(content):,} bytes. {REMEDY}"
                        )
                    if file.format == "PNG" and content[PNG_DEPTH] > 8:
                        raise InputError(
                            f"{self.name}: {name}: its channels have {content[PNG_DEPTH]} bits, those of a SOG 8: export "
                            "it again"
                        )
                    pixels = np.asarray(file.convert("RGBA" if channels == 4 else "RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.name}: {name}: not a WebP or PNG image, or a damaged one ({error}): export it again, as "
                "lossless WebP"
            ) from None
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
        coarse, fine = (self.plane(3, "means", "files", index) for index in (1, 0))
        scales, colors = self.plane(3, "scales", "files", 0), self.plane(4, "sh0", "files", 0)
        quats, (palette, labels) = self.plane(4, "quats", "files", 0), self._harmonics()

        def part(place: slice) -> Gaussians:
            if self.version == 2:
                log_scales = self.looked_up(scales[place], "scales", "codebook")
                sh0, logits = self.looked_up(colors[place, :3], "sh0", "codebook"), logits_of(colors[place, 3])
            else:
                log_scales = self._between(scales[place], 3, "scales")
                sh0, logits = self._between(colors[place], 4, "sh0").split([3, 1], dim=1)
                logits = logits[:, 0]
            return Gaussians(
                means=means_of(fine[place].long() + 256 * coarse[place].long(), low, high),
                quats=quats_of(quats[place]),
                log_scales=log_scales,
                logit_opacities=logits,
                sh0=sh0,
                sh_rest=palette[labels[place]],
            )

        return joined(self.count, palette.shape[1], (part(place) for place in ranges(self.count)))

    def _between(self, codes: Tensor, count: int, name: str) -> Tensor:  # [N, count]
        low, high = self.numbers(count, name, "mins"), self.numbers(count, name, "maxs")
        return low + codes.float() / 255 * (high - low)

    def _harmonics(self) -> tuple[Tensor, Tensor]:
        """The palette [P, K, 3], and the entry of every Gaussian [N]."""
        if self.meta.get("shN") is None:
            return torch.zeros(1, 0, 3), torch.zeros(self.count, dtype=torch.int64)
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
            if not (_is_number(low) and _is_number(high)):
                raise InputError(f"{self.name}: meta.json: shN: expected mins and maxs. {REMEDY}")
            palette = low + entries.float() / 255 * (high - low)
        pixels = self.plane(3, "shN", "files", 1)
        labels = pixels[:, 0].long() + 256 * pixels[:, 1].long()
        if int(labels.max()) >= len(palette):
            raise InputError(f"{self.name}: a label of {int(labels.max())} in a palette of {len(palette)}. {REMEDY}")
        return palette, labels


def files_beside(path: Path) -> list[Path]:
    """The images of an unzipped SOG that `read` accepts; none of one in a ZIP."""
    if path.suffix.lower() != ".json":
        return []
    meta = json.loads(read_file(path))
    named = [meta[part]["files"] for part in PARTS if isinstance(meta.get(part), dict)]
    return [path.parent / name for names in named for name in names if isinstance(name, str)]
