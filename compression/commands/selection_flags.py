"""Which Gaussians go from one file to another, and how many."""

import math
import re
import sys
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import IDENTITY, Georeference
from splat.io.wording import number_of


@dataclass(frozen=True)
class SelectionFlags:
    """Which Gaussians are kept: in a region, not faint, no floaters; the rest merged until so many are left."""

    crop: Annotated[str | None, tyro.conf.arg(metavar="X,Y,Z,...")] = None
    """Keep what lies in a box, x0,y0,z0,x1,y1,z1, or in a sphere, x,y,z,radius; in the coordinates of the input, by centers."""

    min_opacity: Annotated[str | None, tyro.conf.arg(metavar="FRACTION")] = None
    """Leave out Gaussians of less opacity than this (0.05, 5%)."""

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
        least_opacity(self.min_opacity)
        target(self.decimate, 1)

    def select(self, scene: Gaussians, read: Georeference = IDENTITY) -> Gaussians:
        """What is left of a scene; how many were left out, and why, is said.

        Args:
            read: where the scene's coordinates lie in those of the input.

        Raises:
            InputError: nothing is left.
        """
        box = region(self.crop)
        if box is not None:
            scene = _kept(scene, inside(read.to_capture(scene.means), box), "outside --crop")
        least = least_opacity(self.min_opacity)
        if least > 0:
            scene = _kept(scene, scene.opacities >= least, "fainter than --min-opacity")
        if self.filter_floaters:
            from splat.compression.simplify.floaters import floaters

            scene = _kept(scene, ~floaters(scene), "floaters")
        count = target(self.decimate, len(scene))
        if count is not None and count < len(scene):
            from splat.compression.simplify.merge import merged

            before, scene = len(scene), merged(scene, count)
            print(f"{number_of(before, 'Gaussian')} merged into {len(scene):,}", file=sys.stderr)
        return scene


def _kept(scene: Gaussians, keep: Tensor, why: str) -> Gaussians:
    left_out = len(scene) - int(keep.sum())
    print(f"{left_out:,} of {number_of(len(scene), 'Gaussian')} left out: {why}", file=sys.stderr)
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


def least_opacity(text: str | None) -> float:
    """The number of `--min-opacity`, 0 to 1.

    Raises:
        InputError: it is none.
    """
    found = 0.0 if text is None else number(text)
    if not 0 <= found <= 1:
        raise InputError(f"--min-opacity: expected an opacity of 0 to 1, or 0% to 100%, got {text!r}")
    return found


def target(text: str | None, count: int) -> int | None:
    """How many of `count` Gaussians `--decimate` leaves.

    Raises:
        InputError: it is neither a number of Gaussians nor a fraction.
    """
    if text is None:
        return None
    percent, found = text.endswith("%"), number(text)
    if found == 1 and not percent and text != "1":
        raise InputError(f"--decimate: {text} may mean one Gaussian, or all of them; say 1 or 100%")
    if 0 < found < 1 or (percent and found == 1):
        return max(1, round(found * count))
    if percent or not found >= 1 or not found.is_integer():
        raise InputError(f"--decimate: expected a number of Gaussians, or a fraction such as 0.25 or 25%, got {text!r}")
    return int(found)


def number(text: str) -> float:
    """A number as people write it: 0.25, 25%, 1000, 1,000; not a number where it is none."""
    plain = text.removesuffix("%")
    if "," in plain and not re.fullmatch(r"\d{1,3}(,\d{3})+", plain):  # 0,25 is no thousands
        return math.nan
    try:
        found = float(plain.replace(",", ""))
    except ValueError:
        return math.nan
    return found / 100 if plain != text else found
