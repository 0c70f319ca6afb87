"""Floaters: Gaussians, and small clumps of them, that hang in empty space and touch nothing else."""

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from splat.gaussians import Gaussians

NEIGHBORS = 12
"""Nearest Gaussians that one may touch."""
REACH = 3.0
"""Standard deviations along the longest axis up to which a Gaussian touches others."""
SPACING = 4.0
"""Gaussians nearer to each other than so many times the median distance of neighbors touch, however small they are."""
FAINT = 0.02
"""Opacity below which a Gaussian connects nothing."""
CLUMP = 1e-3
"""Fraction of all Gaussians below which a connected clump is one of floaters."""
LEAST = 12
"""Gaussians that make a clump in a small scene."""


def floaters(gaussians: Gaussians) -> Tensor:  # [N] bool
    """Which Gaussians are connected with fewer than a thousandth of the scene, and with less than the largest clump.

    Two are connected where their reaches overlap, or where they are about as near to each other as neighbors are elsewhere.
    """
    count = len(gaussians)
    if count < 2:
        return torch.zeros(count, dtype=torch.bool, device=gaussians.device)
    means = gaussians.means.detach().cpu().double().numpy()
    distance, near = cKDTree(means).query(means, k=min(NEIGHBORS + 1, count), workers=-1)
    reach = REACH * gaussians.scales.detach().cpu().double().amax(dim=1).numpy()
    solid = gaussians.opacities.detach().cpu().numpy() >= FAINT
    reach = np.where(solid, reach, 0.0)
    close = SPACING * float(np.median(distance[:, 1]))
    touch = distance <= np.maximum(reach[:, None] + reach[near], close)
    first = np.broadcast_to(np.arange(count)[:, None], near.shape)[touch]
    graph = coo_matrix((np.ones(len(first), dtype=bool), (first, near[touch])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    sizes = np.bincount(label)
    small = (sizes < max(LEAST, CLUMP * count)) & (sizes < sizes.max())
    return torch.from_numpy(small[label]).to(gaussians.device)
