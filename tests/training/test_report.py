"""report.html: one file, everything in it, and nothing that a name could break."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from splat.training.evaluate.report import write_report
from splat.training.evaluate.svg_plots import bar_chart, line_chart, map_chart, ticks


class Page(HTMLParser):
    """Tags and texts; unbalanced tags are an error."""

    EMPTY = ("meta", "img", "br", "line", "rect", "circle", "path", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_run_leaves_a_page_that_needs_nothing_else(small_run):
    text = (small_run[1] / "report.html").read_text()
    page = Page(text)
    metrics = json.loads((small_run[1] / "metrics.json").read_text())
    assert len([a for a in page.all("div") if a.get("class") == "view"]) == len(metrics["views"]) == 2
    sources = [a["src"] for a in page.all("img") if "src" in a]
    assert len(sources) == 6 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "http://www.w3.org/2000/svg" in text
    assert f"{metrics['psnr']:.2f}" in text and "optimization.iterations" in text
    assert len(page.all("svg")) == 5  # three curves, the map, the timing


def test_runs_beside_each_other(small_run, tmp_path, run_splat, capsys):
    capture, run = small_run
    other = tmp_path / 'a <b> "c"'
    flags = ("--iterations", 50, "--eval", "--densify", "classic")
    assert run_splat("train", capture, "-o", other, *flags) == 0
    assert run_splat("compare", run, other, "-o", tmp_path / "both.html") == 0
    text = (tmp_path / "both.html").read_text()
    Page(text)
    assert "<b>" not in re.sub(r"<b title", "", text) and "a &lt;b&gt;" in text
    differing = re.findall(r'<tr class="differs"><td>([^<]+)', text)
    assert "densify.strategy" in differing and "data.images" not in differing
    assert run_splat("compare", run, "-o", tmp_path / "x.html") == 1
    assert "two output folders" in capsys.readouterr().err
    assert run_splat("compare", run, tmp_path / "nothing") == 1


def test_a_run_without_held_out_photos_shows_training_views(small_run, tmp_path, run_splat):
    assert run_splat("train", small_run[0], "-o", tmp_path / "run", "--iterations", 20) == 0
    text = (tmp_path / "run/report.html").read_text()
    assert "Training views" in text and "--eval holds some out" in text


def test_all_views_are_not_called_held_out(small_run, tmp_path, run_splat):
    shutil.copytree(small_run[1], tmp_path / "run")
    before = json.loads((tmp_path / "run/metrics.json").read_text())
    assert run_splat("eval", tmp_path / "run", "--all-views") == 0
    text = (tmp_path / "run/report.html").read_text()
    assert "All views" in text and "Held-out views" not in text and "Trained on all photos" not in text
    after = json.loads((tmp_path / "run/metrics.json").read_text())
    assert len(after["views"]) > len(before["views"])
    assert (after["train_seconds"], after["stages"]) == (before["train_seconds"], before["stages"])


def test_damaged_remains_of_a_run(small_run, tmp_path):
    shutil.copytree(small_run[1], tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").write_text('{"iteration": 100, "loss": 0.1, "gaussians": 3}\n{"iter')
    (tmp_path / "run/cameras.json").unlink()
    shutil.rmtree(tmp_path / "run/renders")
    write_report([tmp_path / "run"], tmp_path / "out.html")
    Page((tmp_path / "out.html").read_text())


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-3.0, 17.0), (12_000.0, 1.2e6), (0.0211, 0.0213)])
def test_ticks_are_round_and_inside(low, high):
    values = ticks(low, high)
    assert 2 <= len(values) <= 6 and all(low - 1e-9 <= value <= high + 1e-9 for value in values)


@pytest.mark.parametrize("chart", [bar_chart({"render": 0.2}, "s"), line_chart([[(0, 1.0), (5, 2.0)]])])
def test_text_is_never_drawn_larger(chart):
    """A chart that is alone in its row gets the width of the page, which would blow up its text."""
    (svg,) = Page(chart).all("svg")
    width = svg["viewbox"].split()[2]
    assert svg["style"] == f"max-width:{width}px"


def test_charts_of_little_or_strange_data():
    assert line_chart([[]]) == "" and line_chart([[(1.0, float("nan"))]]) == ""
    for chart in (
        line_chart([[(0, 1.0)]]),
        line_chart([[(0, 1.0), (5, 1.0)], []]),
        bar_chart({"a": 0.0}, "s"),
        map_chart(np.zeros((2, 2)), np.ones((2, 2)), [True, False], np.zeros((0, 2))),
    ):
        assert "nan" not in chart
        Page(chart)
