"""`splat convert` moves, turns and scales scenes, and stands them upright."""

import pytest
import torch

import splat
from scenes import cameras, cloud
from splat import RenderSettings
from splat.compression.formats import registry as formats
from splat.geometry.similarity import Similarity


def test_a_scene_is_turned_then_scaled_then_moved(run_splat, tmp_path) -> None:
    scene = cloud(50, sh_degree=3)
    splat.save(scene, tmp_path / "in.ply")
    flags = ("--rotate", 10, 20, 30, "--scale", 2, "--translate", 1, 0, -1)
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.ply", *flags) == 0
    moved = splat.load(tmp_path / "out.ply")
    move = Similarity.from_euler((10, 20, 30), (1, 0, -1), 2.0)
    torch.testing.assert_close(moved.means, move.points(scene.means), atol=1e-5, rtol=1e-5)
    views = cameras(3)
    expected = splat.render(scene, views).rgb
    actual = splat.render(moved, move.camera(views), settings=RenderSettings(near=0.02)).rgb
    assert (actual - expected).abs().mean() < 1e-5


def test_without_flags_nothing_moves(run_splat, tmp_path) -> None:
    splat.save(cloud(20), tmp_path / "in.ply")
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.ply") == 0
    assert (tmp_path / "in.ply").read_bytes() == (tmp_path / "out.ply").read_bytes()


def test_upright(run_splat, tmp_path) -> None:
    scene = cloud(900, sh_degree=0)
    floor = torch.rand(600, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 0.01, 9.0])
    scene.means[:600] = floor - torch.tensor([4.5, -4.0, 4.5])
    scene.logit_opacities.fill_(3.0)
    splat.save(Similarity.from_euler((15, 0, -12), (0, 2, 0)).gaussians(scene), tmp_path / "in.ply")
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.spz", "--upright", "--translate", 0, 5, 0) == 0
    means = formats.load(tmp_path / "out.spz").means
    low = means[:, 1].sort(descending=True).values[:600]  # y is down
    assert (low - 5).abs().max() < 0.1 and float(means[:, 1].min()) < 3


@pytest.mark.parametrize("end", [".ply", ".splat"])
def test_what_cannot_be_drawn_where_it_is_put_is_not_counted(end, run_splat, tmp_path, capsys) -> None:
    scene = cloud(50, sh_degree=0)
    scene.log_scales[:5, 0] = 40.0
    splat.save(scene, tmp_path / "in.ply")
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / f"out{end}", "--scale", 1e3) == 0
    said = capsys.readouterr()
    assert "5 of 50 Gaussians cannot be drawn" in said.err and said.out.startswith("45 Gaussians of degree 0")
    assert len(formats.load(tmp_path / f"out{end}")) == 45
    before = (tmp_path / f"out{end}").read_bytes()
    away = ("--translate", 1e39, 0, 0, "--overwrite")
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / f"out{end}", *away) == 1
    assert "not written: none of its Gaussians can be drawn" in capsys.readouterr().err
    assert (tmp_path / f"out{end}").read_bytes() == before


def test_a_scene_that_is_put_far_away_keeps_its_positions(run_splat, tmp_path, capsys) -> None:
    splat.save(cloud(50, scale=0.02), tmp_path / "in.ply")
    far = ("--translate", 0, 4649776, 0)
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.ply", *far) == 0
    with pytest.warns(UserWarning, match="subtracted"):
        found = splat.load(tmp_path / "out.ply")
    assert (found.means - cloud(50).means).abs().max() < 1e-5
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.splat", *far) == 1
    assert "would be ruined" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--scale", "0"), "--scale"),
        (("--scale", "-2"), "--scale"),
        (("--scale", "nan"), "--scale"),
        (("--rotate", "nan", "0", "0"), "--rotate"),
        (("--translate", "0", "inf", "0"), "--translate"),
        (("--upright",), "--upright: ground: expected at least 3"),
    ],
)
def test_what_cannot_be_done_is_said(run_splat, tmp_path, capsys, flags, message) -> None:
    scene = cloud(2)
    splat.save(scene, tmp_path / "in.ply")
    assert run_splat("convert", tmp_path / "in.ply", tmp_path / "out.ply", *flags) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out.ply").exists()
