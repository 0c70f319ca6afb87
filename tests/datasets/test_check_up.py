"""`splat info` of a capture: what is there, what will be done with it, and what is likely to go wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from captures import ring, subject, write_capture
from PIL import Image

import splat
from splat.cli import main as cli
from splat.datasets.check_up import check_up
from splat.datasets.load import load_capture
from splat.datasets.picture import CAMERA, HELD_OUT, OUTLYING, PANEL, capture_picture
from splat.datasets.summary import summary
from splat.errors import InputError


def count(image: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == np.array(color)).all(axis=2).sum())


def test_facts_of_a_real_capture(
    capture_path: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = capture_path("fox")
    cli.main(["info", str(path), "--json", "--picture", str(tmp_path / "fox.png")])
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "capture"
    assert facts["photos"] == facts["photos in the model"] == facts["photos that say which points they saw"] == 50
    assert facts["cameras"] == {"PINHOLE 448x797": 50}
    assert facts["points"] == 13340
    assert facts["held out with --eval"] == 7
    assert facts["warnings"] == facts["notes"] == []
    low, high = facts["most points within"]
    assert all(a < b for a, b in zip(low, high, strict=True))
    near, far = facts["most points at a depth of"]
    assert facts["near plane"] < near < far
    with Image.open(tmp_path / "fox.png") as picture:
        assert picture.width == 2 * PANEL
        assert count(picture.convert("RGB"), HELD_OUT) > 100
    cli.main(["info", str(path)])
    assert "PINHOLE 448x797: 50" in capsys.readouterr().out


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="splat photos"):
        check_up(tmp_path)


def test_a_picture_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splat.save(subject(), tmp_path / "scene.ply")
    with pytest.raises(SystemExit):
        cli.main(["info", str(tmp_path / "scene.ply"), "--picture", str(tmp_path / "scene.png")])
    assert "--picture draws captures" in capsys.readouterr().err


def test_what_is_missing_is_counted(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=24)
    for index in (3, 5, 9):
        (tmp_path / f"images/{index:03d}.png").unlink()
    for index in (1, 2, 4, 6):
        shutil.copy(tmp_path / f"images/{index:03d}.png", tmp_path / f"images/extra{index}.png")
    (tmp_path / "images/010.png").write_bytes(b"no photo")
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 32), 255).save(tmp_path / "masks/001.png")
    found = check_up(tmp_path)
    facts = found.facts
    assert facts["photos in the model"] == 24
    assert facts["photos"] == 20
    assert set(facts["left out"]) == {"003.png", "005.png", "009.png", "010.png"}
    assert facts["photos"] + len(facts["left out"]) == facts["photos in the model"]
    assert facts["photos without a pose"] == 4
    assert facts["masks"] == 1
    said = "\n".join(found.warnings)
    assert "4 of 24 photos of the model are left out" in said
    assert "4 photos have no pose in the model: extra1.png, extra2.png, extra4.png, extra6.png" in said
    assert "have no mask" in said


def test_masks_that_cannot_be_meant(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=21)
    (tmp_path / "masks").mkdir()
    for index in range(1, 22):
        Image.new("L", (48, 32), 0 if index in (2, 7) else 255).save(tmp_path / f"masks/{index:03d}.png")
    Image.new("L", (32, 32), 255).save(tmp_path / "masks/004.png")
    found = check_up(tmp_path)
    assert "004.png" in found.facts["left out"] and "another shape" in found.facts["left out"]["004.png"]
    assert "2 of 20 masks that were looked at hide the whole photo (002.png, 007.png)" in "\n".join(found.warnings)
    assert {name for name, _ in load_capture(tmp_path).skipped} >= {"004.png"}


def test_files_with_several_pictures(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=21)
    with Image.open(tmp_path / "images/003.png") as photo:
        other = Image.new("RGB", photo.size, (255, 0, 0))
        photo.save(tmp_path / "images/003.png", save_all=True, append_images=[other])  # APNG
    with Image.open(tmp_path / "images/005.png") as photo:
        photo.convert("RGB").save(tmp_path / "images/005.tif", save_all=True, append_images=[other])
    (tmp_path / "images/005.png").unlink()
    said = "2 photos hold several pictures, of which the first is used: "
    for notes in (check_up(tmp_path).notes, load_capture(tmp_path).notes):
        assert any(note.startswith(said) and "003.png" in note and "005.tif" in note for note in notes)


def test_few_photos_few_points(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=5)
    said = "\n".join(check_up(tmp_path).warnings)
    assert "5 photos are few" in said
    assert "300 points are few" in said
    write_capture(tmp_path / "bare", photos=5, points=False)
    assert any("random" in warning for warning in check_up(tmp_path / "bare").warnings)


def changed(folder: Path, change: Callable[[pycolmap.Reconstruction], None]) -> Path:
    write_capture(folder, photos=24)
    model = pycolmap.Reconstruction(folder / "sparse/0")
    change(model)
    model.write_binary(folder / "sparse/0")
    return folder


def test_a_wrong_focal_length_is_seen(tmp_path: Path) -> None:
    def short(model: pycolmap.Reconstruction) -> None:
        for camera in model.cameras.values():
            camera.focal_length_x = camera.focal_length_y = 4.0

    assert any("field of view of 161 degrees" in warning for warning in check_up(changed(tmp_path, short)).warnings)


def test_points_that_are_somewhere_else_are_seen(tmp_path: Path) -> None:
    def away(model: pycolmap.Reconstruction) -> None:
        for identifier in list(model.points3D):
            model.delete_point3D(identifier)
        for index in range(1000):
            model.add_point3D(np.array([0.0, 500.0 + index / 1000, 0.0]), pycolmap.Track(), np.zeros(3, dtype=np.uint8))

    assert any(
        "not one photo shows any of the points" in warning for warning in check_up(changed(tmp_path, away)).warnings
    )


def test_points_in_one_place_and_cameras_in_one_place_are_seen(tmp_path: Path) -> None:
    def heap(model: pycolmap.Reconstruction) -> None:
        for point in model.points3D.values():
            point.xyz = np.zeros(3)

    def standing(model: pycolmap.Reconstruction) -> None:
        for frame in model.frames.values():
            frame.rig_from_world = pycolmap.Rigid3d(frame.rig_from_world.rotation, np.zeros(3))

    assert any("points are in one place" in warning for warning in check_up(changed(tmp_path / "a", heap)).warnings)
    folder = changed(tmp_path / "b", standing)
    assert any("all cameras stand in one place" in warning for warning in check_up(folder).warnings)
    assert "all cameras stand in one place" in summary(load_capture(folder))


@pytest.mark.parametrize(
    "values", [(60.0, 60.0, 5600.0, 16.0), (60.0, 60.0, 0.2, 0.2), (1e9, 1e9, 24.0, 16.0), (60.0, 60.0, 24.0, -995.0)]
)
def test_a_lens_that_cannot_be_right_is_named_and_not_the_poses(tmp_path: Path, values: tuple[float, ...]) -> None:
    def wrong(model: pycolmap.Reconstruction) -> None:
        for camera in model.cameras.values():
            camera.params = values

    said = "\n".join(check_up(changed(tmp_path, wrong)).warnings)
    assert "24 photos of 24 with a lens that cannot be right: 001.png of 48 x 32" in said
    assert "same coordinates" not in said and "poses are probably wrong" not in said


def test_a_thumbnail_among_the_photos_is_seen(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=24)
    with Image.open(tmp_path / "images/004.png") as photo:
        photo.resize((3, 2)).save(tmp_path / "images/004.png")
    said = "\n".join(check_up(tmp_path).warnings)
    assert "are these thumbnails?" in said  # all of them are small
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as photo:
            photo.resize((photo.width * 2, photo.height * 2)).save(path)
    assert "1 photo is far smaller than the others: 004.png" in "\n".join(check_up(tmp_path).warnings)


def test_a_capture_without_a_photo_of_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_capture(tmp_path, photos=5)
    for path in (tmp_path / "images").iterdir():
        Image.new("RGB", (20, 20)).save(path)
    found = check_up(tmp_path)
    assert found.warnings == ("not one photo can be used, so `splat train` refuses the capture; above is why",)
    with pytest.raises(SystemExit):
        cli.main(["info", str(tmp_path)])
    said = capsys.readouterr()
    assert "another shape" in said.out and "not one of its photos can be used" in said.err


def test_what_train_refuses_is_said(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=24)
    for index in range(1, 6):
        Image.new("RGB", (20, 20)).save(tmp_path / f"images/{index:03d}.png")
    assert any("`splat train` refuses that; with --allow-missing" in warning for warning in check_up(tmp_path).warnings)
    with pytest.raises(InputError, match="5 of 24 photos cannot be used"):
        load_capture(tmp_path)


def test_damaged_photos_and_masks_are_found_before_training(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=36)
    photo, mask = tmp_path / "images/003.png", tmp_path / "masks/005.png"
    photo.write_bytes(photo.read_bytes()[:-200])
    mask.parent.mkdir()
    for index in range(1, 37):
        Image.effect_noise((48, 32), 90).save(mask.with_name(f"{index:03d}.png"))
    mask.write_bytes(mask.read_bytes()[:-200])
    Image.new("L", (32, 48), 255).save(mask.with_name("007.png"))
    left_out = check_up(tmp_path).facts["left out"]
    assert left_out == dict(load_capture(tmp_path).skipped)
    assert sorted(left_out) == ["003.png", "005.png", "007.png"]
    assert "cannot be decoded" in left_out["003.png"]
    assert "mask" in left_out["005.png"] and "cannot be decoded" in left_out["005.png"]
    assert left_out["007.png"].endswith("another shape, turned by 90 degrees; turn it back")


def test_photos_that_are_links_are_not_counted_with_what_lies_beside_their_targets(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=24)
    (tmp_path / "images").rename(tmp_path / "pool")
    (tmp_path / "images").mkdir()
    for path in sorted((tmp_path / "pool").iterdir()):
        shutil.copy(path, path.with_name(f"other{path.name}"))
        (tmp_path / "images" / path.name).symlink_to(path)
        (tmp_path / "images" / f"._{path.name}").write_bytes(b"resource fork")
    found = check_up(tmp_path)
    assert found.facts["photos"] == 24 and found.facts["photos without a pose"] == 0


def test_masks_that_are_not_looked_for_are_said(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=5)
    masks = [tmp_path / "images" / f"{index:03d}_mask.png" for index in range(1, 6)]
    for path in masks:
        Image.new("L", (48, 32), 255).save(path)
    assert any("5 files beside the photos named like masks" in note for note in load_capture(tmp_path).notes)
    (tmp_path / "segments_mask").mkdir()
    for path in masks:
        path.rename(tmp_path / "segments_mask" / path.name)
    for notes in (check_up(tmp_path).notes, load_capture(tmp_path).notes):
        assert any("holds 5 files named like the photos: --masks segments_mask uses them" in note for note in notes)
    assert check_up(tmp_path).facts["masks"] == 0
    (tmp_path / "segments_mask").rename(tmp_path / "Masks")
    assert check_up(tmp_path).facts["masks"] == 5
    assert any("masks for 5 of 5 photos" in note for note in load_capture(tmp_path).notes)


def test_masks_of_another_shape_name_the_way_to_do_without(tmp_path: Path) -> None:
    write_capture(tmp_path, photos=5)
    (tmp_path / "masks").mkdir()
    for index in range(1, 6):
        Image.new("L", (32, 32), 255).save(tmp_path / f"masks/{index:03d}.png")
    with pytest.raises(InputError, match=r"or use no masks: `masks` ''"):
        load_capture(tmp_path)


def test_the_picture_shows_a_ring_from_above() -> None:
    """From above the cameras lie around the points, from the side beside them."""
    cameras = ring(12, 48, 32)
    picture = capture_picture(cameras, subject().means, torch.full((300, 3), 90, dtype=torch.uint8))
    above, side = (
        np.argwhere((np.asarray(picture)[:PANEL, left : left + PANEL] == np.array(CAMERA)).all(axis=2))
        for left in (0, PANEL)
    )
    assert np.ptp(above[:, 0]) > 0.6 * PANEL
    assert np.ptp(above[:, 1]) > 0.6 * PANEL
    assert np.ptp(side[:, 0]) < 0.5 * PANEL
    assert count(picture, HELD_OUT) == count(picture, OUTLYING) == 0


def test_one_camera_far_away_does_not_shrink_the_picture() -> None:
    cameras, points = ring(12, 48, 32), subject().means
    colors = torch.full((300, 3), 90, dtype=torch.uint8)
    far = cameras[0].viewmat.clone()
    far[2, 3] = 3000
    astray = type(cameras[0])(far, cameras[0].K, 48, 32)
    picture = capture_picture([*cameras, astray], points, colors)
    place = np.argwhere((np.asarray(picture)[:PANEL, :PANEL] == np.array(CAMERA)).all(axis=2))
    assert np.ptp(place[:, 1]) > 0.6 * PANEL


def test_pictures_of_little() -> None:
    """One camera, no points, points that are not finite: a picture all the same."""
    cameras = ring(1, 48, 32)
    nothing, none = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8)
    assert count(capture_picture(cameras, nothing, none), CAMERA) > 10
    broken = torch.tensor([[float("nan"), 0, 0], [0, float("inf"), 0]])
    assert count(capture_picture(cameras, broken, torch.zeros(2, 3, dtype=torch.uint8)), CAMERA) > 10
    same = [cameras[0]] * 5
    assert count(capture_picture(same, nothing, none), CAMERA) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [line for line in lines if line.startswith("#")], "no photos"),
        (
            lambda lines: [line.replace("PINHOLE 48 32 ", "PINHOLE 48 32 -") for line in lines],
            "expected a focal length above 0",
        ),
    ],
)
def test_a_model_without_a_usable_photo_is_an_error_not_a_bug(
    tmp_path: Path, change: Callable[[list[str]], list[str]], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_capture(tmp_path, text=True)
    for name in ("images.txt", "cameras.txt") if message == "no photos" else ("cameras.txt",):
        path = tmp_path / "sparse/0" / name
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    for verb in (["info", str(tmp_path)], ["train", str(tmp_path), "-o", str(tmp_path / "run")]):
        with pytest.raises(SystemExit):
            cli.main(verb)
        said = capsys.readouterr().err
        assert message in said
        assert "not your mistake" not in said


def test_a_broken_link_among_the_photos_is_named(tmp_path: Path) -> None:
    write_capture(tmp_path)
    (tmp_path / "images/001.png").unlink()
    (tmp_path / "images/001.png").symlink_to("/nowhere")
    found = check_up(tmp_path)
    assert set(found.facts["left out"]) == {"001.png"}
    assert found.facts["photos"] == 9


def test_photos_that_show_no_point_are_named(tmp_path: Path) -> None:
    def turned(model: pycolmap.Reconstruction) -> None:
        image = model.images[3]
        pose = image.cam_from_world()
        back = pycolmap.Rotation3d(np.array([0.0, 1.0, 0.0, 0.0]))  # half a turn about y
        image.frame.rig_from_world = pycolmap.Rigid3d(back * pose.rotation, back * pose.translation)

    said = "\n".join(check_up(changed(tmp_path, turned)).warnings)
    assert "none of the points lies in 1 photo of 24" in said
    assert "003.png" in said


def test_photos_of_another_shape_are_left_out(tmp_path: Path) -> None:
    """As training leaves them out."""
    write_capture(tmp_path, photos=30)
    lying = Image.Exif()
    lying[274] = 6
    Image.new("RGB", (32, 48)).save(tmp_path / "images/002.png", exif=lying)
    Image.new("RGB", (32, 48)).save(tmp_path / "images/003.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "images/004.png")
    found = check_up(tmp_path).facts["left out"]
    assert set(found) == set(dict(load_capture(tmp_path).skipped)) == {"003.png", "004.png"}
    assert "another shape" in found["003.png"]
