"""The Gaussians that training starts from."""

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splat.datasets.scene import Scene
from splat.gaussians import SH_C0, Gaussians

START_OPACITY = 0.1
RANDOM_POINTS = 50_000


def initial_gaussians(scene: Scene, sh_degree: int, generator: torch.Generator) -> Gaussians:
    """One isotropic Gaussian per sparse point, or per random point in view where the capture has none.

    The size is the root mean square distance to the three nearest neighbours (Kerbl et al. 2023, section 5.1).
    """
    points, colors = scene.points, scene.colors.float() / 255
    if len(points) < 4:
        points = points_in_view(scene, RANDOM_POINTS, generator)
        colors = torch.rand(len(points), 3, generator=generator)
    count = len(points)
    sizes = neighbour_distance(points)
    return Gaussians(
        means=points.clone(),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=sizes.log()[:, None].repeat(1, 3),
        logit_opacities=torch.full((count,), math.log(START_OPACITY / (1 - START_OPACITY))),
        sh0=(colors - 0.5) / SH_C0,
        sh_rest=torch.zeros(count, (sh_degree + 1) ** 2 - 1, 3),
    )


def neighbour_distance(points: Tensor) -> Tensor:  # [P] from [P, 3]
    """Root mean square distance to the three nearest other points, world units; at least a millionth of the spread."""
    distances, _ = cKDTree(points.numpy()).query(points.numpy(), k=4, workers=-1)
    mean_square = torch.from_numpy(distances[:, 1:]).float().square().mean(1)
    spread = float((points - points.mean(0)).norm(dim=1).median())
    return mean_square.sqrt().clamp_min(max(1e-6 * spread, 1e-7))


def points_in_view(scene: Scene, count: int, generator: torch.Generator) -> Tensor:  # [count, 3]
    """Random points in the cameras' frustums, uniform in the logarithm of depth.

    Nothing is known of the scene but where the cameras are: depths go from a tenth of the extent to ten times it.
    """
    near, far = 0.1 * scene.extent, 10 * scene.extent
    if scene.extent < 1e-3:
        near, far = 0.1, 10.0
    which = torch.randint(len(scene), (count,), generator=generator)
    uniform = torch.rand(count, 3, generator=generator)
    depth = near * (far / near) ** uniform[:, 2]
    points = torch.empty(count, 3)
    for index, frame in enumerate(scene.frames):
        rows = which == index
        camera = frame.camera
        pixels = uniform[rows, :2] * torch.tensor([camera.width, camera.height])
        x = (pixels[:, 0] - camera.K[0, 2]) / camera.K[0, 0]
        y = (pixels[:, 1] - camera.K[1, 2]) / camera.K[1, 1]
        local = torch.stack([x, y, torch.ones_like(x)], dim=1) * depth[rows, None]
        points[rows] = (local - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]
    return points
