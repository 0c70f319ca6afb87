"""Milliseconds per training step on a real capture, from its sparse points, at several image sizes.

    python benchmarks/capture_step.py CAPTURE [--resolutions 1,2,4] [--steps 60] [--peer-seconds 1.0,0.31,0.11]

The number of Gaussians stays that of the sparse points, SH degree 3 is stored and degree 0 evaluated, as in the first
steps of any run. With --peer-seconds (seconds per step of another trainer, measured by you on the same machine, capture
and sizes) the ratio is printed.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from splat.datasets.load import PhotoOptions, load_capture
from splat.run import Run
from splat.training.config import TrainConfig
from splat.training.densify.classic import ClassicConfig
from splat.training.init.initialize import initial_gaussians
from splat.training.trainer import Trainer


def milliseconds_per_step(capture: Path, resolution: int, steps: int) -> dict[str, object]:
    loaded = load_capture(capture, PhotoOptions(resolution=resolution))
    still = ClassicConfig(grad_threshold=float("inf"), prune_opacity=0.0, reset_every=0)
    config = TrainConfig(densify=still)
    initial = initial_gaussians(loaded, config, torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, loaded.frames, loaded.extent, initial, Run(Path(folder)))
        times = []
        for _ in range(steps + 10):  # ten to warm up
            start = time.perf_counter()
            trainer.step()
            times.append(time.perf_counter() - start)
    camera = loaded.frames[0].camera
    return {
        "size": f"{camera.width}x{camera.height}",
        "gaussians": len(initial),
        "step_ms": statistics.median(times[10:]) * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--resolutions", default="1,2,4")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--peer-seconds", default="", help="seconds per step of another trainer, one per resolution")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    resolutions = [int(part) for part in options.resolutions.split(",")]
    peers = [float(part) for part in options.peer_seconds.split(",") if part]
    results = []
    print(f"{options.capture}, {torch.get_num_threads()} threads")
    print("size       Gaussians   ms per step" + ("   peer [ms]   ratio" if peers else ""))
    for index, resolution in enumerate(resolutions):
        result = milliseconds_per_step(options.capture, resolution, options.steps)
        results.append(result)
        line = f"{result['size']:9s}  {result['gaussians']:9,}   {result['step_ms']:11.1f}"
        if index < len(peers):
            line += f"   {peers[index] * 1e3:9.0f}   {peers[index] * 1e3 / float(str(result['step_ms'])):5.0f}"
        print(line)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
