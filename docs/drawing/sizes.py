"""Compression: what a file's size costs in quality, measured."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from drawing import style, training_runs
from drawing.style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import Fidelity, prune, ranks, recolored
from splat.gaussians import Gaussians

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "compression.json"
MARKS = {
    "ply": ("s", INK),
    "compressed ply": ("D", PURPLE),
    "sog": ("^", ORANGE),
    "splatz": ("o", BLUE),
    "splatz, fine-tuned": ("*", GREEN),
}
FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def measured() -> dict[str, list[tuple[str, float, float]]]:
    """By scene: file, megabytes, and PSNR on held-out photos, as benchmarks/compression.py has found."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for row in json.loads(RESULTS.read_text())["results"]:
        if "bytes" not in row:
            continue
        points = found.setdefault(row["scene"], [("ply", row["ply_bytes"] / 1e6, row["psnr"] - row["change"])])
        points.append((row["file"], row["bytes"] / 1e6, row["psnr"]))
    return found


def pruning_curves(scene: Gaussians, fractions: tuple[float, ...]) -> dict[str, list[float]]:
    """PSNR of a pruned scene's renders against those of the whole, from a few of the capture's cameras."""
    cameras = [frame.camera for frame in training_runs.capture().frames[::3]]
    fidelity = Fidelity(scene, cameras)
    opacity = scene.opacities.double()
    once = importance(scene, cameras)
    again = ranks(scene, lambda left: importance(left, cameras))
    orders = {"faintest first": opacity, "by removal, scored once": once, "by removal, scored again": again}
    curves = {
        name: [fidelity(prune(scene, scores, fraction)) for fraction in fractions] for name, scores in orders.items()
    }
    curves["scored again, colors adjusted"] = [
        fidelity(recolored(prune(scene, again, fraction), scene, cameras)) for fraction in fractions
    ]
    return curves


def draw_rates() -> Figure:
    """Size against quality of several formats, and what pruning costs by which order."""
    drawn, (rates, pruning) = style.figure(2, 10, 3.7)
    names = {"fox-classic": "152,096 Gaussians (classic)", "fox-budget": "50,000 Gaussians (budget)"}
    for index, (scene, words) in enumerate(names.items()):
        points = measured()[scene]
        ordered = sorted(points, key=lambda point: point[1])
        rates.plot(
            [p[1] for p in ordered], [p[2] for p in ordered], color=FAINT, lw=0.8, ls=("-", "--")[index], zorder=1
        )
        for name, size, psnr in points:
            marker, color = MARKS[name]
            label = f".{name.replace('compressed ply', 'compressed.ply')}" if index == 0 else None
            rates.plot(size, psnr, marker, color=color, ms=11 if marker == "*" else 7, label=label)
        last = ordered[-1]
        rates.annotate(words, last[1:], (0, 8), textcoords="offset points", ha="right", fontsize=8)
    rates.set_xscale("log")
    rates.set_xticks([0.3, 1, 3, 10, 40], ["0.3", "1", "3", "10", "40"])
    rates.set_xticks([], minor=True)
    rates.set(xlabel="file [MB]", ylabel="PSNR on held-out photos [dB]", ylim=(30, 33.1))
    rates.set_title("Capture fox: the same scenes in several files")
    rates.legend(loc="lower right", ncols=1)

    curves = pruning_curves(training_runs.scene(), FRACTIONS[1:])
    for (name, values), color in zip(curves.items(), (FAINT, ORANGE, BLUE, GREEN), strict=True):
        pruning.plot([100 * f for f in FRACTIONS[1:]], values, "o-", ms=3.5, color=color, label=name)
    pruning.set(xlabel="Gaussians left out [%]", ylabel="PSNR against the whole scene [dB]", ylim=(None, 62))
    pruning.set_title("Sample scene: pruning by several orders")
    pruning.legend(loc="upper right")
    return drawn
