"""Whether a format can hold the positions of a scene finely enough: its steps where they are, against the Gaussians' sizes."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path

import torch
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians, drawable
from splat.geometry.scene_size import moved_origin, outlying, point_radius
from splat.io.wording import number_of

Steps = Callable[[Tensor], Tensor]
"""From positions [N, 3], the step [N] in world units with which a format keeps each."""
LIMIT = 1.0
"""Steps as large as the middle axis of half of the Gaussians show: each is off by a third of it."""
MOST_SCALE = 1e6
"""Factors of a scene beyond this, or below its inverse, are mistakes."""
SAMPLE = 1 << 18
"""Gaussians that are looked at."""


def check_positions(gaussians: Gaussians, steps: Steps, path: Path, name: str) -> None:
    """That the positions of a scene survive in a format.

    Args:
        name: of the format.

    Raises:
        InputError: half of the Gaussians are smaller than the step with which their position is kept; the message says what
            helps, to move the scene or to scale it.
    """
    found = coarse(gaussians, steps)
    if found is None:
        return
    helps = remedy(found, steps)
    raise InputError(
        f"{path}: {name} keeps positions here in steps of {found.step:.2g}, but half of the Gaussians are smaller than "
        f"{found.size:.2g}: the scene, which reaches {float(found.means.abs().max()):.3g} units from the origin, would be "
        f"ruined. {f'{helps}; or write .ply' if helps else 'Write .ply'}"
    )


@dataclass(frozen=True)
class Coarse:
    """Positions in steps that are too large for their Gaussians."""

    means: Tensor  # [N, 3]
    sizes: Tensor  # [N] middle axes
    step: float  # of half of the positions, at least
    size: float  # of half of the Gaussians, at most


def coarse(gaussians: Gaussians, steps: Steps) -> Coarse | None:
    """Whether half of the Gaussians, or of those that are looked at, are smaller than the step of their position."""
    fine = gaussians[drawable(gaussians)].detach()
    scene = fine[:: max(1, -(-len(fine) // SAMPLE))]
    if not len(scene):
        return None
    sizes = scene.log_scales.float().exp().median(dim=1).values.clamp_min(1e-30)
    means = scene.means.float()
    step = steps(means)
    if float((step / sizes).median()) <= LIMIT:
        return None
    return Coarse(means, sizes, float(step.median()), float(sizes.median()))


def remedy(found: Coarse, steps: Steps) -> str | None:
    """The flags of `splat convert` with which positions survive, as few as will do, and what they do; None if none help."""
    means, sizes = found.means, found.sizes
    near = ~outlying(means)
    far = len(near) - int(near.sum())
    origin = torch.tensor(moved_origin(means.double().median(dim=0).values, point_radius(means)), dtype=torch.float64)
    for local, fewer, larger in sorted(product((False, True), repeat=3), key=sum)[1:]:
        places, widths = (means[near], sizes[near]) if fewer else (means, sizes)
        places = (places - origin).float() if local else places
        ratio = float((steps(places).double() / widths).median())
        factor = 10 ** len(str(int(ratio))) if larger else 1
        if factor <= MOST_SCALE and float((steps(factor * places) / (factor * widths)).median()) <= LIMIT:
            helps = (
                ("--frame local", "moves it to the origin and writes down where it was"),
                ("--filter-floaters", f"leaves out {number_of(far, 'Gaussian')} far from all others, as --crop can"),
                (f"--scale {factor}", "makes it larger"),
            )
            flags, does = zip(*compress(helps, (local, fewer, larger)), strict=True)
            return f"splat convert {' '.join(flags)} {' and '.join(does)}"
    return None


def float_steps(means: Tensor) -> Tensor:  # [N]
    """Of formats that keep positions as 32-bit floats."""
    return means.abs().amax(dim=1) * 2.0**-23


def logarithmic_steps(means: Tensor) -> Tensor:  # [N]
    """SOG's: 16 bits of sign(x) ln(|x| + 1) between its bounds, and no finer than those logarithms are as 32-bit floats."""
    logs = means.sign() * means.abs().log1p()
    step = torch.maximum((logs.amax(dim=0) - logs.amin(dim=0)) / 65535, logs.abs() * 2.0**-23)
    return ((means.abs() + 1) * step).amax(dim=1)
