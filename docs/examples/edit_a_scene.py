"""Edit a scene in Python: crop it, recolor a part, move and turn a copy, put both into one file of another format.

python docs/examples/edit_a_scene.py scene.ply -o two.splatz
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import splat
from splat.gaussians import SH_C0
from splat.geometry.similarity import Similarity


def cropped(scene: splat.Gaussians, low: torch.Tensor, high: torch.Tensor) -> splat.Gaussians:
    """What is inside a box. A scene is indexed like a tensor: by mask, by indices or by slice."""
    return scene[((scene.means >= low) & (scene.means <= high)).all(dim=1)]


def tinted(scene: splat.Gaussians, color: tuple[float, float, float], amount: float) -> splat.Gaussians:
    """Base colors mixed with a color (0..1). The base color of a Gaussian is SH_C0 * sh0 + 0.5."""
    base = SH_C0 * scene.sh0 + 0.5
    mixed = (1 - amount) * base + amount * torch.tensor(color)
    return replace(scene, sh0=(mixed - 0.5) / SH_C0)


def main(arguments: list[str] | None = None) -> splat.Gaussians:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="a scene of any format, or the folder of a run")
    parser.add_argument("-o", "--output", type=Path, default=Path("edited.splatz"), help="its ending is the format")
    options = parser.parse_args(arguments)

    scene = splat.load(options.scene)
    low, high = scene.means.quantile(0.05, dim=0), scene.means.quantile(0.95, dim=0)
    inner = cropped(scene, low, high)
    size = float((high - low)[0])
    # Harmonics turn with the scene, so that highlights stay where they were on it.
    move = Similarity.from_euler((0, 90, 0), (1.2 * size, 0, 0), scale=0.8).about(inner.means.mean(dim=0))
    copy = tinted(move.gaussians(inner), (1.0, 0.4, 0.2), 0.6)
    both = splat.Gaussians.cat([inner, copy])
    splat.save(both, options.output)
    print(f"{len(scene):,} Gaussians, {len(inner):,} in the box, {len(both):,} in {options.output}")
    return both


if __name__ == "__main__":
    main()
