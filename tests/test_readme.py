"""The README is true: its example runs, its commands exist; docs/test_pages.py looks at its links."""

import re
from pathlib import Path

import pytest
import torch

import splat
from splat.cli import main as cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


MOST_LINES = 150
"""Of the README: the rest is in docs/."""


def blocks(language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_renders_and_differentiates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks("python")
    (path,) = re.findall(r'splat\.load\("(.*?)"\)', example)
    count = 50
    generator = torch.Generator().manual_seed(0)
    scene = splat.Gaussians(
        means=torch.randn(count, 3, generator=generator) * 0.5,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=torch.full((count, 3), -2.0),
        logit_opacities=torch.ones(count),
        sh0=torch.randn(count, 3, generator=generator),
        sh_rest=torch.zeros(count, 15, 3),
    )
    monkeypatch.chdir(tmp_path)
    splat.save(scene, path)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    result, trained = names["result"], names["scene"]
    assert isinstance(result, splat.RenderResult)
    assert isinstance(trained, splat.Gaussians)
    assert result.rgb.shape == (480, 640, 3)
    assert result.alpha.amax() > 0.5
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in trained.tensors().values())
    assert trained.means.grad is not None
    assert trained.means.grad.abs().sum() > 0


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_commands_exist() -> None:
    used = {line.split()[1] for block in blocks("sh") for line in block.splitlines() if line.startswith("splat ")}
    used |= set(re.findall(r"`splat ([a-z]+)", README))
    assert used <= set(cli.VERBS)
    assert {"train", "render", "sample"} <= used


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)\b(?=[ `*]|$)", "\n".join(blocks("sh")))) <= targets
    assert {"demo", "test"} <= targets
