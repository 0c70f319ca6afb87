"""Local coordinates: a capture moved and scaled in double precision, so that float32 holds it wherever it is."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from splat.datasets.readers.model import Model, depths_in_view
from splat.geometry.georeference import IDENTITY, Georeference
from splat.geometry.scene_size import (
    NEAR,
    OUTLIER_RATIO,
    camera_extent,
    moved_origin,
    natural_unit,
    near_plane,
    outlying,
    point_radius,
    usable,
)
from splat.io.wording import listed

NEAR_FRACTION = 0.25
"""The near plane lies no farther away than this times the nearest points."""
LOOKED_AT = 2000, 64
"""Points and cameras that are enough to see how near the points begin."""


def local_frame(model: Model) -> Georeference:
    """Where the local origin lies and how long the local unit is; the identity for captures of usual size near the origin.

    The near plane goes by the unit: where points lie nearer than it would let them, the unit is smaller than the size says.
    """
    if not model.images:
        return IDENTITY
    positions = torch.from_numpy(camera_positions(model))
    points = torch.from_numpy(np.asarray(model.points, dtype=np.float64))
    size = max(camera_extent(positions, points), point_radius(points) if len(points) else 0.0)
    center = positions[~outlying(positions)].median(0).values
    unit = natural_unit(size)
    nearest = nearest_depth(model)
    if nearest is not None and near_plane(size) > NEAR_FRACTION * nearest:
        unit = 10.0 ** math.floor(math.log10(NEAR_FRACTION * nearest / NEAR))
    return Georeference(moved_origin(center, size), unit)


def nearest_depth(model: Model) -> float | None:
    """How near to the cameras the points begin that lie in the photos, a hundredth of them aside; None where there are none."""
    points = np.asarray(model.points, dtype=np.float64)
    points = points[:: max(1, len(points) // LOOKED_AT[0])]
    found = [depths_in_view(image, points) for image in model.images[:: max(1, len(model.images) // LOOKED_AT[1])]]
    depths = np.concatenate(found) if found else np.zeros(0)
    depths = depths[~np.isnan(depths)]
    return float(np.quantile(depths, 0.01)) if len(depths) else None


def frame_of_scene(model: Model, means: Tensor) -> Georeference:
    """The coordinates that a scene is in of which nobody says: the capture's own, or local ones, whichever puts it where the
    capture is.

    Args:
        means: [N, 3] centers of the scene's Gaussians.
    """
    local = local_frame(model)
    means = usable(means.cpu()).double()
    if local.is_identity or not len(means):
        return local
    middle, radius = means.median(0).values, point_radius(means)
    # Points are of the surfaces that the Gaussians are of; how far cameras stand from those says less about a scale.
    there = usable(torch.from_numpy(np.asarray(model.points, dtype=np.float64)))
    size = point_radius(there)
    if not len(there):
        there = torch.from_numpy(camera_positions(model))
        size = camera_extent(there)

    def misfit(georeference: Georeference) -> float:
        """How far the capture and the Gaussians are apart and how much they differ in size, in factors."""
        origin = torch.from_numpy(georeference.to_local(there.median(0).values.numpy()))
        extent = size / georeference.unit
        return float((origin - middle).norm()) / max(extent, radius) + abs(math.log(extent / radius))

    return min(IDENTITY, local, key=misfit)


def localized(model: Model, georeference: Georeference) -> Model:
    """The model in local coordinates."""
    if georeference.is_identity:
        return model
    images = [replace(image, viewmat=georeference.local_viewmat(image.viewmat)) for image in model.images]
    return replace(model, images=images, points=georeference.to_local(model.points))


def camera_positions(model: Model) -> np.ndarray:  # [F, 3] float64
    """Centers of projection in the model's coordinates."""
    viewmats = np.stack([image.viewmat for image in model.images])
    return -np.einsum("fji,fj->fi", viewmats[:, :3, :3], viewmats[:, :3, 3])


def placement_notes(model: Model, georeference: Georeference) -> list[str]:
    """What a person should know of where the capture lies; `model` as it was read."""
    notes = []
    if not georeference.is_identity:
        why = "so that 32 bits hold them" if any(georeference.offset) else "so that the near plane suits them"
        notes.append(f"coordinates {georeference.describe()}, {why}; georeference.json leads back")
    far = outlying(torch.from_numpy(camera_positions(model))).nonzero().flatten().tolist()
    if far:
        names = listed(model.images[index].name for index in far)
        notes.append(
            f"{len(far)} of {len(model.images)} cameras are more than {OUTLIER_RATIO:g} times as far from the middle as half "
            f"of the others are and do not count for the size of the scene; their poses are probably wrong: {names}"
        )
    return notes
