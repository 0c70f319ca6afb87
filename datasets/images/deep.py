"""Photos of more than 8 bits a channel: integers of 16 bits, and floats. One scale for the whole capture makes 8 bits of them,
so that photos keep their brightness beside each other.

Integers: 65535 is white, unless no photo has a value beyond 8, 10, 12 or 14 bits. Floats of TIFF files: 1 is white, and
values are as a screen shows them (sRGB). OpenEXR and Radiance: linear light, 1 is white, coded with the transfer function
of sRGB (IEC 61966-2-1). What is brighter than white is clipped.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from splat.datasets.images.file_kinds import (
    ORIENTATION,
    RAW_SUFFIXES,
    UnusablePhoto,
    as_stored,
    decoding,
    open_image,
    orientation_of,
    size_as_stored,
)

Kind = Literal["integer", "float", "linear"]
"""Integers of 16 bits or more; floats as a screen shows them; floats of linear light."""

LARGEST = 1 << 28
"""Pixels of a file that are believed, as many as Pillow does before it calls a file an attack."""
BITS = (8, 10, 12, 14, 16, 32)
WIDTH, HEIGHT, BITS_PER_SAMPLE, PREDICTOR, SAMPLE_FORMAT = 256, 257, 258, 317, 339
"""Tags of TIFF."""


@dataclass(frozen=True)
class Header:
    """What a file of more than 8 bits says of itself."""

    kind: Kind
    size: tuple[int, int]  # width and height
    orientation: int = 1  # of EXIF
    by_pillow: bool = False  # whether Pillow gives all bits of it


@dataclass(frozen=True)
class Levels:
    """The stored value that becomes white, for each kind of file."""

    of_integers: float = 65535.0
    of_floats: float = 1.0
    of_light: float = 1.0

    def to_8_bits(self, values: np.ndarray, kind: Kind) -> np.ndarray:  # uint8, same shape
        """Values [H, W] or [H, W, bands] as 8 bits, with the transfer function of sRGB where they are linear light."""
        white = {"integer": self.of_integers, "float": self.of_floats, "linear": self.of_light}[kind]
        color, alpha = (values[..., :3], values[..., 3:]) if values.ndim == 3 else (values, values[..., :0])
        color = np.nan_to_num(color.astype(np.float32), nan=0.0, posinf=np.inf, neginf=0.0)
        if kind != "integer":
            alpha = np.nan_to_num(alpha.astype(np.float32)).clip(0, 1)
        else:
            alpha = alpha.astype(np.float32) / np.float32(max(white, 65535.0 if alpha.max(initial=0) > white else 0.0))
        if kind == "linear" and alpha.size:  # OpenEXR stores color times alpha
            color = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
        color = np.clip(color / np.float32(white), 0, 1)
        if kind == "linear":
            color = np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)
        joined = np.concatenate([color, alpha], axis=2) if alpha.size else color
        return np.rint(255 * joined).astype(np.uint8)


def deep_header(path: Path) -> Header | None:
    """What is known of a file of more than 8 bits without decoding it; None for those of 8 bits.

    Raises:
        UnusablePhoto: the file is not a readable image.
    """
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return Header("linear", _exr_size(path))
    if suffix == ".hdr":
        return Header("linear", _video_size(path))
    try:
        with open_image(path) as image:
            kind: Kind = "float" if image.mode == "F" else "integer"
            by_pillow = image.mode == "F" or image.mode.startswith("I")
            if not by_pillow and not _has_16_bits(image):
                return None
            return Header(kind, size_as_stored(image), orientation_of(image), by_pillow)
    except UnusablePhoto:
        header = None if suffix in RAW_SUFFIXES else _float_tiff(path)
        if header is None:
            raise
        return header


def deep_pixels(path: Path, header: Header) -> np.ndarray:  # [H, W], [H, W, 3] or [H, W, 4]
    """The values of a file as they are stored.

    Raises:
        UnusablePhoto: the file is damaged.
    """
    if header.size[0] * header.size[1] > LARGEST:
        raise UnusablePhoto(f"claims to have {header.size[0]} x {header.size[1]} pixels, too many to be true")
    if path.suffix.lower() == ".exr":
        channels = read_exr(path)
        names = [name for name in ("R", "G", "B", "A") if name in channels]
        if names[:3] != ["R", "G", "B"]:
            gray = channels.get("Y")
            if gray is None:
                raise UnusablePhoto(
                    f"has no channels R, G and B, or Y (there: {', '.join(sorted(channels)) or 'none'})"
                )
            return gray
        return np.stack([channels[name] for name in names], axis=2)
    if header.by_pillow:
        with open_image(path) as image:
            return np.asarray(as_stored(image))
    with decoding(), _open_by_ffmpeg(path) as file:
        frame = next(file.decode(video=0), None)
        if frame is None:
            raise UnusablePhoto("cannot be decoded (it holds no image)")
        if frame.format.name.startswith("ya16"):
            frame = frame.reformat(format="rgba64le")
        return np.asarray(frame.to_ndarray())


def measure_levels(paths: Sequence[Path], pool: Executor) -> tuple[Levels, list[str]]:
    """The scale for all photos of a capture, and what a person should know of it. Only photos of more than 8 bits are decoded;
    files that cannot be read are passed over."""
    measured = [one for one in pool.map(_measure, paths) if one is not None]
    levels, notes = Levels(), []
    integers = [one for one in measured if one.kind == "integer"]
    if integers:
        top = max(one.top for one in integers)
        bits = next((bits for bits in BITS if top < 1 << bits), BITS[-1])
        levels = replace(levels, of_integers=float((1 << bits) - 1))
        if bits != 16:
            notes.append(
                f"{len(integers)} photos have more than 8 bits a channel and no value above {top:,.0f}: taken for {bits} bits, "
                f"so that {levels.of_integers:,.0f} is white in all of them"
            )
    for kind, meaning in (
        ("float", "TIFF files of floats: their values are taken as a screen shows them (sRGB)"),
        ("linear", "OpenEXR or Radiance files: their values are taken for linear light and coded as sRGB"),
    ):
        floats = [one for one in measured if one.kind == kind]
        if not floats:
            continue
        over = sum(one.over for one in floats) / len(floats)
        white = 1.0
        if over > 0.5:
            top = max(one.top for one in floats)
            whole = next((white for white in (255.0, 65535.0) if top <= white), None) if kind == "float" else None
            white = whole or max(one.bright for one in floats)
        levels = replace(levels, of_floats=white) if kind == "float" else replace(levels, of_light=white)
        clipped = f"; {over:.1%} of the values are above 1 and clipped" if 0 < over <= 0.5 else ""
        notes.append(f"{len(floats)} photos are {meaning}, {white:g} is white{clipped}")
    return levels, notes


@dataclass(frozen=True)
class _Measured:
    kind: Kind
    top: float  # largest value
    over: float  # fraction of the values above 1
    bright: float  # 99 % of the values are below


def _measure(path: Path) -> _Measured | None:
    try:
        header = deep_header(path)
        if header is None:
            return None
        values = deep_pixels(path, header)
    except UnusablePhoto:
        return None
    color = values[..., :3] if values.ndim == 3 else values
    if header.kind == "integer":
        return _Measured("integer", float(color.max(initial=0)), 0.0, 0.0)
    color = color[np.isfinite(color)]
    if not color.size:
        return None
    return _Measured(header.kind, float(color.max()), float((color > 1).mean()), float(np.percentile(color, 99)))


def _has_16_bits(image: Image.Image) -> bool:
    """Whether Pillow would keep only the upper 8 bits of a color image."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) > 8
    return isinstance(image, PngImagePlugin.PngImageFile) and any(";16" in str(tile[3]) for tile in image.tile)


def _float_tiff(path: Path) -> Header | None:
    """TIFF files of colors as floats, which Pillow does not know."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            start += file.read(8) if start[2:3] in (b"+", b"\0") and b"+" in start[2:4] else b""  # BigTIFF
            tags = TiffImagePlugin.ImageFileDirectory_v2(start)
            file.seek(tags.next)
            tags.load(file)
        formats, bits = tuple(tags.get(SAMPLE_FORMAT, (1,))), tuple(tags.get(BITS_PER_SAMPLE, (1,)))
        width, height = int(tags[WIDTH]), int(tags[HEIGHT])
    except Exception:  # a hostile file makes Pillow's reader of tags raise nearly anything
        return None
    if set(formats) != {3}:
        return None
    if set(bits) != {32} or tags.get(PREDICTOR, 1) == 3:
        raise UnusablePhoto(
            f"is a TIFF of floats of {max(bits)} bits{', compressed by differences' if set(bits) == {32} else ''}, which "
            "cannot be read; save it with 32-bit floats without a predictor, or as OpenEXR"
        )
    return Header("float", (width, height), int(tags.get(ORIENTATION, 1)))


def _exr_size(path: Path) -> tuple[int, int]:
    import OpenEXR

    with decoding():
        low, high = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
        return int(high[0]) - int(low[0]) + 1, int(high[1]) - int(low[1]) + 1


def read_exr(path: Path) -> dict[str, np.ndarray]:  # float16, float32 or uint32 [H, W] each
    """The channels of an OpenEXR file by name.

    Raises:
        UnusablePhoto: the file is not there or damaged.
    """
    import OpenEXR

    width, height = _exr_size(path)
    if not 0 < width * height <= LARGEST or width < 0:
        raise UnusablePhoto(f"claims to have {width} x {height} pixels, too many to be true")
    with decoding():
        channels = OpenEXR.File(str(path), separate_channels=True).channels()
        pixels = {str(name): np.asarray(channel.pixels) for name, channel in channels.items()}
    if any(values.shape != (height, width) for values in pixels.values()):
        raise UnusablePhoto("cannot be decoded (some of its pixels are not there)")
    return pixels


def _video_size(path: Path) -> tuple[int, int]:
    with decoding(), _open_by_ffmpeg(path) as file:
        if not file.streams.video:
            raise UnusablePhoto("cannot be decoded (it holds no image)")
        return file.streams.video[0].width, file.streams.video[0].height


def _open_by_ffmpeg(path: Path) -> av.container.InputContainer:
    """`a:b.png` is no address here, and `a%03d.png` does not stand for a001.png, a002.png ..."""
    return av.open(str(path.absolute()), options={"pattern_type": "none"})
