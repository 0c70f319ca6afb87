"""Whether a scene came through a file format as it should: every parameter within the format's own steps."""

import torch
from scipy.spatial import cKDTree

from splat import Gaussians
from splat.geometry.quaternions import rotation_matrix, unit

TOLERANCES = {  # largest differences: position, covariance (relative), opacity, color, harmonics
    ".ply": (0, 1e-6, 1e-7, 0, 0),
    ".compressed.ply": (0.006, 0.02, 0.002, 0.03, 0.016),
    ".splat": (0, 0.04, 0.002, 0.007, None),
    ".spz": (2e-4, 0.08, 0.002, 0.0131, 0.004),
    ".splatz": (0.02, 2.0, 0.019, 0.6, 0.5),  # of the least important; test_splatz.py looks closer
    ".sog": (1e-3, 0.06, 0.002, 0.05, 0.1),
    "meta.json": (1e-3, 0.06, 0.002, 0.05, 0.1),
    ".glb": (0, 1e-5, 1e-6, 0, 0),
}


def covariances(gaussians: Gaussians) -> torch.Tensor:
    axes = rotation_matrix(unit(gaussians.quats.double())) * gaussians.scales.double()[:, None]
    return axes @ axes.transpose(1, 2)


def assert_close(first: Gaussians, second: Gaussians, steps: tuple[float | None, ...]) -> None:
    assert len(first) == len(second)
    _, nearest = cKDTree(second.means.numpy()).query(first.means.numpy())
    second = second[torch.from_numpy(nearest)]
    position, covariance, opacity, color, harmonic = steps
    assert float((first.means - second.means).abs().max()) <= position
    wanted, got = covariances(first), covariances(second)
    relative = (wanted - got).flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
    assert float(relative.max()) <= covariance
    assert float((first.opacities - second.opacities).abs().max()) <= opacity
    assert float((first.sh0 - second.sh0).abs().max()) <= color
    if harmonic is not None:
        assert first.sh_rest.shape == second.sh_rest.shape
        assert float((first.sh_rest - second.sh_rest).abs().max() if first.sh_degree else 0) <= harmonic
