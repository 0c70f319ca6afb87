"""Masks and transparency that leave nothing of a photo: said at the start, and no number that JSON does not have."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures import write_capture
from PIL import Image

from splat.cli import main as cli
from splat.io.facts import as_json
from splat.result import Metrics, ViewMetrics


def run(*arguments: object) -> int:
    try:
        cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def masked(folder: Path, black: int, white: int = 10) -> Path:
    """A capture of ten photos, the first of which have black masks."""
    write_capture(folder)
    (folder / "masks").mkdir()
    for index in range(white):
        mask = np.full((32, 48), 0 if index < black else 255, dtype=np.uint8)
        Image.fromarray(mask).save(folder / f"masks/{index + 1:03d}.png")
    return folder


def transparent(folder: Path, count: int) -> Path:
    write_capture(folder)
    for path in sorted((folder / "images").iterdir())[:count]:
        with Image.open(path) as image:
            photo = image.convert("RGBA")
        photo.putalpha(0)
        photo.save(path)
    return folder


def strictly(path: Path) -> Any:
    """What a parser reads that follows the standard."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path}: {name} is not JSON")

    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [json.loads(line, parse_constant=refuse) for line in lines]


@pytest.mark.parametrize(
    ("make", "flags", "message"),
    [
        (lambda folder: masked(folder, 10), (), "masks hide everything in 10 of 10 photos"),
        (lambda folder: masked(folder, 0), ("--invert-masks",), "Leave --invert-masks out"),
        (lambda folder: masked(folder, 10), ("--mask-mode", "segment"), "Give --invert-masks"),
        (lambda folder: transparent(folder, 10), (), "10 of 10 photos (001.png, 002.png, 003.png"),
    ],
)
def test_nothing_at_all_is_an_error(tmp_path, capsys, make, flags, message) -> None:
    assert run("train", make(tmp_path / "capture"), "-o", tmp_path / "run", "--iterations", 5, *flags) == 1
    said = capsys.readouterr().err
    assert message in said and "error: " in said
    assert not (tmp_path / "run").exists()


def test_the_remedies_are_true(tmp_path) -> None:
    capture = masked(tmp_path / "capture", 10)
    assert run("train", capture, "-o", tmp_path / "a", "--iterations", 5, "--invert-masks") == 0
    assert run("train", capture, "-o", tmp_path / "b", "--iterations", 5, "--masks", "") == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: masked(folder, 9), "masks hide everything in 9 of 10 photos (001.png"),
        (lambda folder: masked(folder, 1, white=1), "masks hide everything in 1 of 10 photos (001.png)"),
        (lambda folder: transparent(folder, 1), "1 of 10 photos (001.png) are wholly transparent"),
    ],
)
def test_nothing_of_some_photos_is_said_and_measured_as_null(tmp_path, capsys, make, message) -> None:
    out = tmp_path / "run"
    assert run("train", make(tmp_path / "capture"), "-o", out, "--iterations", 20, "--eval") == 0
    said = capsys.readouterr()
    assert message in said.err and "nan" not in said.out and "inf" not in said.out
    for path in (*out.glob("*.json"), out / "metrics.jsonl"):
        strictly(path)
    (metrics,) = strictly(out / "metrics.json")
    views = {view["name"]: view for view in metrics["views"]}
    if "masks" in message:
        assert views["001.png"]["psnr"] is None and views["001.png"]["ssim"] is None
        assert re.search(r"001\.png +- +-\n", said.out)
    page = re.sub(r"data:[^\"]*", "", (out / "report.html").read_text())
    assert not re.search(r"\b(nan|inf|None)\b", page)
    assert run("eval", out) == run("compare", out, out, "-o", tmp_path / "both.html") == 0
    assert run("info", out, "--json") == 0


def test_nothing_can_be_compressed_against_nothing(tmp_path, capsys) -> None:
    capture = masked(tmp_path / "capture", 9)
    assert run("train", capture, "-o", tmp_path / "run", "--iterations", 5, "--eval") == 0
    for path in (capture / "masks").iterdir():
        Image.fromarray(np.zeros((32, 48), dtype=np.uint8)).save(path)
    assert run("compress", tmp_path / "run", "-o", tmp_path / "small.splatz") == 1
    assert "nothing can be measured" in capsys.readouterr().err


def test_means_are_over_what_was_measured() -> None:
    views = tuple(ViewMetrics(str(value), value, value, value) for value in (10.0, math.nan, 20.0))
    assert Metrics.of(views, 3).psnr == 15
    assert math.isnan(Metrics.of(views[1:2], 3).psnr)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan, (math.inf,)]}, [1, "NaN", None]])
def test_json_has_finite_numbers_only(value: object) -> None:
    text = as_json(value)
    for name in ("Infinity", "NaN"):
        assert text.count(name) == str(value).count(name)
