"""Structure from motion on a folder of photos: how many find their place, how well, in what time and memory.

    python benchmarks/photos.py PHOTOS [--target CAPTURE] [--mixed 60] [--seed 0] [--ended 60 90 ...] [--json FILE]
        [-- OPTIONS OF splat photos]

`--target` names a capture that has poses of the same photos, by name, or a poses_bounds.npy of LLFF with theirs in the order
of names; those found are compared with them. `--mixed` takes so many of the photos, evenly, and makes them look as if many
people had taken them: focal lengths (1 to 1.8 times as long) and crops, exposure, contrast and color of the light are random,
all are resized to four fifths of the size, and EXIF is gone. `--ended` ends `splat photos` from outside after so many seconds,
with SIGKILL and SIGTERM in turn, and starts it again each time.
"""

import argparse
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

LONGEST = 1.8
"""Focal length of a mixed photo, at most, relative to that of the photo it is made of."""

PLACES = np.stack(np.meshgrid([0.2, 0.5, 0.8], [0.2, 0.5, 0.8]), axis=-1).reshape(-1, 2)
"""Nine places of a photo, as fractions of its size."""

SAID = "registered", "points", "reprojection_error", "explained", "misfits", "matching", "pairs", "mapping", "tried"
"""What is taken from the report of `splat photos`."""


@dataclass(frozen=True)
class Cut:
    """Which part of a photo another one shows."""

    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels of the photo
    size: tuple[int, int]  # of the other one


def mixed(photos: list[Path], count: int, folder: Path, seed: int) -> dict[str, Cut]:
    """Write photos as by many people. Returns what each shows, by the photo's name without suffix."""
    random = np.random.default_rng(seed)
    chosen = [photos[round(place)] for place in np.linspace(0, len(photos) - 1, count)]
    cuts = {}
    for path in chosen:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        width, height = round(0.8 * image.width), round(0.8 * image.height)
        factor = random.uniform(1, LONGEST)
        wide, high = image.width / factor, image.height / factor
        left, top = random.uniform(0, image.width - wide), random.uniform(0, image.height - high)
        cut = cuts[path.stem] = Cut((left, top, left + wide, top + high), (width, height))
        crop = image.resize(cut.size, Image.Resampling.LANCZOS, box=cut.box)
        values = (np.asarray(crop, dtype=np.float64) / 255) ** random.uniform(0.7, 1.5)
        values *= random.uniform(0.6, 1.3) * random.uniform(0.85, 1.15, size=3)
        across = np.linspace(-1, 1, width)[None, :, None] * random.uniform(-0.25, 0.25)
        values = values * (1 + across) * 255
        Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).save(folder / f"{path.stem}.jpg", quality=90)
    return cuts


def read_target(target: Path, photos: Path) -> pycolmap.Reconstruction:
    """The right cameras: of a capture, or of a poses_bounds.npy, whose axes are down, right, backward."""
    if target.is_dir():
        return pycolmap.Reconstruction(target / "sparse/0")
    scene = pycolmap.Reconstruction()
    rows = np.load(target)[:, :15].reshape(-1, 3, 5)
    names = sorted(path.name for path in photos.iterdir())
    for number, (name, row) in enumerate(zip(names, rows, strict=True), 1):
        down, right, back, center, (height, width, focal) = row.T
        shape = dict(width=round(width), height=round(height), params=[focal, width / 2, height / 2])
        scene.add_camera_with_trivial_rig(pycolmap.Camera(camera_id=number, model="SIMPLE_PINHOLE", **shape))
        rotation = pycolmap.Rotation3d(np.stack([right, down, -back], axis=1))
        image = pycolmap.Image(name=name, camera_id=number, image_id=number)
        scene.add_image_with_trivial_frame(image, pycolmap.Rigid3d(rotation, center).inverse())
    return scene


def errors(capture: Path, right: pycolmap.Reconstruction, cuts: dict[str, Cut]) -> dict[str, float]:
    """How far the cameras found are from the right ones, after the best similarity.

    Positions are relative to the cameras' extent. Directions are those of nine pixels, in degrees: what a photo shows must be
    where it is; a crop that is taken for a photo turned aside is no error.
    """
    found = pycolmap.Reconstruction(capture / "sparse/0")
    by_stem = {Path(image.name).stem: image for image in right.images.values()}
    images = [found.images[key] for key in found.reg_image_ids()]
    originals = [by_stem[Path(image.name).stem] for image in images]
    places = np.array([image.projection_center() for image in originals])
    extent = float(np.linalg.norm(places - places.mean(0), axis=1).mean())
    ransac = pycolmap.RANSACOptions()
    ransac.max_error, ransac.random_seed = 0.05 * extent, 0
    moved = pycolmap.align_reconstruction_to_locations(found, [image.name for image in images], places, 3, ransac)
    if moved is None:
        return {"turned_degrees_median": math.inf, "moved_median": math.inf, "off": len(images), "astray": len(images)}
    turned, shifted = [], []
    for image, original, place in zip(images, originals, places, strict=True):
        pose = moved.transform_camera_world(image.cam_from_world())
        camera = original.camera
        cut = cuts.get(Path(image.name).stem, Cut((0, 0, camera.width, camera.height), (camera.width, camera.height)))
        seen = _rays(image.camera, _own_pixels(image.camera, cut)) @ pose.rotation.matrix()
        wanted = _rays(camera, _original_pixels(cut)) @ original.cam_from_world().rotation.matrix()
        angles = np.arccos(np.clip((seen * wanted).sum(axis=1), -1, 1))
        turned.append(math.degrees(float(np.median(np.nan_to_num(angles, nan=math.pi)))))
        shifted.append(float(np.linalg.norm(pose.inverse().translation - place)) / extent)
    both = [*zip(turned, shifted, strict=True)]
    return {
        "turned_degrees_median": float(np.median(turned)),
        "turned_degrees_max": max(turned),
        "moved_median": float(np.median(shifted)),
        "moved_max": max(shifted),
        "turned": sum(turn > 20 for turn in turned),
        "off": sum(turn > 5 or shift > 0.1 for turn, shift in both),  # by more than 5 degrees or a tenth of the extent
        "astray": sum(turn > 20 or shift > 0.4 for turn, shift in both),  # in another place altogether
    }


def _original_pixels(cut: Cut) -> NDArray[np.float64]:  # [9, 2]
    """Where the nine places of a cut are in the photo."""
    left, top, right, bottom = cut.box
    return np.array([left, top]) + PLACES * np.array([right - left, bottom - top])


def _own_pixels(camera: pycolmap.Camera, cut: Cut) -> NDArray[np.float64]:  # [9, 2]
    """Where they are in the photo without lens distortion: it has another size around the same principal point."""
    principal = np.array([camera.principal_point_x, camera.principal_point_y])
    return principal + (PLACES - principal / np.array([camera.width, camera.height])) * np.array(cut.size)


def _rays(camera: pycolmap.Camera, pixels: NDArray[np.float64]) -> NDArray[np.float64]:  # [9, 3]
    """Directions of pixels, of length 1."""
    rays = np.concatenate([camera.cam_from_img(pixels), np.ones((len(pixels), 1))], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def run_and_end(command: list[str], seconds: float, by: signal.Signals) -> str:
    """Start a command, end it after a time, and say where it was then: the last line that it has told of its progress.

    Raises:
        SystemExit: it was done before.
    """
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(by)
            process.wait()
            told.seek(0)
            lines = [line.strip() for line in told if " left" in line or "so far" in line]
            return f"{by.name}: {lines[-1] if lines else 'nothing said yet'}"
    raise SystemExit(f"{' '.join(command)}: ended with {process.returncode} before {seconds:g} s were over")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--target", type=Path)
    parser.add_argument("--mixed", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ended", type=float, nargs="+", default=[])
    parser.add_argument("--json", type=Path)
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, passed = parser.parse_args(given[:end]), given[end + 1 :]
    with tempfile.TemporaryDirectory() as scratch:
        source, out = options.photos, Path(scratch) / "capture"
        cuts: dict[str, Cut] = {}
        if options.mixed:
            photos = sorted(path for path in source.iterdir() if path.is_file())
            source = Path(scratch) / "mixed"
            source.mkdir()
            cuts = mixed(photos, options.mixed, source, options.seed)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "splat", "photos", str(source), str(out), *passed]
        ends = [
            run_and_end(command, seconds, signal.SIGTERM if turn % 2 else signal.SIGKILL)
            for turn, seconds in enumerate(options.ended)
        ]
        subprocess.run(command, check=True)
        seconds = round(time.perf_counter() - begun, 1)
        said = json.loads((out / "photos.json").read_text())
        row: dict[str, Any] = {
            "photos": str(options.photos.name),
            "mixed": options.mixed,
            "options": passed,
            "ended": ends,
            "seconds": seconds,
            "memory_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
            "cores": os.cpu_count(),
            **{key: said[key] for key in SAID},
            "photos_in_all": said["photos"],
        }
        if options.target:
            images = options.photos / "images"
            right = read_target(options.target, images if images.is_dir() else options.photos)
            row |= errors(out, right, cuts)
    print(json.dumps(row, indent=1))
    if options.json:
        rows = json.loads(options.json.read_text()) if options.json.is_file() else []
        options.json.write_text(json.dumps([*rows, row], indent=1) + "\n")


if __name__ == "__main__":
    main()
