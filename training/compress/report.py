"""What `splat compress` has found: FILE.html with the steps, the trials, a plot of size against quality and the views under a
slider; the plot alone as FILE.png; the numbers as FILE.json."""

import base64
import html
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splat.gaussians import Gaussians
from splat.io.atomic_file import replacing
from splat.io.facts import as_json
from splat.result import CompressionResult, CompressionStep
from splat.training.compress.judge import Judge
from splat.training.compress.search import Trial, pareto
from splat.training.evaluate.report import number, table, view_card, write_page

VIEWS_MAX = 12


def write_results(
    found: CompressionResult, scene: Path, trials: Sequence[Trial], judge: Judge, before: Gaussians
) -> Path:
    """Write the page, the plot and the numbers beside the file. Returns the page.

    Args:
        scene: file that was compressed.
        before: what it held.
    """
    output, rows = found.output, found.steps
    facts = {
        "scene": str(scene),
        "output": str(output),
        "against": found.against,
        "steps": [asdict(row) for row in rows],
        "trials": [plain(trial) for trial in trials],
        "ratio": found.ratio,
        "seconds": found.seconds,
    }
    page, plot, numbers = (beside(output, end) for end in ("html", "png", "json"))
    with replacing(numbers) as temporary:
        temporary.write_text(as_json(facts) + "\n")
    write_plot(rows, trials, plot)
    picture = base64.b64encode(plot.read_bytes()).decode()
    ratio = f"{found.ratio:.1f} times smaller than the .ply, measured against {html.escape(found.against)}."
    sections = [
        f"<p>{ratio}</p>",
        "<h2>Steps</h2>" + step_table(rows),
        f'<h2>Size and quality</h2><div class="card"><img alt="PSNR over size" style="width:100%;max-width:760px" '
        f'src="data:image/png;base64,{picture}"></div>',
        trial_table(trials),
        views(judge, before, found.scene),
    ]
    write_page(f"splat compress: {output.name}", sections, page)
    return page


def beside(output: Path, end: str) -> Path:
    """The page (html), plot (png) or numbers (json) that belong to a file."""
    return output.with_name(f"{output.name}.{end}")


def plain(trial: Trial) -> dict[str, Any]:
    """As JSON has it."""
    values = asdict(trial)
    return {**{name: value for name, value in values.items() if name != "score"}, **values["score"]}


def step_table(rows: Sequence[CompressionStep]) -> str:
    first = rows[0]
    cells = [
        [
            html.escape(row.step),
            number(row.gaussians, 0),
            number(row.size / 1e6, 3),
            number(first.size / row.size, 1),
            number(row.psnr, 2),
            f"{row.psnr - first.psnr:+.2f}",
            number(row.ssim, 4),
            number(row.seconds, 1),
        ]
        for row in rows
    ]
    heads = ["step", "Gaussians", "MB", "times smaller", "PSNR [dB]", "change [dB]", "SSIM", "seconds"]
    return table(heads, cells)


def trial_table(trials: Sequence[Trial]) -> str:
    if len(trials) < 2:
        return ""
    front = set(pareto(trials))
    ordered = sorted(trials, key=lambda trial: trial.size)
    cells = [
        [
            html.escape(str(trial.recipe)),
            number(trial.gaussians, 0),
            number(trial.size / 1e6, 3),
            number(trial.score.psnr, 2),
            number(trial.score.ssim, 4),
        ]
        for trial in ordered
    ]
    heads = ["trial (bold: no other is smaller and better)", "Gaussians", "MB", "PSNR [dB]", "SSIM"]
    return f"<details><summary>all {len(trials)} trials</summary>{table(heads, cells, [t in front for t in ordered])}</details>"


def views(judge: Judge, before: Gaussians, after: Gaussians) -> str:
    """The views: what is right, the scene before, the file."""
    cards = []
    with tempfile.TemporaryDirectory(prefix="splat-") as folder:
        for name, path in judge.pictures(before, after, Path(folder))[:VIEWS_MAX]:
            with Image.open(path) as image:
                parts = np.split(np.asarray(image.convert("RGB")), 3, axis=1)
            pictures = list(zip(("photo", "before", "compressed"), parts, strict=True))
            cards.append(view_card(name, "", pictures, (1, 2)))
    hint = '<p class="soft">Move over a picture to slide between the two.</p>'
    return f'<h2>Views</h2>{hint}<div class="views">{"".join(cards)}</div>'


def write_plot(rows: Sequence[CompressionStep], trials: Sequence[Trial], path: Path) -> None:
    """PSNR over the file's size: every trial, those that no other beats, the file that was written, the scene as it was."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if trials:
        axes.scatter(
            [t.size / 1e6 for t in trials], [t.score.psnr for t in trials], s=18, color="#9aa4af", label="tried"
        )
        front = pareto(trials)
        axes.plot([t.size / 1e6 for t in front], [t.score.psnr for t in front], color="#3b7dd8", lw=1.4, label="best")
    last = rows[-1]
    axes.scatter([last.size / 1e6], [last.psnr], s=70, marker="*", color="#e07b39", zorder=3, label="written")
    axes.axhline(rows[0].psnr, color="#3a9d6e", lw=1, ls="--", label="as trained")
    axes.set_xlim(left=0)
    axes.set_xlabel("MB")
    axes.set_ylabel("PSNR [dB]")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def print_table(rows: Sequence[CompressionStep], against: str) -> None:
    """The steps, for a terminal."""
    width = max(len(row.step) for row in rows)
    print(f"{'step':{width}s}  Gaussians        MB   smaller  PSNR [dB]  change    SSIM  seconds")
    for row in rows:
        print(
            f"{row.step:{width}s} {row.gaussians:10,} {row.size / 1e6:9.3f} {rows[0].size / row.size:8.1f}x "
            f"{row.psnr:10.2f} {row.psnr - rows[0].psnr:+7.2f}  {row.ssim:.4f} {row.seconds:8.1f}"
        )
    print(f"measured against {against}")
