"""SOG in a folder: written whole or not at all, and read as other programs write it."""

import io
import json
import os
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.compression.formats.sog import writer as sog
from splat.errors import InputError
from splat.geometry.morton import morton_order
from splat.plugins import load_with_facts
from splat.viewer.share.payload import encode_sog


def scene(count: int = 40, degree: int = 1) -> splat.Gaussians:
    return cloud(count, sh_degree=degree, scale=0.1)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def changed(folder: Path, change) -> Path:
    """An unzipped SOG of which description and images were changed."""
    members = sog.encode(scene())
    meta = json.loads(members["meta.json"])
    change(meta, members)
    for name, content in (members | {"meta.json": json.dumps(meta).encode()}).items():
        (folder / name).write_bytes(content)
    return folder / "meta.json"


def as_version_1(meta: dict) -> None:
    for key in ("version", "count"):
        del meta[key]
    meta["means"]["shape"] = [40, 3]
    meta["scales"] = {"mins": [-5] * 3, "maxs": [0] * 3, "files": meta["scales"]["files"]}
    meta["sh0"] = {"mins": [-1] * 4, "maxs": [1] * 4, "files": meta["sh0"]["files"]}
    meta["shN"] = {"mins": -1, "maxs": 1, "files": meta["shN"]["files"]}


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("fails", [1, 3, 6])  # the last is the description
def test_a_write_that_fails_leaves_the_old_scene(fails, killed, tmp_path, monkeypatch):
    """Also where the program is killed, and nothing is tidied up: an old description never means new images."""
    formats.save(scene(degree=0), tmp_path / "meta.json")
    before, found = contents(tmp_path), formats.load(tmp_path)
    renamed, rename = 0, os.replace

    def fail(*names: object) -> None:
        nonlocal renamed
        renamed += 1
        if renamed < fails:
            rename(*names)
            return
        if killed:
            monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
            raise KeyboardInterrupt
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt if killed else OSError):
        formats.save(scene(50, degree=0), tmp_path / "meta.json")
    monkeypatch.undo()
    assert killed or contents(tmp_path) == before
    assert torch.equal(formats.load(tmp_path).means, found.means)
    formats.save(scene(60, degree=0), tmp_path / "meta.json")
    assert len(formats.load(tmp_path)) == 60 and len(list(tmp_path.glob("means_l*.webp"))) == 1


def test_a_folder_that_is_written_again_holds_one_scene(tmp_path):
    for count, degree in ((40, 1), (50, 1), (60, 0)):
        formats.save(scene(count, degree), tmp_path / "meta.json")
        found = formats.load(tmp_path)
        assert (len(found), found.sh_degree) == (count, degree)
        assert len(contents(tmp_path)) == (6 if degree == 0 else 8)
    (tmp_path / "photo.webp").write_bytes(b"of somebody")
    formats.save(scene(40), tmp_path / "META.JSON")
    assert (tmp_path / "photo.webp").read_bytes() == b"of somebody"
    assert len(formats.load(tmp_path / "META.JSON")) == 40


def test_only_the_whole_name_is_that_of_a_folder(tmp_path, capsys, run_splat):
    with pytest.raises(InputError, match=r"scene-meta\.json: scenes are files ending in .*, or called meta\.json"):
        formats.save(scene(), tmp_path / "scene-meta.json")
    assert contents(tmp_path) == {}
    formats.save(scene(), tmp_path / "meta.json")
    (tmp_path / "meta.json").rename(tmp_path / "scene-meta.json")
    assert len(formats.load(tmp_path / "scene-meta.json")) == 40


@pytest.mark.parametrize("named", ["lod-meta.json", "index.json"])
def test_a_streamed_sog_is_named(named, tmp_path, capsys, run_splat):
    formats.save(scene(), tmp_path / "0_0/meta.json")
    index = {"version": 1, "lodLevels": 1, "filenames": ["0_0/meta.json"], "tree": {}}
    (tmp_path / named).write_text(json.dumps(index))
    with pytest.raises(
        InputError, match=r"a streamed SOG; its Gaussians are in SOGs beside it, such as 0_0/meta\.json"
    ):
        formats.load(tmp_path / named)
    if named == "lod-meta.json":
        for path in (tmp_path, tmp_path / named):
            assert run_splat("info", path) == 1
            assert "a streamed SOG" in capsys.readouterr().err


@pytest.mark.parametrize("mark", [{"model": "antialiased"}, {"antialias": True}, {"antialias": False}])
def test_marks_of_antialiasing(mark, tmp_path):
    path = changed(tmp_path, lambda meta, members: meta.update(mark))
    assert bool(load_with_facts(path).antialiased) is (False not in mark.values())


def as_png(content: bytes, bits: int = 8) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        (image if bits == 8 else Image.new("I;16", image.size)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_images_may_be_png(packed, tmp_path):
    def change(meta, members) -> None:
        for name in [name for name in members if name.endswith(".webp")]:
            members[Path(name).stem + ".png"] = as_png(members.pop(name))
        for part in (part for part in meta.values() if isinstance(part, dict) and "files" in part):
            part["files"] = [name.replace("webp", "png") for name in part["files"]]

    path = changed(tmp_path, change)
    formats.save(scene(), tmp_path / "plain.sog")
    if packed:
        path = tmp_path / "scene.sog"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("meta.json", *(file.name for file in tmp_path.glob("*.png"))):
                archive.write(tmp_path / name, name)
    found, expected = formats.load(path), formats.load(tmp_path / "plain.sog")
    assert all(torch.equal(one, expected.tensors()[name]) for name, one in found.tensors().items())
    assert encode_sog(path) == encode_sog(tmp_path / "plain.sog")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, members: members.update({"sh0.webp": b"\xff\xd8\xff" + bytes(50)}), "not a WebP or PNG image"),
        (
            lambda meta, members: members.update({"sh0.webp": as_png(members["sh0.webp"], 16)}),
            "16 bits, those of a SOG 8",
        ),
        (lambda meta, members: meta.update(shN=[meta["shN"]]), r"shN\.files\.0 is missing"),
        (lambda meta, members: (as_version_1(meta), meta["shN"].update(mins=10**400)), "expected mins and maxs"),
        (lambda meta, members: (as_version_1(meta), meta["shN"].update(maxs=float("nan"))), "expected mins and maxs"),
        (lambda meta, members: meta["quats"].update(files=["a\0b"]), "no file can have this name"),
        (lambda meta, members: meta["quats"].update(files=["\ud800"]), "no file can have this name"),
        (lambda meta, members: meta["quats"].update(files=["n" * 4000]), "cannot be read"),
    ],
)
def test_folders_that_cannot_be_read(change, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        formats.load(changed(tmp_path, change))
    assert len(str(caught.value)) < 1000


def test_a_codebook_that_begins_with_null(tmp_path):
    """As early versions of splat-transform wrote it."""
    expected = formats.load(changed(tmp_path, lambda meta, members: None))
    lost = {}

    def change(meta, members) -> None:
        book = meta["sh0"]["codebook"]
        lost["first"], book[0] = book[0], None
        lost["found"] = book[1] + (book[1] - book[-1]) / 255

    with pytest.warns(UserWarning, match=r"sh0\.codebook: its first number is null"):
        found = formats.load(changed(tmp_path, change))
    first = expected.sh0 == torch.tensor(lost["first"])
    assert int(first.sum()) == 1
    assert torch.allclose(found.sh0, torch.where(first, lost["found"], expected.sh0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = encode_sog(tmp_path / "meta.json")
    changed(tmp_path, lambda meta, members: meta["sh0"]["codebook"].__setitem__(0, lost["found"]))
    assert filled == encode_sog(tmp_path / "meta.json")


@pytest.mark.parametrize(("attribute", "value"), [("sh0", 1e30), ("sh0", -3e38), ("sh_rest", 1e30)])
def test_a_color_out_of_reach_is_said_and_spoils_no_other(attribute, value, tmp_path):
    before = cloud(400, sh_degree=1, scale=0.1)
    before.tensors()[attribute][3, 0] = value
    with pytest.warns(UserWarning, match="1 of 400 Gaussians have colors beyond 10,000"):
        formats.save(before, tmp_path / "scene.sog")
    found = formats.load(tmp_path / "scene.sog")
    order = morton_order(before.means)
    others = order != 3
    assert float((found.sh0 - before.sh0[order])[others].abs().mean()) < 0.02
    assert float(found.tensors()[attribute].abs().max()) == pytest.approx(1e4)


def test_a_scale_that_is_all_but_zero_spoils_no_other(tmp_path):
    before = cloud(400, sh_degree=0, scale=0.1)
    before.log_scales[3, 0] = -1e30
    formats.save(before, tmp_path / "scene.sog")
    found = formats.load(tmp_path / "scene.sog").log_scales - before.log_scales[morton_order(before.means)]
    assert float(found.abs().median()) < 0.02


@pytest.mark.parametrize("packed_name", ["scene.sog", "scene.zip"])
def test_a_sog_whose_members_lie_in_a_folder(packed_name, tmp_path):
    formats.save(scene(), tmp_path / "plain.sog")
    with zipfile.ZipFile(tmp_path / packed_name, "w") as archive:
        for name, content in sog.encode(scene()).items():
            archive.writestr(f"export/{name}", content)
    found, expected = formats.load(tmp_path / packed_name), formats.load(tmp_path / "plain.sog")
    assert all(torch.equal(one, expected.tensors()[name]) for name, one in found.tensors().items())


def test_version_1_is_read(tmp_path):
    found = formats.load(changed(tmp_path, lambda meta, members: as_version_1(meta)))
    assert (len(found), found.sh_degree) == (40, 1) and float(found.sh_rest.abs().max()) <= 1


def test_a_damaged_zip_of_lzma_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "scene.sog", "w", zipfile.ZIP_LZMA) as archive:
        for name, content in sog.encode(scene()).items():
            archive.writestr(name, content)
    assert len(formats.load(tmp_path / "scene.sog")) == 40
    content = bytearray((tmp_path / "scene.sog").read_bytes())
    place = content.rindex(b"meta.json", 0, content.index(b"PK\1\2"))
    content[place + 30 : place + 60] = bytes(30)
    (tmp_path / "scene.sog").write_bytes(content)
    with pytest.raises(InputError, match="the ZIP cannot be read"):
        formats.load(tmp_path / "scene.sog")


def test_nothing_is_said_twice(tmp_path):
    formats.save(scene(), tmp_path / "scene.sog", FormatOptions(antialiased=True))
    (tmp_path / "scene.sog").write_bytes((tmp_path / "scene.sog").read_bytes() + b"12345")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            assert load_with_facts(tmp_path / "scene.sog").antialiased
        except InputError:
            return  # newer versions of Python refuse such a file
    assert len(said) == 1
