"""Render an orbit around a scene to a video, with a camera that moves up and down while it turns.

python docs/examples/render_orbit.py scene.ply -o orbit.mp4
python docs/examples/render_orbit.py run -o orbit.mp4         the latest scene of a run
"""

import argparse
import math
from pathlib import Path

import torch

import splat
from splat.io.video import VideoWriter


def main(arguments: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, help="a scene of any format, or the folder of a run")
    parser.add_argument("-o", "--output", type=Path, default=Path("orbit.mp4"))
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument(
        "--up", type=float, nargs=3, default=(0, -1, 0), help="world direction; COLMAP's worlds are y-down"
    )
    options = parser.parse_args(arguments)

    scene = splat.load(options.scene)
    if torch.cuda.is_available():
        scene = scene.to("cuda")
    solid = scene.means[scene.opacities > 0.5] if bool((scene.opacities > 0.5).any()) else scene.means
    center = solid.median(dim=0).values.cpu()
    radius = 2.5 * float((solid.cpu() - center).norm(dim=1).quantile(0.8))
    up = torch.nn.functional.normalize(torch.tensor(options.up, dtype=torch.float32), dim=0)
    side = torch.nn.functional.normalize(torch.linalg.cross(up, torch.tensor([0.3, 0.5, 0.8])), dim=0)
    front = torch.linalg.cross(side, up)
    with torch.no_grad(), VideoWriter(options.output, fps=30) as video:
        for frame in range(options.frames):
            turn = 2 * math.pi * frame / options.frames
            around = math.cos(turn) * front + math.sin(turn) * side + (0.4 + 0.2 * math.sin(2 * turn)) * up
            eye = center + radius * around
            camera = splat.Camera.look_at(eye, center, up, width=options.width, height=options.width * 9 // 16)
            video.write(splat.render(scene, camera.to(scene.device)).rgb)
    print(f"{options.frames} frames -> {options.output}")
    return options.output


if __name__ == "__main__":
    main()
