"""Numbers as colors: one palette for every map, dark for little and light for much."""

import torch
from torch import Tensor

from splat.io.images import DEPTH_COLORS


def heat(values: Tensor, low: float, high: float) -> Tensor:  # [..., 3] float, 0 to 1
    """Colors of values, the palette of depth maps spread evenly from `low` to `high`; black where not finite.

    Args:
        values: any shape.
    """
    stops = torch.tensor(DEPTH_COLORS, dtype=torch.float32, device=values.device) / 255
    place = ((values - low) / max(high - low, 1e-12)).clamp(0, 1).nan_to_num(0.0) * (len(stops) - 1)
    first = place.floor().long().clamp_max(len(stops) - 2)
    fraction = (place - first)[..., None]
    colors = stops[first] * (1 - fraction) + stops[first + 1] * fraction
    return torch.where(values.isfinite()[..., None], colors, torch.zeros_like(colors))


def percentile(values: Tensor, fraction: float) -> float:
    """A quantile of all values, from at most 200,000 of them; 0 of none."""
    values = values.flatten()
    if not len(values):
        return 0.0
    sample = values[:: max(1, len(values) // 200_000)].float()
    return float(sample.quantile(fraction))
