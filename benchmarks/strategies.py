"""Strategies of density control against the recipe of 2023: held-out PSNR, number of Gaussians and time.

    python benchmarks/strategies.py CAPTURE ... [--iterations 7000] [-r 2] [--flags "--threads 1"] [--reuse]

classic runs first and sets the measure for the others on that capture, with the same iterations:

- budget as it comes, and with half of classic's Gaussians;
- both in half the time: with `--time-limit` at half of classic's training time;
- mcmc, with as many Gaussians as classic came to;
- absgrad, as it comes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

RUNS = ("budget", "budget in half time", "half budget", "half budget in half time", "mcmc", "absgrad")


def flags_beside(classic: dict[str, float]) -> dict[str, list[str]]:
    """What each run is told, given what classic came to."""
    half, same = (["--budget", str(int(classic["gaussians"] / fraction))] for fraction in (2, 1))
    limit = ["--time-limit", f"{classic['train_seconds'] / 2:.1f}s"]
    return {
        "budget": [],
        "budget in half time": limit,
        "half budget": half,
        "half budget in half time": [*half, *limit],
        "mcmc": ["--densify", "mcmc", *same],
        "absgrad": ["--densify", "absgrad"],
    }


def train(capture: Path, out: Path, options: argparse.Namespace, flags: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(out), "-r", str(options.resolution)]
    command += ["--iterations", str(options.iterations), "--eval", "--overwrite", *options.flags.split(), *flags]
    if not (options.reuse and (out / "metrics.json").is_file()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((out / "metrics.json").read_text())
    return {name: metrics[name] for name in ("psnr", "ssim", "gaussians", "iteration", "train_seconds")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("-r", "--resolution", type=int, default=2)
    parser.add_argument("--flags", default="", help="more flags of every `splat train`")
    parser.add_argument("--runs", default=",".join(RUNS), help="which of: " + ", ".join(RUNS))
    parser.add_argument("--reuse", action="store_true", help="take the results of runs that lie in --out already")
    parser.add_argument("--out", type=Path, default=Path("runs/strategies"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    results = []
    print("capture    run                      iterations  PSNR [dB]  to classic    SSIM  Gaussians  training [s]")
    for capture in options.captures:
        classic = train(capture, options.out / f"{capture.name}-classic", options, ["--densify", "classic"])
        flags = flags_beside(classic)
        show(capture, "classic", classic, classic, results)
        for name in options.runs.split(","):
            out = options.out / f"{capture.name}-{name.replace(' ', '-')}"
            show(capture, name, train(capture, out, options, flags[name]), classic, results)
    if options.json:
        settings = {"iterations": options.iterations, "resolution": options.resolution, "flags": options.flags}
        options.json.write_text(json.dumps({**settings, "results": results}, indent=2) + "\n")


def show(
    capture: Path, name: str, values: dict[str, float], classic: dict[str, float], results: list[dict[str, object]]
) -> None:
    results.append({"capture": capture.name, "run": name, **values})
    difference = values["psnr"] - classic["psnr"]
    print(
        f"{capture.name:10s} {name:24s} {values['iteration']:10,.0f} {values['psnr']:10.2f} {difference:+11.2f}  "
        f"{values['ssim']:.4f} {values['gaussians']:10,.0f} {values['train_seconds']:13.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
