"""Recover a camera's pose from a photo: gradients flow through `viewmat`, as they do through the scene.

python docs/examples/refine_a_pose.py                 a scene made on the spot, its camera moved and turned
python docs/examples/refine_a_pose.py scene.ply
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import splat
from splat.geometry.quaternions import from_rotation_vector, rotation_matrix
from splat.geometry.viewpoints import outside


def moved(camera: splat.Camera, change: torch.Tensor) -> splat.Camera:
    """A camera after a small motion in its own axes, [6]: a rotation vector, then a translation."""
    turn = torch.eye(4)
    turn[:3, :3] = rotation_matrix(from_rotation_vector(change[:3]))
    turn[:3, 3] = change[3:]
    return replace(camera, viewmat=turn @ camera.viewmat)


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    count = 400
    scene = splat.Gaussians(
        means=torch.randn(count, 3) * 0.5,
        quats=torch.randn(count, 4),
        log_scales=torch.full((count, 3), 0.1).log() + 0.3 * torch.randn(count, 3),
        logit_opacities=torch.ones(count),
        sh0=torch.randn(count, 3),
        sh_rest=torch.zeros(count, 0, 3),
    )
    if options.scene is not None:
        scene = splat.load(options.scene)
    right = outside(scene.means).camera(96, 72)
    size = float((right.position - scene.means.mean(dim=0)).norm())
    photo = splat.render(scene, right).rgb.detach()
    wrong = moved(right, torch.tensor([0.03, -0.04, 0.02, 0.02 * size, -0.01 * size, 0.03 * size]))

    change = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / options.steps))
    for _ in range(options.steps):
        camera = moved(wrong, change * torch.tensor([1.0, 1.0, 1.0, size, size, size]))
        loss = (splat.render(scene, camera).rgb - photo).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    before, after = (float((one.position.detach() - right.position).norm()) / size for one in (wrong, camera))
    print(f"position was off by {before:.3%} of the distance to the scene, now by {after:.3%}")
    return before, after


if __name__ == "__main__":
    main()
