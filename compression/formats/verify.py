"""Whether a scene's file holds what it should: values in their ranges, and the same again after writing and reading."""

import contextlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from splat.compression.formats.precision import coarse, float_steps
from splat.compression.formats.recognition import recognized, unpacked
from splat.compression.formats.registry import FORMATS, Format, FormatOptions, format_to_read, size_of
from splat.gaussians import Gaussians, defects, drawable, with_finite_values
from splat.io.wording import number_of
from splat.run import find_scene

HUGE = 1e4
"""Median distances from the center of the scene, beyond which a position is a mistake."""
SCALES = (-30.0, 20.0)
"""Logarithms of scales between which a scene lies; others come from a file that holds scales themselves."""
HARMONICS = 32.0
ROUND_TRIP = 1 << 18
"""Gaussians that are written and read again; of larger files, as many of them."""
CHANGES = {"position": 0.5, "rotation": 2.0, "log scale": 0.1, "opacity": 0.05, "color": 0.1, "harmonics": 0.05}
"""What half of the Gaussians may change by when a file is written in its own format and read again: positions in their middle
axes, rotations in degrees. The steps of every format are smaller."""


def verify(path: Path, options: FormatOptions) -> dict[str, Any]:
    """Facts about a file, with what is wrong in it under `problems`.

    Raises:
        InputError: it cannot be read at all.
    """
    path = find_scene(path)
    with warnings.catch_warnings(record=True) as caught, contextlib.ExitStack() as folders:
        warnings.simplefilter("always")
        file = folders.enter_context(unpacked(path)) if recognized(path) == ".gz" else path
        known = format_to_read(file)
        scene = known.load(file, options).gaussians
    size, problems = size_of(path), ranges(scene)
    facts: dict[str, Any] = {
        "file": str(path),
        "format": known.name,
        "bytes": size,
        "gaussians": len(scene),
        "bytes each": round(size / max(1, len(scene)), 2),
        "SH degree": scene.sh_degree,
    }
    fine = with_finite_values(scene[drawable(scene)][:ROUND_TRIP])
    found = coarse(fine, known.position_steps or float_steps)
    if found is not None:
        problems.append(
            f"positions are in steps of {found.step:.2g}, and half of the Gaussians are smaller than {found.size:.2g}: export "
            "the scene nearer to the origin, or as a PLY with positions in double precision"
        )
    if known.write is not None and len(fine):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            end = _end(known)
            copy = Path(folder) / (end if end == "meta.json" else f"scene{end}")
            known.write(fine, copy, options)
            again = known.load(copy, options).gaussians
        facts["round trip"] = differences(fine, again)
        problems += changes(fine, again, exact=known.name == "PLY")
    return {**facts, "notes": [str(warning.message) for warning in caught], "problems": problems}


def ranges(scene: Gaussians) -> list[str]:
    """What is out of range in a scene."""
    if not len(scene):
        return ["there are no Gaussians"]
    problems = []
    counts = [(int(broken.sum()), reason) for reason, broken in defects(scene)]
    problems += [f"{number_of(count, 'Gaussian')} cannot be drawn: {reason}" for count, reason in counts if count]
    scene = with_finite_values(scene[drawable(scene)])
    if not len(scene):
        return problems
    away = (scene.means - scene.means.median(dim=0).values).norm(dim=1)
    far = int((away > HUGE * away.median().clamp_min(1e-12)).sum())
    if far:
        problems.append(
            f"{number_of(far, 'position')} of {len(scene):,} more than {HUGE:,.0f} times further out than most"
        )
    odd = int(((scene.log_scales < SCALES[0]) | (scene.log_scales > SCALES[1])).any(dim=1).sum())
    if odd:
        problems.append(
            f"{number_of(odd, 'Gaussian')} with logarithms of scales beyond {SCALES[0]:.0f} to {SCALES[1]:.0f}"
        )
    if len(scene) > 100 and bool((scene.log_scales > 0).all()):
        problems.append("all scales are above 1: the file may hold scales where their logarithms belong")
    logits = scene.logit_opacities
    if len(scene) > 100 and bool(((logits >= 0) & (logits <= 1)).all()):
        problems.append("all opacities lie in 0 to 1: the file may hold opacities where their logits belong")
    bright = int((scene.sh_rest.abs() > HARMONICS).flatten(1).any(dim=1).sum()) if scene.sh_degree else 0
    if bright:
        problems.append(f"{number_of(bright, 'Gaussian')} with harmonics beyond {HARMONICS:.0f}")
    return problems


def differences(first: Gaussians, second: Gaussians) -> dict[str, float]:
    """The largest difference of every parameter between Gaussians and those of another scene that are most like them; of
    rotations the median, because round Gaussians may be turned at will."""
    if not len(second):
        return {"gaussians": 0}
    apart = _apart(first, second)
    found = {"position": apart["position"].max(), "rotation (median) [degrees]": apart["rotation"].median()}
    found |= {name: apart[name].max() for name in ("log scale", "opacity", "color")}
    if "harmonics" in apart:
        found["harmonics (mean)"] = apart["harmonics"].mean()
    return {"gaussians": len(second), **{name: float(f"{float(value):.3g}") for name, value in found.items()}}


def changes(first: Gaussians, second: Gaussians, exact: bool) -> list[str]:
    """What is another scene after it was written and read again.

    Args:
        exact: of a format that keeps every bit, and the order; else half of the Gaussians may change by `CHANGES`.
    """
    if len(first) != len(second):
        return [f"{number_of(len(first), 'Gaussian')} written, {len(second):,} read again"]
    if exact:
        others = second.tensors()
        changed = [name for name, values in first.tensors().items() if not torch.equal(values, others[name])]
    else:
        apart = _apart(first, second)
        apart["position"] = apart["position"] / first.log_scales.exp().median(dim=1).values.clamp_min(1e-30)
        changed = [name for name, values in apart.items() if float(values.median()) > CHANGES[name]]
    return [f"writing and reading again changes {', '.join(changed)}"] if changed else []


def _apart(first: Gaussians, second: Gaussians) -> dict[str, torch.Tensor]:  # [N] each
    """Differences between Gaussians and those of another scene that are most like them: the nearest position says which those
    are only where no other is as near."""
    size = first.log_scales.exp().median(dim=1).values.median().clamp_min(1e-30)

    def features(scene: Gaussians) -> NDArray[np.float64]:
        columns = [scene.means / size, scene.log_scales, scene.sh0, scene.opacities[:, None]]
        return torch.cat(columns, dim=1).double().nan_to_num().numpy()

    like = second[torch.from_numpy(cKDTree(features(second)).query(features(first))[1])]
    units = (torch.nn.functional.normalize(scene.quats.double(), dim=1) for scene in (first, like))
    found = {
        "position": (first.means - like.means).abs().amax(dim=1),
        "rotation": 2 * torch.linalg.vecdot(*units).abs().clamp(max=1).acos().rad2deg(),
        "log scale": (first.log_scales - like.log_scales).abs().amax(dim=1),
        "opacity": (first.opacities - like.opacities).abs(),
        "color": (first.sh0 - like.sh0).abs().amax(dim=1),
    }
    if first.sh_degree and first.sh_rest.shape == like.sh_rest.shape:
        found["harmonics"] = (first.sh_rest - like.sh_rest).abs().flatten(1).mean(dim=1)
    return found


def _end(known: Format) -> str:
    """A name's end with which the format is written."""
    return next(end for end, other in FORMATS.items() if other is known)
