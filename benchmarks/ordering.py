"""How much smaller a .sog is whose pixels are sorted into a smooth grid, and what training for smoothness adds.

    python benchmarks/ordering.py SCENE ... [--capture CAPTURE] [-r 4] [--iterations 3000] [--weights 0,0.1,1]
        [--budgets 43000] [--seeds 0] [--json FILE]

Every scene is written along a Z-order curve and as a grid; both files hold the same Gaussians, so pictures are the same. With
a capture, it is also trained on with each weight of --loss grid and, for comparison, with none and smaller budgets; PSNR
is of its held-out photos, of the scene as trained.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from splat import Gaussians
from splat.compression.formats import registry as formats
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.sog.grid_order import grid_order
from splat.gaussians import drawable

MEMBERS = ("means_l", "means_u", "scales", "quats", "sh0", "shN_labels")


def sizes(scene: Gaussians) -> dict[str, Any]:
    """Bytes of both files and of their images, and the seconds of the sorting."""
    scene = scene[drawable(scene)]
    found: dict[str, Any] = {"gaussians": len(scene)}
    for order in ("morton", "grid"):
        members = {name.removesuffix(".webp"): len(data) for name, data in sog.encode(scene, order=order).items()}
        found[order] = {"bytes": sum(members.values()), **{name: members[name] for name in MEMBERS if name in members}}
    began, used = time.monotonic(), time.process_time()
    grid_order(scene)
    found |= {"sort_seconds": time.monotonic() - began, "sort_processor_seconds": time.process_time() - used}
    return found


def trained(flag: str, value: str, seed: str, options: argparse.Namespace) -> dict[str, Any]:
    """A run with a weight of the grid loss (`grid`) or a `budget`: quality, time and sizes."""
    out = options.out / f"{options.capture.name}-{flag}-{value}-{seed}"
    command = [
        "train",
        str(options.capture),
        "-o",
        str(out),
        "--eval",
        "--overwrite",
        *(("--loss", f"grid={value}") if flag == "grid" else ("--budget", value)),
        "--seed",
        seed,
    ]
    command += ["--iterations", str(options.iterations), "-r", str(options.resolution), *options.flags.split()]
    subprocess.run([sys.executable, "-m", "splat", *command], check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((out / "metrics.json").read_text())
    facts = {flag: float(value), "seed": int(seed), "psnr": metrics["psnr"], "train_seconds": metrics["train_seconds"]}
    return {**facts, **sizes(formats.load(out))}


def line(name: str, found: dict[str, Any]) -> str:
    morton, grid = found["morton"]["bytes"], found["grid"]["bytes"]
    quality = f"{found['psnr']:6.2f} dB, trained {found['train_seconds']:.0f} s" if "psnr" in found else ""
    return (
        f"{name:26s} {found['gaussians']:9,}  {morton:10,}  {grid:10,}  {100 * (grid / morton - 1):+5.1f} %  "
        f"{found['sort_seconds']:5.1f} s  {quality}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="*")
    parser.add_argument("--capture", type=Path)
    parser.add_argument("-r", "--resolution", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--weights", default="0,0.1,1", help="of --loss grid, separated by commas")
    parser.add_argument("--budgets", default="", help="of runs without it")
    parser.add_argument("--seeds", default="0", help="of the runs, separated by commas")
    parser.add_argument("--flags", default="", help="more flags of every `splat train`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/ordering"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("scene                      Gaussians  morton [B]    grid [B]  change  sorting")
    results: dict[str, list[dict[str, Any]]] = {"scenes": [], "training": []}
    for path in options.scenes:
        results["scenes"].append({"scene": path.name, **sizes(formats.load(path))})
        print(line(path.name, results["scenes"][-1]), flush=True)
    cases = [("grid", options.weights), ("budget", options.budgets)] if options.capture else []
    runs = [(flag, value) for flag, values in cases for value in values.split(",") if value]
    for (flag, value), seed in itertools.product(runs, options.seeds.split(",")):
        results["training"].append(trained(flag, value, seed, options))
        print(line(f"{options.capture.name}, {flag} {value}", results["training"][-1]), flush=True)
    if options.json:
        kept = ("resolution", "iterations", "flags", "threads")
        settings = {"torch": torch.__version__, **{name: getattr(options, name) for name in kept}}
        options.json.write_text(json.dumps({**settings, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
