"""The examples in docs/extending run as they stand, and do what the pages say."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from captures import subject, write_capture

import splat
from splat.compression.formats import registry
from splat.errors import InputError
from splat.options.parse import parse
from splat.training.commands.train import TrainOptions
from splat.training.config import TrainConfig
from splat.training.densify.choose import STRATEGIES

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extending"


@pytest.fixture
def run_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the Python blocks of a page, one after the other, where there are a capture and a scene. Returns their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "FORMATS", dict(registry.FORMATS))
    monkeypatch.setitem(STRATEGIES, "clone-worst", None)  # what a page registers goes with the test
    splat.save(subject(), "scene.ply")

    def run(name: str) -> dict[str, Any]:
        page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        names: dict[str, Any] = {}
        blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
        assert blocks
        for block in blocks:
            exec(compile(block, f"{name}.md", "exec"), names)
        return names

    return run


def test_every_page_is_tested() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {"strategy", "loss", "file-format", "footprint"}


def test_strategy(run_page: Any, tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=6, width=32, height=24)
    result = run_page("strategy")["result"]
    assert result.finished and len(result.scene) > 300


def test_a_registered_strategy_is_a_choice_of_the_command_line(run_page: Any, tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=6, width=32, height=24)
    names = run_page("strategy")
    words = ["capture", "--densify", "clone-worst", "--clones", "3"]
    config = parse(TrainOptions, words, "splat train", "").training
    assert config.densify == names["CloneWorstConfig"](clones=3)
    assert TrainConfig.from_dict(config.as_dict()) == config


def test_a_strategy_resumes_to_the_same_bits(run_page: Any, tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=6, width=32, height=24)
    names = run_page("strategy")
    strategy, config = names["CloneWorst"](count=10), names["config"]

    def stop(step: splat.Step) -> splat.Action:
        return splat.Action.STOP if step.iteration == 50 else splat.Action.CONTINUE

    half = splat.train("capture", config, output="half", strategy=strategy, callback=stop, progress=False)
    assert not half.finished and half.metrics is None
    again = splat.train(None, output="half", strategy=strategy, resume=True, progress=False)
    whole = names["result"].scene
    for name, tensor in again.scene.tensors().items():
        assert torch.equal(tensor, whole.tensors()[name]), name


def test_loss(run_page: Any, tmp_path: Path) -> None:
    write_capture(tmp_path / "capture", photos=6, width=32, height=24)
    names = run_page("loss")

    def undecided(scene: splat.Gaussians) -> float:
        return float((scene.opacities * (1 - scene.opacities)).mean())

    assert undecided(names["solid"]) < 0.9 * undecided(names["plain"])
    assert names["with_depth"].finished


def test_file_format(run_page: Any) -> None:
    names = run_page("file-format")
    scene, again = names["scene"], names["again"]
    assert torch.allclose(again.means, scene.means, atol=1e-2) and again.sh_degree == scene.sh_degree
    Path("broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match=r"broken\.npz"):
        splat.load("broken.npz")


def test_footprint(run_page: Any) -> None:
    names = run_page("footprint")
    assert names["image"].shape == (32, 48, 3) and float(names["image"].detach().max()) > 0.2
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh0"):
        gradient = getattr(names["scene"], name).grad
        assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0, name
