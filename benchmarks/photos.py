"""Structure from motion on a folder of photos: how many find their place, how well, in what time and memory.

    python benchmarks/photos.py PHOTOS [--target CAPTURE] [--mixed 60] [--seed 0] [--json FILE] [-- OPTIONS OF splat photos]

`--target` names a capture that has poses of the same photos, by name; those found are compared with them. `--mixed` takes so
many of the photos, evenly, and makes them look as if many people had taken them: focal lengths (1 to 1.8 times as long) and
crops, exposure, contrast and color of the light are random, all are resized to four fifths of the size, and EXIF is gone.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

LONGEST = 1.8
"""Focal length of a mixed photo, at most, relative to that of the photo it is made of."""


def mixed(photos: list[Path], count: int, folder: Path, seed: int) -> None:
    """Write photos as by many people."""
    random = np.random.default_rng(seed)
    chosen = [photos[round(place)] for place in np.linspace(0, len(photos) - 1, count)]
    for path in chosen:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        size = tuple(round(0.8 * side) for side in image.size)
        factor = random.uniform(1, LONGEST)
        width, height = (side / factor for side in image.size)
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        crop = image.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
        values = (np.asarray(crop, dtype=np.float64) / 255) ** random.uniform(0.7, 1.5)
        values *= random.uniform(0.6, 1.3) * random.uniform(0.85, 1.15, size=3)
        across = np.linspace(-1, 1, size[0])[None, :, None] * random.uniform(-0.25, 0.25)
        values = values * (1 + across) * 255
        Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).save(folder / f"{path.stem}.jpg", quality=90)


def pose_errors(capture: Path, target: Path) -> dict[str, float]:
    """Differences of poses after the best similarity: degrees, and positions relative to the cameras' extent."""
    found, right = pycolmap.Reconstruction(capture / "sparse/0"), pycolmap.Reconstruction(target / "sparse/0")
    by_stem = {Path(image.name).stem: image for image in right.images.values()}
    images = [found.images[key] for key in found.reg_image_ids()]
    places = np.array([by_stem[Path(image.name).stem].projection_center() for image in images])
    extent = float(np.linalg.norm(places - places.mean(0), axis=1).mean())
    ransac = pycolmap.RANSACOptions()
    ransac.max_error, ransac.random_seed = 0.05 * extent, 0
    moved = pycolmap.align_reconstruction_to_locations(found, [image.name for image in images], places, 3, ransac)
    if moved is None:
        return {"turned_degrees_median": math.inf, "moved_median": math.inf, "wrong": float(len(images))}
    turned, shifted = [], []
    for image, place in zip(images, places, strict=True):
        pose = moved.transform_camera_world(image.cam_from_world())
        between = pose.rotation * by_stem[Path(image.name).stem].cam_from_world().rotation.inverse()
        turned.append(math.degrees(between.angle()))
        shifted.append(float(np.linalg.norm(pose.inverse().translation - place)) / extent)
    wrong = sum(turn > 5 or shift > 0.1 for turn, shift in zip(turned, shifted, strict=True))
    return {
        "turned_degrees_median": float(np.median(turned)),
        "moved_median": float(np.median(shifted)),
        "wrong": float(wrong),  # off by more than 5 degrees or a tenth of the extent
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--target", type=Path)
    parser.add_argument("--mixed", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, passed = parser.parse_args(given[:end]), given[end + 1 :]
    with tempfile.TemporaryDirectory() as scratch:
        source, out = options.photos, Path(scratch) / "capture"
        if options.mixed:
            photos = sorted(path for path in source.iterdir() if path.is_file())
            source = Path(scratch) / "mixed"
            source.mkdir()
            mixed(photos, options.mixed, source, options.seed)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "splat", "photos", str(source), str(out), *passed], check=True)
        row: dict[str, Any] = {
            "photos": str(options.photos.name),
            "mixed": options.mixed,
            "options": passed,
            "seconds": round(time.perf_counter() - begun, 1),
            "memory_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
            "cores": os.cpu_count(),
            **{
                key: value
                for key, value in json.loads((out / "photos.json").read_text()).items()
                if key in ("registered", "points", "reprojection_error", "matching", "pairs", "mapping", "tried")
            },
            "photos_in_all": json.loads((out / "photos.json").read_text())["photos"],
        }
        if options.target:
            row |= pose_errors(out, options.target)
    print(json.dumps(row, indent=1))
    if options.json:
        rows = json.loads(options.json.read_text()) if options.json.is_file() else []
        options.json.write_text(json.dumps([*rows, row], indent=1) + "\n")


if __name__ == "__main__":
    main()
