"""Photos that are not there, or are no images: how many may be, and what is said."""

import pytest
from captures import write_capture

from splat.datasets.load import PhotoOptions, load_capture
from splat.errors import InputError


def test_no_photo_at_all_cannot_be_insisted_on(tmp_path):
    write_capture(tmp_path, photos=4)
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="4 of 4 photos that the model names are not there") as error:
        load_capture(tmp_path, PhotoOptions(allow_missing=True))
    assert "allow_missing" not in str(error.value)


def test_few_are_left(tmp_path):
    write_capture(tmp_path, photos=4)
    for index in (1, 2):
        (tmp_path / f"images/{index:03d}.png").unlink()
    with pytest.raises(InputError, match="train on the 2 that are there with `allow_missing`"):
        load_capture(tmp_path)
    assert len(load_capture(tmp_path, PhotoOptions(allow_missing=True))) == 2


def test_damaged_photos_can_be_insisted_on_too(tmp_path):
    write_capture(tmp_path, photos=12)
    for index in (2, 5, 9):
        (tmp_path / f"images/{index:03d}.png").write_text("not an image")
    with pytest.raises(InputError, match=r"3 of 12 photos cannot be used.*`allow_missing`"):
        load_capture(tmp_path)
    scene = load_capture(tmp_path, PhotoOptions(allow_missing=True))
    assert len(scene) == 9 and [name for name, _ in scene.skipped] == ["002.png", "005.png", "009.png"]


def test_missing_photos_hint_at_where_they_are(tmp_path):
    write_capture(tmp_path, photos=12)
    (tmp_path / "input").mkdir()
    for path in sorted((tmp_path / "images").iterdir())[:8]:
        path.rename(tmp_path / "input" / path.name)
    with pytest.raises(InputError, match=r"8 of 12 photos .*`images` \(8 of them are in input\)"):
        load_capture(tmp_path)


def test_a_photo_that_is_a_link_to_nothing(tmp_path):
    write_capture(tmp_path, photos=12)
    (tmp_path / "images/002.png").unlink()
    (tmp_path / "images/002.png").symlink_to("/nowhere/x.png")
    scene = load_capture(tmp_path)
    ((name, reason),) = scene.skipped
    assert name == "002.png" and reason.startswith("is a link to /nowhere/x.png, which is not there")
    assert not scene.notes


def test_photos_without_a_suffix(tmp_path):
    write_capture(tmp_path, photos=4)
    for path in (tmp_path / "images").iterdir():
        path.rename(path.with_suffix(""))
    scene = load_capture(tmp_path)
    assert len(scene) == 4 and "4 of 4 photos are not where the model says" in scene.notes[0]
    assert scene.notes[0].endswith("images/001 for 001.png")
