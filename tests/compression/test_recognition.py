"""Files are opened by their content: names lie, downloads are packed, and rows are broken."""

import gzip
import json
import zipfile

import pytest
import torch

import splat
from scenes import cloud
from splat import Camera
from splat.compression.formats import registry as formats
from splat.compression.formats.recognition import recognized
from splat.compression.formats.registry import FORMATS, FormatOptions
from splat.errors import InputError
from splat.plugins import load_with_facts
from splat.reference import render as reference

MARKED = [".ply", ".compressed.ply", ".spz", ".sog", ".splatz", ".glb"]
LOSSY = [end for end, known in FORMATS.items() if known.write is not None and end != ".ply"]


def name(end: str) -> str:
    return end if end == "meta.json" else f"scene{end}"


@pytest.mark.parametrize("end", MARKED)
def test_content_says_what_a_file_is(end, tmp_path):
    formats.save(cloud(50, sh_degree=1), tmp_path / name(end))
    assert recognized(tmp_path / name(end)) == end
    for wrong in ("wrong.splat", "wrong.ksplat", "wrong.spz", "wrong.ply", "wrong.bin"):
        (tmp_path / wrong).write_bytes((tmp_path / name(end)).read_bytes())
        if wrong.endswith(end) or (wrong == "wrong.ply" and "ply" in end) or wrong == "wrong.bin":
            assert len(formats.load(tmp_path / wrong)) == 50
            continue
        with pytest.warns(UserWarning, match=f"its content is .*{FORMATS[end].name}"):
            assert len(formats.load(tmp_path / wrong)) == 50


def test_a_packed_file_is_unpacked(tmp_path):
    formats.save(cloud(50), tmp_path / "scene.ply")
    packed = gzip.compress((tmp_path / "scene.ply").read_bytes())
    for packed_name in ("scene.ply.gz", "packed.ply", "packed.splat"):
        (tmp_path / packed_name).write_bytes(packed)
        assert len(splat.load(tmp_path / packed_name)) == 50
    (tmp_path / "cut.ply.gz").write_bytes(packed[:-100])
    with pytest.raises(InputError, match=r"cut\.ply\.gz: the gzip stream"):
        splat.load(tmp_path / "cut.ply.gz")
    (tmp_path / "bomb.ply.gz").write_bytes(gzip.compress(bytes(1 << 26)))
    with pytest.raises(InputError, match="promises"):
        splat.load(tmp_path / "bomb.ply.gz")


def test_an_spz_that_was_packed_once_more_is_unpacked(tmp_path):
    formats.save(cloud(50), tmp_path / "scene.spz")
    for packed_name in ("scene.spz.gz", "packed.spz"):
        (tmp_path / packed_name).write_bytes(gzip.compress((tmp_path / "scene.spz").read_bytes()))
        assert len(splat.load(tmp_path / packed_name)) == 50


def test_a_file_packed_many_times_is_refused_at_once(tmp_path):
    formats.save(cloud(50), tmp_path / "scene.ply")
    packed = (tmp_path / "scene.ply").read_bytes()
    for _ in range(60):
        packed = gzip.compress(packed)
    (tmp_path / "scene.ply.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"scene\.ply\.gz: is packed with gzip; unpack it first"):
        splat.load(tmp_path / "scene.ply.gz")


@pytest.mark.parametrize("packed_name", [".gz", "..gz", "...gz"])
def test_a_packed_file_without_a_name(packed_name, tmp_path):
    formats.save(cloud(50), tmp_path / "scene.ply")
    (tmp_path / packed_name).write_bytes(gzip.compress((tmp_path / "scene.ply").read_bytes()))
    assert len(splat.load(tmp_path / packed_name)) == 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!doctype html><html></html>", "a web page"),
        (b"\xff\xd8\xff\xe0 a photo", "a JPEG picture"),
        (b"7z\xbc\xaf\x27\x1c", "unpack it"),
        (b"LASF", "a LAS point cloud"),
        (b"ASTM-E57", "an E57 point cloud"),
    ],
)
@pytest.mark.parametrize("end", [".ply", ".splat", ".glb"])
def test_files_of_other_kinds_are_named(end, content, message, tmp_path):
    (tmp_path / f"scene{end}").write_bytes(content)
    with pytest.raises(InputError, match=message):
        splat.load(tmp_path / f"scene{end}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xyz", "is a point cloud, not Gaussians; train on"),
        ("a.obj", "is a mesh, not Gaussians; train on"),
        ("a.lcc", "cannot be read; export a .ply"),
        ("a.txt", "scenes are files ending in"),
        ("a.tar.gz", "is an archive; unpack it"),
    ],
)
def test_files_that_hold_no_scene_are_not_to_be_renamed(name, message, tmp_path, run_splat, capsys):
    (tmp_path / name).write_bytes(gzip.compress(b"1 2 3") if name.endswith("gz") else b"1 2 3")
    for command in (("convert", tmp_path / name, tmp_path / "out.ply"), ("info", tmp_path / name)):
        assert run_splat(*command) == 1
        said = capsys.readouterr().err
        assert f"{name}: " in said and message in said and "ename" not in said


def test_an_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "scene.ply", "w") as archive:
        archive.writestr("point_cloud.ply", b"ply\n")
    with pytest.raises(InputError, match=r"ZIP archive of 1 files \(point_cloud.ply\): unpack it"):
        splat.load(tmp_path / "scene.ply")


@pytest.mark.parametrize("end", ["meta.json", ".spz", ".sog", ".splatz"])
def test_the_mark_of_antialiasing_is_read_and_passed_on(end, tmp_path, run_splat):
    formats.save(cloud(50), tmp_path / name(end), FormatOptions(antialiased=True))
    assert load_with_facts(tmp_path / name(end)).antialiased is True
    for other in ("a.spz", "a.sog", "a.splatz"):
        assert run_splat("convert", tmp_path / name(end), tmp_path / other) == 0
        assert load_with_facts(tmp_path / other).antialiased is True
    formats.save(cloud(50), tmp_path / name(end))
    assert not load_with_facts(tmp_path / name(end)).antialiased


def test_one_broken_row_spoils_nothing(tmp_path, run_splat):
    scene = cloud(300, sh_degree=1, scale=0.1)
    formats.save(scene, tmp_path / "good.ply")
    for column, value in (("means", torch.nan), ("means", torch.inf), ("quats", torch.nan), ("log_scales", torch.inf)):
        broken = splat.Gaussians.cat([scene, scene[:1].map(torch.clone)])
        broken.tensors()[column][-1] = value
        with pytest.warns(UserWarning, match="1 of 301"):
            formats.save(broken, tmp_path / "bad.ply")
        assert run_splat("render", tmp_path / "good.ply", "-o", tmp_path / "a", "--frames", 1, "--overwrite") == 0
        assert run_splat("render", tmp_path / "bad.ply", "-o", tmp_path / "b", "--frames", 1, "--overwrite") == 0
        (first,), (second,) = ([*(tmp_path / folder).glob("*.png")] for folder in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_padding_is_said_and_left_out(tmp_path, run_splat, capsys):
    padded = splat.Gaussians.cat([cloud(200, sh_degree=1), cloud(541, sh_degree=1).map(torch.zeros_like)])
    with pytest.warns(UserWarning):
        formats.save(padded, tmp_path / "padded.ply")
    assert run_splat("info", tmp_path / "padded.ply", "--json") == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["gaussians"], facts["not drawn"]) == (741, 541)
    assert "541 of 741 Gaussians cannot be drawn" in said.err and "541 rotation of length zero" in said.err
    assert run_splat("convert", tmp_path / "padded.ply", tmp_path / "out.ply") == 0
    said = capsys.readouterr()
    assert "541 of 741" in said.err and said.out.startswith("200 Gaussians")
    assert len(splat.load(tmp_path / "out.ply")) == 200


@pytest.mark.parametrize("end", [".ply", *LOSSY])
def test_opaque_and_flat_gaussians_are_kept(end, tmp_path):
    scene = cloud(400, sh_degree=1, scale=0.1)
    scene.logit_opacities[:60], scene.logit_opacities[60:90] = torch.inf, -torch.inf
    scene.log_scales[50:120, 1] = -torch.inf
    scene.log_scales[120:130] = -torch.inf
    formats.save(scene, tmp_path / name(end))
    found = formats.load(tmp_path / name(end))
    assert len(found) == 400
    assert all(bool(tensor.isfinite().all()) for tensor in found.tensors().values())
    assert int((found.opacities > 0.98).sum()) >= 60 and int((found.opacities < 0.02).sum()) >= 30
    smallest = found.scales.amin(dim=1).sort().values
    assert float(smallest[79]) < 2e-3 < float(smallest[80])


def test_infinite_values_are_drawn_as_the_largest_and_smallest(tmp_path):
    """At the door they become finite numbers, with which the rasterizer and the reference in float64 draw the same."""
    scene = cloud(100, sh_degree=1, scale=0.1)
    scene.logit_opacities[:20], scene.log_scales[10:40, 1] = torch.inf, -torch.inf
    formats.save(scene, tmp_path / "scene.ply")
    found = splat.load(tmp_path / "scene.ply")
    camera = Camera.look_at((0, -1, -4), (0, 0, 0), width=48, height=32)
    limit = scene.map(torch.clone)
    limit.logit_opacities[:20], limit.log_scales[10:40, 1] = 40.0, -40.0
    assert torch.allclose(splat.render(found, camera).rgb, splat.render(limit, camera).rgb, atol=1e-5)
    finite = found.to(dtype=torch.float64)
    assert torch.allclose(
        splat.render(found, camera).rgb.double(),
        reference.render(finite, camera.to(dtype=torch.float64)).rgb,
        atol=1e-4,
    )
