"""What a capture contains, as facts for `splat info`. The photos themselves are not read."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from splat.datasets.readers.choose import read_model


def describe_capture(path: Path) -> dict[str, Any]:
    """Photos, camera models, points and their bounds, as JSON-able values.

    Raises:
        InputError: no cameras are known, or they cannot be read.
    """
    model = read_model(path)
    cameras = Counter(f"{posed.camera.model.name} {posed.camera.width}x{posed.camera.height}" for posed in model.images)
    facts: dict[str, Any] = {
        "kind": "capture",
        "folder": str(path),
        "model": str(model.source),
        "photos": len(model.images),
        "cameras": dict(cameras),
        "points": len(model.points),
    }
    if len(model.points):
        low, high = np.percentile(model.points, (5, 95), axis=0)
        facts["most points within"] = [[float(f"{value:.4g}") for value in corner] for corner in (low, high)]
    if model.skipped:
        facts["not usable"] = dict(model.skipped)
    if model.notes:
        facts["notes"] = list(model.notes)
    return facts
