"""Draw the pictures of docs/concepts/ from what the renderer, its reference and training really compute.

    python docs/draw_concepts.py                  write every picture: some minutes, most of it training
    python docs/draw_concepts.py tiles.svg ...    only these
    python docs/draw_concepts.py --list           name them

The same sources on the same machine give the same files, byte by byte.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from drawing import cameras, density, footprints, pixels, sizes, style, tiles, views
from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parent / "concepts" / "pictures"

PICTURES: dict[str, Callable[[], Figure]] = {
    "gaussian.png": footprints.draw_gaussian,
    "scene.jpg": views.draw_scene,
    "projection.png": footprints.draw_projection,
    "thresholds.svg": footprints.draw_thresholds,
    "tiles.svg": tiles.draw_tiles,
    "sorting.svg": tiles.draw_sorting,
    "tile-counts.png": tiles.draw_heat_map,
    "pixel.png": pixels.draw_walk,
    "gradients.png": pixels.draw_gradients,
    "conventions.svg": cameras.draw_conventions,
    "counts.svg": density.draw_counts,
    "round.png": density.draw_round,
    "compression.svg": sizes.draw_rates,
}
"""File -> what draws it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PICTURE", help="file names; all pictures unless given")
    parser.add_argument("--list", action="store_true", help="only name the pictures")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - PICTURES.keys()):
        parser.error(f"no picture is named {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    if options.list:
        print("\n".join(PICTURES))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        began = time.perf_counter()
        path = options.out / name
        style.save(PICTURES[name](), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
