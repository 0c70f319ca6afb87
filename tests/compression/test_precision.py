"""Scenes far from the origin, or small: positions survive, or what helps is said."""

import re

import numpy as np
import plyfile
import pytest
import torch

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.geometry.similarity import Similarity
from splat.io import ply

UTM = (500000.0, 4649776.0, 120.0)


def at(place, factor=1.0):
    """A cloud of Gaussians of 0.05 units, somewhere."""
    return Similarity.from_euler((0, 0, 0), place, factor).gaussians(cloud(500, sh_degree=0, scale=0.05))


@pytest.mark.parametrize("end", [".spz", ".sog"])
@pytest.mark.parametrize("place", [UTM, (0.0, 2e6, 0.0), (-3e5, 5e6, 0.0)])
def test_a_scene_far_away_is_refused_with_a_remedy_that_works(place, end, tmp_path, run_splat, capsys):
    formats.save(at(place), tmp_path / "far.ply")
    assert run_splat("convert", tmp_path / "far.ply", tmp_path / f"out{end}") == 1
    said = capsys.readouterr().err
    assert "would be ruined" in said and not (tmp_path / f"out{end}").exists()
    assert "splat convert --frame local moves it to the origin" in said
    assert run_splat("convert", tmp_path / "far.ply", tmp_path / f"out{end}", "--frame", "local") == 0
    assert float(formats.load(tmp_path / f"out{end}").means.norm(dim=1).max()) < 10


def test_a_scene_in_small_units_is_refused_with_a_remedy_that_works(tmp_path, run_splat, capsys):
    formats.save(at((0, 0, 0), 1e-4), tmp_path / "small.ply")
    assert run_splat("convert", tmp_path / "small.ply", tmp_path / "out.spz") == 1
    factor = re.search(r"--scale (\d+) makes", capsys.readouterr().err)[1]
    assert run_splat("convert", tmp_path / "small.ply", tmp_path / "out.spz", "--scale", factor) == 0


@pytest.mark.parametrize("far", [1e6, 1e7])
@pytest.mark.parametrize("flags", [(), ("--frame", "local"), ("--scale", 10)])
def test_a_gaussian_far_away_is_refused_with_a_remedy_that_works(flags, far, tmp_path, run_splat, capsys):
    scene = at((0, 0, 0))
    scene.means[3, 0] = far
    splat.save(scene, tmp_path / "far.ply")
    command = ("convert", tmp_path / "far.ply", tmp_path / "out.spz", *flags)
    assert run_splat(*command) == 1
    said = capsys.readouterr().err
    assert "out.spz: SPZ keeps" in said
    assert "splat convert --filter-floaters leaves out 1 Gaussian far from all others" in said
    assert run_splat(*command, "--filter-floaters") == 0


@pytest.mark.parametrize(
    ("place", "factor", "far"), [((5e5, 4e6, 0), 1e-3, 0), ((0, 0, 0), 1e-3, 3e3), ((5e5, 4e6, 0), 1, 1e6)]
)
def test_several_flags_are_named_where_one_does_not_help(place, factor, far, tmp_path, run_splat, capsys):
    scene = at((0, 0, 0), factor)
    scene.means[3, 0] += far
    there = Similarity.from_euler((0, 0, 0), place).gaussians(scene)
    splat.save(there, tmp_path / "far.ply")
    assert run_splat("convert", tmp_path / "far.ply", tmp_path / "out.spz") == 1
    flags = re.search(r"splat convert ((?:--[a-z-]+ (?:\d+ |local )?)+)", capsys.readouterr().err)[1].split()
    assert sum(word.startswith("--") for word in flags) == 2
    assert run_splat("convert", tmp_path / "far.ply", tmp_path / "out.spz", *flags) == 0


def test_a_remedy_is_said_once(tmp_path, run_splat, capsys):
    placement = Similarity.from_euler((0, 0, 0), UTM)
    formats.save(cloud(50, scale=0.05), tmp_path / "utm.ply", FormatOptions(placement=placement))
    for end in (".spz", ".sog", ".splat", ".splatz", ".compressed.ply"):
        assert run_splat("convert", tmp_path / "utm.ply", tmp_path / f"out{end}") == 1
        assert capsys.readouterr().err.count("--frame local") == 1


def test_nothing_helps_a_scene_that_is_too_large_for_its_gaussians(tmp_path, run_splat, capsys):
    scene = at((0, 0, 0))
    scene.means = scene.means * 1e7
    splat.save(scene, tmp_path / "wide.ply")
    for flags in ((), ("--scale", 10)):
        assert run_splat("convert", tmp_path / "wide.ply", tmp_path / "out.spz", *flags) == 1
        said = capsys.readouterr().err
        assert "would be ruined. Write .ply" in said and "splat convert" not in said


@pytest.mark.parametrize("place", [(0, 0, 0), (300.0, -200.0, 5.0)])
@pytest.mark.parametrize("end", [".spz", ".sog", ".splatz", ".compressed.ply", ".splat", ".glb"])
def test_scenes_that_fit_are_written(place, end, tmp_path):
    formats.save(at(place), tmp_path / f"out{end}")


def test_positions_of_maps_in_double_precision_keep_it(tmp_path):
    scene = cloud(300, sh_degree=0, scale=0.05)
    ply.save(scene, tmp_path / "local.ply")
    rows = plyfile.PlyData.read(tmp_path / "local.ply")["vertex"].data
    kinds = [(name, "<f8" if name in "xyz" else "<f4") for name in rows.dtype.names]
    wide = rows.astype(kinds)
    for name, value in zip("xyz", UTM, strict=True):
        wide[name] += value
    plyfile.PlyData([plyfile.PlyElement.describe(wide, "vertex")]).write(str(tmp_path / "utm.ply"))
    with pytest.warns(UserWarning, match=r"\((\d+), (\d+), (\d+)\) was subtracted"):
        found = splat.load(tmp_path / "utm.ply")
    origin = np.array(UTM) - (found.means.double().mean(0) - scene.means.double().mean(0)).neg().numpy() - np.array(UTM)
    assert np.allclose(origin, origin.round(), atol=1e-4)
    assert torch.allclose(found.means - found.means.mean(0), scene.means - scene.means.mean(0), atol=1e-5)
    for name in "xyz":  # near the origin, doubles are taken as they are
        wide[name] -= dict(zip("xyz", UTM, strict=True))[name]
    plyfile.PlyData([plyfile.PlyElement.describe(wide, "vertex")]).write(str(tmp_path / "near.ply"))
    assert torch.allclose(splat.load(tmp_path / "near.ply").means, scene.means, atol=1e-6)


def test_a_node_far_away_keeps_positions_precise(tmp_path):
    scene = cloud(300, sh_degree=0, scale=0.05)
    placement = Similarity.from_euler((0, 0, 0), UTM)
    formats.save(scene, tmp_path / "utm.glb", FormatOptions(placement=placement))
    with pytest.warns(UserWarning, match=r"\(500000, 4649776, 120\) was subtracted"):
        found = splat.load(tmp_path / "utm.glb")
    assert torch.allclose(found.means, scene.means, atol=1e-5)
