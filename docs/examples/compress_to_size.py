"""Compress a scene to a size: what is pruned, and how coarsely the rest is stored, is found by trial.

python docs/examples/compress_to_size.py run --max-bytes 8MB              a run knows the photos that measure the loss
python docs/examples/compress_to_size.py scene.ply --max-bytes 800KB      a scene alone is measured by its own renders
"""

import argparse
from pathlib import Path

import splat


def main(arguments: list[str] | None = None) -> splat.CompressionResult:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="a scene of any format, or the folder of a run")
    parser.add_argument("-o", "--output", type=Path, default=Path("small.splatz"), help="its ending is the format")
    parser.add_argument("--max-bytes", default="1MB")
    parser.add_argument("--capture", type=Path, help="folder of the capture that the scene was trained on")
    options = parser.parse_args(arguments)

    found = splat.compress(
        options.scene, options.output, max_bytes=options.max_bytes, capture=options.capture, overwrite=True
    )
    for step in found.steps:
        print(f"{step.step}: {step.gaussians:,} Gaussians, {step.size:,} bytes, PSNR {step.psnr:.2f} dB")
    print(f"{found.ratio:.1f} times smaller, {found.psnr_drop:.2f} dB lost, measured against {found.against}")
    return found


if __name__ == "__main__":
    main()
