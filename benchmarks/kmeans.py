"""Time and error of k-means: 200,000 vectors of 45 numbers into 4,096 codes, against plain Lloyd iterations; and of a .sog.

    python benchmarks/kmeans.py [--scene SCENE] [--threads 2] [--lloyd] [--json FILE]

The vectors are the harmonics of a scene, repeated with noise to 200,000; of a seeded mixture unless a scene is given. The
bars are 60 seconds for the codes and 30 seconds for the .sog, on two cores.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from splat import Gaussians
from splat.compression.coding import kmeans
from splat.compression.formats import registry as formats
from splat.compression.formats.sog import writer as sog

COUNT, CODES = 200_000, 4096


def mixture() -> Gaussians:
    """Harmonics around 3,000 centers, fainter in higher degrees."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    fade = torch.linspace(1, 0.3, 15)[:, None]
    rest = (0.1 * noise(3000, 15, 3)[torch.arange(COUNT) % 3000] + 0.04 * noise(COUNT, 15, 3)) * fade
    return Gaussians(noise(COUNT, 3), noise(COUNT, 4), noise(COUNT, 3) - 4, noise(COUNT), noise(COUNT, 3), rest)


def repeated(scene: Gaussians) -> Gaussians:
    """A scene again and again with a little noise, to COUNT Gaussians."""
    index = torch.arange(COUNT) % len(scene)
    generator = torch.Generator().manual_seed(0)
    return scene[index].map(lambda t: t + 0.02 * t.std() * torch.randn(t.shape, generator=generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lloyd", action="store_true", help="also compare every vector with every code")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scene = repeated(formats.load(options.scene)) if options.scene else mixture()
    points = scene.sh_rest.flatten(1)
    total = float((points - points.mean(0)).square().sum(1).mean())
    results = []

    usual = kmeans.DIRECT

    def measure(name: str, direct: int) -> None:
        kmeans.DIRECT = direct
        began, used = time.monotonic(), time.process_time()
        codebook, labels = kmeans.kmeans(points, CODES)
        seconds, processor = time.monotonic() - began, time.process_time() - used
        kmeans.DIRECT = usual
        error = float((points - codebook[labels]).square().sum(1).mean()) / total
        results.append({"method": name, "seconds": seconds, "processor_seconds": processor, "error": error})
        print(
            f"{name:6} {seconds:6.1f} s ({processor:.1f} s of processor)   {error:.4f} of the variance is left",
            flush=True,
        )

    measure("tree", 0)
    if options.lloyd:
        measure("lloyd", 1 << 62)
    began, used = time.monotonic(), time.process_time()
    size = sum(map(len, sog.encode(scene).values()))
    seconds, processor = time.monotonic() - began, time.process_time() - used
    results.append({"method": ".sog", "seconds": seconds, "processor_seconds": processor, "bytes": size})
    print(f".sog   {seconds:6.1f} s ({processor:.1f} s of processor)   {size / COUNT:.1f} bytes each")
    if options.json:
        text = {
            "torch": torch.__version__,
            "threads": options.threads,
            "vectors": COUNT,
            "codes": CODES,
            "results": results,
        }
        options.json.write_text(json.dumps(text, indent=2) + "\n")


if __name__ == "__main__":
    main()
