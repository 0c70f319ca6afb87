"""Peak memory and time of converting a scene of five million Gaussians with harmonics of degree 3 between formats.

    python benchmarks/convert_large.py [--gaussians 5000000] [--pairs ply:spz,spz:ply] [--json FILE]

The scene is noise, written to a temporary folder (1.24 GB as .ply): what it shows does not matter here. The bar is 2 GB, and
2.2 GB where a .sog is written.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splat.io.ply_container import write_blocks
from splat.io.ply_dialects import NORMAL, POSITION, ROTATION, SCALE, SH0

PAIRS = "ply:spz,spz:ply,ply:compressed.ply,compressed.ply:spz,ply:splat,spz:splat,ply:glb,glb:ply,ply:sog,sog:ply"
BLOCK = 1 << 17
BAR, SOG_BAR = 2.0e9, 2.2e9  # bytes
MEASURED = "import resource, sys; from splat.cli.main import main; code = main(sys.argv[1:]); " + (
    "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr); sys.exit(code)"
)


def write_scene(path: Path, count: int) -> None:
    """Small Gaussians in a cube, block by block."""
    random = np.random.default_rng(0)
    names = [*POSITION, *NORMAL, *SH0, *(f"f_rest_{index}" for index in range(45)), "opacity", *SCALE, *ROTATION]

    def tables() -> Iterator[np.ndarray]:
        for first in range(0, count, BLOCK):
            table = random.normal(0, 0.2, (min(BLOCK, count - first), len(names))).astype("<f4")
            table[:, :3] *= 20
            table[:, 55:58] -= 4
            yield table

    write_blocks(path, "vertex", names, count, tables())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=5_000_000)
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.ply", options.gaussians)
        for pair in options.pairs.split(","):
            source, target = (folder / f"scene.{end}" for end in pair.split(":"))
            output = target.with_name(f"to.{pair.split(':')[1]}") if target.exists() else target
            began = time.monotonic()
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                MEASURED,
                "convert",
                str(source),
                str(output),
                "--overwrite",
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{pair}: {done.stderr}")
            peak = int(done.stderr.split("peak ")[1].split()[0])
            seconds = time.monotonic() - began
            results.append({"pair": pair, "peak_bytes": peak, "seconds": seconds, "bytes": output.stat().st_size})
            print(
                f"{pair:24} peak {peak / 1e9:.2f} GB   {seconds:.0f} s   {output.stat().st_size / 1e6:.0f} MB",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"gaussians": options.gaussians, "results": results}, indent=2) + "\n")
    above = [
        f"{result['pair']}: the peak, {result['peak_bytes'] / 1e9:.2f} GB, is above {bar / 1e9:.1f} GB"
        for result in results
        if result["peak_bytes"] > (bar := SOG_BAR if result["pair"].endswith(":sog") else BAR)
    ]
    if above:
        raise SystemExit("\n".join(above))


if __name__ == "__main__":
    main()
