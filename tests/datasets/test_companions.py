"""Masks and depth maps: found by any usual name, in any usual kind of file, partial sets, and what is wrong is named."""

import numpy as np
import OpenEXR
import pytest
import torch
from captures import write_capture
from PIL import Image

from splat.datasets.images.companions import MASK_SUFFIXES, CompanionIndex, read_depth, read_mask
from splat.datasets.images.decode import UnusablePhoto
from splat.datasets.load import PhotoOptions, load_capture
from splat.errors import InputError

SIZE = (48, 32)


def palette(indices: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel())
    image.putpalette([value for color in colors for value in color])
    return image


def half() -> np.ndarray:
    """White on the left, black on the right."""
    mask = np.zeros((32, 48), dtype=np.uint8)
    mask[:, :24] = 255
    return mask


@pytest.mark.parametrize(
    "name", ["001.png", "001.png.png", "001_mask.png", "001.mask.png", "001.jpg", "001.PNG", "001.png.jpg"]
)
def test_habits_of_naming(tmp_path, name):
    write_capture(tmp_path, photos=4)
    (tmp_path / "masks").mkdir()
    Image.fromarray(half()).save(tmp_path / "masks" / name, format="PNG")
    scene = load_capture(tmp_path)
    masks = [frame.photo.mask for frame in scene.frames]
    assert masks[0] is not None and masks[1:] == [None] * 3
    assert torch.equal(masks[0], torch.from_numpy(half() > 0))
    assert scene.notes == ("masks for 1 of 4 photos (black is ignored)",)


def test_sub_folders_and_equal_names(tmp_path):
    for place in ("left/a.png", "right/a.png", "right/b.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(half()).save(tmp_path / place)
    index = CompanionIndex(tmp_path, MASK_SUFFIXES)
    assert index.find("left/a.jpg") == tmp_path / "left/a.png"
    assert index.find("elsewhere/b.jpg") == tmp_path / "right/b.png"
    assert index.find("c.jpg") is None
    with pytest.raises(UnusablePhoto, match=r"ambiguous: 2 files .*left/a.png, right/a.png"):
        index.find("elsewhere/a.jpg")


@pytest.mark.parametrize(
    "kind",
    [
        lambda mask: Image.fromarray(mask),
        lambda mask: Image.fromarray(mask // 255),
        lambda mask: Image.fromarray(mask > 0),
        lambda mask: Image.fromarray(mask.astype(np.uint16) * 257),
        lambda mask: Image.fromarray(np.dstack([mask] * 3)),
        lambda mask: Image.fromarray(np.dstack([np.full_like(mask, 9)] * 3 + [mask])),
        lambda mask: Image.fromarray(np.dstack([mask, np.full_like(mask, 255)])),
        lambda mask: Image.fromarray(mask).convert("P"),
        lambda mask: palette(mask // 255, (0, 0, 0), (128, 0, 0)),
        lambda mask: palette(1 - mask // 255, (255, 255, 255), (0, 0, 0)),
        lambda mask: palette(mask // 255, (0, 0, 0), (1, 1, 1)),
        lambda mask: Image.fromarray(mask).resize((96, 64), Image.Resampling.NEAREST),
    ],
    ids=[
        "gray",
        "0 and 1",
        "1 bit",
        "16 bits",
        "color",
        "alpha",
        "opaque",
        "palette",
        "labels",
        "white first",
        "numbers",
        "larger",
    ],
)
def test_kinds_of_files(tmp_path, kind):
    kind(half()).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png", SIZE, SIZE, invert=False), half() > 0)
    assert np.array_equal(read_mask(tmp_path / "a.png", SIZE, SIZE, invert=True), half() == 0)
    assert read_mask(tmp_path / "a.png", SIZE, (24, 16), invert=False).shape == (16, 24)


def test_ink_is_dark(tmp_path):
    Image.fromarray(half()).convert("RGB").convert("CMYK").save(tmp_path / "a.tif")
    assert np.array_equal(read_mask(tmp_path / "a.tif", SIZE, SIZE, invert=False), half() > 0)


def test_labels_that_are_neither_black_nor_bright_are_refused(tmp_path):
    palette(half() // 255, (0, 0, 0), (64, 0, 0)).save(tmp_path / "a.png")
    with pytest.raises(UnusablePhoto, match=r"has a mask, .*a\.png, of labels, one of them \(64, 0, 0\)"):
        read_mask(tmp_path / "a.png", SIZE, SIZE, invert=False)


def test_a_mask_of_another_shape_leaves_its_photo_out(tmp_path):
    write_capture(tmp_path, photos=12)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.zeros((40, 40), dtype=np.uint8)).save(tmp_path / "masks/001.png")
    scene = load_capture(tmp_path)
    assert len(scene) == 11 and "40 x 40, but a camera of 48 x 32" in scene.skipped[0][1]


def test_masks_that_belong_to_no_photo(tmp_path):
    write_capture(tmp_path, photos=3)
    (tmp_path / "masks").mkdir()
    Image.fromarray(half()).save(tmp_path / "masks/other.png")
    with pytest.raises(InputError, match="none of its 1 files is named like a photo"):
        load_capture(tmp_path)
    assert load_capture(tmp_path, PhotoOptions(masks=None)).frames[0].photo.mask is None
    with pytest.raises(InputError, match="no such folder"):
        load_capture(tmp_path, PhotoOptions(masks="segmentation"))


def test_depth_maps(tmp_path):
    values = np.linspace(1, 5, 48 * 32, dtype=np.float32).reshape(32, 48)
    values[0, 0] = np.nan
    values[1, 1] = -3
    np.save(tmp_path / "a.npy", values)
    depth = read_depth(tmp_path / "a.npy", SIZE, SIZE)
    assert depth[0, 0] == 0 and depth[1, 1] == 0 and np.array_equal(depth[2:], values[2:])
    assert np.array_equal(read_depth(tmp_path / "a.npy", SIZE, (24, 16)), depth[1::2, 1::2])
    Image.fromarray((values[2:, 2:] * 1000).astype(np.uint16)).save(tmp_path / "b.png")
    assert read_depth(tmp_path / "b.png", (46, 30), (46, 30))[0, 0] == int(values[2, 2] * 1000)
    np.save(tmp_path / "c.npy", np.zeros((5, 30)))
    with pytest.raises(UnusablePhoto, match=r"shape \[5, 30\]"):
        read_depth(tmp_path / "c.npy", SIZE, SIZE)
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': 'O'")
    with pytest.raises(UnusablePhoto, match="cannot be read"):
        read_depth(tmp_path / "d.npy", SIZE, SIZE)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((32, 48), "far"), "of <U3; save it as float32"),
        (np.ones((32, 48), dtype=complex), "of complex128"),
        (np.ones((32, 48), dtype="datetime64[s]"), r"of datetime64\[s\]"),
        (np.ones((32, 48), dtype=[("z", "f4")]), r"of \[\('z'"),
        (np.ones((0, 0)), r"of shape \[0, 0\]"),
        (np.ones((32, 48, 0)), r"of shape \[32, 48, 0\]"),
        (np.ones((1, 32, 48)), r"of shape \[1, 32, 48\]"),
        (np.ones((2, 32, 48, 1)), "of shape"),
        (np.random.default_rng(0).random((32, 48, 3)), "of 3 channels that differ"),
    ],
)
def test_arrays_that_are_no_depth_maps(tmp_path, values, reason):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UnusablePhoto, match=rf"has a depth map, .*a\.npy, {reason}"):
        read_depth(tmp_path / "a.npy", SIZE, SIZE)


def test_an_archive_is_no_array(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.ones((32, 48)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(UnusablePhoto, match="an archive of arrays"):
        read_depth(tmp_path / "a.npy", SIZE, SIZE)


def test_pictures_of_depth(tmp_path):
    """Gray ones in several channels are read, colors are not."""
    gray = np.arange(48 * 32).reshape(32, 48).astype(np.uint8)
    for image in (Image.fromarray(gray).convert(mode) for mode in ("RGB", "RGBA", "LA", "P")):
        image.save(tmp_path / "a.png")
        assert np.array_equal(read_depth(tmp_path / "a.png", SIZE, SIZE), gray)
    palette(half() // 255, (0, 0, 255), (255, 0, 0)).save(tmp_path / "b.png")
    exr = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(exr, {"RGB": np.random.default_rng(0).random((32, 48, 3), dtype=np.float32)}).write(
        str(tmp_path / "c.exr")
    )
    for name in ("b.png", "c.exr"):
        with pytest.raises(UnusablePhoto, match="3 channels that differ, a picture in colors maybe"):
            read_depth(tmp_path / name, SIZE, SIZE)


def test_a_provider_makes_the_masks_that_are_missing(tmp_path):
    write_capture(tmp_path, photos=3)
    (tmp_path / "masks").mkdir()
    Image.fromarray(half()).save(tmp_path / "masks/002.png")
    scene = load_capture(tmp_path, mask_provider=lambda name, image: image[..., 0] >= 0)
    assert [float(frame.photo.mask.float().mean()) for frame in scene.frames] == [1.0, 0.5, 1.0]
    with pytest.raises(InputError, match=r"given a mask of \[2\]"):
        load_capture(tmp_path, PhotoOptions(masks=None), mask_provider=lambda name, image: torch.ones(2))


def test_depth_maps_that_say_nothing(tmp_path):
    """Are named, and refused if all are so: nothing would be supervised."""
    write_capture(tmp_path)
    (tmp_path / "depths").mkdir()
    for index in range(1, 11):
        np.save(tmp_path / f"depths/{index:03d}.npy", np.full((32, 48), float(index > 2), dtype=np.float32))
    capture = load_capture(tmp_path, PhotoOptions(depths="depths"))
    assert any("2 photos have no pixel above 0" in note and "001.png, 002.png" in note for note in capture.notes)
    for index in range(1, 11):
        np.save(tmp_path / f"depths/{index:03d}.npy", np.full((32, 48), np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="not one of the 10 depth maps"):
        load_capture(tmp_path, PhotoOptions(depths="depths"))


def test_an_empty_folder_that_was_asked_for(tmp_path):
    write_capture(tmp_path)
    (tmp_path / "nothing").mkdir()
    for options in (PhotoOptions(masks="nothing"), PhotoOptions(depths="nothing")):
        with pytest.raises(InputError, match="nothing: holds no"):
            load_capture(tmp_path, options)
