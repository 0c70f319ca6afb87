"""Where a scene stands: moved, turned, scaled, or stood upright, on the way from one file to another."""

import math
from dataclasses import dataclass

from splat.compression.formats.precision import MOST_SCALE
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.alignment import ground, standing_on
from splat.geometry.similarity import Similarity

SOLID = 0.5
"""Gaussians fainter than this say nothing about where the ground is."""


@dataclass(frozen=True)
class PlaceFlags:
    """Where the scene is put: upright first, then turned, scaled and moved."""

    upright: bool = False
    """Find the ground, make it level, and put it at height 0, with up as -y. The scene must stand roughly upright already."""

    rotate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Turn around the origin of the coordinates that are written, by degrees about x, then y, then z."""

    scale: float = 1.0
    """Make everything so many times as large."""

    translate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Move by world units along x, y, z."""

    def move(self, scene: Gaussians, placement: Similarity | None = None) -> Similarity:
        """From the coordinates of a scene to where the flags put it.

        Args:
            placement: from the scene's coordinates to those that the flags mean, where they are others.

        Raises:
            InputError: a number is not finite, the scale not positive, or there is no ground.
        """
        if not all(map(math.isfinite, (*self.rotate, *self.translate))):
            raise InputError(f"--rotate and --translate must be finite, got {self.rotate} and {self.translate}")
        if not 1 / MOST_SCALE <= self.scale <= MOST_SCALE:
            raise InputError(f"--scale must be from {1 / MOST_SCALE:g} to {MOST_SCALE:g}, got {self.scale:g}")
        placement = placement or Similarity.identity()
        try:
            move = Similarity.from_euler(self.rotate, self.translate, self.scale)
            if self.upright:
                sunk = (0.0, -float(placement.translation[1]), 0.0)
                move = move @ Similarity.from_euler(translation=sunk)
                placement = placement @ self._upright(scene)
            return move @ placement
        except ValueError as error:
            raise InputError(f"--scale: {error}") from None

    def _upright(self, scene: Gaussians) -> Similarity:
        try:
            return standing_on(ground(scene.means[scene.opacities > SOLID], (0.0, -1.0, 0.0)))
        except ValueError as error:
            raise InputError(f"--upright: {error}") from None
