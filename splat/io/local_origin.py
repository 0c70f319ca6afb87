"""Positions in double precision that are too far from the origin for the 32-bit floats of a scene, such as those of maps."""

from torch import Tensor

from splat.geometry.georeference import Georeference

FLOAT_STEP = 2.0**-24
"""Rounding error of a 32-bit float, relative to it."""
LIMIT = 0.1
"""Rounding errors beyond this fraction of the Gaussians' middle axes show."""
GAIN = 10
"""A new origin is worth it for what comes so many times nearer to it."""
FEW = 0.01
"""A fraction of the Gaussians that is not given up where doubles can be had."""


def local_origin(means: Tensor, scales: Tensor, part: float = 0.5) -> Tensor | None:  # [3] float64
    """Where the origin has to be moved to, so that positions keep their precision as 32-bit floats; None where they keep it.

    Args:
        means: [N, 3] float64, as a file has them.
        scales: [N, 3] standard deviations.
        part: fraction of the Gaussians that may lose theirs.
    """
    fine = means.isfinite().all(dim=1) & scales.isfinite().all(dim=1)
    means, sizes = means[fine], scales[fine].double().median(dim=1).values.clamp_min(1e-30)
    if not len(means):
        return None
    origin = means.median(dim=0).values.round() + 0.0  # not -0
    reach, left = means.abs().amax(dim=1), (means - origin).abs().amax(dim=1)
    lost = (reach * FLOAT_STEP > LIMIT * sizes) & (reach >= GAIN * left)
    return origin if float(lost.double().mean()) > part else None


def moved_from(origin: Tensor) -> Georeference:
    """Where positions from an origin lie in their file."""
    x, y, z = origin.tolist()
    return Georeference((x, y, z))


def moved_text(origin: Tensor) -> str:
    """What was done, for a warning."""
    x, y, z = (f"{value:.0f}" for value in origin.tolist())
    return (
        f"its positions are too far from the origin for 32-bit floats, so ({x}, {y}, {z}) was subtracted from them; "
        "add it to go back"
    )
