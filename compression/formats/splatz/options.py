"""How fine a `.splatz` is."""

from dataclasses import dataclass

from splat.compression.formats.splatz.optional.residual_codebooks import MOST_CODES, MOST_STAGES
from splat.errors import InputError


@dataclass(frozen=True)
class SplatzOptions:
    """How fine a `.splatz` is. The defaults share the loss between attributes so that each bit buys about the same."""

    coarseness: float = 1.0
    """Multiplies every step below: above 1 the file becomes smaller, below 1 better."""
    position_step: float = 0.25
    """Cells of positions, against the size that three quarters of the Gaussians exceed."""
    scale_step: float = 0.096
    """Of logarithms of scales."""
    rotation_step: float = 0.076
    """Shift of the end of an axis, against the width there."""
    opacity_step: float = 1 / 44
    color_step: float = 0.049
    """Of the constant harmonic; 0.049 is 0.014 of full brightness."""
    sh_step: float = 0.0166
    """Of view-dependent color, root of the mean square over directions, in the codebook and besides it."""
    sh_codes: int | None = 0
    """Entries of the codebook of harmonics, up to 65,536; None: by the number of Gaussians. 0: no codebook, all harmonics on
    their own, which is better for scenes of 50,000 at equal error."""
    sh_exact: float = 0.0
    """Fraction of Gaussians, the most important ones, that keep what their harmonics differ from the codebook."""
    sh_degree: int | None = None
    """Keep harmonics up to this degree only."""
    classes: int = 4
    """Of importance, 1 to 4: in each, steps are twice as large as in the one before."""
    shape_stages: int = 0
    """Number of codebooks for scales, and as many for rotations, up to 8: each value is a sum of one entry of each. 0: both in
    steps, which is smaller at equal error."""
    shape_codes: int = 64
    """Entries of each of these codebooks, 2 to 256."""
    midpoints: float = 0.0
    """Fraction of the Gaussians, up to a half, that are not stored but made half-way between two others; see
    optional/midpoints.py."""
    seed: int = 0

    def check(self) -> None:
        """Raises:
        InputError: a value is out of range.
        """
        steps = ("coarseness", "position_step", "scale_step", "rotation_step", "opacity_step", "color_step", "sh_step")
        for name in steps:
            if not 1e-4 <= getattr(self, name) <= 100:
                raise InputError(f".splatz: {name} must be 0.0001 to 100, got {getattr(self, name)}")
        if self.sh_codes is not None and not 0 <= self.sh_codes <= 1 << 16:
            raise InputError(f".splatz: the codebook must have 0 to 65536 entries, got {self.sh_codes}")
        if not 0 <= self.sh_exact <= 1 or not 1 <= self.classes <= 4:
            raise InputError(
                f".splatz: a fraction of {self.sh_exact} or {self.classes} classes cannot be; 0 to 1, 1 to 4"
            )
        if not 0 <= self.shape_stages <= MOST_STAGES or not 2 <= self.shape_codes <= MOST_CODES:
            raise InputError(
                f".splatz: shapes are sums from 0 to {MOST_STAGES} codebooks of 2 to {MOST_CODES} entries, got "
                f"{self.shape_stages} of {self.shape_codes}"
            )
        if not 0 <= self.midpoints <= 0.5:
            raise InputError(
                f".splatz: midpoints must be a fraction of 0 to 0.5 of the Gaussians, got {self.midpoints}"
            )
