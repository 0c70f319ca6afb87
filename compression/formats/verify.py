"""Whether a scene's file holds what it should: values in their ranges, and the same again after writing and reading."""

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from scipy.spatial import cKDTree

from splat.compression.formats.registry import FORMATS, Format, FormatOptions, format_to_read
from splat.gaussians import Gaussians, defects, drawable, with_finite_values
from splat.run import find_scene

HUGE = 1e4
"""Median distances from the center of the scene, beyond which a position is a mistake."""
SCALES = (-30.0, 20.0)
"""Logarithms of scales between which a scene lies; others come from a file that holds scales themselves."""
HARMONICS = 32.0
ROUND_TRIP = 1 << 18
"""Gaussians that are written and read again; of larger files, as many of them."""


def verify(path: Path, options: FormatOptions) -> dict[str, Any]:
    """Facts about a file, with what is wrong in it under `problems`.

    Raises:
        InputError: it cannot be read at all.
    """
    path = find_scene(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        known = format_to_read(path)
        scene = known.load(path, options).gaussians
    problems = ranges(scene)
    facts: dict[str, Any] = {
        "file": str(path),
        "format": known.name,
        "bytes": path.stat().st_size,
        "gaussians": len(scene),
        "bytes each": round(path.stat().st_size / max(1, len(scene)), 2),
        "SH degree": scene.sh_degree,
    }
    fine = with_finite_values(scene[drawable(scene)][:ROUND_TRIP])
    if known.write is not None and len(fine):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            end = _end(known)
            copy = Path(folder) / (end if end == "meta.json" else f"scene{end}")
            known.write(fine, copy, options)
            facts["round trip"] = differences(fine, known.load(copy, options).gaussians)
        if facts["round trip"]["gaussians"] != len(fine):
            problems.append(f"{len(fine):,} Gaussians written, {facts['round trip']['gaussians']:,} read again")
    return {**facts, "notes": [str(warning.message) for warning in caught], "problems": problems}


def ranges(scene: Gaussians) -> list[str]:
    """What is out of range in a scene."""
    if not len(scene):
        return ["there are no Gaussians"]
    problems = []
    counts = [(int(broken.sum()), reason) for reason, broken in defects(scene)]
    problems += [f"{count:,} Gaussians cannot be drawn: {reason}" for count, reason in counts if count]
    scene = with_finite_values(scene[drawable(scene)])
    if not len(scene):
        return problems
    away = (scene.means - scene.means.median(dim=0).values).norm(dim=1)
    far = int((away > HUGE * away.median().clamp_min(1e-12)).sum())
    if far:
        problems.append(f"{far:,} positions are {HUGE:,.0f} times further out than most")
    odd = int(((scene.log_scales < SCALES[0]) | (scene.log_scales > SCALES[1])).any(dim=1).sum())
    if odd:
        problems.append(f"{odd:,} have logarithms of scales beyond {SCALES[0]:.0f} to {SCALES[1]:.0f}")
    if len(scene) > 100 and bool((scene.log_scales > 0).all()):
        problems.append("all scales are above 1: the file may hold scales where their logarithms belong")
    logits = scene.logit_opacities
    if len(scene) > 100 and bool(((logits >= 0) & (logits <= 1)).all()):
        problems.append("all opacities lie in 0 to 1: the file may hold opacities where their logits belong")
    bright = int((scene.sh_rest.abs() > HARMONICS).flatten(1).any(dim=1).sum()) if scene.sh_degree else 0
    if bright:
        problems.append(f"{bright:,} have harmonics beyond {HARMONICS:.0f}")
    return problems


def differences(first: Gaussians, second: Gaussians) -> dict[str, float]:
    """The largest difference of every parameter between Gaussians and those nearest to them in another scene."""
    if not len(second):
        return {"gaussians": 0}
    _, nearest = cKDTree(second.means.numpy()).query(first.means.numpy())
    second_near = second[torch.from_numpy(nearest)]
    units = (torch.nn.functional.normalize(scene.quats.double(), dim=1) for scene in (first, second_near))
    cosine = torch.linalg.vecdot(*units).abs().clamp(max=1)
    found: dict[str, torch.Tensor | float] = {
        "position": (first.means - second_near.means).abs().max(),
        "rotation [degrees]": 2 * math.degrees(math.acos(float(cosine.median()))),
        "log scale": (first.log_scales - second_near.log_scales).abs().max(),
        "opacity": (first.opacities - second_near.opacities).abs().max(),
        "color": (first.sh0 - second_near.sh0).abs().max(),
    }
    if first.sh_degree and first.sh_rest.shape == second_near.sh_rest.shape:
        found["harmonics (mean)"] = (first.sh_rest - second_near.sh_rest).abs().mean()
    return {"gaussians": len(second), **{name: float(f"{float(value):.3g}") for name, value in found.items()}}


def _end(known: Format) -> str:
    """A name's end with which the format is written."""
    return next(end for end, other in FORMATS.items() if other is known)
