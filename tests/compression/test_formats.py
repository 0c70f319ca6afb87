"""Every format: what is written is read again within the format's own steps, and other programs agree with both."""

import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

import splat
from round_trip import TOLERANCES, assert_close
from scenes import cloud
from splat import Camera, Gaussians
from splat.compression.formats import gltf, spz
from splat.compression.formats import registry as formats
from splat.compression.formats.registry import FORMATS, FormatOptions
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.spz import SpzOptions, quantized_harmonics
from splat.errors import InputError

DATA = Path(__file__).parent / "data"
WRITABLE = [end for end, known in FORMATS.items() if known.write is not None]


def scene(count: int = 300, degree: int = 2, seed: int = 0) -> Gaussians:
    gaussians = cloud(count, seed=seed, sh_degree=degree, scale=0.1)
    gaussians.sh0.clamp_(-1.7, 1.7)
    gaussians.sh_rest.mul_(0.3).clamp_(-0.99, 0.99)
    return gaussians


def name(end: str) -> str:
    return end if end == "meta.json" else f"scene{end}"


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("end", WRITABLE)
def test_what_is_written_is_read_again(end, degree, tmp_path):
    before = scene(degree=degree)
    formats.save(before, tmp_path / name(end))
    assert_close(before, formats.load(tmp_path / name(end)), TOLERANCES[end])
    assert [path for path in tmp_path.iterdir() if "tmp" in path.name] == []


@pytest.mark.parametrize("end", WRITABLE)
def test_rotations_of_any_length_are_written(end, tmp_path):
    before = scene(degree=0)
    long = before.map(torch.clone)
    long.quats[:20] *= 1e20
    long.quats[20:40] *= 1e-38
    formats.save(long, tmp_path / name(end))
    assert_close(before, formats.load(tmp_path / name(end)), TOLERANCES[end])


@pytest.mark.parametrize("version", [2, 3, 4])
def test_spz_versions(version, tmp_path):
    before, options = scene(degree=3), SpzOptions(version=version, frame="rub")
    spz.write(before, tmp_path / "scene.spz", options)
    steps = (2e-4, 0.5 if version == 2 else 0.08, 0.002, 0.0131, 0.004)
    assert_close(before, spz.read(tmp_path / "scene.spz", options), steps)


def test_spz_says_which_way_its_axes_point_or_warns(tmp_path):
    before, path = scene(), tmp_path / "scene.spz"
    spz.write(before, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spz.read(path)
    spz.write(before, path, SpzOptions(version=3))
    with pytest.warns(UserWarning, match=r"which way its axes point.*`spz_frame` rdf"):
        spz.read(path)
    upside_down = spz.read(path, SpzOptions(frame="rdf"))
    assert (
        float((upside_down.means.sort(0).values[:, 1] + before.means[:, 1].sort(descending=True).values).abs().max())
        < 1e-3
    )


def test_spz_gives_up_precision_before_it_overflows(tmp_path):
    large = scene()
    large.means.mul_(5000)
    spz.write(large, tmp_path / "scene.spz")
    reach = float(large.means.abs().max())
    found = spz.read(tmp_path / "scene.spz").means
    assert float(found.abs().max()) == pytest.approx(reach, rel=1e-5)
    large.means.mul_(1e6)
    with pytest.raises(InputError, match="move the scene or scale it down"):
        spz.write(large, tmp_path / "scene.spz")


def test_spz_says_what_it_cannot_reach(tmp_path):
    large = scene()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spz.write(large, tmp_path / "scene.spz")
    large.log_scales[:3, 1], large.sh0[:2, 0], large.sh_rest[:4, 1, 2] = 8.0, 6.0, -3.0
    with pytest.warns(UserWarning, match=r"of 3 sizes \(up to 379 units\), of 2 f_dc .*, of 4 f_rest"):
        spz.write(large, tmp_path / "scene.spz")
    with warnings.catch_warnings():  # what was read fits
        warnings.simplefilter("error")
        spz.write(spz.read(tmp_path / "scene.spz"), tmp_path / "again.spz")


@given(bits=st.integers(1, 8), value=st.floats(-1, 0.99))
@settings(max_examples=60, deadline=None)
def test_harmonics_of_few_bits_are_middles_of_buckets(bits, value):
    kept = quantized_harmonics(torch.tensor([value]), bits)
    step = (1 << (8 - bits)) / 128
    assert abs(float(kept) - value) <= step / 2 + 1 / 256 + (step if value > 1 - step else 0)
    assert torch.equal(quantized_harmonics(kept, bits), kept)


@pytest.mark.parametrize("end", [".compressed.ply", ".spz", ".sog", ".splat", ".splatz", ".glb"])
def test_what_cannot_be_drawn_is_left_out(end, tmp_path):
    bad = scene(50)
    bad.means[3, 0] = torch.nan
    bad.quats[7] = 0
    bad.log_scales[9, 1] = -torch.inf
    bad.logit_opacities[11] = torch.inf
    with pytest.warns(UserWarning, match="2 of 50 Gaussians cannot be drawn.*1 position not finite, 1 rotation of"):
        formats.save(bad, tmp_path / name(end))
    assert len(formats.load(tmp_path / name(end))) == 48


@pytest.mark.parametrize("end", WRITABLE)
@pytest.mark.parametrize("count", [1, 2, 255, 257])
def test_odd_numbers_of_gaussians(end, count, tmp_path):
    before = scene(count, degree=1)
    formats.save(before, tmp_path / name(end))
    assert len(formats.load(tmp_path / name(end))) == count


@pytest.mark.parametrize("file", ["scene.compressed.ply", "scene.spz", "scene.sog", "scene.glb"])
def test_files_of_another_program_are_read(file):
    """Made by @playcanvas/splat-transform 2.7.1 of scene.ply, which is ours."""
    steps = {".spz": (2e-4, 0.08, 0.002, 0.0131, 0.07), ".sog": (1e-3, 0.06, 0.004, 0.1, 0.3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = formats.load(DATA / file)
    end = "".join(Path(file).suffixes)
    assert_close(splat.load(DATA / "scene.ply"), found, steps.get(end, TOLERANCES[end]))


def test_a_picture_of_every_format_is_that_of_the_scene(tmp_path):
    before = scene(2000, degree=3)
    camera = Camera.look_at((0, -1, -4), (0, 0, 0), width=120, height=80)
    picture = splat.render(before, camera).rgb
    for end, least in ((".compressed.ply", 40), (".spz", 45), (".sog", 30), (".splatz", 32), (".glb", 90)):
        formats.save(before, tmp_path / name(end))
        again = splat.render(formats.load(tmp_path / name(end)), camera).rgb
        psnr = -10 * torch.log10((picture - again).square().mean().clamp_min(1e-12))
        assert float(psnr) > least, end


def test_a_larger_palette_loses_less(tmp_path):
    before, errors = scene(3000, degree=3), []
    for palette in (64, 1024):
        formats.save(before, tmp_path / "scene.sog", FormatOptions(sog_palette=palette))
        found = formats.load(tmp_path / "scene.sog")
        _, nearest = cKDTree(found.means.numpy()).query(before.means.numpy())
        errors.append(float((found.sh_rest[torch.from_numpy(nearest)] - before.sh_rest).square().mean()))
    assert errors[1] < 0.9 * errors[0]


def test_formats_refuse_what_they_cannot_hold(tmp_path):
    for end in (".sog", ".glb"):
        with pytest.raises(InputError, match=r"degree 3.*`sh_degree` 3"):
            formats.save(scene(degree=4), tmp_path / name(end))
    with pytest.raises(InputError, match="read only"):
        formats.save(scene(), tmp_path / "scene.ksplat")
    with pytest.raises(InputError, match=r"ending in .*\.spz"):
        formats.save(scene(), tmp_path / "scene.blend")
    with pytest.raises(InputError, match="is not there"):
        formats.load(tmp_path / "scene.blend")


def test_the_folder_of_a_run_stands_for_its_latest_scene(tmp_path):
    for iteration, count in ((30, 10), (7000, 20), (200, 30)):
        splat.save(scene(count), tmp_path / f"point_cloud/iteration_{iteration}/point_cloud.ply")
    assert len(formats.load(tmp_path)) == 20
    with pytest.raises(InputError, match="holds no scene"):
        formats.load(tmp_path / "point_cloud")


def test_antialiasing_is_said(tmp_path):
    options = FormatOptions(antialiased=True)
    assert b'"model": "antialiased"' in sog.encode(scene(), antialiased=True)["meta.json"]
    formats.save(scene(), tmp_path / "scene.spz", options)
    assert (tmp_path / "scene.spz").read_bytes()[14] & 1


def test_glb_names_its_harmonics():
    assert gltf.harmonic_names(1) == [
        "KHR_gaussian_splatting:SH_DEGREE_0_COEF_0",
        *(f"KHR_gaussian_splatting:SH_DEGREE_1_COEF_{n}" for n in range(3)),
    ]
