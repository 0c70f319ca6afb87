"""What a render gives back: images, and the statistics that adaptive density control needs."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Statistics:
    """What adaptive density control needs to know about one render. Shapes have the leading C of the cameras, if any."""

    radii: Tensor  # [..., N] larger half-extent of the footprint in pixels; 0 where the Gaussian was not drawn
    mean2d: Tensor  # [..., N, 2] zeros whose .grad becomes the gradient with respect to the projected mean
    mean2d_abs: Tensor | None = (
        None  # [..., N, 2] zeros whose .grad becomes the sum over pixels of the absolute gradient
    )

    @property
    def visible(self) -> Tensor:  # [..., N] bool
        """Which Gaussians have a footprint on the image."""
        return self.radii > 0

    @property
    def mean2d_grad(self) -> Tensor:  # [..., N, 2]
        """Gradient of the loss by the projected mean, in NDC-scaled units: per pixel, times (width / 2, height / 2).
        The published densification thresholds assume this scale. Available after backward()."""
        return self._gradient(self.mean2d)

    @property
    def mean2d_absgrad(self) -> Tensor:  # [..., N, 2]
        """As `mean2d_grad`, but the absolute values of the pixels' gradients are summed (Ye et al. 2024, AbsGS).
        Needs render(absgrad=True)."""
        return self._gradient(self.mean2d_abs)

    @staticmethod
    def _gradient(probe: Tensor | None) -> Tensor:
        if probe is None:
            raise RuntimeError(
                "Statistics: absolute gradients are summed only by render(..., statistics=True, absgrad=True)"
            )
        if probe.grad is None:
            raise RuntimeError("Statistics: gradients with respect to the projected means exist only after backward()")
        return probe.grad


@dataclass
class RenderResult:
    """The images. Shapes have a leading C when several cameras were given, none for a single camera."""

    rgb: Tensor  # [..., H, W, 3] color over the background; not clamped above 1
    alpha: Tensor  # [..., H, W] 1 - transmittance
    depth: Tensor | None = None  # [..., H, W] expected depth along the viewing axis: sum(w z) / sum(w); 0 where empty
    median_depth: Tensor | None = None  # [..., H, W] depth at which transmittance falls to 1/2 or below; 0 where never
    normals: Tensor | None = None  # [..., H, W, 3] unit normals in world space, facing the camera; 0 where empty
    features: Tensor | None = None  # [..., H, W, F] composited like color, over zero
    statistics: Statistics | None = None
