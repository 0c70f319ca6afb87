"""Quality and time of whole training runs: `splat train CAPTURE --eval` on each capture, in a process of its own.

    python benchmarks/train_captures.py CAPTURE ... [--iterations 7000] [--out runs/benchmark] [-- MORE TRAIN FLAGS]

The published numbers are those of `-- --densify classic`.

Prints a table of held-out PSNR and SSIM, number of Gaussians, seconds (of training alone, and of the whole command) and
peak memory, and writes the same as JSON. The runs' folders stay, so that their pictures can be looked at.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch


def train(capture: Path, out: Path, iterations: int, more: list[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(out), "--iterations", str(iterations)]
    start = time.perf_counter()
    subprocess.run([*command, "--eval", "--overwrite", *more], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    metrics = json.loads((out / "metrics.json").read_text())
    return {
        "capture": capture.name,
        "iterations": iterations,
        "psnr": metrics["psnr"],
        "ssim": metrics["ssim"],
        "gaussians": metrics["gaussians"],
        "train_seconds": metrics["train_seconds"],
        "total_seconds": seconds,
        "peak_bytes_of_largest_run_so_far": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


def main() -> None:
    arguments, _, more = " ".join(sys.argv[1:]).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments.split())
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("capture        iterations  PSNR [dB]    SSIM  Gaussians  training [s]  whole command [s]")
    results = []
    for capture in options.captures:
        out = options.out / f"{capture.name}-{options.iterations}"
        r = train(capture, out, options.iterations, more.split())
        results.append(r)
        print(
            f"{r['capture']!s:14s} {r['iterations']:10,} {r['psnr']:10.2f}  {r['ssim']:.4f} {r['gaussians']:10,}"
            f" {r['train_seconds']:13.0f} {r['total_seconds']:18.0f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
