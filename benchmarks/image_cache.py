"""Peak memory of training on more photos than memory should hold: 500 photos of 4000x3000, read at a quarter of that.

    python benchmarks/image_cache.py [--photos 500] [--limits 200MB,1GB] [--iterations 1000]

The photos are smooth noise, cut differently for each camera, as JPEGs in a temporary folder: what they show does not
matter here. The bar is the limit and 2 GB.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

SIZE = (4000, 3000)


def write_capture(folder: Path, photos: int) -> None:
    """A ring of cameras around 5,000 points, each with a photo of its own."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "sparse/0").mkdir(parents=True)
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "PINHOLE", 3000.0, *SIZE)
    model.add_camera_with_trivial_rig(camera)
    noise = random.integers(0, 256, (SIZE[1] // 50 + 40, SIZE[0] // 50 + 40, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((SIZE[0] + 2000, SIZE[1] + 2000), Image.Resampling.BICUBIC)
    for index in range(photos):
        name, angle = f"{index:04d}.jpg", 2 * math.pi * index / photos
        left, top = random.integers(0, 2000, 2)
        large.crop((left, top, left + SIZE[0], top + SIZE[1])).save(folder / "images" / name, quality=85)
        turned = pycolmap.Rotation3d(np.array([0.0, angle, 0.0]))
        image = pycolmap.Image(name, camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(turned, np.array([0.0, 0.0, 4.0])))
    for point in random.uniform(-1, 1, (5000, 3)):
        model.add_point3D(point, pycolmap.Track(), random.integers(0, 256, 3, dtype=np.uint8))
    model.write(folder / "sparse/0")


def peak_bytes(command: list[str]) -> int:
    """Peak memory of a process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    status = Path(f"/proc/{process.pid}/status")

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except OSError:
                return
            peak = max(peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--limits", default="200MB,1GB")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        capture, out = Path(folder) / "capture", Path(folder) / "run"
        write_capture(capture, options.photos)
        decoded = options.photos * SIZE[0] * SIZE[1] * 3
        print(
            f"{options.photos} photos of {SIZE[0]}x{SIZE[1]}: {decoded / 1e9:.1f} GB decoded, {decoded / 16e9:.2f} GB at -r 4"
        )
        print("limit    peak memory [GB]   training [s]   whole command [s]")
        for limit in options.limits.split(","):
            command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(out), "-r", "4", "--overwrite"]
            command += ["--iterations", str(options.iterations), "--image-cache", limit]
            start = time.perf_counter()
            peak = peak_bytes(command)
            seconds = time.perf_counter() - start
            trained = json.loads((out / "metrics.json").read_text())["train_seconds"]
            results.append({"limit": limit, "peak_bytes": peak, "train_seconds": trained, "total_seconds": seconds})
            print(f"{limit:8s} {peak / 1e9:16.2f} {trained:14.0f} {seconds:19.0f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"photos": options.photos, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
