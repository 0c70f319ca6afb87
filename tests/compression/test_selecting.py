"""`splat convert` with several inputs, and which Gaussians it keeps: a region, no floaters, merged neighbors."""

import math

import pytest
import torch

import splat
from scenes import cloud
from splat import Camera, Gaussians
from splat.compression.commands.selection_flags import inside, region, target
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FormatOptions
from splat.compression.simplify import merge
from splat.compression.simplify.floaters import floaters
from splat.compression.simplify.merge import cheapest_matching, covariances, masses, merge_pairs, merged
from splat.compression.simplify.prune import Fidelity
from splat.errors import InputError
from splat.geometry.similarity import Similarity


def surface(count: int = 4000, seed: int = 0) -> Gaussians:
    """A colored sphere of flat Gaussians, as a trained scene has them on a wall."""
    generator = torch.Generator().manual_seed(seed)
    scene = cloud(count, seed=seed, sh_degree=1, scale=0.03)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    scene.means = normal
    turn = torch.linalg.cross(torch.tensor([0.0, 0, 1]).expand(count, 3), normal)
    scene.quats = torch.cat([1 + normal[:, 2:], turn], dim=1)
    scene.log_scales[:, 2] = math.log(0.002)
    scene.logit_opacities += 2
    scene.sh0 = torch.stack([torch.sin(5 * normal[:, k]) for k in range(3)], dim=1)
    return scene


def rig(count: int = 4) -> list[Camera]:
    angles = [2 * math.pi * k / count for k in range(count)]
    return [Camera.look_at((3 * math.cos(a), 0.5, 3 * math.sin(a)), (0, 0, 0), width=72, height=54) for a in angles]


def test_several_inputs_become_one(tmp_path, run_splat, capsys):
    first, second = cloud(50, sh_degree=0), cloud(70, sh_degree=2, seed=1)
    formats.save(first, tmp_path / "a.ply")
    formats.save(second, tmp_path / "b.ply", FormatOptions())
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", tmp_path / "out.ply") == 0
    assert capsys.readouterr().out.startswith("120 Gaussians of degree 2: 2 files")
    found = formats.load(tmp_path / "out.ply")
    assert torch.equal(found.means, torch.cat([first.means, second.means]))
    assert torch.equal(found.sh_rest[50:], second.sh_rest) and not bool(found.sh_rest[:50].any())
    formats.save(first, tmp_path / "c.spz", FormatOptions(antialiased=True))
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "c.spz", tmp_path / "d.spz") == 0
    assert "1 of 2 inputs say that they were trained with antialiasing" in capsys.readouterr().err
    assert formats.load_with_facts(tmp_path / "d.spz").antialiased is True
    assert run_splat("convert", tmp_path / "a.ply") != 0
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "none.ply", tmp_path / "e.ply") == 1
    assert "none.ply: no such file" in capsys.readouterr().err


def test_an_empty_scene_is_not_converted(tmp_path, run_splat, capsys):
    formats.save(cloud(4)[:0], tmp_path / "empty.ply")
    for end in (".ply", ".spz", ".sog", ".splatz", ".glb"):
        assert run_splat("convert", tmp_path / "empty.ply", tmp_path / f"out{end}") == 1
        assert "holds no Gaussians" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-1,-1,-1,1,1,1", lambda p: (p.abs() <= 1).all(1)),
        ("1 1 1 -1 -1 -1", lambda p: (p.abs() <= 1).all(1)),  # corners in any order
        ("0.5,0,0,0.8", lambda p: (p - torch.tensor([0.5, 0, 0])).norm(dim=1) <= 0.8),
    ],
)
def test_crop_keeps_a_region(text, expected, tmp_path, run_splat, capsys):
    scene = cloud(300)
    formats.save(scene, tmp_path / "a.ply")
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", f"--crop={text}") == 0
    kept = expected(scene.means)
    assert torch.equal(formats.load(tmp_path / "b.ply").means, scene.means[kept])
    assert f"{300 - int(kept.sum())} of 300 Gaussians left out: outside --crop" in capsys.readouterr().err
    assert torch.equal(inside(scene.means, region(text)), kept)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--crop=1,2,3"], "expected a box"),
        (["--crop=1,2,3,nan"], "expected a box"),
        (["--crop=a,b,c,d"], "expected a box"),
        (["--crop=0,0,0,-1"], "must be positive"),
        (["--crop=90,90,90,1"], "no Gaussian is left"),
        (["--decimate", "0"], "--decimate: expected"),
        (["--decimate", "1.5"], "--decimate: expected"),
        (["--decimate", "200%"], "--decimate: expected"),
        (["--decimate", "many"], "--decimate: expected"),
        (["--decimate", "5,0"], "--decimate: expected"),
        (["--decimate", "1.0"], "one Gaussian, or all of them"),
        (["--min-opacity", "nan"], "--min-opacity: expected"),
        (["--min-opacity=-1"], "--min-opacity: expected"),
        (["--min-opacity", "200%"], "--min-opacity: expected"),
        (["--min-opacity", "0,5"], "--min-opacity: expected"),
    ],
)
def test_what_cannot_be_selected_is_said(flags, message, tmp_path, run_splat, capsys):
    formats.save(cloud(30), tmp_path / "a.ply")
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", *flags) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "b.ply").exists()


def test_floaters_are_left_out(tmp_path, run_splat):
    scene = surface()
    lone, clump = cloud(5, sh_degree=1, seed=3, scale=0.01), cloud(8, sh_degree=1, seed=4, scale=0.02)
    lone.means = torch.nn.functional.normalize(lone.means, dim=1) * 2.2
    clump.means = clump.means * 0.02 + torch.tensor([0.0, 1.8, 0.5])
    whole = Gaussians.cat([scene, lone, clump])
    assert floaters(whole)[4000:].all()
    assert int(floaters(whole)[:4000].sum()) < 8
    formats.save(whole, tmp_path / "a.ply")
    assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--filter-floaters") == 0
    assert 3990 < len(formats.load(tmp_path / "b.ply")) <= 4000


def test_floaters_do_not_depend_on_units_and_small_scenes_stay():
    whole = Gaussians.cat([surface(1500), cloud(3, sh_degree=1, seed=3, scale=0.01)])
    whole.means[-3:] = torch.nn.functional.normalize(whole.means[-3:], dim=1) * 3
    found = floaters(whole)
    for factor in (0.002, 1000.0):
        moved = Similarity.from_euler((10, 20, 30), (5 * factor, 0, 0), factor).gaussians(whole)
        assert torch.equal(floaters(moved), found)
    for count in (0, 1, 2, 9):
        assert not floaters(cloud(count)).any()


def test_a_merged_gaussian_has_the_moments_of_both():
    one, two = cloud(200, seed=1), cloud(200, seed=2)
    one.logit_opacities -= 3
    two.logit_opacities -= 3
    both = merge_pairs(one, two)
    a, b = masses(one), masses(two)
    share = (a / (a + b))[:, None]
    mean = share * one.means.double() + (1 - share) * two.means.double()
    assert torch.allclose(both.means.double(), mean, atol=1e-5)
    apart = [(each.means.double() - mean)[:, :, None] for each in (one, two)]
    expected = sum(
        weight[:, :, None] * (covariances(each) + away @ away.transpose(1, 2))
        for weight, each, away in zip((share, 1 - share), (one, two), apart, strict=True)
    )
    assert torch.allclose(covariances(both), expected, atol=1e-5, rtol=1e-4)
    assert torch.allclose(masses(both), a + b, rtol=1e-4)
    assert torch.allclose(
        both.sh_rest.double(), share[:, :, None] * one.sh_rest + (1 - share[:, :, None]) * two.sh_rest, atol=1e-6
    )
    same = merge_pairs(one, one)
    assert torch.allclose(covariances(same), covariances(one), atol=1e-5)


@pytest.mark.parametrize("fraction", [0.5, 0.2])
def test_merging_beats_leaving_out(fraction):
    scene = surface()
    count = round(fraction * len(scene))
    fidelity = Fidelity(scene, rig())
    small = merged(scene, count)
    assert len(small) == count
    order = torch.randperm(len(scene), generator=torch.Generator().manual_seed(1))
    opaque = scene.opacities.argsort(descending=True)
    others = [scene[rows[:count].sort().values] for rows in (order, opaque)]
    assert fidelity(small) > max(map(fidelity, others)) + 2


def test_merging_is_exact_about_numbers_and_survives_odd_scenes():
    scene = surface(500)
    assert [len(merged(scene, count)) for count in (500, 499, 251, 7, 1)] == [500, 499, 251, 7, 1]
    assert torch.equal(merged(scene, 600).means, scene.means)
    kept = merged(scene, 490).means[:480].tolist()
    assert kept == [mean for mean in scene.means.tolist() if mean in kept]  # as they were, in their order
    same = scene[torch.zeros(300, dtype=torch.int64)]  # all in one place
    odd = cloud(300, sh_degree=1)
    odd.logit_opacities[:100], odd.log_scales[50:150, 0] = -torch.inf, -torch.inf
    odd.logit_opacities[100:200], odd.means[5] = torch.inf, torch.nan
    odd.log_scales[200:220] = -20
    for each in (same, odd, cloud(2), cloud(3)):
        small = merged(each, max(1, len(each) // 3))
        assert len(small) == max(1, len(each) // 3)
        assert all(bool(tensor.isfinite().all()) for tensor in small.tensors().values())


def test_gaussians_in_one_place_are_merged_in_few_rounds(monkeypatch):
    rounds = []
    monkeypatch.setattr(merge, "cheapest_matching", lambda *args: rounds.append(0) or cheapest_matching(*args))
    for place in (0.0, 1.5):
        same = cloud(500, sh_degree=0)
        same.means[:] = place
        assert len(merged(same, 50)) == 50
    assert len(rounds) < 20


def test_decimate_takes_numbers_and_fractions(tmp_path, run_splat, capsys):
    formats.save(surface(400), tmp_path / "a.ply")
    for text, count in (("100", 100), ("0.25", 100), ("25%", 100), ("1,000", 400)):
        assert run_splat("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--decimate", text, "--overwrite") == 0
        assert len(formats.load(tmp_path / "b.ply")) == count
    assert "400 Gaussians merged into 100" in capsys.readouterr().err
    assert target(None, 5) is None and target("100%", 7) == 7 and target("0.0001", 7) == 1 and target("1", 7) == 1
    with pytest.raises(InputError):
        target("nan", 5)
    picture = splat.render(formats.load(tmp_path / "b.ply"), rig()[0]).rgb
    assert picture.isfinite().all()
