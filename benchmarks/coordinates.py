"""What it costs a capture to be far from the origin, or in another unit: nothing but noise.

    python benchmarks/coordinates.py CAPTURE [-r 4] [--iterations 700] [--seeds 0,1,2] [--json FILE]

The same COLMAP capture is trained as it is, and moved and scaled, on one thread; PSNR is of the held-out photos. The spread
between seeds says how much of a difference is chance.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pycolmap

import splat
from splat.training.config import TrainConfig

UTM = (500_000.0, 4_649_776.0, 100.0)
PLACES: dict[str, tuple[float, tuple[float, float, float]]] = {
    "as it is": (1.0, (0.0, 0.0, 0.0)),
    "UTM": (1.0, UTM),
    "UTM, 100 times as large": (100.0, UTM),
    "UTM, 1e-4 times as large": (1e-4, UTM),
    "1e-4 times as large": (1e-4, (0.0, 0.0, 0.0)),
    "0.002 times as large": (0.002, (0.0, 0.0, 0.0)),
    "100 times as large": (100.0, (0.0, 0.0, 0.0)),
    "1e4 times as large": (1e4, (0.0, 0.0, 0.0)),
}


def moved(capture: Path, folder: Path, scale: float, offset: tuple[float, float, float]) -> Path:
    """The capture with a model that is scaled, then moved; its photos are those of the capture."""
    (folder / "sparse/0").mkdir(parents=True)
    (folder / "images").symlink_to((capture / "images").resolve())
    model = pycolmap.Reconstruction(capture / "sparse/0")
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(), np.array(offset)))
    model.write_binary(folder / "sparse/0")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("-r", "--resolution", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=700)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rows: list[dict[str, Any]] = []
    print(f"{'place':26s}  PSNR [dB] of seeds {options.seeds}  mean  difference")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, (scale, offset)) in enumerate(PLACES.items()):
            folder = moved(options.capture, Path(scratch) / str(number), scale, offset)
            found = []
            for seed in seeds:
                config = TrainConfig.from_dict(
                    {
                        "data": {"resolution": options.resolution, "eval": True},
                        "optimization": {"iterations": options.iterations},
                        "run": {"threads": 1, "seed": seed},
                    }
                )
                result = splat.train(folder, config, progress=False)
                assert result.metrics is not None
                found.append(result.metrics.psnr)
            rows.append({"place": name, "scale": scale, "offset": offset, "psnr": found, "mean": mean(found)})
            shown = " ".join(f"{value:.2f}" for value in found)
            print(f"{name:26s}  {shown:28s}  {mean(found):5.2f}  {mean(found) - rows[0]['mean']:+.2f}", flush=True)
    if len(seeds) > 1:
        print(f"standard deviation between seeds: {mean(stdev(row['psnr']) for row in rows):.2f} dB")
    if options.json:
        options.json.write_text(json.dumps({"capture": options.capture.name, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
