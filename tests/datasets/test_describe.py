"""`splat info` of a capture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from splat.cli import main as cli
from splat.datasets.describe import describe_capture
from splat.errors import InputError


def test_facts_of_a_real_capture(capture_path: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = capture_path("fox")
    cli.main(["info", str(path), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "capture"
    assert facts["photos"] == 50
    assert facts["cameras"] == {"PINHOLE 448x797": 50}
    assert facts["points"] == 13340
    low, high = facts["most points within"]
    assert all(a < b for a, b in zip(low, high, strict=True))
    cli.main(["info", str(path)])
    assert "PINHOLE 448x797: 50" in capsys.readouterr().out


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="no cameras here"):
        describe_capture(tmp_path)
