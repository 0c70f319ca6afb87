"""Photos of every kind of file: the right colors, by one scale for the whole capture, and what is assumed is said."""

import struct
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenEXR
import pillow_heif
import pytest
from captures import write_capture
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import png16, tiff
from PIL import Image

from splat.datasets.images.companions import read_depth, read_mask
from splat.datasets.images.decode import decode, decode_upright, fits_camera, stored_size
from splat.datasets.images.deep import deep_header, deep_pixels
from splat.datasets.images.file_kinds import RAW_SUFFIXES, UnusablePhoto
from splat.datasets.images.pages import page_notes
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.sfm.prepare_photos import exif_of
from splat.errors import InputError

COUNT = 5


def exr(path: Path, **channels: np.ndarray) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: np.ascontiguousarray(values) for name, values in channels.items()}).write(str(path))


def linear(values: np.ndarray) -> np.ndarray:
    """Light of sRGB values in 0 to 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def write_exr(path: Path, photo: np.ndarray) -> None:
    light = linear(photo / 255)
    exr(path, R=light[..., 0], G=light[..., 1], B=light[..., 2])


def write_half_exr(path: Path, photo: np.ndarray) -> None:
    exr(path, RGB=linear(photo / 255).astype(np.float16))


def convert(folder: Path, suffix: str, write) -> np.ndarray:
    """The photos of a capture in another kind of file; the model still names the old ones. Returns what they were."""
    photos = []
    for path in sorted((folder / "images").glob("*.png")):
        photo = np.asarray(Image.open(path).convert("RGB"))
        photos.append(photo)
        path.unlink()
        write(path.with_suffix(suffix), photo)
    return np.stack(photos)


def pillow(**options):
    return lambda path, photo: Image.fromarray(photo).save(path, **options)


def heic(path: Path, photo: np.ndarray) -> None:
    pillow_heif.from_pillow(Image.fromarray(photo)).save(path, quality=100, chroma=444)


KINDS = {
    "HEIC": (".HEIC", heic, 6),
    "HEIF": (".heif", heic, 6),
    "AVIF": (".avif", pillow(quality=100, subsampling="4:4:4"), 4),
    "WebP": (".webp", pillow(lossless=True), 0),
    "JPEG": (".jpeg", pillow(quality=100, subsampling=0), 4),
    "PNG of 16 bits": (".png", lambda path, photo: png16(path, photo.astype(np.uint16) * 257), 0),
    "PNG of 16 bits with 8": (".png", lambda path, photo: png16(path, photo.astype(np.uint16)), 0),
    "PNG of 16 bits with 10": (
        ".png",
        lambda path, photo: png16(path, np.rint(photo / 255 * 1023).astype(np.uint16)),
        0,
    ),
    "PNG of 16 bits with 12": (
        ".png",
        lambda path, photo: png16(path, np.rint(photo / 255 * 4095).astype(np.uint16)),
        0,
    ),
    "TIFF of 16 bits": (".tif", lambda path, photo: tiff(path, photo.astype(np.uint16) * 257), 0),
    "TIFF of 16 bits with 12": (
        ".tiff",
        lambda path, photo: tiff(path, np.rint(photo / 255 * 4095).astype(np.uint16)),
        0,
    ),
    "TIFF of floats": (".tif", lambda path, photo: tiff(path, (photo / 255).astype(np.float32)), 0),
    "TIFF of floats to 255": (".tif", lambda path, photo: tiff(path, photo.astype(np.float32)), 0),
    "OpenEXR": (".exr", write_exr, 0),
    "OpenEXR of half floats": (".exr", write_half_exr, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_colors_of_every_kind(tmp_path, kind):
    suffix, write, error = KINDS[kind]
    write_capture(tmp_path, photos=COUNT)
    photos = convert(tmp_path, suffix, write)
    scene = load_capture(tmp_path)
    assert len(scene) == COUNT and not scene.skipped
    loaded = np.stack([frame.image.numpy() for frame in scene.frames]).astype(int)
    assert np.abs(loaded - photos).max() <= 3 * error and np.abs(loaded - photos).mean() <= error / 2
    assert any("taken for" in note or "values are taken" in note for note in scene.notes) == (
        "with" in kind or "floats" in kind or "EXR" in kind
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF of floats"])
def test_gray_photos_of_more_than_8_bits(tmp_path, kind):
    write_capture(tmp_path, photos=COUNT)

    def write(path: Path, photo: np.ndarray) -> None:
        if kind == "PNG":
            png16(path, photo[..., 0].astype(np.uint16) * 16)
        else:
            gray = photo[..., 0]
            tiff(path, (gray / 255).astype(np.float32) if "floats" in kind else gray.astype(np.uint16) * 16)

    photos = convert(tmp_path, ".png" if kind == "PNG" else ".tif", write)
    white = 1 if "floats" in kind else 4080 / 4095
    for frame, photo in zip(load_capture(tmp_path).frames, photos, strict=True):
        assert np.abs(frame.image.numpy() - white * photo[..., :1]).max() <= 1


def test_one_scale_for_all_photos(tmp_path):
    """A dark photo beside bright ones stays dark: 12 bits are seen in one of them only."""
    write_capture(tmp_path, photos=COUNT)
    for index in range(1, COUNT + 1):
        png16(
            tmp_path / f"images/{index:03d}.png", np.full((32, 48, 3), 200 if index < COUNT else 4000, dtype=np.uint16)
        )
    scene = load_capture(tmp_path)
    assert [int(frame.image.max()) for frame in scene.frames] == [round(200 / 4095 * 255)] * 4 + [
        round(4000 / 4095 * 255)
    ]
    assert "5 photos have more than 8 bits a channel and no value above 4,000: taken for 12 bits" in scene.notes[0]


def test_light_that_is_brighter_than_white_is_clipped_and_said(tmp_path):
    write_capture(tmp_path, photos=COUNT)

    def write(path: Path, photo: np.ndarray) -> None:
        light = linear(photo / 255)
        light[:8] = 7.0
        light[0, 0] = np.nan
        light[0, 1] = np.inf
        light[0, 2] = -3
        exr(path, RGB=light)

    photos = convert(tmp_path, ".exr", write)
    scene = load_capture(tmp_path)
    first = scene.frames[0].image.numpy()
    assert first[0, 0].max() == 0 and first[0, 2].max() == 0 and first[0, 1].min() == 255 and first[1:8].min() == 255
    assert np.abs(first[8:].astype(int) - photos[0, 8:]).max() <= 1
    assert any("linear light" in note and "above 1 and clipped" in note for note in scene.notes)


def test_radiance_files(tmp_path):
    light = np.full((32, 48, 3), 0.2158605, np.float32)
    light[:, :24] = 5
    encoder = av.CodecContext.create("hdr", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 48, 32, "gbrpf32le", Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(light, format="gbrpf32le")
    (tmp_path / "a.hdr").write_bytes(b"".join(bytes(part) for part in [*encoder.encode(frame), *encoder.encode(None)]))
    pixels = np.asarray(decode(tmp_path / "a.hdr", 48, 32))
    assert pixels[:, :24].min() == 255 and np.abs(pixels[:, 24:].astype(int) - 128).max() <= 1


def test_floats_with_alpha(tmp_path):
    color, alpha = np.full((32, 48, 3), 0.5, np.float32), np.full((32, 48, 1), 0.25, np.float32)
    exr(tmp_path / "a.exr", RGBA=np.concatenate([linear(color) * alpha, alpha], axis=2))
    pixel = np.asarray(decode(tmp_path / "a.exr", 48, 32))[5, 5]
    assert pixel.tolist() == [128, 128, 128, 64]  # OpenEXR stores color times alpha
    png16(tmp_path / "b.png", np.full((32, 48, 4), [32896, 0, 65535, 16448], dtype=np.uint16))
    assert np.asarray(decode(tmp_path / "b.png", 48, 32))[5, 5].tolist() == [128, 0, 255, 64]
    png16(tmp_path / "c.png", np.full((32, 48, 2), [32896, 65535], dtype=np.uint16))
    assert np.asarray(decode(tmp_path / "c.png", 48, 32))[5, 5].tolist() == [128, 128, 128, 255]


def test_other_color_spaces(tmp_path):
    image = Image.new("RGB", (48, 32), (200, 100, 50))
    image.convert("CMYK").save(tmp_path / "a.tif")
    image.convert("CMYK").save(tmp_path / "b.jpg", quality=100)
    image.quantize(4).save(tmp_path / "c.png")
    image.quantize(4).save(tmp_path / "d.png", transparency=0)
    for name in ("a.tif", "b.jpg", "c.png"):
        assert np.abs(np.asarray(decode(tmp_path / name, 48, 32))[5, 5].astype(int) - (200, 100, 50)).max() <= 2
    assert decode(tmp_path / "d.png", 48, 32).mode == "RGBA"


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 3])
def test_orientation_of_a_tiff(tmp_path, kind, bands):
    lying = np.zeros((48, 32, bands), kind)
    lying[:4] = {"u1": 255, "u2": 65535, "f4": 1}[np.dtype(kind).str[1:]]
    tiff(tmp_path / "a.tif", lying, t274=8)
    turned = np.asarray(decode(tmp_path / "a.tif", 48, 32))
    assert turned.shape == (32, 48, 3) and turned[:, :4].min() == 255 and turned[:, 4:].max() == 0
    assert stored_size(tmp_path / "a.tif") == (32, 48)
    for camera in ((48, 32), (32, 48)):
        assert fits_camera(tmp_path / "a.tif", (32, 48), camera)
    stored = np.asarray(decode(tmp_path / "a.tif", 32, 48))
    assert stored.shape == (48, 32, 3) and stored[:4].min() == 255 and stored[4:].max() == 0
    assert np.array_equal(np.asarray(decode_upright(tmp_path / "a.tif")), turned)
    for camera in ((48, 32), (32, 48)):
        depth = read_depth(tmp_path / "a.tif", camera, camera)
        assert np.array_equal(depth > 0, np.asarray(decode(tmp_path / "a.tif", *camera).convert("L")) == 255)
    if bands == 3 and kind == np.float32:
        return  # no mask: Pillow has no such kind
    for camera, shape in (((48, 32), (32, 48)), ((32, 48), (48, 32))):
        mask = read_mask(tmp_path / "a.tif", camera, camera, invert=False)
        assert np.array_equal(mask, np.asarray(decode(tmp_path / "a.tif", *camera).convert("L")) == 255)
        assert mask.shape == shape


@pytest.mark.parametrize("suffix", [*RAW_SUFFIXES[:4], ".ARW"])
def test_raw_files_are_refused_with_the_remedy(tmp_path, suffix):
    """They hold a thumbnail of the right shape, which must not be taken for the photo."""
    write_capture(tmp_path, photos=COUNT)
    convert(tmp_path, suffix, pillow(format="TIFF"))
    with pytest.raises(InputError, match=r"(?s)5 of 5 photos cannot be used.*camera's raw file; develop it to JPEG"):
        load_capture(tmp_path)
    for path in list((tmp_path / "images").iterdir()):
        Image.new("RGB", (48, 32), (1, 200, 3)).save(path.with_suffix(".jpg"))  # the remedy
    assert len(load_capture(tmp_path)) == COUNT


def test_jpeg_xl_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a")
    with pytest.raises(UnusablePhoto, match="pip install pillow-jxl-plugin"):
        decode(tmp_path / "a.jxl", 48, 32)


@pytest.mark.parametrize("values", [np.zeros((32, 48, 3)), np.zeros((32, 48, 3), np.float16)])
def test_other_floats_are_refused_with_a_remedy(tmp_path, values):
    tiff(tmp_path / "a.tif", values)
    with pytest.raises(UnusablePhoto, match="save it with 32-bit floats"):
        decode(tmp_path / "a.tif", 48, 32)


def test_depth_maps_in_openexr(tmp_path):
    depth = np.linspace(1, 9, 32 * 48, dtype=np.float32).reshape(32, 48)
    for names in (("Z",), ("Y",), ("R", "G", "B"), ("V",), ("distance",)):
        exr(tmp_path / "a.exr", **dict.fromkeys(names, depth))
        assert np.array_equal(read_depth(tmp_path / "a.exr", (48, 32), (48, 32)), depth)
    (tmp_path / "b.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:300])
    with pytest.raises(UnusablePhoto, match=r"depth map, .*b\.exr"):
        read_depth(tmp_path / "b.exr", (48, 32), (48, 32))


@pytest.fixture(scope="module")
def deep_files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("deep")
    values = np.random.default_rng(0).random((16, 24, 3)).astype(np.float32)
    exr(folder / "a.exr", RGB=values)
    tiff(folder / "b.tif", values)
    tiff(folder / "c.tif", (values * 65535).astype(np.uint16))
    png16(folder / "d.png", (values * 65535).astype(np.uint16))
    heic(folder / "e.heic", np.full((64, 64, 3), 77, np.uint8))
    plain, exif = Image.fromarray(np.full((64, 64, 3), 77, np.uint8)), Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 0.0, 0.0)})
    plain.save(folder / "f.avif", exif=exif)
    plain.save(folder / "g.jp2")
    plain.save(folder / "h.webp", exif=exif)
    plain.save(folder / "i.jpg", exif=exif)
    plain.save(folder / "j.tif", save_all=True, append_images=[plain, plain], exif=exif)
    return sorted(folder.iterdir())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 9), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12), st.floats(0, 1))
def test_hostile_files_are_refused_or_read(deep_files, tmp_path_factory, which, changes, end):
    source = deep_files[which]
    data = bytearray(source.read_bytes())
    for place, value in changes:
        data[min(int(place * place * len(data)), len(data) - 1)] = value
    path = tmp_path_factory.mktemp("hostile") / source.name
    path.write_bytes(data if end > 0.5 else data[: int(2 * end * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif_of(path)
            assert page_notes([path], ThreadPoolExecutor(1)) is not None
            size = stored_size(path)
            assert decode(path, *size).size == size
            assert sorted(decode_upright(path).size) == sorted(size)
            fits_camera(path, size, (30, 60))
        except UnusablePhoto as reason:
            assert str(reason).startswith(("is ", "cannot ", "claims ", "has "))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*", b"no EXIF", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0six\0\0\0\0\0"]
)
def test_a_photo_with_damaged_exif_is_used_as_stored(tmp_path, exif):
    Image.effect_noise((80, 64), 50).convert("RGB").save(tmp_path / "a.webp", exif=exif, lossless=True)
    assert decode_upright(tmp_path / "a.webp").size == (80, 64)
    assert not fits_camera(tmp_path / "a.webp", (80, 64), (64, 80))
    with pytest.raises(UnusablePhoto, match="another shape, turned by 90 degrees"):
        decode(tmp_path / "a.webp", 64, 80)
    with pytest.raises(UnusablePhoto, match=r"another shape$"):
        decode(tmp_path / "a.webp", 64, 70)


@pytest.mark.parametrize("error", [RuntimeError("AVIF"), MemoryError(), TypeError("tag"), struct.error(), KeyError(1)])
def test_whatever_a_library_raises_is_a_photo_that_cannot_be_used(tmp_path, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    write_capture(tmp_path, photos=12)
    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(InputError, match=r"(?s)12 of 12 photos cannot be used.*001\.png.* cannot be decoded"):
        load_capture(tmp_path)


@pytest.mark.parametrize("name", ["a:b.png", "a%03d.png"])
def test_a_name_is_that_of_a_file(tmp_path, monkeypatch, name):
    """Not an address, and not the pattern of other names."""
    monkeypatch.chdir(tmp_path)
    png16(Path("a001.png"), np.zeros((32, 48, 3), np.uint16))
    png16(Path(name), np.full((32, 48, 3), 65535, np.uint16))
    assert np.asarray(decode(Path(name), 48, 32)).min() == 255


def test_sizes_that_are_too_large_to_be_true(tmp_path):
    exr(tmp_path / "a.exr", RGB=np.zeros((8, 8, 3), np.float32))
    data = bytearray((tmp_path / "a.exr").read_bytes())
    place = data.find(b"dataWindow\0box2i\0") + len(b"dataWindow\0box2i\0") + 4
    struct.pack_into("<ii", data, place + 8, 999_999, 999_999)
    (tmp_path / "a.exr").write_bytes(data)
    tiff(tmp_path / "b.tif", np.zeros((8, 8, 3), np.float32), t256=65535, t257=65535)
    for name in ("a.exr", "b.tif"):
        with pytest.raises(UnusablePhoto, match=r"too many to be true|cannot be decoded"):
            header = deep_header(tmp_path / name)
            assert header is not None
            deep_pixels(tmp_path / name, header)


def test_memory_options_still_go(tmp_path):
    write_capture(tmp_path, photos=COUNT)
    convert(tmp_path, ".exr", write_exr)
    half = load_capture(tmp_path, PhotoOptions(resolution=2, cache_bytes=1))
    assert half.frames[0].image.shape == (16, 24, 3)
