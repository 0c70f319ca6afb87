"""How small scenes become, and what it costs: `splat compress` on scenes trained on captures.

    python benchmarks/compression.py CAPTURE ... [--iterations 7000] [-r 2] [--strategies classic,budget] [--reuse]

Every capture is trained with its held-out photos left out, and the scene then written

- as .splatz, the smallest file that loses at most 0.3 dB on the held-out photos, without and with fine-tuning;
- as .sog, the smallest that loses at most 0.5 dB;
- as .compressed.ply, as it comes.

Sizes are compared with the .ply of the trained scene. Decoding is timed for the .splatz of all Gaussians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from splat.compression.formats import registry as formats

CASES = {
    "splatz": (".splatz", ["--max-psnr-drop", "0.3"]),
    "splatz, fine-tuned": (".splatz", ["--max-psnr-drop", "0.3", "--finetune", "1000"]),
    "sog": (".sog", ["--max-psnr-drop", "0.5"]),
    "compressed ply": (".compressed.ply", []),
}


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "splat", *arguments], check=True, stdout=subprocess.DEVNULL)


def train(capture: Path, out: Path, strategy: str, options: argparse.Namespace) -> None:
    if options.reuse and (out / "metrics.json").is_file():
        return
    flags = ["--iterations", str(options.iterations), "-r", str(options.resolution), "--densify", strategy]
    run("train", str(capture), "-o", str(out), "--eval", "--overwrite", *flags, *options.flags.split())


def compress(scene: Path, out: Path, flags: list[str]) -> dict[str, float]:
    run("compress", str(scene), "-o", str(out), "--overwrite", *flags)
    facts = json.loads(out.with_name(f"{out.name}.json").read_text())
    first, last = facts["steps"][0], facts["steps"][-1]
    return {
        "ply_bytes": first["size"],
        "bytes": last["size"],
        "ratio": facts["ratio"],
        "psnr": last["psnr"],
        "change": last["psnr"] - first["psnr"],
        "gaussians": last["gaussians"],
        "trained_gaussians": first["gaussians"],
        "seconds": facts["seconds"],
    }


def decoding_rate(file: Path, repeats: int = 5) -> float:
    """Gaussians per second, median."""
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        count = len(formats.load(file))
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--iterations", type=int, default=7000)
    parser.add_argument("-r", "--resolution", type=int, default=2)
    parser.add_argument("--strategies", default="classic,budget")
    parser.add_argument("--cases", default="/".join(CASES), help="separated by /: " + " / ".join(CASES))
    parser.add_argument("--flags", default="", help="more flags of every `splat train`")
    parser.add_argument("--reuse", action="store_true", help="take the runs that lie in --out already")
    parser.add_argument("--out", type=Path, default=Path("runs/compression"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    results = []
    print("scene              file                  Gaussians         MB  smaller  PSNR [dB]  change  seconds")
    for capture in options.captures:
        for strategy in options.strategies.split(","):
            scene = options.out / f"{capture.name}-{strategy}"
            train(capture, scene, strategy, options)
            for name in options.cases.split("/"):
                end, flags = CASES[name]
                out = scene / f"{name.replace(', ', '-').replace(' ', '-')}{end}"
                found = compress(scene, out, flags)
                results.append({"scene": scene.name, "file": name, **found})
                print(
                    f"{scene.name:18s} {name:20s} {found['gaussians']:10,.0f} {found['bytes'] / 1e6:10.3f} "
                    f"{found['ratio']:7.1f}x {found['psnr']:10.2f} {found['change']:+7.2f} {found['seconds']:8.0f}",
                    flush=True,
                )
            whole = scene / "whole.splatz"
            run("convert", str(scene), str(whole), "--overwrite")
            rate = decoding_rate(whole)
            results.append({"scene": scene.name, "file": "decoding .splatz", "gaussians_per_second": rate})
            print(f"{scene.name:18s} decoding .splatz: {rate / 1e6:.2f} million Gaussians per second", flush=True)
    if options.json:
        settings = {"iterations": options.iterations, "resolution": options.resolution, "flags": options.flags}
        options.json.write_text(json.dumps({**settings, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
