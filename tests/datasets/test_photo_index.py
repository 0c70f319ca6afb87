"""One look-up by name: the file is found whose path ends like the name, and none is guessed."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from splat.datasets.images.file_kinds import MissingPhoto, UnusablePhoto
from splat.datasets.images.photo_index import EXACT, Match, PhotoIndex


def lay(folder: Path, *names: str) -> PhotoIndex:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return PhotoIndex(folder)


RIG = ("cam0/0000.jpg", "cam0/0001.jpg", "cam1/0000.jpg", "cam1/0001.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "cam0/0000.jpg",
        r"cam0\0000.jpg",
        "images/cam0/0000.jpg",
        "/home/someone/garden/images/cam0/0000.jpg",
        r"C:\Users\someone\garden\cam0\0000.jpg",
        "file:///home/someone/garden/cam0/0000.jpg",
        "CAM0/0000.JPG",
        "cam0/0000.png",
        "cam0/0000.HEIC",
        "cam0/0000",
        "./cam0//0000.jpg",
        "../photos/cam0/0000.jpg",
        "cam0/0000.jpg\r",
    ],
)
def test_the_longest_end_of_the_path_decides(tmp_path, name):
    match = lay(tmp_path, *RIG).find(name)
    assert match is not None and match.path == tmp_path / "cam0/0000.jpg"
    assert (match.length == EXACT) == (name in ("cam0/0000.jpg", r"cam0\0000.jpg", "cam0/0000", "./cam0//0000.jpg"))


@pytest.mark.parametrize("name", ["0000.jpg", "cam2/0000.jpg", "/elsewhere/0000.png", "0000"])
def test_equally_good_files_are_named_and_none_is_taken(tmp_path, name):
    with pytest.raises(UnusablePhoto, match=r"ambiguous: 2 files .*cam0/0000.jpg, cam1/0000.jpg"):
        lay(tmp_path, *RIG).find(name)


@pytest.mark.parametrize(
    "name", ["0002.jpg", "cam0/0002.jpg", "", "/", "..", "a\0b.jpg", "x" * 300, "cam0", "0000.jpg/"]
)
def test_what_is_not_there_is_not_found(tmp_path, name):
    assert lay(tmp_path, "cam0/0000.jpg").find(name) is None or name == "0000.jpg/"


@pytest.mark.parametrize(
    "sidecar", ["a.xmp", "a.jpg.xmp", "a.txt", "a.json", "a.npy", "a.jpg.json", "._a.jpg", ".a.jpg"]
)
def test_sidecars_are_no_photos(tmp_path, sidecar):
    index = lay(tmp_path, "sub/a.jpg", f"sub/{sidecar}", "__MACOSX/a.jpg", "@eaDir/a.jpg")
    for name in ("a.jpg", "a.png", "other/A.JPG"):
        match = index.find(name)
        assert match is not None and match.path == tmp_path / "sub/a.jpg"


def test_what_decides_between_files_of_one_name(tmp_path):
    index = lay(
        tmp_path,
        "x/a.jpg",
        "x/a.png",
        "y/B.jpg",
        "y/b.jpg",
        "z/frame.0001.png",
        "z/frame.0002.png",
        "raw/c.nef",
        "raw/c.jpg",
    )
    assert index.find("/there/x/a.png").path.name == "a.png"  # the suffix
    with pytest.raises(UnusablePhoto, match="2 files"):
        index.find("/there/x/a.webp")
    if len(list((tmp_path / "y").iterdir())) == 2:  # the case, where the disk knows it
        assert index.find("/there/y/B.jpg").path.name == "B.jpg"
        with pytest.raises(UnusablePhoto, match="2 files"):
            index.find("/there/Y/b.JPEG")
    assert index.find("frame.0002").path.name == "frame.0002.png"  # .0002 is no suffix
    assert index.find("raw/c.nef").path.name == "c.jpg"  # a picture before what the sensor saw


def test_a_name_with_a_percent_sign(tmp_path):
    index = lay(tmp_path, "a b.jpg", "50%20.jpg", "ü.jpg")
    assert index.find("/x/a%20b.jpg").path.name == "a b.jpg"
    assert index.find("/x/50%20.jpg").path.name == "50%20.jpg"
    assert index.find("/x/%C3%BC.jpg").path.name == "ü.jpg"


def test_a_file_without_a_suffix_is_a_photo_by_its_content(tmp_path):
    index = lay(tmp_path, "0002", "0003", "0003.png", "README")
    Image.new("L", (4, 3)).save(tmp_path / "0001", "PNG")
    match = index.find("0001.jpg")
    assert match is not None and match.path == tmp_path / "0001" and match.length < EXACT
    assert index.find("0001") == Match(tmp_path / "0001", EXACT)
    assert index.find("0003.jpg").path == tmp_path / "0003.png"
    with pytest.raises(UnusablePhoto, match=r"0002, which has no suffix, is not an image"):
        index.find("0002.jpg")
    assert index.files == [tmp_path / "0003.png"]
    assert PhotoIndex(tmp_path, (".png",)).find("0001.png") is None


def test_links_to_nothing_and_pipes_are_named_and_not_opened(tmp_path):
    index = lay(tmp_path, "real.jpg", "b/both.jpg")
    os.symlink("/nowhere/x.jpg", tmp_path / "link.jpg")
    os.symlink("/nowhere/y.jpg", tmp_path / "both.jpg")
    os.symlink("circle.jpg", tmp_path / "circle.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(MissingPhoto, match=r"^is a link to /nowhere/x\.jpg, which is not there \(.*link\.jpg\)$"):
        index.find("link.jpg")
    with pytest.raises(UnusablePhoto, match=r"^cannot be read \(Too many levels of symbolic links; .*circle\.jpg\)$"):
        index.find("circle.jpg")
    with pytest.raises(UnusablePhoto, match=r"^is a pipe"):
        index.find("there/pipe.png")
    assert index.find("x/both.jpg").path == tmp_path / "b/both.jpg"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_as_macos_writes_them(tmp_path, form):
    name = unicodedata.normalize(form, "Café/Ångström É.jpg")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    assert lay(tmp_path, name).find(f"/photos/{other}").path == tmp_path / name


def test_links_are_followed_and_circles_end(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes(b"")
    (tmp_path / "photos").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "photos/cam0")
    os.symlink(tmp_path / "photos", tmp_path / "photos/again")
    assert PhotoIndex(tmp_path / "photos").find("x/a.png").path == tmp_path / "photos/cam0/a.jpg"


def test_a_file_belongs_to_the_name_that_it_fits_best(tmp_path):
    index = lay(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    found = index.find_all(["a/1.jpg", "b/1.jpg", "x/2.jpg", "y/2.jpg", "/there/c/3.jpg", "d/3.jpg"])
    assert [match.path.name if hasattr(match, "path") else match for match in found[:2]] == ["1.jpg", None]
    assert all(isinstance(match, UnusablePhoto) and "equally well" in str(match) for match in found[2:4])
    assert found[4].path == tmp_path / "c/3.jpg" and found[5] is None


letters = st.sampled_from(["a", "B", "é", "ß", "1", " ", "-", "Ω"])
words = st.text(letters, min_size=1, max_size=3).filter(lambda word: word.strip() == word)
paths = st.lists(words, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".jpg")


def plain(name: str) -> tuple[str, ...]:
    """The meaning of a path, computed in another way than the index does."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return tuple(folded.removesuffix(".jpg").split("/"))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(paths, min_size=1, max_size=7, unique_by=plain),
    chosen=st.integers(0, 6),
    cut=st.integers(1, 3),
    prefix=st.sampled_from(["", "/home/x/", "C:\\Users\\x\\", "images/", "../"]),
    suffix=st.sampled_from([".jpg", ".JPG", ".png", ".heic", ""]),
    change=st.sampled_from([str, str.upper, str.lower, lambda text: unicodedata.normalize("NFD", text)]),
    backslashes=st.booleans(),
)
def test_any_mangling_that_keeps_a_unique_end(
    tmp_path_factory, names, chosen, cut, prefix, suffix, change, backslashes
):
    """The right file is found where the end that is left is one file's only; else nothing is guessed."""
    folder = tmp_path_factory.mktemp("photos")
    index = lay(folder, *names)
    name = names[chosen % len(names)]
    kept = "/".join(name.removesuffix(".jpg").split("/")[-cut:])
    mangled = change(kept)
    assume(plain(mangled + ".jpg")[-1].strip() and plain(mangled) == plain(kept))
    written = prefix + mangled + suffix
    tail = plain(kept)
    alike = [other for other in names if plain(other)[-len(tail) :] == tail]
    # What stands before the end may by chance lengthen it, or be a whole path.
    whole = plain(unicodedata.normalize("NFC", written.replace("\\", "/").removesuffix(suffix)))
    assume(all(plain(other) != whole or other == name for other in names))
    if backslashes:
        written = written.replace("/", "\\")
    try:
        match = index.find(written)
    except UnusablePhoto as reason:
        assert len(alike) > 1 and "ambiguous" in str(reason)
    else:
        assert match is not None
        assert match.path == folder / name or (len(alike) > 1 and match.path.relative_to(folder).as_posix() in alike)
        if len(alike) == 1:
            assert match.path == folder / name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=5), st.text(max_size=12))
def test_any_text_is_a_name_that_is_found_or_not(tmp_path_factory, parts, name):
    index = lay(tmp_path_factory.mktemp("photos"), "a/b.jpg")
    for written in (name, "/".join(parts), "\\".join(parts), name + ".jpg"):
        try:
            index.find(written)
        except UnusablePhoto as reason:
            raise AssertionError("there is one file") from reason
