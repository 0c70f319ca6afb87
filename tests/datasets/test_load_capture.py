"""Reading captures: real ones, every way COLMAP writes them, every lens, photos of any kind."""

import math
import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from captures import add_photo, ring, write_capture
from PIL import Image

from splat.datasets.images.decode import target_size
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.split import split
from splat.errors import InputError


@pytest.mark.parametrize(
    "name, photos, points, size", [("fox", 50, 13_340, (448, 797)), ("brighton", 18, 6_629, (794, 446))]
)
def test_real_captures(capture_path, name, photos, points, size):
    scene = load_capture(capture_path(name))
    assert (len(scene), len(scene.points), scene.skipped) == (photos, points, ())
    camera = scene.frames[0].camera
    assert (camera.width, camera.height) == size and scene.frames[0].image.shape == (size[1], size[0], 3)
    assert scene.frames[0].image.dtype == torch.uint8
    names = [frame.name for frame in scene.frames]
    assert names == sorted(names)
    # Most sparse points are in front of most cameras and inside their pictures: poses and K belong together.
    for frame in scene.frames[::9]:
        pixel = (scene.points @ frame.camera.viewmat[:3, :3].T + frame.camera.viewmat[:3, 3]) @ frame.camera.K.T
        inside = (pixel[:, 2] > 0) & (pixel[:, 0] > 0) & (pixel[:, 0] < size[0] * pixel[:, 2])
        assert inside.float().mean() > 0.3


def test_resolution_rescales_each_photo_and_its_K(capture_path):
    full, half = load_capture(capture_path("fox")), load_capture(capture_path("fox"), PhotoOptions(resolution=2))
    a, b = full.frames[3].camera, half.frames[3].camera
    assert (b.width, b.height) == (224, 398)
    torch.testing.assert_close(b.K[0], a.K[0] * 224 / 448)
    torch.testing.assert_close(b.K[1], a.K[1] * 398 / 797)
    assert torch.equal(a.viewmat, b.viewmat)
    mean = full.frames[3].image[:796].float().view(398, 2, 224, 2, 3).mean((1, 3))
    assert (mean - half.frames[3].image.float()).abs().mean() < 3


def test_sizes():
    assert target_size(4000, 3000, 1, None) == (4000, 3000)
    assert target_size(4000, 3000, 8, None) == (500, 375)
    assert target_size(4000, 3000, -1, None) == (1600, 1200)
    assert target_size(800, 600, -1, None) == (800, 600)
    assert target_size(800, 600, 1, 400) == (400, 300)
    assert target_size(800, 600, 4, 400) == (200, 150)
    assert target_size(3, 2, 8, None) == (1, 1) or target_size(3, 2, 8, None)[0] >= 1


@pytest.mark.parametrize("model", ["sparse/0", "sparse", ".", "colmap/sparse/0"])
@pytest.mark.parametrize("text", [False, True])
def test_places_and_both_formats(tmp_path, model, text):
    cameras = write_capture(tmp_path, photos=4, model=model, text=text)
    scene = load_capture(tmp_path)
    assert [frame.name for frame in scene.frames] == ["001.png", "002.png", "003.png", "004.png"]
    for frame, camera in zip(scene.frames, cameras, strict=True):
        torch.testing.assert_close(frame.camera.viewmat, camera.viewmat, atol=1e-5, rtol=0)
        torch.testing.assert_close(frame.camera.K, camera.K)
    assert scene.points.shape == (300, 3) and scene.colors.dtype == torch.uint8


def test_the_largest_sub_model_is_used(tmp_path):
    write_capture(tmp_path, photos=3, model="sparse/0")
    write_capture(tmp_path, photos=6, model="sparse/1")
    capture = load_capture(tmp_path)
    assert len(capture) == 6
    assert any("2 sub-models" in note and "using the largest, 1" in note for note in capture.notes)


def test_photos_in_sub_folders(tmp_path):
    write_capture(tmp_path, photos=3, prefix="left/cam_")
    assert load_capture(tmp_path).frames[0].name == "left/cam_001.png"


def test_photos_moved_or_renamed_are_found_by_name_or_stem(tmp_path):
    write_capture(tmp_path, photos=3, prefix="a/")
    shutil.move(tmp_path / "images/a/001.png", tmp_path / "images/001.png")
    Image.open(tmp_path / "images/a/002.png").save(tmp_path / "images/a/002.JPG", quality=95)
    (tmp_path / "images/a/002.png").unlink()
    scene = load_capture(tmp_path)
    assert len(scene) == 3 and not scene.skipped


def test_other_photo_folder(tmp_path):
    write_capture(tmp_path, photos=2)
    (tmp_path / "images").rename(tmp_path / "images_2")
    assert len(load_capture(tmp_path, PhotoOptions(images="images_2"))) == 2
    with pytest.raises(InputError, match=r"images_4.*`images`.*images_2 \(2\)"):
        load_capture(tmp_path, PhotoOptions(images="images_4"))


LENSES = {
    "SIMPLE_PINHOLE": [60, 40, 30],
    "PINHOLE": [60, 62, 41, 29],
    "SIMPLE_RADIAL": [60, 40, 30, 0.08],
    "RADIAL": [60, 40, 30, 0.08, -0.02],
    "OPENCV": [60, 62, 41, 29, 0.08, -0.02, 0.004, -0.003],
    "FULL_OPENCV": [60, 62, 41, 29, 0.08, -0.02, 0.004, -0.003, 0.001, 0.01, 0.0, 0.0],
    "FOV": [60, 62, 41, 29, 0.5],
    "OPENCV_FISHEYE": [60, 62, 41, 29, 0.05, -0.01, 0.002, 0.0],
    "SIMPLE_RADIAL_FISHEYE": [60, 40, 30, 0.03],
    "RADIAL_FISHEYE": [60, 40, 30, 0.03, -0.01],
    "THIN_PRISM_FISHEYE": [60, 62, 41, 29, 0.05, -0.01, 0.002, -0.001, 0.0, 0.0, 0.001, -0.001],
}


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("resolution", [1, 2])
def test_every_lens(tmp_path, lens, resolution):
    """A dot painted where the lens puts a point is found where the undistorted camera puts it."""
    camera = ring(1, 80, 60)[0]
    reconstruction = pycolmap.Reconstruction()
    lens_camera = add_photo(reconstruction, 1, "dot.png", lens, [float(p) for p in LENSES[lens]], camera)
    direction = np.array([0.25, -0.18, 1.0])
    spot = np.asarray(lens_camera.img_from_cam(direction)).ravel()
    columns, rows = np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5)
    photo = 255 * np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * 3.0**2))
    (tmp_path / "images").mkdir()
    Image.fromarray(np.repeat(photo.round().astype(np.uint8)[..., None], 3, 2)).save(tmp_path / "images/dot.png")
    (tmp_path / "sparse/0").mkdir(parents=True)
    reconstruction.write_binary(tmp_path / "sparse/0")

    frame = load_capture(tmp_path, PhotoOptions(resolution=resolution)).frames[0]
    height, width = frame.image.shape[:2]
    assert (frame.camera.width, frame.camera.height) == (width, height)
    expected = frame.camera.K.double().numpy() @ direction
    weight = frame.image[..., 0].double().numpy()
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    found = [(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()]
    assert math.dist(found, expected[:2] / expected[2]) < 0.25


def test_photos_of_any_kind(tmp_path):
    """Gray, 16-bit, transparent and palette photos become RGB of the right brightness."""
    write_capture(tmp_path, photos=5)
    folder, gray = tmp_path / "images", np.full((32, 48), 128, np.uint8)
    Image.fromarray(gray).save(folder / "001.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(folder / "002.png")
    Image.fromarray(np.dstack([gray, gray, gray, np.full_like(gray, 255)])).save(folder / "003.png")
    Image.fromarray(np.dstack([gray, gray, gray, np.zeros_like(gray)])).save(folder / "004.png")
    Image.fromarray(gray).convert("P").save(folder / "005.png")
    frames = load_capture(tmp_path).frames
    assert [frame.image.float().mean().item() for frame in frames] == pytest.approx([128] * 5, abs=1.5)
    assert [frame.photo.alpha is not None for frame in frames] == [False, False, True, True, False]
    white = torch.ones(3)
    assert frames[3].photo.over(white).mean() == 1 and frames[2].photo.over(white).mean() == pytest.approx(
        128 / 255, abs=0.01
    )


def test_exif_rotation_only_where_it_makes_the_shape_fit(tmp_path):
    write_capture(tmp_path, photos=2)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    upright = Image.open(tmp_path / "images/001.png")
    upright.save(tmp_path / "images/001.png", exif=exif)  # shape fits as it is: the tag is ignored, as COLMAP does
    lying = Image.open(tmp_path / "images/002.png").transpose(Image.Transpose.ROTATE_90)
    before = load_capture(tmp_path).frames[1].image
    lying.save(tmp_path / "images/002.png", exif=exif)
    scene = load_capture(tmp_path)
    assert torch.equal(scene.frames[0].image, torch.from_numpy(np.array(upright)))
    assert torch.equal(scene.frames[1].image, before)


def test_photos_smaller_than_their_camera(tmp_path):
    """K follows the photo, as when someone shrinks the photos after COLMAP."""
    cameras = write_capture(tmp_path, photos=2)
    for path in (tmp_path / "images").iterdir():
        Image.open(path).resize((24, 16)).save(path)
    camera = load_capture(tmp_path).frames[0].camera
    assert (camera.width, camera.height) == (24, 16)
    torch.testing.assert_close(camera.K[:2], cameras[0].K[:2] / 2)


def test_split_holds_out_every_eighth(tmp_path):
    write_capture(tmp_path, photos=17)
    train, test = split(load_capture(tmp_path))
    assert [frame.name for frame in test] == ["001.png", "009.png", "017.png"] and len(train) == 14
    with pytest.raises(ValueError, match="at least 2"):
        split(load_capture(tmp_path), 1)


def test_split_of_a_tiny_capture_is_explained(tmp_path):
    write_capture(tmp_path, photos=2)
    with pytest.raises(InputError, match="without `eval`"):
        split(load_capture(tmp_path))


def test_extent_is_the_published_radius(tmp_path):
    write_capture(tmp_path, photos=6)
    scene = load_capture(tmp_path)
    positions = scene.camera_positions
    assert scene.extent == pytest.approx(1.1 * float((positions - positions.mean(0)).norm(dim=1).max()))


def test_one_camera_has_an_extent_too(tmp_path):
    write_capture(tmp_path, photos=1)
    assert 1 < load_capture(Path(tmp_path)).extent < 10
