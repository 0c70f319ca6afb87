"""report.html: a run, or several beside each other, in one file that needs nothing else: the held-out views under a slider,
scores, curves, a map of the cameras, where the time went, and every setting."""

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.ply import load_points
from splat.run import Run
from splat.training.config import load_config
from splat.training.evaluate.svg_plots import COLORS, bar_chart, line_chart, map_chart
from splat.training.evaluate.views import picture_names

TEMPLATE = Path(__file__).with_name("report_template.html")
PICTURE_SIDE = 1000
"""Longest side of the pictures in pixels."""
VIEWS_MAX = 40
QUALITY = 88


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says."""

    name: str
    folder: Run
    config: dict[str, Any]
    metrics: dict[str, Any]
    progress: list[dict[str, Any]]
    cameras: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "RunRecord":
        """
        Raises:
            InputError: there is no run, or it has not ended yet.
        """
        folder = Run(path)
        config, _ = load_config(folder)
        metrics = _json(folder.metrics_file)
        if not isinstance(metrics, dict):
            raise InputError(f"{path}: has no metrics.json; let the run end, or finish it with `resume`")
        lines = folder.progress_file
        progress = []
        if lines.is_file():
            for line in lines.read_text().splitlines():
                try:
                    progress.append(json.loads(line))
                except ValueError:  # the last line of a run that was killed
                    continue
        return cls(path.resolve().name, folder, config.as_dict(), metrics, progress, _json(folder.cameras_file) or [])


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_report(paths: Sequence[Path], out: Path) -> None:
    """Write a page about one run or several.

    Raises:
        InputError: a folder holds no finished run.
    """
    runs = [RunRecord.read(path) for path in paths]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
        runs = [
            RunRecord(name, run.folder, run.config, run.metrics, run.progress, run.cameras)
            for name, run in zip(names, runs, strict=True)
        ]
    title = names[0] if len(names) == 1 else " | ".join(names)
    sections = [_summary(runs), _curves(runs), _views(runs), _view_table(runs), _cameras(runs[0]), _timing(runs)]
    write_page(f"splat: {title}", [*sections, _settings(runs)], out)


def write_page(title: str, sections: Sequence[str], out: Path) -> None:
    """Put sections of HTML into the page that all reports share."""
    page = Template(TEMPLATE.read_text()).substitute(title=html.escape(title), body="\n".join(sections))
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], differs: Sequence[bool] = ()) -> str:
    """A table. Cells are HTML already."""
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = []
    for place, row in enumerate(rows):
        mark = ' class="differs"' if differs and differs[place] else ""
        body.append(f"<tr{mark}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(body)}</table></div>'


def number(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _key(place: int, name: str) -> str:
    return f'<span class="key" style="background:{COLORS[place % len(COLORS)]}"></span>{html.escape(name)}'


def _kind(run: RunRecord) -> str:
    """Which views a run was measured on."""
    kinds = {"training_views": "Training views", "all_views": "All views"}
    return next((kind for name, kind in kinds.items() if run.metrics.get(name)), "Held-out views")


def _summary(runs: Sequence[RunRecord]) -> str:
    rows = []
    for place, run in enumerate(runs):
        values = run.metrics
        scored = _kind(run) == "Held-out views"
        rows.append(
            [
                _key(place, run.name),
                number(values.get("psnr"), 2) if scored else "",
                number(values.get("ssim"), 4) if scored else "",
                number(values.get("lpips"), 4) if scored else "",
                number(values.get("gaussians"), 0),
                number(values.get("iteration"), 0),
                number(values.get("train_seconds"), 0),
                html.escape(run.config["densify"]["strategy"]),
            ]
        )
    note = ""
    if any(run.metrics.get("training_views") for run in runs):
        note = '<p class="soft">Trained on all photos, so there are no scores; splat train --eval holds some out.</p>'
    if any(run.metrics.get("all_views") for run in runs):
        note += (
            '<p class="soft">Measured on all photos, those of training too; splat eval measures the held-out ones.</p>'
        )
    heads = ["run", "PSNR [dB]", "SSIM", "LPIPS", "Gaussians", "iterations", "training [s]", "strategy"]
    return table(heads, rows) + note


def _curves(runs: Sequence[RunRecord]) -> str:
    cards = []
    for key, title in (("train_psnr", "PSNR of training views [dB]"), ("loss", "loss"), ("gaussians", "Gaussians")):
        series = [
            [(line["iteration"], line[key]) for line in run.progress if line.get(key) is not None] for run in runs
        ]
        if any(series):
            cards.append(f'<div class="card"><p class="soft">{title}</p>{line_chart(series)}</div>')
    return f'<h2>Course of the training</h2><div class="cards">{"".join(cards)}</div>' if cards else ""


def _measured(run: RunRecord, view: str) -> dict[str, Any] | None:
    """What a run has measured of one view."""
    return next((values for values in run.metrics.get("views", []) if values["name"] == view), None)


def _picture(run: RunRecord, view: str) -> Path:
    """Where a run has the picture of a view that it has measured."""
    names = picture_names([values["name"] for values in run.metrics["views"]])
    return run.folder.renders / f"{names[view]}.png"


def _views(runs: Sequence[RunRecord]) -> str:
    """Every view that all runs have measured: the photo, and each run's render and error."""
    cards = []
    for view in runs[0].metrics.get("views", [])[:VIEWS_MAX]:
        name = view["name"]
        pictures: list[tuple[str, np.ndarray]] = []
        scores = []
        for run in runs:
            mine = _measured(run, name)
            if mine is None or not (path := _picture(run, name)).is_file():
                continue
            with Image.open(path) as image:
                triple = np.asarray(image.convert("RGB"))
            photo, render, error = np.split(triple[:, : triple.shape[1] // 3 * 3], 3, axis=1)
            if not pictures:
                pictures.append(("photo", photo))
            suffix = "" if len(runs) == 1 else f" {run.name}"
            pictures += [(f"render{suffix}", render), (f"error x4{suffix}", error)]
            scores.append(f"{number(mine.get('psnr'), 2) or '-'} dB")
        if len(pictures) > 1:
            # Two runs are compared with each other at first, one with its photo.
            shown = (0, 1) if len(runs) == 1 or len(pictures) < 4 else (1, 3)
            cards.append(view_card(name, " | ".join(scores), pictures, shown))
    if not cards:
        return ""
    hint = '<p class="soft">Move over a picture to slide between the two.</p>'
    return f'<h2>{_kind(runs[0])}</h2>{hint}<div class="views">{"".join(cards)}</div>'


def view_card(name: str, scores: str, pictures: list[tuple[str, np.ndarray]], shown: tuple[int, int] = (0, 1)) -> str:
    """Pictures of one view, two of them at a time under a slider; `shown` are the first two."""
    sources = "".join(f'<img alt="" src="{_jpeg(pixels)}">' for _, pixels in pictures)
    first, second = shown

    def options(chosen: int) -> str:
        return "".join(
            f"<option{' selected' if place == chosen else ''}>{html.escape(label)}</option>"
            for place, (label, _) in enumerate(pictures)
        )

    title = html.escape(name)
    return (
        f'<div class="view"><header><b title="{title}">{title}</b><span class="soft">{scores}</span></header>'
        f'<div class="pair"><img alt="left: {title}"><img alt="right: {title}"><div class="bar"></div></div>'
        f'<footer><select aria-label="left">{options(first)}</select><select aria-label="right">{options(second)}</select>'
        f"</footer><template>{sources}</template></div>"
    )


def _jpeg(pixels: np.ndarray) -> str:
    """A picture as a data URL."""
    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _view_table(runs: Sequence[RunRecord]) -> str:
    if not runs[0].metrics.get("views") or runs[0].metrics.get("training_views"):
        return ""
    heads = ["view", *(f"{_key(place, run.name)} PSNR</th><th>SSIM" for place, run in enumerate(runs))]
    rows = []
    for view in runs[0].metrics["views"]:
        row = [html.escape(view["name"])]
        for run in runs:
            mine = _measured(run, view["name"]) or {}
            row += [number(mine.get("psnr"), 2), number(mine.get("ssim"), 4)]
        rows.append(row)
    return f"<h2>Scores of each view</h2>{table(heads, rows)}"


def _cameras(run: RunRecord) -> str:
    """Where the photos were taken from, seen from above: the plane in which the cameras spread most."""
    if len(run.cameras) < 2:
        return ""
    held_out = run.metrics.get("views", []) if _kind(run) == "Held-out views" else []
    tested = {Path(view["name"]).stem for view in held_out}
    places = np.array([camera["position"] for camera in run.cameras], dtype=np.float64)
    ahead = np.array([np.array(camera["rotation"])[:, 2] for camera in run.cameras], dtype=np.float64)
    center = places.mean(0)
    axes = np.linalg.svd(places - center, full_matrices=True)[2][:2]
    points = np.zeros((0, 2))
    sparse = run.folder.points_file
    if sparse.is_file():
        cloud = load_points(sparse).points.double().numpy()
        points = (cloud[:: max(1, len(cloud) // 2500)] - center) @ axes.T
    held = [camera["img_name"] in tested for camera in run.cameras]
    chart = map_chart((places - center) @ axes.T, ahead @ axes.T, held, points)
    legend = "Cameras (held-out ones in orange) and sparse points, in the plane in which the cameras spread most."
    return f'<h2>Cameras</h2><div class="card"><p class="soft">{legend}</p>{chart}</div>'


def _timing(runs: Sequence[RunRecord]) -> str:
    cards = []
    for run in runs:
        stages = run.metrics.get("stages") or {}
        if stages:
            cards.append(f'<div class="card"><p class="soft">{html.escape(run.name)}</p>{bar_chart(stages, "s")}</div>')
    return f'<h2>Where the time went</h2><div class="cards">{"".join(cards)}</div>' if cards else ""


def _settings(runs: Sequence[RunRecord]) -> str:
    flat = [_flatten(run.config) for run in runs]
    names = sorted({name for settings in flat for name in settings})
    rows, differs = [], []
    for name in names:
        values = [json.dumps(settings.get(name)) for settings in flat]
        differs.append(len(set(values)) > 1)
        rows.append([html.escape(name), *(html.escape(value) for value in values)])
    settings_table = table(["setting", *(_key(place, run.name) for place, run in enumerate(runs))], rows, differs)
    state = " open" if any(differs) else ""
    return f"<h2>Settings</h2><details{state}><summary>all {len(rows)}</summary>{settings_table}</details>"


def _flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in config.items():
        values |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return values
