"""Half of the Gaussians, and what that costs: pruning with and without fine-tuning, by held-out PSNR.

    python benchmarks/pruning.py CAPTURE ... [--iterations 3000] [--finetune 1000] [--fraction 0.5] [-r 2] [--reuse]

One run of all iterations is the measure. Its scene as it was `--finetune` iterations before the end is pruned, and
fine-tuned for as many: both have had the same iterations, and the first ones in common. The bar: no more than 0.1 dB below.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import splat
from splat.cameras import Camera
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import prune, ranks, recolored
from splat.datasets.split import split
from splat.gaussians import Gaussians
from splat.run import Run
from splat.settings import RenderSettings
from splat.training.compress.finetune import finetune, prune_and_finetune
from splat.training.config import evaluation_background, load_config
from splat.training.evaluate.views import evaluate
from splat.training.open_run import read_capture
from splat.training.optimizer import GaussianOptimizer

BAR = 0.1  # dB


def train(capture: Path, options: argparse.Namespace) -> Path:
    """The folder of an unpruned run, with a checkpoint from before the end."""
    total = options.iterations + options.finetune
    out = options.out / f"{capture.name}-{total}"
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(out), "-r", str(options.resolution)]
    command += ["--iterations", str(total), "--save-every", str(options.finetune), "--eval", "--overwrite"]
    command += options.flags.split()
    if not (options.reuse and (out / "metrics.json").is_file()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


class Capture:
    """A capture as a run has seen it: its training frames, and how scenes are measured."""

    def __init__(self, run: Path) -> None:
        self.config, path = load_config(Run(run))
        scene = read_capture(path, self.config)
        self.extent = scene.extent
        self.frames, self.held_out = split(scene, self.config.data.test_every)
        self.background = evaluation_background(self.config)
        self.settings = RenderSettings(antialiased=self.config.optimization.antialiased)

    @property
    def cameras(self) -> Sequence[Camera]:
        return [frame.camera for frame in self.frames]

    def importance(self, gaussians: Gaussians) -> torch.Tensor:
        return importance(gaussians, self.cameras, background=self.background, settings=self.settings)

    def psnr(self, gaussians: Gaussians) -> float:
        found = evaluate(gaussians, self.held_out, background=self.background, settings=self.settings)
        return found.psnr


def measure(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    run = train(path, options)
    capture = Capture(run)
    final = splat.load(Run(run).latest_scene()[1])
    state = torch.load(Run(run).checkpoint_file(options.iterations), weights_only=True)
    whole = GaussianOptimizer.from_state_dict(state["optimizer"]).gaussians
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Gaussians]) -> Gaussians:
        start = time.process_time()
        found = work()
        seconds[name] = time.process_time() - start
        return found

    drawn = {"background": capture.background, "settings": capture.settings}
    pruned = timed("pruned", lambda: prune(whole, ranks(whole, capture.importance), options.fraction))
    repaired = timed("recolored", lambda: recolored(pruned, whole, capture.cameras, **drawn))

    frames, extent, config = capture.frames, capture.extent, capture.config

    scenes = {
        f"after {options.iterations}": whole,
        f"after {options.iterations + options.finetune}": final,
        "pruned": pruned,
        "pruned, recolored": repaired,
        f"pruned, {options.finetune} of fine-tuning": timed(
            "pruned and fine-tuned",
            lambda: prune_and_finetune(whole, frames, extent, options.fraction, options.finetune, config=config),
        ),
        f"unpruned, {options.finetune} of fine-tuning": timed(
            "fine-tuned", lambda: finetune(whole, frames, extent, options.finetune, config=config)
        ),
    }
    rows = [{"scene": name, "gaussians": len(scene), "psnr": capture.psnr(scene)} for name, scene in scenes.items()]
    bar = rows[4]["psnr"] - rows[1]["psnr"]
    return {"capture": path.name, "rows": rows, "cpu_seconds": seconds, "against_same_iterations": bar}


def show(result: dict[str, Any]) -> None:
    against = result["rows"][1]["psnr"]
    for row in result["rows"]:
        difference = row["psnr"] - against
        print(
            f"{result['capture']:10s} {row['scene']:32s} {row['gaussians']:10,} {row['psnr']:10.2f} {difference:+12.2f}"
        )
    verdict = "met" if result["against_same_iterations"] >= -BAR else "MISSED"
    print(f"{result['capture']:10s} {result['against_same_iterations']:+.2f} dB at the same iterations: bar {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--iterations", type=int, default=3000, help="before pruning; a multiple of --finetune")
    parser.add_argument("--finetune", type=int, default=1000, help="iterations after it")
    parser.add_argument("--fraction", type=float, default=0.5, help="of the Gaussians, to be left out")
    parser.add_argument("-r", "--resolution", type=int, default=2)
    parser.add_argument("--flags", default="--threads 1", help="more flags of every `splat train`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reuse", action="store_true", help="take the runs that lie in --out already")
    parser.add_argument("--out", type=Path, default=Path("runs/pruning"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("capture    scene                             Gaussians  PSNR [dB]  same its [dB]")
    results = []
    for path in options.captures:
        results.append(measure(path, options))
        show(results[-1])
    if options.json:
        names = ("iterations", "finetune", "fraction", "resolution", "threads", "flags")
        settings = {name: getattr(options, name) for name in names}
        options.json.write_text(json.dumps({**settings, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
