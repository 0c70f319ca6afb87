"""What a training step minimizes: how far the render is from the photo, and what is known of the scene's shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.datasets.capture import Frame
from splat.gaussians import Gaussians
from splat.result import RenderResult
from splat.training.config import TrainConfig
from splat.training.densify.growing import GradientConfig
from splat.training.losses.geometry import (
    DEPTH_DECAY,
    depth_smoothness_loss,
    fit_inverse_depth,
    flatness_loss,
    maps_loss,
    normals_loss,
    points_loss,
)
from splat.training.losses.target import TargetImage
from splat.training.schedules import Iteration

ALPHA_WEIGHT = 0.1
"""Of the mean absolute difference of alpha, where the photo says what it should be."""
NORMALS_FROM = 0.5
"""Fraction of the run after which normals are made to agree with the depth: before, there is no depth worth agreeing with."""


@dataclass(frozen=True)
class Loss:
    """A step's loss in two parts, for strategies that look at the gradient of one only."""

    ssim: Tensor | None  # the weighted SSIM part, where it was asked for separately
    rest: Tensor

    @property
    def value(self) -> Tensor:
        return self.rest.detach() if self.ssim is None else self.rest.detach() + self.ssim.detach()


@dataclass(frozen=True)
class RenderedView:
    """What a loss term sees of a step. Gradients flow back through `rgb`, `result` and `gaussians`."""

    rgb: Tensor  # [H, W, 3] the render as the photo's camera would have recorded it
    result: RenderResult  # also alpha; depth and normals where a term needs them
    target: TargetImage  # the photo, at the size of the render
    frame: Frame  # at the photo's full size
    camera: Camera  # at the size of the render
    gaussians: Gaussians  # that were drawn
    extent: float  # of the scene, world units
    now: Iteration


@dataclass(frozen=True)
class LossTerm:
    """A term that is added to the loss of every step, besides those of the configuration."""

    measure: Callable[[RenderedView], Tensor | None]  # a scalar; None where the term says nothing of a view
    weight: float = 1.0
    depth: bool = False  # whether it needs `result.depth` and `result.median_depth`
    normals: bool = False  # whether it needs `result.normals`


class Objective:
    """The loss of one photo's render.

    Args:
        extent: of the scene, world units.
        terms: are added.
    """

    def __init__(self, config: TrainConfig, extent: float, terms: Sequence[LossTerm] = ()) -> None:
        self.config, self.extent, self.terms = config, extent, tuple(terms)

    def needs_depth(self) -> bool:
        weights = self.config.loss
        asked = any((weights.depth_points, weights.depth_maps, weights.depth_smooth, weights.normals))
        return asked or any(term.depth for term in self.terms)

    def needs_normals(self, now: Iteration) -> bool:
        return self._compares_normals(now) or any(term.normals for term in self.terms)

    def _compares_normals(self, now: Iteration) -> bool:
        return self.config.loss.normals > 0 and now.progress >= NORMALS_FROM

    def __call__(
        self,
        rgb: Tensor,  # [H, W, 3] the render as the photo's camera would have recorded it
        result: RenderResult,
        target: TargetImage,
        frame: Frame,
        camera: Camera,
        gaussians: Gaussians,
        now: Iteration,
    ) -> Loss:
        seen = RenderedView(rgb, result, target, frame, camera, gaussians, self.extent, now)
        appearance, weight = self.config.appearance, self.config.loss.ssim
        rgb, image = target.compared_with(rgb, clipped=appearance.exposure or appearance.bilateral_grid)
        rgb, image = rgb[None], image[None]
        ssim: Tensor | None = None
        densify = self.config.densify
        if isinstance(densify, GradientConfig) and densify.grad_source == "ssim":
            ssim = weight * l1_ssim_loss(rgb, image, 1.0)
            loss = (1 - weight) * l1_ssim_loss(rgb, image, 0.0)
        else:
            loss = l1_ssim_loss(rgb, image, weight)
        if target.alpha is not None:
            difference = (result.alpha - target.alpha).abs()
            if target.mask is not None:
                difference = torch.where(target.mask, difference, 0.0)
            loss = loss + ALPHA_WEIGHT * difference.mean()
        for term in self._shape(result, target, frame, camera, gaussians, now):
            loss = loss + term
        for extra in self.terms:
            value = extra.measure(seen)
            if value is not None:
                loss = loss + extra.weight * value
        return Loss(ssim, loss)

    def _shape(
        self,
        result: RenderResult,
        target: TargetImage,
        frame: Frame,
        camera: Camera,
        gaussians: Gaussians,
        now: Iteration,
    ) -> list[Tensor]:
        """The weighted terms of geometry.py that this run asks for."""
        weights, terms = self.config.loss, []
        if weights.depth_points and frame.sparse is not None:
            fraction = camera.width / frame.camera.width
            terms.append(
                weights.depth_points * points_loss(result, frame.sparse.to(result.rgb.device), fraction, self.extent)
            )
        if weights.depth_maps and target.depth is not None:
            inverse = self.inverse_depth(frame, target.depth)
            if inverse is not None:
                weight = weights.depth_maps * DEPTH_DECAY**now.progress
                terms.append(weight * maps_loss(result, inverse, self.extent))
        if weights.depth_smooth:
            terms.append(weights.depth_smooth * depth_smoothness_loss(result, target.image, self.extent))
        if self._compares_normals(now):
            terms.append(weights.normals * normals_loss(result, camera))
        if weights.flat:
            terms.append(weights.flat * flatness_loss(gaussians, self.extent))
        return terms

    def inverse_depth(self, frame: Frame, stored: Tensor) -> Tensor | None:  # [H, W]
        """A depth map's inverse depth in the scene's units, at the size of `stored`; None where it cannot be fitted."""
        if self.config.geometry.depth_scale is not None:
            return torch.where(stored > 0, 1 / (stored * self.config.geometry.depth_scale).clamp_min(1e-9), 0.0)
        if frame.sparse is None:
            return None
        fraction = stored.shape[1] / frame.camera.width
        sparse = frame.sparse.to(stored.device) * stored.new_tensor([fraction, fraction, 1.0])
        return fit_inverse_depth(stored, sparse)
