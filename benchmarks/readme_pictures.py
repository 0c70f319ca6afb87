"""The pictures of the README, from two runs that were trained with --eval.

    python benchmarks/readme_pictures.py runs/benchmark/sample-2000 runs/benchmark/brighton-7000

Writes docs/sample.jpg (photo, render and depth of a held-out view) and docs/brighton.jpg (photos and renders).
"""

import sys
from pathlib import Path

import torch
from PIL import Image

import splat
from splat.datasets.images.decode import as_tensor, resize
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.split import split
from splat.io.images import colorize_depth, side_by_side, to_uint8, write_image
from splat.run import Run
from splat.training.config import load_config

DOCS = Path(__file__).resolve().parent.parent / "docs"


@torch.no_grad()
def held_out(run: Path, view: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Photo, render and colored depth of one held-out view, [H, W, 3] uint8."""
    config, folder = load_config(Run(run))
    capture = load_capture(folder, PhotoOptions(config.data.resolution, config.data.max_image_size))
    frame = split(capture, config.data.test_every)[1][view]
    result = splat.render(splat.load(Run(run).latest_scene()[1]), frame.camera, depth=True)
    assert result.depth is not None
    return frame.image, to_uint8(result.rgb.clamp(0, 1)), colorize_depth(result.depth)


def shrunk(image: torch.Tensor, width: int) -> torch.Tensor:
    """At most `width` pixels wide."""
    picture = Image.fromarray(image.numpy())
    return as_tensor(resize(picture, width, round(picture.height * width / picture.width)))


def main() -> None:
    sample, brighton = (Path(argument) for argument in sys.argv[1:3])
    write_image(DOCS / "sample.jpg", side_by_side(*held_out(sample, 3)))
    photo, render, _ = held_out(brighton, 1)
    write_image(DOCS / "brighton.jpg", shrunk(side_by_side(photo, render), 1200))


if __name__ == "__main__":
    main()
