"""The programs in docs/examples do what they say, on the smallest settings."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from captures import subject, write_capture

import splat
from scenes import cloud
from splat.io.images import read_image

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TESTED = {"train_from_python", "fit_one_image", "render_orbit", "edit_a_scene", "compress_to_size", "refine_a_pose"}


def example(name: str) -> ModuleType:
    """An example as a module; its `main` takes the arguments of the command line."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.ply"
    splat.save(cloud(300, seed=3, sh_degree=2, scale=0.1), path)
    return path


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED


@pytest.mark.parametrize("name", sorted(TESTED))
def test_an_example_says_what_it_shows(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert f"python docs/examples/{name}.py" in (example(name).__doc__ or "")
    assert 25 <= len(source.splitlines()) <= 80


def test_train_from_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_capture(tmp_path / "capture", photos=9)
    arguments = [str(tmp_path / "capture"), "--iterations", "300", "--enough", "99"]
    result = example("train_from_python").main([*arguments, "--scene", str(tmp_path / "scene.ply")])
    assert result.finished and result.run is None and result.metrics.psnr > 18
    losses = [float(line.split()[2]) for line in capsys.readouterr().out.splitlines() if "  loss " in line]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert len(splat.load(tmp_path / "scene.ply")) == len(result.scene)


def test_training_on_the_sample_stops_when_it_is_good_enough(tmp_path: Path) -> None:
    arguments = ["--iterations", "300", "--enough", "5", "--scene", str(tmp_path / "scene.ply")]
    result = example("train_from_python").main(arguments)
    assert not result.finished and result.iterations == 10


def test_fit_one_image(tmp_path: Path) -> None:
    first, last = example("fit_one_image").main(
        ["-o", str(tmp_path / "fit.png"), "--gaussians", "300", "--steps", "100"]
    )
    assert last > first + 8 and last > 17
    assert read_image(tmp_path / "fit.png").shape == (64, 192, 3)


def test_render_orbit(scene: Path, tmp_path: Path) -> None:
    import av

    example("render_orbit").main([str(scene), "-o", str(tmp_path / "orbit.mp4"), "--frames", "6", "--width", "96"])
    with av.open(str(tmp_path / "orbit.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert [frame.shape for frame in frames] == [(54, 96, 3)] * 6
    assert all(frame.max() > 60 for frame in frames) and (frames[0] != frames[3]).any()


def test_edit_a_scene(scene: Path, tmp_path: Path) -> None:
    both = example("edit_a_scene").main([str(scene), "-o", str(tmp_path / "two.splatz")])
    inner, copy = both[: len(both) // 2], both[len(both) // 2 :]
    assert 0 < len(inner) < 300
    assert float(copy.means[:, 0].mean()) > float(inner.means[:, 0].max())  # beside the other
    assert torch.allclose(copy.log_scales, inner.log_scales + torch.tensor(0.8).log(), atol=1e-5)
    assert copy.sh0[:, 0].mean() > inner.sh0[:, 0].mean()  # redder
    assert len(splat.load(tmp_path / "two.splatz")) == len(both)


def test_compress_to_size(tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=8, width=32, height=24)
    splat.save(subject(), tmp_path / "scene.ply")
    out = tmp_path / "small.spz"
    arguments = [tmp_path / "scene.ply", "-o", out, "--max-bytes", "4kB", "--capture", tmp_path / "capture"]
    found = example("compress_to_size").main([str(argument) for argument in arguments])
    assert found.size == out.stat().st_size <= 4000
    assert found.ratio > 4 and found.steps[-1].gaussians == len(splat.load(out))
    assert "1 photo of the capture" in found.against


def test_refine_a_pose() -> None:
    before, after = example("refine_a_pose").main(["--steps", "80"])
    assert before > 0.03 and after < 0.1 * before
