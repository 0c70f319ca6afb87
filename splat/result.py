"""What the functions of the library return: the images of a render, and what training, evaluation and compression found."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.run import Run


@dataclass(frozen=True)
class LoadedScene:
    """A scene's file as it was read, and what is known of it besides."""

    gaussians: Gaussians
    antialiased: bool | None = None
    """Whether it was trained with antialiasing; None where the file does not say."""
    left_out: int = 0
    """Gaussians of the file that cannot be drawn, and are not among these."""
    georeference: Georeference | None = None
    """Where the coordinates of the Gaussians lie in those of the file, where they had to be moved."""
    size: int = 0
    """Bytes of the file, and of those that it names."""


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


@dataclass(frozen=True)
class ViewMetrics:
    """How close a render is to the photo of its view, where the photo is not masked; nan where all of it is."""

    name: str  # of the photo
    psnr: float  # dB
    ssim: float
    psnr_color_corrected: float  # dB, after the affine change of color that brings the render closest to the photo
    lpips: float | None = None  # where it was asked for
    psnr_aligned: float | None = None  # dB, with the camera's pose brought onto the scene, where poses were refined


@dataclass(frozen=True)
class Metrics:
    """How close a scene is to the photos of some views: means over the views of which a pixel counts, and the values of each.

    Numbers are nan where masks hide every pixel; in JSON they are null.
    """

    psnr: float  # dB
    ssim: float
    psnr_color_corrected: float  # dB
    gaussians: int  # number of Gaussians of the scene
    views: tuple[ViewMetrics, ...]
    lpips: float | None = None
    psnr_aligned: float | None = None  # dB

    @classmethod
    def of(cls, views: "tuple[ViewMetrics, ...]", gaussians: int) -> "Metrics":
        """The means of views, of which there is one at least."""

        def mean(name: str) -> float:
            values = [value for view in views if not math.isnan(value := getattr(view, name))]
            return float(sum(values) / len(values)) if values else math.nan

        optional = {name: mean(name) for name in ("lpips", "psnr_aligned") if getattr(views[0], name) is not None}
        return cls(mean("psnr"), mean("ssim"), mean("psnr_color_corrected"), gaussians, views, **optional)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, without what was not measured."""
        return _measured(asdict(self)) | {"views": [_measured(asdict(view)) for view in self.views]}


def _measured(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class TrainingResult:
    """What a training run has made."""

    scene: Gaussians = field(repr=False)  # on the device that trained it; detached
    run: Run | None  # the output folder; None where the run left no files
    metrics: Metrics | None  # of the held-out views, where the run held some out and was not stopped
    seconds: float  # spent on training, also before a resume
    iterations: int  # that were done
    finished: bool  # False where Ctrl-C or a callback stopped the run


@dataclass(frozen=True)
class CompressionStep:
    """One step of a compression, and what the scene was then."""

    step: str  # what was done
    gaussians: int
    size: int  # bytes; of steps before the file is written, those of a .ply without compression
    psnr: float  # dB
    ssim: float
    seconds: float


@dataclass(frozen=True)
class CompressionResult:
    """What a compression has made."""

    output: Path  # the file that was written
    scene: Gaussians = field(repr=False)  # read back from the file
    steps: tuple[CompressionStep, ...]  # the first is the scene as it was, the last the file
    against: str  # what PSNR and SSIM were measured against
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.steps[-1].size

    @property
    def ratio(self) -> float:
        """How many times smaller the file is than a .ply of the scene."""
        return self.steps[0].size / self.size

    @property
    def psnr_drop(self) -> float:
        """PSNR that was lost, in dB."""
        return self.steps[0].psnr - self.steps[-1].psnr
