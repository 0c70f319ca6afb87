"""Every threshold of the renderer, once, with its unit and its source.

All backends (reference, CPU, CUDA) read these values; no kernel has a constant of its own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RenderSettings:
    """How Gaussians become an image. The defaults are the published ones; a field's comment says where it comes from."""

    near: float = 0.01
    """Gaussians whose center is nearer than this (world units along the viewing axis) are not drawn.
    gsplat's value; the 0.2 of the 2023 code makes close objects vanish."""

    far: float = 1e10
    """Gaussians whose center is farther than this (world units along the viewing axis) are not drawn."""

    eps2d: float = 0.3
    """Added to the diagonal of every projected covariance (px^2), so that no Gaussian is thinner than about a pixel.
    Kerbl et al. 2023, section 4."""

    antialiased: bool = False
    """Multiply the opacity by sqrt(det / det_dilated), so that the dilation adds no light. Yu et al. 2024 (Mip-Splatting)."""

    alpha_max: float = 0.99
    """A Gaussian never covers a pixel by more than this; the gradient of the alpha is zero where it is clamped."""

    alpha_min: float = 1.0 / 255.0
    """Contributions below one 8-bit step are skipped. The extent of a Gaussian follows from it, without loss."""

    transmittance_min: float = 1e-4
    """A Gaussian that would take the transmittance of a pixel to this or below is left out, and the pixel is finished."""

    frustum_margin: float = 0.3
    """The Jacobian of the projection is evaluated no farther outside the image than this, in units of tan(fov / 2)."""

    max_intersections: int = 1 << 28
    """Refuse to draw when more intersections of tiles and Gaussians than this would be needed; on the CPU each takes
    8 bytes forward and 4 * (6 + channels) backward (absgrad: 8 more); on a GPU 4 forward, besides the scratch of the sort,
    and none backward unless deterministic. It turns a scene of giant Gaussians into an error instead of a machine out of
    memory."""

    intersection_capacity: int = 0
    """GPU: room for so many intersections, so that nobody waits for the device to count them and a CUDA graph can capture the
    render. An image that needs more becomes NaN. 0: the host waits for their number, once per render,
    after all stages have been started."""

    deterministic: bool = False
    """GPU: the same bits on every run, for some time and memory (36 bytes an intersection for plain RGB). On the CPU this
    always holds."""

    def __post_init__(self) -> None:
        if not 0.0 < self.near < self.far:
            raise ValueError(f"RenderSettings: expected 0 < near < far, got near={self.near}, far={self.far}")
        if not 0.0 < self.alpha_min < self.alpha_max < 1.0:
            raise ValueError(
                f"RenderSettings: expected 0 < alpha_min < alpha_max < 1, got {self.alpha_min} and {self.alpha_max}"
            )
        if not 0.0 < self.transmittance_min < 1.0:
            raise ValueError(f"RenderSettings: transmittance_min must be between 0 and 1, got {self.transmittance_min}")
        if not self.eps2d > 0.0:
            raise ValueError(f"RenderSettings: eps2d must be positive, got {self.eps2d}")
        if not self.frustum_margin >= 0.0:
            raise ValueError(f"RenderSettings: frustum_margin must not be negative, got {self.frustum_margin}")
        if not 0 <= self.intersection_capacity <= self.max_intersections:
            raise ValueError(
                f"RenderSettings: intersection_capacity must be from 0 to max_intersections = {self.max_intersections}, "
                f"got {self.intersection_capacity}"
            )
        if self.max_intersections < 1:
            raise ValueError(f"RenderSettings: max_intersections must be at least 1, got {self.max_intersections}")
