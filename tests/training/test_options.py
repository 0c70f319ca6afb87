"""What can be asked of `splat train` beside the plain recipe: every option does its part, together they resume to the same
bits, and what cannot be is said before anything is done."""

import builtins
import json
import time

import numpy as np
import pytest
import torch
from captures import write_capture
from PIL import Image

import splat
from splat.io.images import read_image


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder, photos=16)
    return folder


def checkpoint(out):
    return torch.load(max((out / "ckpts").glob("*.pt")), weights_only=True)


def flat(state, name=""):
    """Every tensor in a checkpoint, by its place."""
    if isinstance(state, dict):
        return {place: leaf for key, value in state.items() for place, leaf in flat(value, f"{name}/{key}").items()}
    return {name: state} if isinstance(state, torch.Tensor) else {}


@pytest.mark.parametrize(
    "flags",
    [
        ("--densify", "absgrad"),
        ("--densify", "mcmc", "--budget", 400),
        ("--densify", "classic", "--grad-source", "ssim", "--min-axis-ratio", 0.05),
        ("--densify", "budget", "--grad-source", "ssim"),
        ("--densify", "mcmc", "--init-midpoints", "--accumulate", 3),
        ("--densify", "classic", "--progressive", "on"),
        ("--densify", "budget", "--progressive", "off"),
        ("--learned-mask", 5e-4),
        ("--loss", "grid=1", "--densify", "mcmc"),
        ("--bilateral-grid",),
        ("--sky", "--background", "random"),
        ("--loss", "depth_smooth=0.01", "flat=1", "normals=0.05"),
        ("--image-cache", "10kB"),
        ("--fuse-adam", "--exposure", "--refine-poses", "--densify", "absgrad"),
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_options_train(capture, tmp_path, run_splat, flags):
    out = tmp_path / "run"
    assert run_splat("train", capture, "-o", out, "--iterations", 120, "--eval", "--sh-degree", 1, *flags) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["psnr"] > 13 and (out / "report.html").is_file()
    assert not bool(torch.cat([t.flatten() for t in flat(checkpoint(out)).values()]).float().isnan().any())


def test_everything_learned_resumes_to_the_same_bits(capture, tmp_path, run_splat):
    flags = ("--iterations", 150, "--sh-degree", 1, "--exposure", "--refine-poses", "--sky", "--accumulate", 4)
    flags += ("--learned-mask", 5e-4, "--loss", "grid=1", "--save-every", 85, "--keep-checkpoints", 5)
    for out in (tmp_path / "a", tmp_path / "b"):
        assert run_splat("train", capture, "-o", out, *flags) == 0
    last = tmp_path / "b/ckpts/ckpt_000150.pt"
    last.unlink()
    between = checkpoint(tmp_path / "b")
    assert between["iteration"] == 85 and between["pending"]  # gradients of a step not yet taken are saved too
    assert run_splat("train", "-o", tmp_path / "b", "--resume") == 0
    first, second = (flat(checkpoint(tmp_path / name)) for name in "ab")
    assert {"poses", "exposures", "sky"} <= {name.split("/")[2] for name in first if name.startswith("/model/")}
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_small_image_cache_changes_nothing_but_time(capture, tmp_path, run_splat):
    for name, size in (("a", "4GB"), ("b", "9kB")):
        flags = ("--iterations", 60, "--sh-degree", 0, "--image-cache", size)
        assert run_splat("train", capture, "-o", tmp_path / name, *flags) == 0
    first, second = (flat(checkpoint(tmp_path / name)["optimizer"]) for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_time_limit_ends_the_run_with_its_schedules_finished(capture, tmp_path, run_splat, capsys):
    start = time.monotonic()
    flags = ("--time-limit", "3s", "--iterations", 1_000_000, "--budget", 400, "--densify-every", 5)
    assert run_splat("train", capture, "-o", tmp_path / "run", *flags) == 0
    assert time.monotonic() - start < 60
    done = json.loads((tmp_path / "run/metrics.json").read_text())
    assert 2.5 < done["train_seconds"] < 8 and 50 < done["iteration"] < 1_000_000
    assert done["gaussians"] == 400  # the curve of the budget was followed to its end
    assert f"trained {done['iteration']:,} iterations" in capsys.readouterr().out


def occluded(folder):
    """The capture with a red block over part of every photo that is trained on, and masks that name it."""
    write_capture(folder, photos=16)
    (folder / "masks").mkdir()
    random = np.random.default_rng(3)
    for index in range(1, 17):
        if index % 8 == 1:
            continue  # held out
        path = folder / f"images/{index:03d}.png"
        pixels = np.asarray(Image.open(path)).copy()
        top, left = random.integers(0, 16), random.integers(0, 20)
        mask = np.full(pixels.shape[:2], 255, dtype=np.uint8)
        mask[top : top + 16, left : left + 28] = 0
        pixels[mask == 0] = (255, 0, 0)
        Image.fromarray(pixels).save(path)
        Image.fromarray(mask).save(folder / f"masks/{index:03d}.png")


def test_masks_keep_occluders_out_of_the_scene(tmp_path, run_splat, capsys):
    occluded(tmp_path / "capture")
    scores = {}
    for name, flags in (("with", ()), ("without", ("--masks", ""))):
        flags += ("--iterations", 300, "--eval", "--sh-degree", 0)
        assert run_splat("train", tmp_path / "capture", "-o", tmp_path / name, *flags) == 0
        scores[name] = json.loads((tmp_path / name / "metrics.json").read_text())["psnr"]
    assert scores["with"] > scores["without"] + 3
    assert "masks for 14 of 16 photos" in capsys.readouterr().out


def test_segment_leaves_nothing_where_the_mask_is(tmp_path, run_splat):
    """Masks that show the left half only; the right half of every view must become empty, and the left stay."""
    write_capture(tmp_path / "capture", photos=16)
    (tmp_path / "capture/masks").mkdir()
    mask = np.zeros((32, 48), dtype=np.uint8)
    mask[:, 12:36] = 255
    for index in range(1, 17):
        Image.fromarray(mask).save(tmp_path / f"capture/masks/{index:03d}.png")
    alphas = {}
    for mode in ("ignore", "segment"):
        flags = ("--iterations", 300, "--sh-degree", 0, "--mask-mode", mode, "-o", tmp_path / mode)
        assert run_splat("train", tmp_path / "capture", *flags) == 0
        scene = splat.load(next((tmp_path / mode / "point_cloud").rglob("*.ply")))
        from splat.datasets.load import load_capture

        camera = load_capture(tmp_path / "capture").frames[3].camera
        alphas[mode] = splat.render(scene, camera).alpha
    inside = torch.from_numpy(mask > 0)
    assert float(alphas["segment"][~inside].mean()) < 0.25 * float(alphas["ignore"][~inside].mean())
    assert float(alphas["segment"][inside].mean()) > 0.5 * float(alphas["ignore"][inside].mean())


def test_transparent_photos_train_alpha(tmp_path, run_splat):
    """RGBA photos: the object is opaque, all else is empty, whatever the background of the run is."""
    cameras = write_capture(tmp_path / "capture", photos=16)
    from captures import subject

    for index, camera in enumerate(cameras, start=1):
        result = splat.render(subject(), camera)
        color = result.rgb / result.alpha[..., None].clamp_min(1e-3)
        pixels = torch.cat([color, result.alpha[..., None]], -1).clamp(0, 1)
        Image.fromarray((pixels * 255).byte().numpy()).save(tmp_path / f"capture/images/{index:03d}.png")
    for background in ("white", "random"):
        out = tmp_path / background
        flags = ("--iterations", 400, "--eval", "--sh-degree", 0, "--background", background)
        assert run_splat("train", tmp_path / "capture", "-o", out, *flags) == 0
        scene = splat.load(next((out / "point_cloud").rglob("*.ply")))
        wanted = splat.render(subject(), cameras[0]).alpha
        assert float((splat.render(scene, cameras[0]).alpha - wanted).abs().mean()) < 0.08
    pixels = torch.from_numpy(np.array(Image.open(tmp_path / "capture/images/001.png"))).float() / 255
    over_white = pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]
    shown = read_image(tmp_path / "white/renders/001.png")[:, :48].float() / 255
    assert float((shown - over_white).abs().max()) < 0.01


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--time-limit", "soon"), "--time-limit must be a time such as 90s"),
        (("--image-cache", "much"), "--image-cache must be a size such as 500MB"),
        (("--depths", "depth"), "--depths needs --loss depth_maps"),
        (("--loss", "depth_maps=0.5"), "--loss depth_maps needs --depths"),
        (("--depths", "depth", "--loss", "depth_maps=0.5"), "no such folder"),
        (("--loss", "depth_points=0.01"), "does not say which points each photo has seen"),
        (("--mask-mode", "segment"), "has no masks; put them into masks/"),
        (("--masks", "people"), "no such folder"),
        (("--learned-mask", -1), "--learned-mask must be 0 or more"),
        (("--loss", "grid=-1"), "--loss grid must be 0 or more"),
        (("--fuse-adam", "--loss", "grid=1"), "cannot go with --loss grid"),
        (("--sparse-adam", "--accumulate", 2), "--sparse-adam steps by what one photo shows"),
        (("--fuse-adam", "--densify", "mcmc"), "cannot go with --densify mcmc"),
        (("--fuse-adam", "--accumulate", 2), "say --accumulate 1"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_first(capture, tmp_path, run_splat, capsys, flags, message):
    assert run_splat("train", capture, "-o", tmp_path / "out", *flags) == 1
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag, package", [("--tensorboard", "tensorboard"), ("--lpips", "lpips")])
def test_missing_packages_are_named_with_what_gets_them(
    capture, tmp_path, run_splat, capsys, monkeypatch, flag, package
):
    original = builtins.__import__

    def without(name, *rest, **more):
        if package in name:
            raise ImportError(f"No module named {package!r}")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run_splat("train", capture, "-o", tmp_path / "out", "--eval", flag) == 1
    assert f"{flag} needs the package {package}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_depth_of_sparse_points_on_a_real_capture(capture_path, tmp_path, run_splat):
    flags = ("--iterations", 30, "-r", 8, "--loss", "depth_points=0.01")
    assert run_splat("train", capture_path("fox"), "-o", tmp_path / "run", *flags) == 0
