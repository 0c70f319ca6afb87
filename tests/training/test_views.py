"""Pictures of views: each photo has one of its own."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from splat.errors import InputError
from splat.training.commands.retouch import find_view
from splat.training.evaluate.views import picture_names


@pytest.mark.parametrize(
    ("photos", "names"),
    [
        (["a.jpg", "b.png", "cam/a.jpg"], ["a", "b", "cam_a"]),
        (["a/b.jpg", "a_b.jpg"], ["a_b", "a_b-2"]),
        (["a.jpg", "a.png", "A.JPG", "a-2.jpg"], ["a", "a-2", "A-3", "a-2-2"]),
    ],
)
def test_no_two_photos_share_a_picture(photos: list[str], names: list[str]) -> None:
    assert picture_names(photos) == dict(zip(photos, names, strict=True))


def capture(*names: str) -> SimpleNamespace:
    return SimpleNamespace(path="capture", frames=[SimpleNamespace(name=name) for name in names])


@pytest.mark.parametrize(
    ("view", "edited", "found"),
    [
        (None, "b.png", "b.jpg"),
        (None, "x_a.png", "x/a.jpg"),
        ("a.jpg", "edited.png", "a.jpg"),
        ("x/a.jpg", "edited.png", "x/a.jpg"),
    ],
)
def test_the_view_of_an_edited_picture(view: str | None, edited: str, found: str) -> None:
    assert find_view(capture("a.jpg", "a.png", "b.jpg", "x/a.jpg"), view, Path(edited)).name == found


def test_a_name_of_several_views_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.png: could be any of a\.jpg, a\.png, x/a\.jpg; say which view it is"):
        find_view(capture("a.jpg", "a.png", "b.jpg", "x/a.jpg"), None, Path("a.png"))
