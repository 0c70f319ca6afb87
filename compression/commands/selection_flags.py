"""Which Gaussians go from one file to another, and how many."""

import math
import sys
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians


@dataclass(frozen=True)
class SelectionFlags:
    """Which Gaussians are kept: in a region, not faint, no floaters; the rest merged until so many are left."""

    crop: Annotated[str | None, tyro.conf.arg(metavar="X,Y,Z,...")] = None
    """Keep what lies in a box, x0,y0,z0,x1,y1,z1, or in a sphere, x,y,z,radius; in the coordinates of the input, by centers."""

    min_opacity: float = 0.0
    """Leave out Gaussians fainter than this."""

    filter_floaters: bool = False
    """Leave out Gaussians, and clumps of less than a thousandth of the scene, that hang in empty space."""

    decimate: Annotated[str | None, tyro.conf.arg(metavar="N|FRACTION")] = None
    """Merge neighbors until N Gaussians, or a fraction (0.25, 25%) of them, are left."""

    def check(self) -> None:
        """Whether the flags can be followed.

        Raises:
            InputError: they cannot.
        """
        region(self.crop)
        target(self.decimate, 1)

    def select(self, scene: Gaussians) -> Gaussians:
        """What is left of a scene; how many were left out, and why, is said.

        Raises:
            InputError: nothing is left.
        """
        box = region(self.crop)
        if box is not None:
            scene = _kept(scene, inside(scene.means, box), "outside --crop")
        if self.min_opacity > 0:
            scene = _kept(scene, scene.opacities >= self.min_opacity, "fainter than --min-opacity")
        if self.filter_floaters:
            from splat.compression.simplify.floaters import floaters

            scene = _kept(scene, ~floaters(scene), "floaters")
        count = target(self.decimate, len(scene))
        if count is not None and count < len(scene):
            from splat.compression.simplify.merge import merged

            before, scene = len(scene), merged(scene, count)
            print(f"{before:,} Gaussians merged into {len(scene):,}", file=sys.stderr)
        return scene


def _kept(scene: Gaussians, keep: Tensor, why: str) -> Gaussians:
    left_out = len(scene) - int(keep.sum())
    print(f"{left_out:,} of {len(scene):,} Gaussians left out: {why}", file=sys.stderr)
    if left_out == len(scene) and left_out:
        raise InputError(f"no Gaussian is left: all {left_out:,} are {why}")
    return scene[keep]


def region(text: str | None) -> tuple[float, ...] | None:
    """The numbers of `--crop`: six of a box, least first, or four of a sphere.

    Raises:
        InputError: they are neither.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        numbers = ()
    if len(numbers) not in (4, 6) or not all(map(math.isfinite, numbers)):
        raise InputError(f"--crop: expected a box x0,y0,z0,x1,y1,z1 or a sphere x,y,z,radius, got {text!r}")
    if len(numbers) == 4 and numbers[3] <= 0:
        raise InputError(f"--crop: the radius of a sphere must be positive, got {numbers[3]:g}")
    if len(numbers) == 6:
        ends = (
            sorted(numbers[:1] + numbers[3:4]),
            sorted(numbers[1:2] + numbers[4:5]),
            sorted(numbers[2:3] + numbers[5:]),
        )
        return tuple(low for low, _ in ends) + tuple(high for _, high in ends)
    return numbers


def inside(means: Tensor, box: tuple[float, ...]) -> Tensor:  # [N] bool
    """Which positions lie in a region as `region` gives it."""
    place = means.double()
    if len(box) == 4:
        return (place - torch.tensor(box[:3], dtype=torch.float64)).norm(dim=1) <= box[3]
    low, high = torch.tensor(box[:3], dtype=torch.float64), torch.tensor(box[3:], dtype=torch.float64)
    return ((place >= low) & (place <= high)).all(dim=1)


def target(text: str | None, count: int) -> int | None:
    """How many of `count` Gaussians `--decimate` leaves.

    Raises:
        InputError: it is neither a number of Gaussians nor a fraction.
    """
    if text is None:
        return None
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("%").replace(",", "").replace("_", ""))
    except ValueError:
        number = math.nan
    number = number / 100 if percent else number
    if 0 < number < 1 or (percent and number == 1):
        return max(1, round(number * count))
    if percent or not number >= 1 or not number.is_integer():
        raise InputError(f"--decimate: expected a number of Gaussians, or a fraction such as 0.25 or 25%, got {text!r}")
    return int(number)
