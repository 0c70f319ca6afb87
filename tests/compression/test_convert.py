"""`splat convert` and `splat verify`, as people use them."""

import json

import pytest
import torch

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.compression.formats.verify import ranges


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


def test_faint_gaussians_are_left_out(scene, tmp_path, run_splat):
    gaussians = splat.load(scene)
    assert run_splat("convert", scene, tmp_path / "out.ply", "--min-opacity", 0.5) == 0
    assert len(splat.load(tmp_path / "out.ply")) == int((gaussians.opacities >= 0.5).sum())


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
        "1 Gaussians cannot be drawn: position not finite",
        "1 positions are",
        "1 have logarithms",
        "1 have harmonics",
    ):
        assert words in printed


def test_activated_values_are_recognized():
    activated = cloud(200)
    activated.log_scales = activated.log_scales.exp() + 1
    activated.logit_opacities = activated.opacities
    problems = " ".join(ranges(activated))
    assert "their logarithms belong" in problems and "their logits belong" in problems
