"""`splat convert --frame`: scenes put back to where their captures lie, as far as a format can hold that."""

import json
from collections.abc import Callable
from pathlib import Path

import plyfile
import pytest
import torch

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io.georeference_file import beside, read_georeference, write_georeference
from splat.opening import open_scene
from splat.run import Run

RunSplat = Callable[..., int]
UTM = Georeference((500_123.0, 4_649_776.0, -120.0), 0.5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of a capture in map coordinates."""
    folder = Run(tmp_path / "run")
    folder.save_scene(cloud(200, scale=0.05), 100)
    folder.config_file.write_text(
        json.dumps(
            {
                "capture": str(tmp_path / "capture"),
                "data": {"resolution": 1, "images": "images", "masks": "masks"},
                "optimization": {"antialiased": True, "background": "black"},
            }
        )
    )
    folder.write_georeference(UTM)
    return folder.path


def in_capture(path: Path) -> torch.Tensor:  # [N, 3] float64
    """Positions of a file's Gaussians in the capture's coordinates, by whatever says where they lie."""
    opened = open_scene(path)
    georeference = opened.georeference or Georeference()
    return georeference.to_capture(opened.gaussians.means)


def expected() -> torch.Tensor:
    return UTM.to_capture(cloud(200, scale=0.05).means)


STEPS = {
    ".ply": 1e-6,
    ".splatz": 5e-3,
    ".spz": 2e-3,
    ".sog": 2e-3,
    ".compressed.ply": 5e-3,
    ".splat": 1e-6,
    ".glb": 1e-6,
}
"""How finely the formats keep positions of a scene of a few units."""


@pytest.mark.parametrize("end", list(STEPS))
def test_any_format_leads_back(run: Path, tmp_path: Path, run_splat: RunSplat, end: str) -> None:
    """In local coordinates, by the file beside it."""
    output = tmp_path / f"out{end}"
    assert run_splat("convert", run, output) == 0
    assert read_georeference(beside(output)) == UTM
    found, wanted = in_capture(output), expected()
    # Formats choose their own order: the nearest is the one.
    there = torch.tensor(UTM.offset, dtype=torch.float64)
    assert torch.cdist(found - there, wanted - there).min(dim=1).values.max() < STEPS[end] + 1e-6
    # A copy without that file lies around the origin.
    assert open_scene(output).gaussians.means.abs().max() < 10


@pytest.mark.parametrize("end", [".ply", ".glb"])
def test_capture_coordinates_where_the_format_holds_them(
    run: Path, tmp_path: Path, run_splat: RunSplat, end: str
) -> None:
    output = tmp_path / f"out{end}"
    assert run_splat("convert", run, output, "--frame", "capture") == 0
    assert not beside(output).exists()
    with pytest.warns(UserWarning, match="subtracted"):
        found = in_capture(output)
    assert (found - expected()).abs().max() < 1e-6
    scales = splat.load(run).scales * UTM.unit
    with pytest.warns(UserWarning, match="subtracted"):
        assert torch.allclose(splat.load(output).scales, scales, rtol=1e-4)
    # And on: a conversion of that file keeps what it says, or says that it cannot.
    assert run_splat("convert", output, tmp_path / "again.ply") == 0
    with pytest.warns(UserWarning, match="subtracted"):
        assert (in_capture(tmp_path / "again.ply") - expected()).abs().max() < 1e-6


def test_a_ply_has_double_positions(run: Path, tmp_path: Path, run_splat: RunSplat) -> None:
    assert run_splat("convert", run, tmp_path / "out.ply", "--frame", "capture") == 0
    vertex = plyfile.PlyData.read(str(tmp_path / "out.ply"))["vertex"]
    assert vertex["x"].dtype == "f8"
    assert vertex["scale_0"].dtype == "f4"
    assert torch.from_numpy(vertex["y"].copy()).sub(expected()[:, 1]).abs().max() < 1e-9


@pytest.mark.parametrize("end", [".spz", ".sog", ".splat", ".splatz", ".compressed.ply"])
def test_other_formats_refuse_what_they_cannot_hold(
    run: Path, tmp_path: Path, run_splat: RunSplat, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"out{end}"
    assert run_splat("convert", run, output, "--frame", "capture") == 1
    assert "--frame local" in capsys.readouterr().err
    assert not output.exists()
    assert run_splat("convert", run, output, "--frame", "local") == 0


def test_only_a_unit_fits_anywhere(run: Path, tmp_path: Path, run_splat: RunSplat) -> None:
    write_georeference(Georeference((0.0, 0.0, 0.0), 0.01), Run(run).georeference_file)
    assert run_splat("convert", run, tmp_path / "out.splat", "--frame", "capture") == 0
    found = formats.load(tmp_path / "out.splat")
    assert found.means.abs().max() < 0.1
    assert found.means.abs().max() > 0.001


def test_a_scene_of_which_nobody_says_where_it_lies(
    tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    splat.save(cloud(50), tmp_path / "scene.ply")
    assert run_splat("convert", tmp_path / "scene.ply", tmp_path / "out.ply", "--frame", "capture") == 1
    assert "give the folder of its run" in capsys.readouterr().err
    assert run_splat("convert", tmp_path / "scene.ply", tmp_path / "out.ply", "--frame", "local") == 0
    assert not beside(tmp_path / "out.ply").exists()
    assert (tmp_path / "out.ply").read_bytes() == (tmp_path / "scene.ply").read_bytes()


def test_scenes_of_one_capture_with_different_origins_fit(run: Path, tmp_path: Path, run_splat: RunSplat) -> None:
    other = Georeference((500_133.0, 4_649_776.0, -120.0), 1.0)
    splat.save(cloud(50), tmp_path / "other.ply")
    write_georeference(other, beside(tmp_path / "other.ply"))
    assert run_splat("convert", run, tmp_path / "other.ply", tmp_path / "both.ply") == 0
    found = in_capture(tmp_path / "both.ply")
    wanted = torch.cat([expected(), other.to_capture(cloud(50).means)])
    assert (found - wanted).abs().max() < 1e-5


def test_moving_a_scene_by_hand_leaves_no_false_trail(run: Path, tmp_path: Path, run_splat: RunSplat) -> None:
    assert run_splat("convert", run, tmp_path / "out.ply") == 0
    assert beside(tmp_path / "out.ply").exists()
    assert run_splat("convert", run, tmp_path / "out.ply", "--rotate", 0, 90, 0, "--overwrite") == 0
    assert not beside(tmp_path / "out.ply").exists()


def test_the_mark_of_antialiasing_comes_with_a_file(run: Path, tmp_path: Path, run_splat: RunSplat) -> None:
    """Formats that hold it are drawn by it; a .ply does not say."""
    for end in (".sog", ".spz", ".splatz"):
        assert run_splat("convert", run, tmp_path / f"out{end}") == 0
        assert open_scene(tmp_path / f"out{end}").render.antialiased
    assert run_splat("convert", run, tmp_path / "out.ply") == 0
    assert not open_scene(tmp_path / "out.ply").render.antialiased


def test_a_compressed_scene_leads_back_too(
    run: Path, tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_splat("compress", run, "-o", tmp_path / "small.splatz") == 0
    assert "small.splatz.georeference.json leads back" in capsys.readouterr().out
    assert read_georeference(beside(tmp_path / "small.splatz")) == UTM


def test_scenes_too_far_apart_for_one_file_are_refused(
    run: Path, tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    splat.save(cloud(50, scale=0.05), tmp_path / "other.ply")
    write_georeference(Georeference((0.0, 1.0, 0.0)), beside(tmp_path / "other.ply"))
    for frame in ((), ("--frame", "local"), ("--frame", "capture")):
        assert run_splat("convert", run, tmp_path / "other.ply", tmp_path / "both.ply", *frame) == 1
        assert "too far for one file" in capsys.readouterr().err
    assert not (tmp_path / "both.ply").exists()


@pytest.mark.parametrize("unit", [1e-9, 1e8])
def test_any_unit_leads_back(run: Path, tmp_path: Path, run_splat: RunSplat, unit: float) -> None:
    write_georeference(Georeference((0.0, 0.0, 0.0), unit), Run(run).georeference_file)
    assert run_splat("convert", run, tmp_path / "out.ply", "--frame", "capture") == 0
    expected = cloud(200, scale=0.05).means.double() * unit
    assert torch.allclose(splat.load(tmp_path / "out.ply").means.double(), expected, rtol=1e-5, atol=1e-6 * unit)


@pytest.mark.parametrize("factor", [1.0, 1e-4])
def test_a_scene_of_any_size_comes_to_the_origin(tmp_path: Path, run_splat: RunSplat, factor: float) -> None:
    """By a number that is round for its size: a whole one would not move a small scene at all."""
    there = Similarity.from_euler(translation=(123.4 * factor, 0.0, 0.0), scale=factor).gaussians(cloud(50, scale=0.05))
    splat.save(there, tmp_path / "there.ply")
    assert run_splat("convert", tmp_path / "there.ply", tmp_path / "local.ply", "--frame", "local") == 0
    assert splat.load(tmp_path / "local.ply").means.median(0).values.norm() < 2 * factor
    assert (in_capture(tmp_path / "local.ply") - there.means.double()).abs().max() < 1e-4 * factor
