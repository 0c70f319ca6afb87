"""Damaged and hostile files of every format: one kind of error, which names the file, and no memory for empty promises."""

import base64
import gzip
import io
import json
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scenes import cloud
from splat.compression.formats import ksplat
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FORMATS, FormatOptions
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.spz import SpzOptions
from splat.errors import InputError

ENDS = [end for end in FORMATS if end not in ("meta.json", ".ply")]


def ksplat_file(level: int, count: int = 20, degree: int = 2) -> bytes:
    """A file as mkkellogg's viewer writes it: one section with a full bucket of 16 and a partial one."""
    random = np.random.default_rng(0)
    bases = {0: 0, 1: 3, 2: 8}[degree]
    header = bytearray(ksplat.HEADER)
    header[1] = 1
    struct.pack_into("<IIII", header, 4, 1, 1, count, count)
    struct.pack_into("<H", header, 20, level)
    struct.pack_into("<ff", header, 36, -1.0, 1.0)
    section = bytearray(ksplat.SECTION)
    struct.pack_into("<IIII", section, 0, count, count, 16, 2)
    struct.pack_into("<f", section, 16, 5.0)
    struct.pack_into("<H", section, 20, 12)
    struct.pack_into("<I", section, 24, 32767)
    struct.pack_into("<II", section, 32, 1, 1)
    struct.pack_into("<H", section, 40, degree)
    position, scale, rotation, harmonic = ksplat.FIELDS[level]
    record = np.dtype(
        [("p", position, 3), ("s", scale, 3), ("r", rotation, 4), ("c", "u1", 4)]
        + ([("h", harmonic, 3 * bases)] if bases else [])
    )
    rows = np.zeros(count, record)
    rows["p"] = random.uniform(-2, 2, (count, 3)) if level == 0 else random.integers(0, 65535, (count, 3))
    rows["s"], rows["r"] = random.uniform(0.01, 0.1, (count, 3)), random.normal(size=(count, 4))
    rows["c"] = random.integers(1, 255, (count, 4))
    if bases:
        rows["h"] = np.arange(3 * bases) if level == 2 else np.arange(3 * bases) / 100
    centers = np.array([[1, 2, 3], [4, 5, 6]], "<f4")
    return bytes(header + section) + struct.pack("<I", count - 16) + centers.tobytes() + rows.tobytes()


def glb_parts(content: bytes) -> tuple[dict, bytes]:
    """The JSON and the binary part."""
    (size,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    files = {".ksplat": ksplat_file(2)}
    for end in ENDS:
        if FORMATS[end].write is not None:
            formats.save(cloud(40, sh_degree=1, scale=0.1), folder / f"scene{end}")
            files[end] = (folder / f"scene{end}").read_bytes()
    document, binary = glb_parts(files[".glb"])
    document["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(binary).decode()
    files[".gltf"] = json.dumps(document).encode()
    return files


@pytest.mark.parametrize("end", [".spz", ".splatz", ".ksplat", ".glb", ".compressed.ply", ".splat", ".sog"])
def test_bytes_after_the_end_are_reported(good, tmp_path, end):
    path = tmp_path / f"long{end}"
    path.write_bytes(good[end] + b"12345")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            assert len(formats.load(path)) in (20, 40)
        except InputError as error:
            assert end in (".splat", ".sog") and str(path) in str(error)
            return
    assert any(
        str(path) in str(warning.message) and " 5 " in f" {warning.message}".replace(": ", " ") for warning in told
    )


def refused_or_read(path) -> None:
    """Nothing but Gaussians or an InputError that names the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scene = formats.load(path)
        except InputError as error:
            assert path.name in str(error) or "meta.json" in str(error)
        else:
            assert len(scene) < 100_000


@pytest.mark.parametrize("end", ENDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files(end, good, tmp_path, data):
    content = bytearray(good[end])
    match data.draw(st.sampled_from(["cut", "flip", "insert", "zero"])):
        case "cut":
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        case "flip":
            # Most of what can go wrong is at the front and, in a ZIP, at the end.
            for _ in range(data.draw(st.integers(1, 8))):
                place = data.draw(st.integers(0, min(400, len(content) - 1)) | st.integers(0, len(content) - 1))
                content[place] = data.draw(st.integers(0, 255))
        case "insert":
            place = data.draw(st.integers(0, len(content)))
            content[place:place] = data.draw(st.binary(min_size=1, max_size=40))
        case "zero":
            first = data.draw(st.integers(0, len(content) - 1))
            content[first : first + 64] = bytes(len(content[first : first + 64]))
    path = tmp_path / f"scene{end}"
    path.write_bytes(content)
    refused_or_read(path)


@pytest.mark.parametrize("end", ENDS)
@given(content=st.binary(max_size=400))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise(end, tmp_path, content):
    path = tmp_path / f"scene{end}"
    path.write_bytes(content)
    refused_or_read(path)


@pytest.mark.parametrize("end", [*ENDS, ".ply"])
def test_missing_empty_or_a_folder(end, tmp_path):
    path = tmp_path / f"scene{end}"
    with pytest.raises(InputError, match="no such file"):
        formats.load(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=path.name):
        formats.load(path)
    (tmp_path / f"folder{end}").mkdir()
    with pytest.raises(InputError):
        formats.load(tmp_path / f"folder{end}")


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_ksplat_as_its_viewer_writes_it(level, degree, tmp_path):
    path = tmp_path / "scene.ksplat"
    path.write_bytes(ksplat_file(level, degree=degree))
    scene = formats.load(path)
    assert len(scene) == 20 and scene.sh_degree == degree
    if level:
        near = (scene.means - torch.tensor([[1.0, 2, 3]] * 16 + [[4.0, 5, 6]] * 4)).abs()
        assert 1 < float(near.max()) <= 2.5001
    if degree and level < 2:  # stored channel by channel within a degree
        assert scene.sh_rest[0, :3, 1].tolist() == pytest.approx([0.03, 0.04, 0.05], abs=1e-3)
    assert float(scene.scales.min()) > 0.009 and float(scene.scales.max()) < 0.101


@pytest.mark.parametrize(
    ("offset", "layout", "value", "message"),
    [
        (0, "<B", 7, "version 7.1"),
        (8, "<I", 9, "sections"),
        (20, "<H", 5, "level 5"),
        (ksplat.HEADER, "<I", 2_000_000_000, "header is not as it should be"),
        (ksplat.HEADER + 4, "<I", 2_000_000_000, "expected Gaussians of"),
        (ksplat.HEADER + 12, "<I", 2_000_000_000, "expected centers of buckets"),
        (ksplat.HEADER + 32, "<I", 0, "buckets do not hold"),
        (ksplat.HEADER + 40, "<H", 3, "degree 3"),
    ],
)
def test_ksplat_headers(offset, layout, value, message, tmp_path):
    content = bytearray(ksplat_file(1))
    struct.pack_into(layout, content, offset, value)
    (tmp_path / "scene.ksplat").write_bytes(content)
    with pytest.raises(InputError, match=message):
        formats.load(tmp_path / "scene.ksplat")


def spz_header(version: int, count: int, degree: int = 0) -> bytes:
    return struct.pack("<IIIBBBB", 0x5053474E, version, count, degree, 12, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(spz_header(3, 40_000_000)), "which no scene does"),
        (gzip.compress(spz_header(3, 4_000_000_000)), "at most 50,000,000"),
        (gzip.compress(spz_header(9, 1)), "version 9"),
        (gzip.compress(spz_header(1, 1)), "version 1"),
        (gzip.compress(spz_header(4, 1)), "expected a header of 32 bytes, got 16"),
        (gzip.compress(spz_header(3, 1, degree=7)), "degree 7"),
        (gzip.compress(spz_header(3, 100) + bytes(50)), "expected an attribute of 900 bytes, got 50"),
        (gzip.compress(b"PK\3\4" + bytes(60)), "not an .spz file"),
        (b"GSPN" + bytes(60), "not an .spz file"),
        (spz_header(4, 100)[:16] + bytes(16), "got 0"),
        (struct.pack("<IIIBBBBI12x", 0x5053474E, 4, 100, 0, 12, 0, 5, 1 << 30), "table of streams lies at byte"),
        (struct.pack("<IIIBBBBI12x", 0x5053474E, 4, 9, 0, 12, 0, 5, 32) + bytes(80), "has 0 bytes, expected 81"),
    ],
)
def test_spz_promises(content, message, tmp_path):
    (tmp_path / "scene.spz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        formats.load(tmp_path / "scene.spz")


@pytest.mark.parametrize(
    ("offset", "layout", "value", "message"),
    [
        (4, "<H", 2, "version 2 of .splatz; 1 can be read"),
        (8, "<I", 0, "header is not as it should be"),
        (8, "<I", 50_000_000, "which no scene does"),
        (8, "<I", 41, "in cells, expected 41|damaged"),
        (12, "<B", 9, "degree 9"),
        (13, "<B", 40, "header is not as it should be"),
        (14 + 7 * 8, "<d", float("nan"), "header is not as it should be"),
        (14 + 13 * 8, "<I", 1 << 30, "expected positions of 1,073,741,824 bytes"),
    ],
)
def test_splatz_headers(offset, layout, value, message, good, tmp_path):
    content = bytearray(good[".splatz"])
    struct.pack_into(layout, content, offset, value)
    (tmp_path / "scene.splatz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        formats.load(tmp_path / "scene.splatz")


@pytest.mark.parametrize("size", [5, 200_000])
def test_bytes_after_the_end_of_a_stream_are_all_counted_and_looked_at(size, tmp_path):
    formats.save(cloud(40, scale=0.1), tmp_path / "good.spz", FormatOptions(spz=SpzOptions(version=3)))
    content = gzip.decompress((tmp_path / "good.spz").read_bytes())
    packed = gzip.compress(content + np.random.default_rng(0).bytes(size))
    (tmp_path / "scene.spz").write_bytes(packed)
    with pytest.warns(UserWarning, match=f": {size:,} bytes lie after the end"):
        assert len(formats.load(tmp_path / "scene.spz")) == 40
    (tmp_path / "scene.spz").write_bytes(packed[:-8] + bytes(4) + packed[-4:])
    with pytest.raises(InputError, match="CRC"):
        formats.load(tmp_path / "scene.spz")


@pytest.mark.parametrize("end", [".splat", ".ksplat", ".glb"])
def test_negative_scales_are_said(end, good, tmp_path):
    content = bytearray(ksplat_file(0, degree=0) if end == ".ksplat" else good[end])
    first = 12 if end == ".splat" else len(content) - 20 * 44 + 12  # after the position
    if end == ".glb":
        document, _ = glb_parts(bytes(content))
        index = document["meshes"][0]["primitives"][0]["attributes"]["KHR_gaussian_splatting:SCALE"]
        view = document["bufferViews"][document["accessors"][index]["bufferView"]]
        first = len(content) - document["buffers"][0]["byteLength"] + view["byteOffset"]
    struct.pack_into("<f", content, first, -0.5)
    (tmp_path / f"scene{end}").write_bytes(content)
    with pytest.warns(UserWarning, match=r"1 of \d+ Gaussians cannot be drawn and are left out \(1 scale negative"):
        assert len(formats.load(tmp_path / f"scene{end}")) in (19, 39)


def sog_with(tmp_path, change) -> None:
    """A SOG of which the members were changed."""
    members = sog.encode(cloud(40, sh_degree=1, scale=0.1))
    meta = json.loads(members["meta.json"])
    change(meta, members)
    members["meta.json"] = json.dumps(meta).encode()
    with zipfile.ZipFile(tmp_path / "scene.sog", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def small_image(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (width, height)).save(out, format="WEBP", lossless=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, members: meta.update(version=3), "version 3"),
        (lambda meta, members: meta.update(count=1 << 40), "expected a count"),
        (lambda meta, members: meta.update(count="40"), "expected a count"),
        (lambda meta, members: meta.update(count=1000), "expected at least 1,000 pixels"),
        (lambda meta, members: meta.pop("quats"), "quats.files.0 is missing"),
        (lambda meta, members: meta["means"].update(mins=[0, 1]), "means.mins: expected 3 numbers"),
        (lambda meta, members: meta["means"].update(mins=[0, 1, float("nan")]), "means.mins: expected 3 numbers"),
        (lambda meta, members: meta["scales"].update(codebook=[0] * 300), "scales.codebook: expected 1 to 256"),
        (lambda meta, members: meta["sh0"].update(files=["../../etc/passwd"]), "missing in the ZIP"),
        (lambda meta, members: meta["sh0"].update(files=[7]), "expected the name of a file"),
        (lambda meta, members: members.update({"quats.webp": b"\x89PNG"}), "quats.webp: not a WebP or PNG image"),
        (
            lambda meta, members: members.update({"quats.webp": small_image(4, 4)}),
            "expected at least 40 pixels, got 16",
        ),
        (
            lambda meta, members: members.update({"quats.webp": small_image(9000, 9000)}),
            "81.*pixels|9000 x 9000 pixels",
        ),
        (lambda meta, members: members.update({"shN_centroids.webp": small_image(100, 4)}), "a width of 100"),
        (lambda meta, members: members.update({"shN_centroids.webp": small_image(192, 0 + 1)}), None),
        (lambda meta, members: members.pop("sh0.webp"), "missing in the ZIP"),
    ],
)
def test_sog_members(change, message, tmp_path):
    sog_with(tmp_path, change)
    if message is None:
        refused_or_read(tmp_path / "scene.sog")
        return
    with pytest.raises(InputError, match=message):
        formats.load(tmp_path / "scene.sog")


def test_an_unzipped_sog_stays_in_its_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    sog.write(cloud(40, scale=0.1), tmp_path / "inner/meta.json")
    meta = json.loads((tmp_path / "inner/meta.json").read_text())
    (tmp_path / "quats.webp").write_bytes((tmp_path / "inner/quats.webp").read_bytes())
    meta["quats"]["files"] = ["../quats.webp"]
    (tmp_path / "inner/meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match="outside its folder"):
        formats.load(tmp_path / "inner")


def test_a_zip_whose_names_are_no_text(good, tmp_path):
    content = good[".sog"].replace(b"quats.webp", b"\xf3\xf3\xf3\xf3\xf3.webp")
    central = content.index(b"PK\1\2")
    flagged = bytearray(content)
    for place in range(central, len(content) - 46):
        if content[place : place + 4] == b"PK\1\2":
            flagged[place + 9] |= 8  # names are UTF-8
    (tmp_path / "scene.sog").write_bytes(flagged)
    with pytest.raises(InputError, match="the ZIP cannot be read"):
        formats.load(tmp_path / "scene.sog")


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "scene.sog", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * (1 << 28))
    with pytest.raises(InputError, match=r"promises 268,435,456 bytes"):
        formats.load(tmp_path / "scene.sog")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["meshes"][0]["primitives"][0].pop("extensions"), "no mesh in it has KHR_gaussian_splatting"),
        (lambda d: d.pop("meshes"), "names the mesh 0 of 0"),
        (lambda d: d["accessors"][0].update(count=1 << 40), "POSITION: its accessor does not fit"),
        (lambda d: d["accessors"][0].update(count=-1), "POSITION: its accessor does not fit"),
        (lambda d: d["accessors"][0].update(type="VEC2"), "POSITION: its accessor does not fit"),
        (lambda d: d["accessors"][0].update(bufferView=99), "POSITION: its accessor does not fit"),
        (lambda d: d["accessors"][0].update(count=39), "different lengths"),
        (lambda d: d["bufferViews"][0].update(byteOffset=1 << 30), "the buffer view 0 does not fit its buffer"),
        (
            lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop("KHR_gaussian_splatting:SCALE"),
            "KHR_gaussian_splatting:SCALE is missing",
        ),
    ],
)
def test_glb_documents(change, message, good, tmp_path):
    content = good[".glb"]
    (size,) = struct.unpack_from("<I", content, 12)
    document, _ = glb_parts(content)
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + content[20 + size :]
    (tmp_path / "scene.glb").write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)
    with pytest.raises(InputError, match=message):
        formats.load(tmp_path / "scene.glb")


@pytest.mark.parametrize("end", [".compressed.ply", ".spz", ".sog", ".splat", ".splatz", ".glb", ".ply"])
def test_a_write_that_fails_leaves_the_old_file(end, tmp_path, monkeypatch):
    path = tmp_path / f"scene{end}"
    formats.save(cloud(10, scale=0.1), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        formats.save(cloud(20, scale=0.1), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
