"""splat.train, splat.evaluate and splat.compress: what a notebook gets of them, with and without a folder."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from captures import write_capture

import splat
from splat.datasets.load import load_capture
from splat.errors import InputError
from splat.training.compress.settings import CompressSettings
from splat.training.config import DataConfig, OptimizationConfig, TrainConfig

CONFIG = TrainConfig(data=DataConfig(eval=True), optimization=OptimizationConfig(iterations=40, sh_degree=1))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder, photos=9, width=32, height=24)
    return folder


@pytest.fixture(scope="module")
def run(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> splat.TrainingResult:
    return splat.train(capture, CONFIG, output=tmp_path_factory.mktemp("runs") / "run", progress=False)


def test_importing_splat_imports_no_upper_folder() -> None:
    upper = "('splat.training', 'splat.datasets', 'splat.compression')"
    script = f"import splat, sys; splat.train; print([n for n in sys.modules if n.startswith({upper})])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_without_an_output_no_file_is_written(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(capture.rglob("*"))
    steps: list[splat.Step] = []
    result = splat.train(load_capture(capture), CONFIG, callback=lambda step: steps.append(step), progress=False)
    assert result.finished and result.run is None and result.iterations == len(steps) == 40
    assert result.metrics is not None and len(result.metrics.views) == 2 and result.metrics.psnr > 12
    assert result.seconds > 0 and not result.scene.means.requires_grad and "tensor" not in repr(result)
    assert list(tmp_path.iterdir()) == [] and sorted(capture.rglob("*")) == before
    assert capsys.readouterr() == ("", "")


def test_progress_is_told(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splat.train(str(capture), CONFIG)
    out = capsys.readouterr().out
    assert "7 photos to train on, 2 held out" in out and "iteration 40/40" in out and "trained 40 iterations" in out


def test_the_same_scene_with_and_without_a_folder(capture: Path, run: splat.TrainingResult) -> None:
    alone = splat.train(capture, CONFIG, progress=False)
    assert run.run is not None and run.metrics == alone.metrics
    for name, tensor in alone.scene.tensors().items():
        assert torch.equal(tensor, run.scene.tensors()[name])


def test_resuming_a_stopped_run(capture: Path, run: splat.TrainingResult, tmp_path: Path) -> None:
    def stop(step: splat.Step) -> splat.Action | None:
        return splat.Action.STOP if step.iteration == 17 else None

    half = splat.train(capture, CONFIG, output=tmp_path / "run", callback=stop, progress=False)
    assert (half.finished, half.iterations, half.metrics) == (False, 17, None) and len(half.scene)
    with pytest.raises(InputError, match=r"`resume`.*`overwrite`"):
        splat.train(capture, CONFIG, output=tmp_path / "run", progress=False)
    whole = splat.train(None, output=tmp_path / "run", resume=True, progress=False)
    assert whole.finished and torch.equal(whole.scene.means, run.scene.means)


def test_control_c_returns_what_there_is(capture: Path) -> None:
    def interrupt(step: splat.Step) -> None:
        if step.iteration == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = splat.train(capture, CONFIG, callback=interrupt, progress=False)
    assert not result.finished and result.iterations in (5, 6) and len(result.scene)
    assert signal.getsignal(signal.SIGINT) is before


def test_saving_needs_a_folder(capture: Path) -> None:
    asked: list[int] = []

    def save(step: splat.Step) -> splat.Action | None:
        asked.append(step.iteration)
        return splat.Action.SAVE if len(asked) == 1 else None

    with pytest.warns(UserWarning, match="`output`"):
        assert splat.train(capture, CONFIG, callback=save, progress=False).finished


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resume": True}, "`resume` needs `output`"),
        ({"capture": None}, "which `capture`"),
        ({"device": "gpu"}, "`device` must be"),
        ({"config": replace(CONFIG, run=replace(CONFIG.run, tensorboard=True))}, "give `output`"),
    ],
)
def test_what_cannot_be_is_said(capture: Path, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        splat.train(**{"capture": capture, "config": CONFIG, "progress": False, **arguments})


def test_photos_without_cameras_need_a_folder(capture: Path) -> None:
    with pytest.raises(InputError, match=r"no cameras are known.*`output`"):
        splat.train(capture / "images", progress=False)


def test_evaluate_a_run_a_file_and_a_scene(capture: Path, run: splat.TrainingResult, tmp_path: Path) -> None:
    assert run.run is not None and run.metrics is not None
    untouched = run.run.metrics_file.read_bytes()
    found = splat.evaluate(run.run.path, renders=tmp_path / "views", progress=False)
    assert found == splat.evaluate(run.run, progress=False)
    assert found == splat.evaluate(run.scene, load_capture(capture), progress=False)
    assert found == splat.evaluate(run.run.latest_scene()[1], capture, progress=False)
    assert found.psnr == pytest.approx(run.metrics.psnr, abs=1e-4)
    assert found.psnr == pytest.approx(sum(view.psnr for view in found.views) / 2)
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["001.png", "009.png"]
    assert len(splat.evaluate(run.run, all_views=True, progress=False).views) == 9
    assert run.run.metrics_file.read_bytes() == untouched
    with pytest.raises(InputError, match="give `capture`"):
        splat.evaluate(run.scene, progress=False)


def test_evaluate_a_run_that_held_nothing_out(capture: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, data=DataConfig())
    result = splat.train(capture, config, output=tmp_path / "run", progress=False)
    assert result.metrics is None and result.run is not None and result.run.report.is_file()
    with pytest.raises(InputError, match="`all_views`"):
        splat.evaluate(result.run, progress=False)


def test_compress_leaves_one_file(run: splat.TrainingResult, tmp_path: Path) -> None:
    assert run.run is not None
    settings = CompressSettings(prune=0.3, sh_degree=0)
    found = splat.compress(run.run.path, tmp_path / "small.spz", settings=settings, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["small.spz"]
    assert found.size == (tmp_path / "small.spz").stat().st_size and found.ratio > 5
    assert [step.step for step in found.steps] == ["as trained", "prune 30 %", "degree 0", "write SPZ"]
    assert found.psnr_drop == found.steps[0].psnr - found.steps[-1].psnr
    assert found.against == "2 held-out photos" and len(found.scene) == found.steps[-1].gaussians
    with pytest.raises(InputError, match="`overwrite`"):
        splat.compress(run.run, tmp_path / "small.spz", progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_bytes": 9000, "max_psnr_drop": 0.1}, "two targets"),
        ({"max_bytes": "ten"}, "`max_bytes` must be a size"),
        ({"max_psnr_drop": 0.0}, "`max_psnr_drop` must be above 0 dB"),
        ({"max_psnr_drop": 0.1}, "`max_psnr_drop` needs photos"),
        ({"settings": CompressSettings(finetune=5)}, "`finetune` needs photos"),
        ({"max_bytes": 9000, "settings": CompressSettings(prune=0.5)}, "`prune` cannot go with a target"),
    ],
)
def test_compressions_that_cannot_be(run: splat.TrainingResult, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        splat.compress(run.scene, tmp_path / "small.spz", progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []
