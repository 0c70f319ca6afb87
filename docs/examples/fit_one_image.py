"""Fit Gaussians to one picture: `splat.render` is a function that gradients flow through, torch.optim does the rest.

python docs/examples/fit_one_image.py                   a picture made on the spot
python docs/examples/fit_one_image.py photo.jpg -o fit.png
"""

import argparse
from pathlib import Path

import torch

import splat
from splat.image_metrics import psnr
from splat.io.images import read_image, side_by_side, write_image


def checkers(height: int = 64, width: int = 96) -> torch.Tensor:  # [H, W, 3] in 0..1
    """A checkerboard under a gradient."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    board = ((row // 16 + column // 16) % 2).float()
    return torch.stack([board, row / height, column / width], dim=-1)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path, default=Path("fit.png"), help="picture and render, side by side")
    parser.add_argument("--gaussians", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args(arguments)
    target = checkers() if options.picture is None else read_image(options.picture).float() / 255
    height, width = target.shape[:2]
    camera = splat.Camera.look_at((0, 0, -1), (0, 0, 0), width=width, height=height, fov_degrees=90)

    torch.manual_seed(0)
    count = options.gaussians
    half = torch.tensor([1.0, height / width, 0.1])  # what the camera sees at a distance of 1
    scene = splat.Gaussians(
        means=(2 * torch.rand(count, 3) - 1) * half,
        quats=torch.randn(count, 4),
        log_scales=torch.full((count, 3), (1 / count**0.5)).log(),
        logit_opacities=torch.zeros(count),
        sh0=torch.zeros(count, 3),
        sh_rest=torch.zeros(count, 0, 3),
    ).requires_grad_()
    optimizer = torch.optim.Adam(scene.tensors().values(), lr=0.02)
    first = psnr(splat.render(scene, camera).rgb.detach().clamp(0, 1), target)
    for step in range(options.steps):
        loss = (splat.render(scene, camera).rgb - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: loss {loss.item():.4f}")
    image = splat.render(scene, camera).rgb.detach().clamp(0, 1)
    last = psnr(image, target)
    write_image(options.output, side_by_side(target, image))
    print(f"{count} Gaussians: PSNR {first:.1f} -> {last:.1f} dB, {options.output}")
    return first, last


if __name__ == "__main__":
    main()
