"""The Gaussians that training starts from."""

import math

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splat.datasets.capture import Capture
from splat.gaussians import SH_C0, Gaussians
from splat.training.config import TrainConfig
from splat.training.schedules import FULL_RUN

START_OPACITY, START_SIZE = 0.1, 1.0
"""Of a Gaussian: opacity, and standard deviation in distances to the neighbors."""
MCMC_OPACITY, MCMC_SIZE = 0.5, 0.1
"""The same for full runs of mcmc; short ones lie in between, for small Gaussians take a while to fill a picture."""
RANDOM_POINTS = 50_000
NEIGHBORS = 10
MIDPOINTS_ELSEWHERE = 2


def initial_gaussians(capture: Capture, config: TrainConfig, generator: torch.Generator) -> Gaussians:
    """One isotropic Gaussian per sparse point, or per random point in view where the capture has none.

    The size is the root mean square distance to the three nearest neighbors (Kerbl et al. 2023, section 5.1).
    """
    points, colors = capture.points, capture.colors.float() / 255
    if len(points) < 4:
        points = points_in_view(capture, RANDOM_POINTS, generator)
        colors = torch.rand(len(points), 3, generator=generator)
    if config.densify.init_midpoints:
        points, colors = with_midpoints(points, colors)
    count = len(points)
    opacity, size = start_values(config)
    sizes = neighbor_distance(points) * size
    return Gaussians(
        means=points.clone(),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        log_scales=sizes.log()[:, None].repeat(1, 3),
        logit_opacities=torch.full((count,), math.log(opacity / (1 - opacity))),
        sh0=(colors - 0.5) / SH_C0,
        sh_rest=torch.zeros(count, (config.optimization.sh_degree + 1) ** 2 - 1, 3),
    )


def start_values(config: TrainConfig) -> tuple[float, float]:
    """Opacity, and size in distances to the neighbors, of the first Gaussians."""
    if not config.densify.starts_small:
        return START_OPACITY, START_SIZE
    fraction = min(1.0, config.optimization.iterations / FULL_RUN)
    opacity = START_OPACITY + (MCMC_OPACITY - START_OPACITY) * fraction
    return opacity, START_SIZE * (MCMC_SIZE / START_SIZE) ** fraction


def with_midpoints(points: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:  # [Q, 3], [Q, 3]
    """Points with the midpoints to their neighbors, where the surface is flat (Ververas et al. 2024, SAGS).

    There, structure from motion leaves few points though there is as much to draw. Flat is where the smallest eigenvalue of
    the covariance of the ten nearest neighbors is a small fraction of their sum: one standard deviation below the mean of all
    points, or in the lowest quarter. Such points get midpoints to all neighbors, others to two.
    """
    if len(points) <= NEIGHBORS:
        return points, colors
    _, index = cKDTree(points.numpy()).query(points.numpy(), k=NEIGHBORS + 1, workers=-1)
    near = torch.from_numpy(index[:, 1:])  # [P, NEIGHBORS]
    offsets = points[near] - points[near].mean(1, keepdim=True)
    eigenvalues = torch.linalg.eigvalsh((offsets.transpose(1, 2) @ offsets).double())
    curvature = eigenvalues[:, 0] / eigenvalues.sum(1).clamp_min(1e-30)
    flat = curvature <= torch.maximum(curvature.mean() - curvature.std(), _quarter(curvature))
    pairs = torch.cat(
        [_pairs(flat.nonzero()[:, 0], near[flat]), _pairs((~flat).nonzero()[:, 0], near[~flat, :MIDPOINTS_ELSEWHERE])]
    )
    pairs = pairs.sort(dim=1).values.unique(dim=0)  # each once, though both ends may want it
    middle = points[pairs].mean(1), colors[pairs].mean(1)
    return torch.cat([points, middle[0]]), torch.cat([colors, middle[1]])


def _quarter(values: Tensor) -> Tensor:
    """The value that a quarter of them do not exceed."""
    return values.kthvalue(max(1, len(values) // 4)).values


def _pairs(rows: Tensor, near: Tensor) -> Tensor:  # [R * K, 2] from [R] and [R, K]
    return torch.stack([rows[:, None].expand_as(near), near], dim=-1).reshape(-1, 2)


def neighbor_distance(points: Tensor) -> Tensor:  # [P] from [P, 3]
    """Root mean square distance to the three nearest other points, world units; at least a millionth of the spread."""
    distances, _ = cKDTree(points.numpy()).query(points.numpy(), k=4, workers=-1)
    mean_square = torch.from_numpy(distances[:, 1:]).float().square().mean(1)
    spread = float((points - points.mean(0)).norm(dim=1).median())
    return mean_square.sqrt().clamp_min(max(1e-6 * spread, 1e-7))


def points_in_view(capture: Capture, count: int, generator: torch.Generator) -> Tensor:  # [count, 3]
    """Random points in the cameras' frustums, uniform in the logarithm of depth.

    Nothing is known of the scene but where the cameras are: depths go from a tenth of the extent to ten times it.
    """
    near, far = 0.1 * capture.extent, 10 * capture.extent
    if capture.extent < 1e-3:
        near, far = 0.1, 10.0
    which = torch.randint(len(capture), (count,), generator=generator)
    uniform = torch.rand(count, 3, generator=generator)
    depth = near * (far / near) ** uniform[:, 2]
    points = torch.empty(count, 3)
    for index, frame in enumerate(capture.frames):
        rows = which == index
        camera = frame.camera
        pixels = uniform[rows, :2] * torch.tensor([camera.width, camera.height])
        points[rows] = camera.unproject(pixels, depth[rows])
    return points
