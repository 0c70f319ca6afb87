"""Whether a format can hold the positions of a scene finely enough: its steps where they are, against the Gaussians' sizes."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians, drawable

Steps = Callable[[Tensor], Tensor]
"""From positions [N, 3], the step [N] in world units with which a format keeps each."""
LIMIT = 1.0
"""Steps as large as the middle axis of half of the Gaussians show: each is off by a third of it."""
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
    fine = gaussians[drawable(gaussians)].detach()
    scene = fine[:: max(1, -(-len(fine) // SAMPLE))]
    if not len(scene):
        return
    sizes = scene.log_scales.float().exp().median(dim=1).values.clamp_min(1e-30)
    means = scene.means.float()
    step = steps(means)
    ratio = float((step / sizes).median())
    if ratio <= LIMIT:
        return
    center = means.double().median(dim=0).values.round()
    centered = float((steps((means - center).float()) / sizes).median())
    if centered <= LIMIT:
        remedy = "splat convert --frame local moves it to the origin and writes down where it was"
    else:
        remedy = f"splat convert --scale {10 ** len(str(int(ratio)))} makes it larger"
    raise InputError(
        f"{path}: {name} keeps positions here in steps of {float(step.median()):.2g}, but half of the Gaussians are smaller "
        f"than {float(sizes.median()):.2g}: the scene, which reaches {float(means.abs().max()):.3g} units from the origin, "
        f"would be ruined. {remedy}; or write .ply"
    )


def float_steps(means: Tensor) -> Tensor:  # [N]
    """Of formats that keep positions as 32-bit floats."""
    return means.abs().amax(dim=1) * 2.0**-23


def logarithmic_steps(means: Tensor) -> Tensor:  # [N]
    """SOG's: 16 bits of sign(x) ln(|x| + 1) between its bounds, and no finer than those logarithms are as 32-bit floats."""
    logs = means.sign() * means.abs().log1p()
    step = torch.maximum((logs.amax(dim=0) - logs.amin(dim=0)) / 65535, logs.abs() * 2.0**-23)
    return ((means.abs() + 1) * step).amax(dim=1)
