"""`splat convert` and `splat verify`, as people use them."""

import gzip
import json

import pytest
import torch

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.compression.formats.verify import changes, ranges
from splat.geometry.similarity import Similarity
from splat.plugins import load_with_facts


@pytest.fixture
def scene(tmp_path):
    gaussians = cloud(200, sh_degree=3, scale=0.1)
    splat.save(gaussians, tmp_path / "scene.ply")
    return tmp_path / "scene.ply"


def test_a_scene_goes_through_all_formats(scene, tmp_path, run_splat, capsys):
    previous = scene
    for name in ("a.sog", "b.spz", "c.glb", "d.compressed.ply", "e/meta.json", "f.ply"):
        assert run_splat("convert", previous, tmp_path / name) == 0
        assert "200 Gaussians of degree 3" in capsys.readouterr().out
        previous = tmp_path / name
    camera = splat.Camera.look_at((0, -1, -4), (0, 0, 0), width=60, height=40)
    first, last = (splat.render(splat.load(path), camera).rgb for path in (scene, previous))
    assert float((first - last).square().mean()) < 1e-3


def test_a_run_is_converted_and_rendered_from_the_converted_file(small_run, tmp_path, run_splat, capsys):
    _, run = small_run
    assert run_splat("convert", run, tmp_path / "scene.spz", "--sh-degree", 0) == 0
    assert "of degree 0" in capsys.readouterr().out
    assert run_splat("info", tmp_path / "scene.spz", "--json") == 0
    assert json.loads(capsys.readouterr().out)["SH degree"] == 0
    assert run_splat("render", tmp_path / "scene.spz", "-o", tmp_path / "views", "--frames", 2) == 0
    assert len(list((tmp_path / "views").glob("*.png"))) == 2


def test_options_of_splatz_are_followed(scene, tmp_path, run_splat):
    cases = {
        (): 0,
        ("--splatz-shape-stages", 2): 2,
        ("--splatz-midpoints", 0.3): 4,
        ("--splatz-codes", 16, "--splatz-exact", 0.5): 0,
    }
    for flags, told in cases.items():
        assert run_splat("convert", scene, tmp_path / "out.splatz", *flags, "--overwrite") == 0
        assert int.from_bytes((tmp_path / "out.splatz").read_bytes()[6:8], "little") == told
        assert len(formats.load(tmp_path / "out.splatz")) == 200


def test_what_is_there_is_kept_unless_told(scene, tmp_path, run_splat, capsys):
    (tmp_path / "out.spz").write_bytes(b"precious")
    assert run_splat("convert", scene, tmp_path / "out.spz") == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out.spz").read_bytes() == b"precious"
    assert run_splat("convert", scene, tmp_path / "out.spz", "--overwrite") == 0
    assert len(formats.load(tmp_path / "out.spz")) == 200


@pytest.mark.parametrize("least", ["0.5", "50%"])
def test_faint_gaussians_are_left_out(least, scene, tmp_path, run_splat):
    gaussians = splat.load(scene)
    assert run_splat("convert", scene, tmp_path / "out.ply", "--min-opacity", least) == 0
    assert len(splat.load(tmp_path / "out.ply")) == int((gaussians.opacities >= 0.5).sum())


def test_a_scene_in_several_files_is_as_large_as_all_of_them(tmp_path, run_splat, capsys):
    scene = cloud(200, sh_degree=0)
    formats.save(scene, tmp_path / "sog" / "meta.json")
    formats.save(scene, tmp_path / "scene.glb")
    content = (tmp_path / "scene.glb").read_bytes()
    end = 20 + int.from_bytes(content[12:16], "little")
    document = json.loads(content[20:end])
    (tmp_path / "gltf").mkdir()
    (tmp_path / "gltf" / "a b.bin").write_bytes(content[end + 8 :])
    document["buffers"][0]["uri"] = "a%20b.bin"
    (tmp_path / "gltf" / "scene.gltf").write_text(json.dumps(document))
    for folder, name in (("sog", "sog"), ("gltf", "gltf/scene.gltf")):
        size = sum(file.stat().st_size for file in (tmp_path / folder).iterdir())
        for stranger in ("notes.json", "photo.webp", "other.bin"):
            (tmp_path / folder / stranger).write_bytes(bytes(1000))
        for verb in ("info", "verify"):
            assert run_splat(verb, tmp_path / name, "--json") == 0
            facts = json.loads(capsys.readouterr().out)
            assert facts["bytes"] == size
        assert facts["bytes each"] == round(size / 200, 2)
        assert run_splat("convert", tmp_path / name, tmp_path / "out.ply", "--overwrite") == 0
        assert f" {size / 1e6:.2f} MB -> " in capsys.readouterr().out
    packed = tmp_path / "out.ply.gz"
    packed.write_bytes(gzip.compress((tmp_path / "out.ply").read_bytes()))
    assert load_with_facts(packed).size == packed.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.blend",), "ending in"),
        (("out.ksplat",), "read only"),
        (("out.spz", "--spz-sh-bits", 9, 4), "--spz-sh-bits must be 1 to 8"),
        (("out.sog", "--sog-palette", 0), "--sog-palette must be"),
        (("out.sog", "--sh-degree", 5), "--sh-degree must be"),
        (("out.splatz", "--splatz-shape-stages", 9), "0 to 8 codebooks"),
        (("out.splatz", "--splatz-midpoints", 0.7), "fraction of 0 to 0.5"),
        (("out.splatz", "--splatz-exact", 1.5), "0 to 1"),
    ],
)
def test_what_cannot_be_is_said(arguments, message, scene, tmp_path, run_splat, capsys):
    assert run_splat("convert", scene, tmp_path / arguments[0], *arguments[1:]) == 1
    assert message in capsys.readouterr().err


def test_verify_finds_nothing_wrong_with_good_files(scene, tmp_path, run_splat, capsys):
    for name in ("a.sog", "b.spz", "c.glb", "d.compressed.ply", "e.splat"):
        assert run_splat("convert", scene, tmp_path / name) == 0
        capsys.readouterr()
        assert run_splat("verify", tmp_path / name, "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["problems"] == [] and facts["round trip"]["gaussians"] == 200
        assert facts["round trip"]["position"] < 0.01


def test_verify_names_what_is_wrong(scene, tmp_path, run_splat, capsys):
    bad = splat.load(scene)
    bad.means[0] = torch.nan
    bad.means[1] = 1e9
    bad.log_scales[2] = 40
    bad.sh_rest[3] = 1e3
    with pytest.warns(UserWarning, match="1 of 200"):
        splat.save(bad, tmp_path / "bad.ply")
    assert run_splat("verify", tmp_path / "bad.ply") == 1
    printed = capsys.readouterr().out
    for words in (
        "1 Gaussian cannot be drawn: position not finite",
        "1 position of 199 more than",
        "1 Gaussian with logarithms",
        "1 Gaussian with harmonics",
    ):
        assert words in printed


def test_verify_reads_what_others_read(scene, tmp_path, run_splat, capsys):
    (tmp_path / "scene.ply.gz").write_bytes(gzip.compress(scene.read_bytes()))
    assert run_splat("verify", tmp_path / "scene.ply.gz", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["file"], facts["format"]) == (str(tmp_path / "scene.ply.gz"), "PLY")
    assert facts["bytes"] == (tmp_path / "scene.ply.gz").stat().st_size


def test_verify_tells_gaussians_in_one_place_apart(tmp_path, run_splat, capsys):
    scene = cloud(200, sh_degree=1)
    scene.means[:] = 1.5
    for end in (".ply", ".glb"):
        formats.save(scene, tmp_path / f"same{end}")
        assert run_splat("verify", tmp_path / f"same{end}", "--json") == 0
        found = json.loads(capsys.readouterr().out)["round trip"]
        assert found.pop("gaussians") == 200 and max(found.values()) < 1e-5


def test_verify_finds_positions_in_large_steps(tmp_path, run_splat, capsys):
    splat.save(Similarity.from_euler((0, 0, 0), (5e5, 4.6e6, 0)).gaussians(cloud(100, scale=0.05)), tmp_path / "a.ply")
    assert run_splat("verify", tmp_path / "a.ply") == 1
    assert "positions are in steps of 0.55, and half of the Gaussians are smaller than 0.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "parameter", ["position", "rotation", "log scale", "opacity", "color", "harmonics", "everything"]
)
def test_a_round_trip_that_changes_something_is_found(parameter):
    first = cloud(300, sh_degree=1)
    second = first.map(torch.clone)
    assert changes(first, second, exact=True) == changes(first, second[torch.randperm(300)], exact=False) == []
    assert "300 Gaussians written, 299 read again" in changes(first, second[:-1], exact=False)
    match parameter:
        case "position":
            second.means += 0.2
        case "rotation":
            second.quats = Similarity.from_euler((0, 10, 0)).gaussians(second).quats
        case "log scale":
            second.log_scales += 0.2
        case "opacity":
            second.logit_opacities += 1
        case "color":
            second.sh0 += 0.2
        case "harmonics":
            second.sh_rest *= -1
        case _:
            second = first[torch.randperm(300)]
            second.means, second.sh0 = first.means, first.sh0
    expected = parameter if parameter != "everything" else "log scale"
    assert expected in changes(first, second, exact=False)[0]
    assert len(changes(first, second, exact=True)) == 1


def test_activated_values_are_recognized():
    activated = cloud(200)
    activated.log_scales = activated.log_scales.exp() + 1
    activated.logit_opacities = activated.opacities
    problems = " ".join(ranges(activated))
    assert "their logarithms belong" in problems and "their logits belong" in problems
