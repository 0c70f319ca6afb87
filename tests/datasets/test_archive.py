"""Captures in zip files: unpacked once, beside the zip, and never anywhere else."""

import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from captures import write_capture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from splat.datasets.check_up import check_up
from splat.datasets.load import load_capture
from splat.datasets.readers.archive import unpack
from splat.datasets.readers.choose import read_model
from splat.errors import InputError


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def zipped_capture(folder: Path, prefix: str = "scan/") -> Path:
    write_capture(folder / "made", photos=5)
    files = {
        prefix + path.relative_to(folder / "made").as_posix(): path.read_bytes()
        for path in (folder / "made").rglob("*")
        if path.is_file()
    }
    files |= {f"__MACOSX/._{name}": b"junk" for name in files} | {prefix + ".DS_Store": b"junk"}
    shutil.rmtree(folder / "made")
    return write_zip(folder / "capture.zip", files)


@pytest.mark.parametrize("prefix", ["", "scan/", "./", "deep/scan/", "x/y/z/scan/"])
def test_a_zip_is_unpacked_once_and_used_again(tmp_path, prefix):
    path = zipped_capture(tmp_path, prefix)
    assert any("was unpacked to" in note for note in read_model(path).notes)
    assert not list(tmp_path.rglob("__MACOSX")) and not list(tmp_path.rglob(".DS_Store"))
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "capture").rglob("*")}
    capture = load_capture(path)
    assert len(capture.frames) == 5 and tmp_path / "capture" in [capture.path, *capture.path.parents]
    assert times == {file: file.stat().st_mtime_ns for file in (tmp_path / "capture").rglob("*")}
    assert not any("was unpacked to" in note for note in read_model(path).notes)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["capture", "capture.zip"]


def test_a_check_up_leaves_nothing_beside_a_zip(tmp_path):
    path = zipped_capture(tmp_path)
    found = check_up(path)
    assert found.facts["photos"] == 5 and found.facts["model"].startswith(str(path))
    assert not any("splat-" in text for text in (*found.notes, *found.warnings, str(found.facts)))
    assert found.picture().size
    nothing = write_zip(tmp_path / "nothing.zip", {"scene.ply": b"ply"})
    with pytest.raises(InputError, match=r"nothing\.zip: no cameras here"):
        check_up(nothing)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["capture.zip", "nothing.zip"]


def test_a_text_for_people_beside_the_folder_of_a_capture(tmp_path):
    path = zipped_capture(tmp_path, "x/y/z/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x/README.md", "hello")
    assert unpack(path).folder == tmp_path / "capture/x/y/z" and len(read_model(path).images) == 5


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x.txt": b"12345", "y.txt": b"1"})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_bytes(b"123")
    with pytest.raises(InputError, match=r"x\.txt differs.*move it away"):
        unpack(path)
    assert (tmp_path / "a" / "x.txt").read_bytes() == b"123" and not (tmp_path / "a" / "y.txt").exists()


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "C:\\evil.txt", "..\\evil.txt", "a/..", "\\\\host\\x"]
)
def test_names_outside_of_the_folder_are_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = write_zip(tmp_path / "in" / "a.zip", {"good.txt": b"1", name: b"evil"})
    with pytest.raises(InputError, match="outside of its folder"):
        unpack(path)
    assert [file.name for file in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_links_are_left_out(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
        archive.writestr("a.txt", "1")
        archive.writestr("b/c.txt", "1")
    unpacked = unpack(path)
    assert sorted(file.name for file in unpacked.folder.rglob("*")) == ["a.txt", "b", "c.txt"]
    assert unpacked.notes == (f"{path}: links were not unpacked: link",)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "1")
        archive.writestr("a.txt", "2")
    with pytest.raises(InputError, match=r"two files named a\.txt"):
        unpack(path)


def test_names_in_utf8_without_the_flag_that_says_so(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\xe4.txt", "1")
        archive.writestr("b.txt", "1")
    content = path.read_bytes().replace(b"\x00\x08\x00\x00", b"\x00\x00\x00\x00")  # bit 11 of the flags
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert "\xe4.txt" not in archive.namelist()
    assert (unpack(path).folder / "\xe4.txt").is_file()


def test_damaged_lzma_says_so(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", bytes(1000))
    content = bytearray(path.read_bytes())
    content[46:50] = b"\xff" * 4
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(path)


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(3_000_000)})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=(1 << 28) + 1_000_000))
    with pytest.raises(InputError, match=r"take 0\.0 GB, and the disk has room for 0\.0 GB"):
        unpack(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_a_size_that_is_stated_too_large_takes_no_room(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"hello"})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 0xFFFF0000)  # the size in the central directory
    path.write_bytes(bytes(data))
    with pytest.raises(InputError):
        unpack(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_an_encrypted_zip_says_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": b"hello"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="is encrypted"):
        unpack(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_files_that_are_no_zips(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.zip"):
        read_model(tmp_path / "a.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_zips_are_refused_or_unpacked_whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zip")
    path = write_zip(folder / "a.zip", {"a.txt": b"hello" * 50, "b/c.txt": bytes(range(256))})
    damaged = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    try:
        unpack(path)
    except InputError:
        assert [file.name for file in folder.iterdir()] == ["a.zip"]
    assert len(list(folder.iterdir())) <= 2


def test_an_r3d_file_is_a_zip(tmp_path):
    from phone_files import write_record3d

    write_record3d(tmp_path / "made", "metadata", "rgbd")
    shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "made")
    (tmp_path / "x.zip").rename(tmp_path / "scan.r3d")
    assert len(load_capture(tmp_path / "scan.r3d").frames) == 12
