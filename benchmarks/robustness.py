"""What spoils captures, and what helps: exposure changes, occluders, wrong poses. Held-out PSNR with and without the remedy.

    python benchmarks/robustness.py CAPTURE ... [--iterations 3000] [-r 2] [--cases exposure,occlusion,poses]

PSNR is given as it is and after the best affine change of color of every view ("corrected"), which is what counts where
exposures are learned: a held-out photo's own exposure is in no training photo. (Fox's camera changed its exposure all along.)

Each capture is copied with one thing spoiled in its training photos (every 8th photo, which is held out, stays as it is):

- exposure: half of the photos, drawn at random, one EV brighter or darker (in linear light, clipped as a camera does);
- occlusion: blobs of random colors over a tenth of the pixels of every photo, with masks;
- poses: cameras turned by 0.5 degrees and moved by 0.5 % of the extent, in random directions.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image, ImageDraw

from splat.datasets.load import PhotoOptions, load_capture

EVERY = 8
BLOB_FRACTION = 0.1
DEGREES, SHIFT = 0.5, 0.005


def training_photos(capture: Path) -> list[Path]:
    names = sorted(path.name for path in (capture / "images").iterdir())
    return [capture / "images" / name for place, name in enumerate(names) if place % EVERY]


def spoil_exposure(capture: Path, random: np.random.Generator) -> None:
    for path in training_photos(capture):
        if random.random() < 0.5:
            continue
        with Image.open(path) as file:
            values = np.asarray(file.convert("RGB"), dtype=np.float64) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        linear = np.clip(linear * 2.0 ** random.choice([-1, 1]), 0, 1)
        values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        save(Image.fromarray((values * 255).round().astype(np.uint8)), path)


def spoil_by_occlusion(capture: Path, random: np.random.Generator) -> None:
    (capture / "masks").mkdir(exist_ok=True)
    for path in training_photos(capture):
        with Image.open(path) as file:
            photo = file.convert("RGB")
        mask = Image.new("L", photo.size, 255)
        while np.asarray(mask).mean() > 255 * (1 - BLOB_FRACTION):
            radius = random.uniform(0.03, 0.1) * max(photo.size)
            x, y = random.uniform(0, photo.width), random.uniform(0, photo.height)
            box = (x - radius, y - radius * random.uniform(0.6, 1.4), x + radius, y + radius)
            ImageDraw.Draw(photo).ellipse(box, fill=tuple(int(v) for v in random.integers(0, 256, 3)))
            ImageDraw.Draw(mask).ellipse(box, fill=0)
        save(photo, path)
        mask.save(capture / "masks" / f"{path.name}.png")


def spoil_poses(capture: Path, random: np.random.Generator) -> None:
    model = pycolmap.Reconstruction(capture / "sparse" / "0")
    extent = load_capture(capture, PhotoOptions(resolution=8)).extent
    spoiled = {path.name for path in training_photos(capture)}
    for image in model.images.values():
        if image.name not in spoiled:
            continue
        axis, shift = (v / np.linalg.norm(v) for v in random.normal(size=(2, 3)))
        rotation = pycolmap.Rotation3d(math.radians(DEGREES) * axis)
        error = pycolmap.Rigid3d(rotation, SHIFT * extent * shift)
        image.frame.rig_from_world = error * image.frame.rig_from_world
    model.write(capture / "sparse" / "0")


def save(image: Image.Image, path: Path) -> None:
    image.save(path, **({"quality": 98, "subsampling": 0} if path.suffix.lower() in (".jpg", ".jpeg") else {}))


CASES: dict[str, tuple[Callable[[Path, np.random.Generator], None], dict[str, list[str]]]] = {
    "exposure": (spoil_exposure, {"plain": [], "--exposure": ["--exposure"], "--bilateral-grid": ["--bilateral-grid"]}),
    "occlusion": (spoil_by_occlusion, {"plain": ["--masks", ""], "masks": []}),
    "poses": (spoil_poses, {"plain": [], "--refine-poses": ["--refine-poses"]}),
}

UNSPOILED = {name: [name] for name in ("--exposure", "--bilateral-grid", "--refine-poses")}
"""Remedies that are also tried on the capture as it is: what they do where there is nothing to fix."""


def train(capture: Path, out: Path, options: argparse.Namespace, flags: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(out), "-r", str(options.resolution)]
    command += ["--iterations", str(options.iterations), "--eval", "--overwrite", *options.flags.split(), *flags]
    if not (options.reuse and (out / "metrics.json").is_file()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((out / "metrics.json").read_text())
    return {
        name: metrics[name]
        for name in ("psnr", "psnr_color_corrected", "ssim", "psnr_aligned", "train_seconds")
        if name in metrics
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", type=Path, nargs="+")
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("-r", "--resolution", type=int, default=2)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--flags", default="", help="more flags of every `splat train`")
    parser.add_argument("--reuse", action="store_true", help="take the results of runs that lie in --out already")
    parser.add_argument("--out", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    results = []
    print(
        "capture    spoiled     remedy            PSNR [dB]  to unspoiled  corrected  to unspoiled  aligned  training [s]"
    )
    for capture in options.captures:
        rows = [("nothing", "plain", train(capture, options.out / f"{capture.name}-unspoiled", options, []))]
        for remedy, flags in UNSPOILED.items():
            if any(remedy in CASES[case][1] for case in options.cases.split(",")):
                out = options.out / f"{capture.name}-unspoiled-{remedy.strip('-')}"
                rows.append(("nothing", remedy, train(capture, out, options, flags)))
        show(capture, *rows[0], rows[0][2], results)
        for row in rows[1:]:
            show(capture, *row, rows[0][2], results)
        for case in options.cases.split(","):
            spoil, remedies = CASES[case]
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / capture.name
                shutil.copytree(capture, copy)
                spoil(copy, np.random.default_rng(0))
                for remedy, flags in remedies.items():
                    name = f"{capture.name}-{case}-{remedy.strip('-')}"
                    show(capture, case, remedy, train(copy, options.out / name, options, flags), rows[0][2], results)
    if options.json:
        options.json.write_text(json.dumps({"iterations": options.iterations, "results": results}, indent=2) + "\n")


def show(
    capture: Path, case: str, remedy: str, values: dict[str, float], unspoiled: dict[str, float], results: list[dict]
) -> None:
    results.append({"capture": capture.name, "spoiled": case, "remedy": remedy, **values})
    aligned = f"{values['psnr_aligned']:.2f}" if "psnr_aligned" in values else ""
    raw, corrected = (values[name] - unspoiled[name] for name in ("psnr", "psnr_color_corrected"))
    print(
        f"{capture.name:10s} {case:11s} {remedy:16s} {values['psnr']:10.2f} {raw:+13.2f} "
        f"{values['psnr_color_corrected']:10.2f} {corrected:+13.2f}  {aligned:>7s} {values['train_seconds']:13.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
