"""`splat convert` of scenes whose files have the coordinates of a map: only memory has others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import splat
from scenes import cloud
from splat.cameras import Vector3
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io.georeference_file import beside, read_georeference, write_georeference
from splat.opening import open_scene

RunSplat = Callable[..., int]
UTM = (500_000.0, 4_649_776.0, 120.0)


def on_map(path: Path, scale: float = 0.02, place: tuple[float, ...] = UTM, seed: int = 0) -> torch.Tensor:
    """Write a cloud there, and return its positions in the file, in double precision."""
    scene, move = cloud(60, seed=seed, sh_degree=1, scale=scale), Similarity.from_euler(translation=place)
    formats.save(scene, path, FormatOptions(placement=move))
    return move.points(scene.means.double())


def in_file(path: Path) -> torch.Tensor:  # [N, 3] float64
    """Positions as a file has them; those of a map whatever is said about moving them."""
    opened = open_scene(path)
    return (opened.georeference or Georeference()).to_capture(opened.gaussians.means)


@pytest.mark.filterwarnings("ignore:.*subtracted")
@pytest.mark.parametrize("end", [".ply", ".glb"])
@pytest.mark.parametrize("other", ["large", "float32"])
@pytest.mark.parametrize("first", [True, False])
def test_tiles_of_one_map_are_put_together(
    first: bool, other: str, end: str, tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with one that 32-bit floats hold, whether its Gaussians are large, or it was written so."""
    near = on_map(tmp_path / f"a{end}")
    if other == "large":  # which need no double precision
        far = on_map(tmp_path / "b.ply", 8.0, (500_020.0, 4_649_776.0, 120.0), seed=1)
    else:
        scene = Similarity.from_euler(translation=UTM).gaussians(cloud(60, sh_degree=1, seed=1, scale=0.02))
        splat.save(scene, tmp_path / "b.ply")
        far = scene.means.double()
    names = (tmp_path / f"a{end}", tmp_path / "b.ply")
    assert run_splat("convert", *(names if first else names[::-1]), tmp_path / f"m{end}") == 0
    assert "do not say where they lie" not in capsys.readouterr().err
    wanted = torch.cat([near, far] if first else [far, near])
    away = (in_file(tmp_path / f"m{end}") - wanted).abs().amax(dim=1)
    assert float((away[:60] if first else away[60:]).max()) < 1e-5
    assert float(away.max()) < 0.6  # the step of 32-bit floats there


def test_a_scene_around_the_origin_is_no_tile_of_a_map(
    tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    on_map(tmp_path / "a.ply")
    splat.save(cloud(60, scale=0.02), tmp_path / "b.ply")
    for names in (("a.ply", "b.ply"), ("b.ply", "a.ply")):
        assert run_splat("convert", *(tmp_path / name for name in names), tmp_path / "m.ply") == 1
        assert "b.ply: lies 4.68e+06 units from the others, too far for one file" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*subtracted")
@pytest.mark.parametrize("end", [".ply", ".glb"])
@pytest.mark.parametrize(
    ("turn", "shift", "scale"),
    [((0, 0, 0), (0, 0, 0), 0.001), ((10, 20, 30), (0, 0, 0), 1), ((0, 90, 0), (1, 2, 3), 2)],
)
def test_a_scene_turns_around_the_origin_of_its_file(
    turn: Vector3, shift: Vector3, scale: float, end: str, tmp_path: Path, run_splat: RunSplat
) -> None:
    move, flags = (
        Similarity.from_euler(turn, shift, scale),
        ("--rotate", *turn, "--translate", *shift, "--scale", scale),
    )
    there = on_map(tmp_path / f"a{end}")
    assert run_splat("convert", tmp_path / f"a{end}", tmp_path / f"b{end}", *flags) == 0
    wanted = move.points(there)
    assert torch.allclose(in_file(tmp_path / f"b{end}"), wanted, rtol=1e-12, atol=2e-5 * move.scale)
    assert not beside(tmp_path / f"b{end}").exists()


@pytest.mark.filterwarnings("ignore:.*subtracted")
def test_a_scene_far_away_stands_at_height_0_where_it_is(tmp_path: Path, run_splat: RunSplat) -> None:
    scene = cloud(600, sh_degree=0, scale=0.02)
    scene.means[:, 1] = 0
    scene.logit_opacities.fill_(3.0)
    tilted = Similarity.from_euler((10, 0, 0)).gaussians(scene)
    place = FormatOptions(placement=Similarity.from_euler(translation=UTM))
    formats.save(tilted, tmp_path / "a.ply", place)
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--upright") == 0
    found = in_file(tmp_path / "b.ply")
    assert float(found[:, 1].abs().max()) < 1e-3
    assert float((found - torch.tensor(UTM, dtype=torch.float64))[:, [0, 2]].abs().max()) < 4


@pytest.mark.filterwarnings("ignore:.*subtracted")
@pytest.mark.parametrize(("end", "frame"), [(".ply", ()), (".glb", ()), (".ply", ("--frame", "local")), ("32.ply", ())])
def test_crop_is_in_the_coordinates_of_the_file(
    end: str, frame: tuple[str, ...], tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    if end == "32.ply":
        scene = Similarity.from_euler(translation=UTM).gaussians(cloud(60, scale=0.02))
        splat.save(scene, tmp_path / "a32.ply")
        there, frame = scene.means.double(), ("--frame", "local")
    else:
        there = on_map(tmp_path / f"a{end}")
    box = "--crop=499999.25,4649775.25,119.25,500000.75,4649776.75,120.75"
    kept = (there - torch.tensor(UTM, dtype=torch.float64)).abs().amax(dim=1) <= 0.75
    assert run_splat("convert", tmp_path / f"a{end}", tmp_path / "b.ply", box, *frame) == 0
    assert f"{60 - int(kept.sum())} of 60 Gaussians left out" in capsys.readouterr().err
    assert len(splat.load(tmp_path / "b.ply")) == int(kept.sum()) > 0


@pytest.mark.parametrize("flags", [("--scale", 4), ("--translate", 1, 2, 3), ("--scale", 0.5, "--translate", 1, 2, 3)])
def test_a_scene_that_was_moved_or_scaled_still_leads_back(
    flags: tuple[str | float, ...], tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, georeference = cloud(50, scale=0.05), Georeference(UTM, 2.0)
    splat.save(scene, tmp_path / "a.ply")
    write_georeference(georeference, beside(tmp_path / "a.ply"))
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.spz", *flags) == 0
    assert "b.spz.georeference.json leads back" in capsys.readouterr().out
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", *flags) == 0
    assert not torch.allclose(splat.load(tmp_path / "b.ply").means, scene.means)
    assert (in_file(tmp_path / "b.ply") - georeference.to_capture(scene.means)).abs().max() < 1e-5


def test_what_cannot_be_written_down_is_said(
    tmp_path: Path, run_splat: RunSplat, capsys: pytest.CaptureFixture[str]
) -> None:
    splat.save(cloud(50, scale=0.05), tmp_path / "a.ply")
    write_georeference(Georeference(UTM, 2.0), beside(tmp_path / "a.ply"))
    for flags in (("--rotate", 0, 90, 0), ("--translate", 0, 1e6, 0)):
        assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", *flags, "--overwrite") == 0
        assert "so no b.ply.georeference.json says where it lies" in capsys.readouterr().err
        assert not beside(tmp_path / "b.ply").exists()
    with pytest.warns(UserWarning, match="subtracted"):  # positions survived
        assert (in_file(tmp_path / "b.ply")[:, 1] - 1e6 - cloud(50).means[:, 1]).abs().max() < 1e-5


def test_what_leads_back_is_moved_to_the_origin_too(tmp_path: Path, run_splat: RunSplat) -> None:
    """By --frame local, as a scene without a georeference is: the remedy for positions too far away works for both."""
    scene = Similarity.from_euler(translation=(0, 5000, 0)).gaussians(cloud(50, scale=0.05))
    splat.save(scene, tmp_path / "a.ply")
    write_georeference(Georeference(UTM, 2.0), beside(tmp_path / "a.ply"))
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--frame", "local") == 0
    assert float(splat.load(tmp_path / "b.ply").means.abs().max()) < 10
    assert read_georeference(beside(tmp_path / "b.ply")).offset[1] == UTM[1] + 10_000
