"""Photos of all kinds made ready for COLMAP: upright, as it reads them, with what their EXIF says of the camera."""

import shutil

import numpy as np
import pillow_heif
import pycolmap
import pytest
from image_files import png16, tiff
from PIL import Image

from splat.datasets.images.companions import MASK_SUFFIXES, CompanionIndex
from splat.datasets.images.decode import decode_upright
from splat.datasets.sfm import source_photos
from splat.datasets.sfm.pairs import choose_kinds
from splat.datasets.sfm.prepare_photos import prepare
from splat.datasets.sfm.reconstruct import reconstruct
from splat.datasets.sfm.source_photos import holds_photos, usable_photos
from splat.errors import InputError

SIZE = 96, 64


def noise(mode: str = "RGB") -> Image.Image:
    return Image.effect_noise(SIZE, 60).convert(mode)


def lying() -> Image.Exif:
    """Of a photo that has to be turned."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769)[0x920A] = 24.0
    return exif


TIFFS = {
    **{
        f"{compression} {mode}": lambda path, c=compression, m=mode: noise(m).save(path, compression=c, exif=lying())
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        for mode in ("RGB", "L")
    },
    "fax": lambda path: noise("1").save(path, compression="group4", exif=lying()),
    "several pages": lambda path: noise().save(
        path, save_all=True, append_images=[noise()], compression="tiff_lzw", exif=lying()
    ),
    "16 bits": lambda path: tiff(path, np.asarray(noise()).astype(np.uint16) * 257, t274=6),
    "16 bits gray": lambda path: tiff(path, np.asarray(noise("L")).astype(np.uint16) * 257, t274=6),
    "floats": lambda path: tiff(path, np.asarray(noise("L")).astype(np.float32) / 255, t274=6),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_that_is_turned(tmp_path, kind):
    TIFFS[kind](tmp_path / "a.tif")
    prepare([tmp_path / "a.tif"], tmp_path, None, tmp_path / "work")
    made = tmp_path / "work/photos/000001.tif"
    seen = pycolmap.Bitmap.read(str(made), True).to_array()
    assert seen.shape == (96, 64, 3) and np.array_equal(seen, np.asarray(decode_upright(tmp_path / "a.tif")))
    with Image.open(made) as image:
        assert image.getexif()[0x0112] == 1
        assert "bits" in kind or kind == "floats" or image.getexif()[0x010F] == "Maker"


def test_a_folder_of_heic_can_be_reconstructed(tmp_path):
    source, size = tmp_path / "phone", (80, 120)
    source.mkdir()
    for index in range(3):
        image = Image.effect_noise(size, 50 + index).convert("RGB")
        exif = Image.Exif()
        exif[0x010F] = "Maker"
        pillow_heif.from_pillow(image).save(source / f"IMG_{index}.HEIC", quality=90, exif=exif.tobytes())
    Image.effect_noise(size, 9).convert("RGB").save(source / "IMG_0.jpg")
    png16(source / "deep.png", np.full((120, 80, 3), 40000, np.uint16))
    (source / "raw.NEF").write_bytes(b"II*\0")
    assert holds_photos(source)
    paths, unusable = usable_photos(source)
    assert len(paths) == 5 and unusable[0][0] == "raw.NEF" and "develop it to JPEG" in unusable[0][1]
    names = prepare(paths, source, None, tmp_path / "work").names
    assert sorted(names.values()) == ["IMG_0.HEIC.jpg", "IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg", "deep.png"]
    for number, name in names.items():
        with Image.open(tmp_path / "work/photos" / number) as image:
            assert image.size == size and image.mode == "RGB"
            assert "HEIC" not in name or image.getexif()[0x010F] == "Maker"
    with pytest.raises(InputError, match="no two of them match"):
        reconstruct(source, tmp_path / "out")


def test_a_folder_of_raw_files_says_so(tmp_path):
    for index in range(4):
        Image.new("RGB", (80, 80)).save(tmp_path / f"{index}.dng", format="TIFF")
    assert holds_photos(tmp_path)
    with pytest.raises(InputError, match=r"(?s)0 photos can be read.*0\.dng.* is a camera's raw file"):
        reconstruct(tmp_path, tmp_path / "out")


def test_webp_is_converted(tmp_path):
    """COLMAP has no decoder for it."""
    for index in range(3):
        Image.effect_noise((120, 80), 50 + index).convert("RGB").save(tmp_path / f"{index}.webp", exif=lying())
    names = prepare(usable_photos(tmp_path)[0], tmp_path, None, tmp_path / "work").names
    assert list(names.values()) == ["0.jpg", "1.jpg", "2.jpg"]
    assert all(pycolmap.Bitmap.read(str(tmp_path / "work/photos" / name), True).width == 80 for name in names)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_half_a_photo_is_left_out(tmp_path, suffix):
    """COLMAP would take it for a whole one."""
    path = tmp_path / f"a{suffix}"
    noise().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    noise().save(tmp_path / "whole.png")
    done = prepare([path, tmp_path / "whole.png"], tmp_path, None, tmp_path / "work")
    assert list(done.names.values()) == ["whole.png"] and len(list((tmp_path / "work/photos").iterdir())) == 1
    ((name, reason),) = done.unusable
    assert name == path.name and "cannot be decoded" in reason


def test_exif_that_is_damaged_is_said(tmp_path):
    noise().save(tmp_path / "a.webp", exif=b"no EXIF")
    noise().save(tmp_path / "b.png", exif=lying())
    with pytest.warns(UserWarning, match=r"^1 photo with damaged EXIF, camera and place count as unknown: a\.webp$"):
        names = prepare(usable_photos(tmp_path)[0], tmp_path, None, tmp_path / "work").names
    assert list(names.values()) == ["a.jpg", "b.png"]
    with Image.open(tmp_path / "work/photos/000002.png") as image:
        assert image.size == (64, 96) and image.getexif().get_ifd(0x8769)[0x920A] == 24.0


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_transparent_is_masked(tmp_path, suffix):
    for index in range(3):
        noise("RGBA").save(tmp_path / f"{index}{suffix}")
    with Image.open(tmp_path / f"1{suffix}") as image:
        image.putalpha(Image.fromarray(np.pad(np.full((32, 96), 255, np.uint8), ((0, 32), (0, 0)))))
        image.save(tmp_path / f"1{suffix}", exif=lying())
    for _ in range(2):  # again after the work was cut off
        done = prepare(usable_photos(tmp_path)[0], tmp_path, None, tmp_path / "work")
        assert done.notes == [f"what is transparent in 1 photo is masked: 1{suffix}"]
    masks = [np.asarray(Image.open(tmp_path / f"work/masks/00000{index}{suffix}.png")) for index in (1, 2, 3)]
    assert masks[0].all() and masks[2].all() and masks[1].shape == (96, 64)
    assert masks[1][:, 32:].all() and not masks[1][:, :32].any()  # turned clockwise


def test_masks_that_hide_everything(tmp_path):
    (tmp_path / "masks").mkdir()
    for index in range(3):
        noise().save(tmp_path / f"{index}.png")
        Image.new("L", SIZE).save(tmp_path / f"masks/{index}.png")
    paths, masks = usable_photos(tmp_path)[0], CompanionIndex(tmp_path / "masks", MASK_SUFFIXES)
    with pytest.raises(InputError, match="masks hide everything in 3 of 3 photos; try with `invert_masks`"):
        prepare(paths, tmp_path, masks, tmp_path / "work")
    assert prepare(paths, tmp_path, masks, tmp_path / "other", invert=True).notes == []
    Image.new("L", SIZE, 255).save(tmp_path / "masks/1.png")
    notes = prepare(paths, tmp_path, masks, tmp_path / "third").notes
    assert notes == ["masks hide all of 2 photos: 0.png, 2.png"]
    Image.new("L", (10, 10), 255).save(tmp_path / "masks/1.png")
    done = prepare(paths, tmp_path, CompanionIndex(tmp_path / "masks", MASK_SUFFIXES), tmp_path / "fourth", invert=True)
    assert "another shape" in dict(done.unusable)["1.png"] and len(done.names) == 2


def test_what_splat_has_made_and_copies_are_no_photos(tmp_path):
    for index in range(3):
        noise().save(tmp_path / f"{index}.png")
    shutil.copy(tmp_path / "1.png", tmp_path / "copy.png")
    for made, mark in (("before", "photos.json"), ("begun", "work/begun.json")):
        (tmp_path / made / "work" / "photos").mkdir(parents=True)
        (tmp_path / made / mark).write_text("{}")
        noise().save(tmp_path / made / "work" / "photos" / "a.png")
    (tmp_path / "out").mkdir()
    noise().save(tmp_path / "out" / "b.png")
    usable, unusable = usable_photos(tmp_path, tmp_path / "out")
    assert [path.name for path in usable] == ["0.png", "1.png", "2.png"]
    reasons = dict(unusable)
    assert reasons["copy.png"] == "is a copy of 1.png"
    assert all("`splat photos` has made" in reasons[f"{made}/work/photos/a.png"] for made in ("before", "begun"))


def test_a_photo_saved_as_two_kinds_of_file_counts_once(tmp_path):
    pillow_heif.register_heif_opener()
    small = [noise(), noise(), noise()]
    photos = [image.resize((256, 192), Image.Resampling.BICUBIC) for image in small]
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side, as phones store it
    photos[0].save(tmp_path / "IMG_0.HEIC", quality=90)
    photos[0].transpose(Image.Transpose.ROTATE_90).save(tmp_path / "img_0.jpg", exif=exif, quality=90)
    photos[1].save(tmp_path / "IMG_1.png")
    photos[2].save(tmp_path / "IMG_1.jpg")  # another one of that name
    photos[2].resize((128, 96)).save(tmp_path / "IMG_2.webp")
    deep = np.asarray(photos[2].convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "IMG_2.tif")
    usable, unusable = usable_photos(tmp_path)
    assert dict(unusable) == {
        "img_0.jpg": "is the same photo as IMG_0.HEIC",
        "IMG_2.webp": "is the same photo as IMG_2.tif",
    }
    assert [path.name for path in usable] == ["IMG_0.HEIC", "IMG_1.jpg", "IMG_1.png", "IMG_2.tif"]


def test_the_moment_tells_a_photo_saved_twice_without_decoding_it(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(source_photos, "_glance", looked.append)
    pillow_heif.register_heif_opener()
    for index in range(3):
        exif = lying()
        exif[0x0110] = "Phone"
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:06 07:08:0{index}"
        noise().save(tmp_path / f"{index}.heic", exif=exif)
        if index == 1:
            exif.get_ifd(0x8769)[0x9003] = "2024:05:06 08:00:00"
        noise().resize((144, 96) if index < 2 else (96, 96)).save(tmp_path / f"{index}.jpg", exif=exif)
    assert usable_photos(tmp_path)[1] == [("0.heic", "is the same photo as 0.jpg")]
    assert {path.stem for path in looked} == {"1", "2"}


def test_neighbors_by_place_need_places(tmp_path):
    noise().save(tmp_path / "a.png")
    with pytest.raises(InputError, match="no photo says in its EXIF where it was taken"):
        choose_kinds("spatial", [tmp_path / "a.png"], ordered=False)
