"""Photos, masks and depth maps of whole captures, moved, renamed and deleted; what is done about it is counted and said."""

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from captures import write_capture
from PIL import Image

from splat.datasets.capture import Capture
from splat.datasets.load import PhotoOptions, load_capture
from splat.errors import InputError


def rename_in_model(folder: Path, change) -> None:
    """Give the photos other names in the COLMAP model, not on the disk."""
    model = pycolmap.Reconstruction(folder / "sparse/0")
    for image in model.images.values():
        image.name = change(image.name)
    model.write(folder / "sparse/0")


def to_json(folder: Path, change=lambda name: f"images/{name}", **more) -> None:
    """Turn a COLMAP capture into a transforms.json that names its files as told."""
    model = pycolmap.Reconstruction(folder / "sparse/0")
    frames = []
    for image in sorted(model.images.values(), key=lambda image: image.name):
        to_world = np.eye(4)
        to_world[:3] = image.cam_from_world().inverse().matrix()
        to_world[:3, 1:3] *= -1
        frames.append({"file_path": change(image.name), "transform_matrix": to_world.tolist()})
    fx, fy, cx, cy = next(iter(model.cameras.values())).params
    values = {"w": 48, "h": 32, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": frames, **more}
    (folder / "transforms.json").write_text(json.dumps(values))
    shutil.rmtree(folder / "sparse")


def rig(folder: Path) -> None:
    """Two cameras whose photos have the same names."""
    write_capture(folder, photos=6)
    new = {f"{i + 1:03d}.png": f"cam{i % 2}/{i // 2:04d}.png" for i in range(6)}
    for old, name in new.items():
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        (folder / "images" / old).rename(folder / "images" / name)
    rename_in_model(folder, new.__getitem__)


def brightness(scene: Capture) -> list[float]:
    return [float(frame.image.float().mean()) for frame in scene.frames]


def said(scene: Capture, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in scene.notes)


MANGLED = {
    "backslashes": lambda name: name.replace("/", "\\"),
    "with the folder": lambda name: f"images/{name}",
    "a foreign path": lambda name: f"/home/someone/garden/images/{name}",
    "a path of Windows": lambda name: "D:\\garden\\" + name.replace("/", "\\"),
    "another suffix": lambda name: name.replace(".png", ".JPG"),
    "no suffix": lambda name: name.removesuffix(".png"),
    "another case": str.upper,
    "percent signs": lambda name: name.replace("cam", "%63am"),
}


@pytest.mark.parametrize("how", MANGLED)
@pytest.mark.parametrize("kind", ["colmap", "json"])
def test_names_of_another_place(tmp_path, how, kind):
    rig(tmp_path)
    before = load_capture(tmp_path)
    if kind == "colmap":
        rename_in_model(tmp_path, MANGLED[how])
    else:
        to_json(tmp_path, MANGLED[how])
    scene = load_capture(tmp_path)
    assert len(scene) == 6 and not scene.skipped
    for frame in scene.frames:  # the right photo with each pose, whatever the names sort like
        same = [old for old in before.frames if old.camera.viewmat.allclose(frame.camera.viewmat, atol=1e-4)]
        assert len(same) == 1 and frame.image.equal(same[0].image)
    if kind == "colmap" and how not in ("backslashes", "no suffix"):
        assert said(scene, "6 of 6 photos are not where the model says")


@pytest.mark.parametrize("folder", ["input", "image", "rgb", "images_4", "photos", "."])
@pytest.mark.parametrize("kind", ["colmap", "json"])
@pytest.mark.parametrize("empty", [False, True])
def test_another_folder_of_photos_is_taken_where_it_is_the_only_one(tmp_path, folder, kind, empty):
    write_capture(tmp_path, photos=4)
    if kind == "json":
        to_json(tmp_path, lambda name: f"/data/garden/images/{name}")
    for path in (tmp_path / "images").iterdir():
        (tmp_path / folder).mkdir(exist_ok=True)
        path.rename(tmp_path / folder / path.name)
    (tmp_path / "images").rmdir()
    if empty:
        (tmp_path / "images").mkdir()
        (tmp_path / "images/readme.txt").write_text("gone")
    for other in ("masks_old", "depth", "normals"):  # images of the same names that are no photos
        (tmp_path / other).mkdir()
        for index in range(1, 5):
            Image.new("L", (48, 32), 255).save(tmp_path / other / f"{index:03d}.png")
    scene = load_capture(tmp_path)
    assert len(scene) == 4 and not scene.skipped
    assert min(float(frame.image.float().std()) for frame in scene.frames) > 1
    assert said(
        scene,
        "has none of the photos" if empty else "is not there",
        "4 of 4 photos",
        "own" if folder == "." else folder,
    )


def test_several_folders_that_could_be_meant_are_named(tmp_path):
    write_capture(tmp_path, photos=4)
    shutil.copytree(tmp_path / "images", tmp_path / "images_2")
    (tmp_path / "images").rename(tmp_path / "images_4")
    with pytest.raises(InputError, match=r"2 folders hold 4 of 4 each; name one with `images`: images_2, images_4"):
        load_capture(tmp_path)
    assert len(load_capture(tmp_path, PhotoOptions(images="images_4"))) == 4
    for path in (tmp_path / "images_2").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(InputError, match=r"`images`: \., images_4"):
        load_capture(tmp_path)
    assert len(load_capture(tmp_path, PhotoOptions(images="."))) == 4


def test_one_folder_for_each_camera(tmp_path):
    rig(tmp_path)
    for camera in ("cam0", "cam1"):
        (tmp_path / "images" / camera).rename(tmp_path / camera)
    (tmp_path / "images").rmdir()
    scene = load_capture(tmp_path)
    assert [frame.name for frame in scene.frames][:2] == ["cam0/0000.png", "cam0/0001.png"]
    assert len(scene) == 6 and said(scene, "6 of 6 photos", "own folder")


@pytest.mark.parametrize("images", ["images_8", "masks"])
def test_a_folder_that_was_named_is_not_replaced(tmp_path, images):
    write_capture(tmp_path, photos=4)
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match=rf"{images}.*`images`.*images \(4\)"):
        load_capture(tmp_path, PhotoOptions(images=images, masks=None))


@pytest.mark.parametrize("kind", ["colmap", "json"])
def test_a_chosen_folder_goes_before_what_the_file_names(tmp_path, kind):
    write_capture(tmp_path, photos=4)
    if kind == "json":
        to_json(tmp_path)
    for path in (tmp_path / "images").iterdir():
        (tmp_path / "images_2").mkdir(exist_ok=True)
        Image.open(path).resize((24, 16)).save(tmp_path / "images_2" / path.with_suffix(".jpg").name)
    scene = load_capture(tmp_path, PhotoOptions(images="images_2/"))
    assert [tuple(frame.image.shape[:2]) for frame in scene.frames] == [(16, 24)] * 4
    assert load_capture(tmp_path).frames[0].image.shape[:2] == (32, 48)
    names = [
        [frame.name for frame in load_capture(tmp_path, PhotoOptions(images=images)).frames]
        for images in ("images", "images_2")
    ]
    assert kind == "colmap" or [name.split(".")[0] for name in names[0]] == [name.split(".")[0] for name in names[1]]
    if kind == "json":
        (tmp_path / "images_2/002.jpg").unlink()
        scene = load_capture(tmp_path, PhotoOptions(images="images_2"))
        assert len(scene) == 4 and said(scene, "1 of 4 photos are not in images_2", "images/002.png")


@pytest.mark.parametrize("kind", ["colmap", "json"])
@pytest.mark.parametrize("gone, allowed", [(1, True), (5, True), (6, True), (7, False), (11, False)])
def test_photos_that_were_deleted(tmp_path, kind, gone, allowed):
    write_capture(tmp_path, photos=12)
    if kind == "json":
        to_json(tmp_path)
    (tmp_path / "masks").mkdir()
    for index in range(1, gone + 1):  # their masks stay, and are not taken for them
        (tmp_path / f"images/{index:03d}.png").rename(tmp_path / f"masks/{index:03d}.png")
    Image.new("L", (48, 32), 255).save(tmp_path / "masks/012.png")
    if not allowed:
        with pytest.raises(
            InputError, match=rf"{gone} of 12 photos that the model names are not there.*`allow_missing`"
        ) as error:
            load_capture(tmp_path)
        assert str(error.value).count(".png") <= 8 and "001.png" in str(error.value)
    scene = load_capture(tmp_path, PhotoOptions(allow_missing=not allowed))
    assert len(scene) == 12 - gone and len(scene.skipped) == gone  # counts in against counts out
    assert all("is not there" in reason for _, reason in scene.skipped)
    assert len({reason for _, reason in scene.skipped}) == 1  # so that they are said in one line


def test_sidecars_beside_each_photo(tmp_path):
    rig(tmp_path)
    rename_in_model(tmp_path, lambda name: f"/there/{name}".replace(".png", ".jpeg"))
    for path in list((tmp_path / "images").rglob("*.png")):
        for suffix in (".xmp", ".json", ".txt", ".npy"):
            path.with_suffix(suffix).write_bytes(b"sidecar")
            path.with_name(path.name + suffix).write_bytes(b"sidecar")
    assert len(load_capture(tmp_path)) == 6


def test_names_in_the_form_of_another_system(tmp_path):
    write_capture(tmp_path, photos=4)
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_name(unicodedata.normalize("NFD", f"Prés é {path.name}")))
    rename_in_model(tmp_path, lambda name: unicodedata.normalize("NFC", f"Prés é {name}"))
    assert len(load_capture(tmp_path)) == 4


def test_a_photo_is_not_taken_for_another_one(tmp_path):
    """A pose of cam0 with the photo of cam1 would be worse than no photo."""
    rig(tmp_path)
    (tmp_path / "images/cam0/0001.png").unlink()
    scene = load_capture(tmp_path)
    assert len(scene) == 5 and [name for name, _ in scene.skipped] == ["cam0/0001.png"]


@pytest.mark.parametrize("kind", ["colmap", "json"])
def test_masks_of_a_rig_go_by_the_end_of_the_path(tmp_path, kind):
    rig(tmp_path)
    for camera, value in (("cam0", 0), ("cam1", 255)):
        for index in range(3):
            path = tmp_path / f"masks/set/{camera}/{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (48, 32), value).save(path)
    if kind == "json":
        to_json(tmp_path)
    scene = load_capture(tmp_path)
    assert [float(frame.photo.mask.float().mean()) for frame in scene.frames] == [0, 0, 0, 1, 1, 1]
    assert said(scene, "masks for 6 of 6 photos")


def edit(folder: Path, change) -> None:
    path = folder / "transforms.json"
    values = json.loads(path.read_text())
    for index, frame in enumerate(values["frames"]):
        change(index + 1, frame)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    "written",
    [
        "masks/{:03d}.png",
        "/home/x/garden/masks/{:03d}.png",
        "C:\\x\\masks\\{:03d}.png",
        "{:03d}.png",
        "masks/{:03d}.PNG",
    ],
)
def test_masks_that_a_json_names_and_where_one_is_gone(tmp_path, written):
    write_capture(tmp_path, photos=4)
    to_json(tmp_path)
    edit(tmp_path, lambda index, frame: frame.update(mask_path=written.format(index)))
    (tmp_path / "masks").mkdir()
    for index in (1, 2, 4):
        Image.new("L", (48, 32), 0).save(tmp_path / f"masks/{index:03d}.png")
    scene = load_capture(tmp_path)
    assert [frame.photo.mask is None for frame in scene.frames] == [False, False, True, False]
    assert said(scene, "masks", "1 of 4 photos are not there", "003.png") and not scene.skipped
    assert all(not frame.photo.mask.any() for frame in scene.frames if frame.photo.mask is not None)
    assert not load_capture(tmp_path, PhotoOptions(masks=None)).notes


def test_one_mask_for_all_photos(tmp_path):
    write_capture(tmp_path, photos=4)
    to_json(tmp_path)
    edit(tmp_path, lambda index, frame: frame.update(mask_path="masks/hood.png"))
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 32), 0).save(tmp_path / "masks/hood.png")
    assert all(not frame.photo.mask.any() for frame in load_capture(tmp_path).frames)


@pytest.mark.parametrize("state", ["missing", "damaged", "of another shape"])
def test_depth_maps_that_nothing_uses_do_no_harm(tmp_path, state):
    write_capture(tmp_path, photos=4)
    to_json(tmp_path)
    edit(tmp_path, lambda index, frame: frame.update(depth_file_path=f"depth/{index:03d}.png"))
    (tmp_path / "depth").mkdir()
    for index in range(1, 5):
        if state == "damaged":
            (tmp_path / f"depth/{index:03d}.png").write_bytes(b"\x89PNG")
        elif state == "of another shape":
            Image.new("L", (7, 30)).save(tmp_path / f"depth/{index:03d}.png")
    scene = load_capture(tmp_path)
    assert len(scene) == 4 and not scene.notes
    if state == "missing":
        (tmp_path / "depth/001.png").write_bytes(b"")
        Image.new("L", (48, 32), 9).save(tmp_path / "depth/001.png")
        scene = load_capture(tmp_path, PhotoOptions(depths="depth"))
        assert len(scene) == 4 and said(scene, "depth maps", "3 of 4 photos", "002.png, 003.png, 004.png")
        assert float(scene.frames[0].photo.depth.mean()) == 9


def test_the_model_that_is_taken_is_named(tmp_path):
    write_capture(tmp_path, photos=4, model="colmap/sparse/0")
    shutil.copytree(tmp_path / "colmap/sparse", tmp_path / "sparse")
    to_json(tmp_path, lambda name: f"images/{name}")
    edit(tmp_path, lambda index, frame: None)
    scene = load_capture(tmp_path)
    assert said(scene, "colmap/sparse/0/cameras.bin is used", f"`splat train {tmp_path / 'transforms.json'}`")
    assert len(scene.points) == 300
    assert not len(load_capture(tmp_path / "transforms.json").points)


def test_two_frames_of_one_photo_are_both_named(tmp_path):
    rig(tmp_path)
    to_json(tmp_path)
    assert len(load_capture(tmp_path)) == 6  # equal names in two folders are two photos
    edit(tmp_path, lambda index, frame: frame.update(file_path="./images/cam0//0000.png") if index == 5 else None)
    with pytest.raises(
        InputError, match=r"frame 0 \(images/cam0/0000.png\) and frame 4 \(./images/cam0//0000.png\) are both"
    ):
        load_capture(tmp_path)


@pytest.mark.parametrize("name", ["images/001.png", "001.PNG"])
def test_a_second_name_of_a_photo_is_told_whose_file_it_is(tmp_path, name):
    write_capture(tmp_path, photos=12)
    rename_in_model(tmp_path, lambda old: name if old == "002.png" else old)
    scene = load_capture(tmp_path)
    assert scene.skipped == ((name, f"is not there ({tmp_path}/images/001.png is the file of 001.png)"),)


def test_two_names_that_fit_one_photo_equally_well(tmp_path):
    write_capture(tmp_path, photos=4)
    rename_in_model(tmp_path, lambda old: {"002.png": "a/001.PNG", "001.png": "a/001.png"}.get(old, old))
    scene = load_capture(tmp_path, PhotoOptions(allow_missing=True))
    assert len(scene) == 2 and all("is the same file as a/001." in reason for _, reason in scene.skipped)


@pytest.mark.parametrize("images", ["images", "pictures"])
@pytest.mark.parametrize("kind", ["colmap", "json"])
def test_photos_of_other_names_are_named(tmp_path, images, kind):
    write_capture(tmp_path, photos=12)
    if kind == "json":
        to_json(tmp_path)
    for path in list((tmp_path / "images").iterdir()):
        path.rename(path.with_stem(str(int(path.stem))))
    (tmp_path / "images").rename(tmp_path / images)
    held = rf"{images}: has none of the 12 photos.*, but 12 photos of other names \(1\.png, 2\.png"
    with pytest.raises(InputError, match=held):
        load_capture(tmp_path, PhotoOptions(images=images))


def test_photos_of_equal_names_outside_the_capture(tmp_path):
    rig(tmp_path / "elsewhere")
    to_json(tmp_path / "elsewhere", lambda name: f"../elsewhere/images/{name}")
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere/transforms.json").rename(tmp_path / "here/transforms.json")
    assert len({frame.name for frame in load_capture(tmp_path / "here").frames}) == 6
