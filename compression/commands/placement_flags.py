"""Where a scene stands: moved, turned, scaled, or stood upright, on the way from one file to another."""

import math
from dataclasses import dataclass

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.alignment import ground, standing_on
from splat.geometry.similarity import Similarity

MAX_SCALE = 1e6
"""Factors beyond this, or below its inverse, are mistakes."""
SOLID = 0.5
"""Gaussians fainter than this say nothing about where the ground is."""


@dataclass(frozen=True)
class PlaceFlags:
    """Where the scene is put: upright first, then turned, scaled and moved."""

    upright: bool = False
    """Find the ground, make it level, and put it at height 0, with up as -y. The scene must stand roughly upright already."""

    rotate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Turn around the origin, by degrees about x, then y, then z."""

    scale: float = 1.0
    """Make everything so many times as large."""

    translate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Move by world units along x, y, z."""

    @property
    def is_identity(self) -> bool:
        return self == PlaceFlags()

    def place(self, scene: Gaussians) -> Gaussians:
        """The scene, where the flags say.

        Raises:
            InputError: a number is not finite, the scale not positive, or there is no ground.
        """
        if not all(map(math.isfinite, (*self.rotate, *self.translate))):
            raise InputError(f"--rotate and --translate must be finite, got {self.rotate} and {self.translate}")
        if not 1 / MAX_SCALE <= self.scale <= MAX_SCALE:
            raise InputError(f"--scale must be from {1 / MAX_SCALE:g} to {MAX_SCALE:g}, got {self.scale:g}")
        try:
            move = Similarity.from_euler(self.rotate, self.translate, self.scale)
        except ValueError as error:
            raise InputError(f"--scale: {error}") from None
        if self.upright:
            try:
                move = move @ standing_on(ground(scene.means[scene.opacities > SOLID], (0.0, -1.0, 0.0)))
            except ValueError as error:
                raise InputError(f"--upright: {error}") from None
        return move.gaussians(scene)
