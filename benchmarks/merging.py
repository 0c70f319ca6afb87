"""What merging neighbors costs, against leaving Gaussians out at random.

    python benchmarks/merging.py RUN [--fractions 0.75,0.5,0.25,0.1] [--views 5] [--shrink 4] [--json FILE]

PSNR is against renders of the whole scene from cameras of the run, spread evenly, with sides divided by `--shrink`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import splat
from splat import Camera
from splat.compression.simplify.merge import merged
from splat.compression.simplify.prune import Fidelity
from splat.run import Run


def smaller(camera: Camera, factor: int) -> Camera:
    """A camera with the same field of view and fewer pixels."""
    K = camera.K.clone()
    K[:2] /= factor
    return Camera(camera.viewmat, K, camera.width // factor, camera.height // factor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--fractions", default="0.75,0.5,0.25,0.1")
    parser.add_argument("--views", type=int, default=5)
    parser.add_argument("--shrink", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scene = splat.load(options.run)
    cameras = [camera for _, camera in Run(options.run).cameras()]
    chosen = [smaller(camera, options.shrink) for camera in cameras[:: max(1, len(cameras) // options.views)]][
        : options.views
    ]
    fidelity = Fidelity(scene, chosen)
    generator = torch.Generator().manual_seed(0)
    rows: list[dict[str, Any]] = []
    print(f"{len(scene):,} Gaussians, {len(chosen)} views of {chosen[0].width} x {chosen[0].height}")
    print("fraction  merged [dB]  at random [dB]  merging [s]")
    for fraction in map(float, options.fractions.split(",")):
        count = round(fraction * len(scene))
        began = time.monotonic()
        small = merged(scene, count)
        seconds = time.monotonic() - began
        some = scene[torch.randperm(len(scene), generator=generator)[:count].sort().values]
        row = {"fraction": fraction, "merged": fidelity(small), "random": fidelity(some), "seconds": seconds}
        rows.append(row)
        print(f"{fraction:8.2f}  {row['merged']:11.2f}  {row['random']:14.2f}  {seconds:11.1f}", flush=True)
    if options.json:
        facts = {
            "gaussians": len(scene),
            "views": len(chosen),
            "size": [chosen[0].width, chosen[0].height],
            "rows": rows,
        }
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
