"""How fast .splatz is written and read: a scene repeated to a million Gaussians.

    python benchmarks/splatz_decoding.py SCENE [--gaussians 1000000] [--threads 2] [--json FILE]

The bar is a million Gaussians read per second on two cores.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from splat.compression.formats import registry as formats
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.options import SplatzOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--gaussians", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    one = formats.load(options.scene)
    index = torch.arange(options.gaussians)
    scene = one[index % len(one)]
    size = (one.means.quantile(0.95, dim=0) - one.means.quantile(0.05, dim=0)).max()
    scene.means[:, 0] += (index // len(one)) * size  # side by side
    results = []
    for name, settings in (
        ("own harmonics", SplatzOptions()),
        ("coarse", SplatzOptions(coarseness=2)),
        ("codebook", SplatzOptions(coarseness=2, sh_codes=1024)),
    ):
        data = splatz.encode(scene, settings)
        times, used = [], []
        for _ in range(5):
            began, processor = time.monotonic(), time.process_time()
            splatz.decode(data, name)
            times.append(time.monotonic() - began)
            used.append(time.process_time() - processor)
        speed = len(scene) / min(times)
        row = {
            "file": name,
            "bytes_each": len(data) / len(scene),
            "seconds": min(times),
            "processor_seconds": min(used),
        }
        results.append({**row, "gaussians_per_second": speed})
        print(
            f"{name:14} {len(data) / len(scene):5.2f} bytes each   read in {min(times):.2f} s ({min(used):.2f} s of "
            f"processor): {speed / 1e6:.2f} million/s",
            flush=True,
        )
    if options.json:
        text = {"gaussians": len(scene), "threads": options.threads, "results": results}
        options.json.write_text(json.dumps(text, indent=2) + "\n")


if __name__ == "__main__":
    main()
