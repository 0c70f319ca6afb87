"""Leave out the Gaussians that matter least: a fraction of them, or as many as a quality allows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import SH_C0, Gaussians
from splat.image_metrics import psnr_of
from splat.render import render
from splat.settings import RenderSettings

Measure = Callable[[Gaussians], float]
"""Quality of a scene: larger is better, PSNR in dB for instance."""


@dataclass(frozen=True)
class Pruned:
    """What `prune_to_quality` came to."""

    gaussians: Gaussians
    fraction: float  # of all Gaussians, left out
    quality: float  # measured
    unpruned_quality: float


def survivors(scores: Tensor, fraction: float) -> Tensor:  # [N] bool
    """Which Gaussians are left when a fraction of them goes, those with the least scores first; what is not a number is least.

    Raises:
        ValueError: the fraction is not in 0..1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction: expected 0 to 1, got {fraction}")
    keep = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    keep[_ascending(scores)[: round(fraction * len(scores))]] = False
    return keep


def prune(gaussians: Gaussians, scores: Tensor, fraction: float) -> Gaussians:
    """The scene without the given fraction of its Gaussians, those with the least scores; the others keep their order.

    Args:
        scores: [N], from `importance`, where what no camera sees has the least; or better, from `ranks`.
    """
    if len(scores) != len(gaussians):
        raise ValueError(f"scores: expected one for each of {len(gaussians)} Gaussians, got {len(scores)}")
    return gaussians[survivors(scores, fraction)]


def ranks(
    gaussians: Gaussians, scored: Callable[[Gaussians], Tensor], step: float = 0.15, least: float = 0.1
) -> Tensor:  # [N] float64
    """Scores by which pruning costs least at any fraction: the order in which Gaussians go if those that are left are scored
    anew each time that a `step` of them has gone. A Gaussian that its neighbors make superfluous is needed once they have
    gone: with the score `removal`, pruning half of a scene costs a third of the dB that it costs with scores taken once.

    Args:
        scored: scores [N] of a scene, `importance` with cameras for instance.
        step: fraction of those left, above 0.
        least: fraction of all at which the last scores decide about the rest.
    """
    left = torch.arange(len(gaussians), device=gaussians.device)
    gone: list[Tensor] = []
    while len(left) > least * len(gaussians):
        order = _ascending(scored(gaussians[left]))
        last = len(left) * (1 - step) <= least * len(gaussians)
        count = len(left) if last else max(1, round(step * len(left)))
        gone.append(left[order[:count]])
        left = left[order[count:].sort().values]
    order = torch.cat([*gone, left])
    return torch.empty(len(order), dtype=torch.float64, device=left.device).index_copy_(
        0, order, torch.arange(len(order), dtype=torch.float64, device=left.device)
    )


def _ascending(scores: Tensor) -> Tensor:  # [N] int64
    """Indices from the least score on; what is not a number is least."""
    return scores.nan_to_num(nan=-torch.inf, neginf=-torch.inf, posinf=torch.inf).argsort(stable=True)


def prune_to_quality(gaussians: Gaussians, scores: Tensor, max_drop: float, measure: Measure, steps: int = 7) -> Pruned:
    """Leave out as many Gaussians as `measure` allows: the largest fraction found by bisection that costs no more than
    `max_drop` against the whole scene.

    Args:
        max_drop: in the units of `measure`, 0 or more.
        steps: halvings of the interval of fractions: 7 find it to within one percent.
    """
    whole = measure(gaussians)
    best = Pruned(gaussians, 0.0, whole, whole)
    low, high = 0.0, 1.0
    for _ in range(steps):
        fraction = (low + high) / 2
        candidate = prune(gaussians, scores, fraction)
        quality = measure(candidate) if len(candidate) else -math.inf
        if whole - quality <= max_drop:
            low, best = fraction, Pruned(candidate, fraction, quality, whole)
        else:
            high = fraction
    return best


class Fidelity:
    """PSNR in dB of a changed scene's renders against those of the scene as it was, over all pixels of all cameras; a
    `Measure` where there are no photos. The scene itself has `ceiling`.

    Args:
        ceiling: dB above which nothing is told apart. 8 bits can show 59.
    """

    def __init__(
        self,
        gaussians: Gaussians,
        cameras: Sequence[Camera],
        *,
        background: Tensor | Sequence[float] | None = None,
        settings: RenderSettings | None = None,
        ceiling: float = 60.0,
    ) -> None:
        self.cameras, self.background, self.settings, self.ceiling = list(cameras), background, settings, ceiling
        self.images = [self._image(gaussians, camera) for camera in self.cameras]

    def __call__(self, gaussians: Gaussians) -> float:
        errors, values = 0.0, 0
        for camera, image in zip(self.cameras, self.images, strict=True):
            errors += float((self._image(gaussians, camera) - image).square().sum(dtype=torch.float64))
            values += image.numel()
        return min(self.ceiling, psnr_of(errors / max(values, 1)))

    @torch.no_grad()
    def _image(self, gaussians: Gaussians, camera: Camera) -> Tensor:
        return render(gaussians, camera, background=self.background, settings=self.settings).rgb.clamp(0, 1)


def recolored(
    pruned: Gaussians,
    whole: Gaussians,
    cameras: Sequence[Camera],
    passes: int = 2,
    *,
    background: Tensor | Sequence[float] | None = None,
    settings: RenderSettings | None = None,
) -> Gaussians:
    """The pruned scene with base colors that make up for what is missing, without photos: its renders as near as may be to
    those of the whole scene.

    The images are linear in the colors, with the blend weights as the matrix. Each pass adds to a color the mean over its
    pixels of what the image lacks, weighted by the blend weight (simultaneous algebraic reconstruction, Andersen and Kak
    1984).
    """
    scene = pruned.detach()
    for _ in range(passes):
        sh0 = scene.sh0.clone().requires_grad_()
        probe = scene.means.new_zeros(len(scene), 1, requires_grad=True)
        for camera in cameras:
            with torch.no_grad():
                target = render(whole, camera, background=background, settings=settings).rgb
            leaves = Gaussians(**{**scene.tensors(), "sh0": sh0})
            drawn = render(leaves, camera, features=probe, background=background, settings=settings)
            assert drawn.features is not None
            (drawn.features.sum() + ((target - drawn.rgb).detach() * drawn.rgb).sum()).backward()
        assert sh0.grad is not None and probe.grad is not None
        step = sh0.grad / SH_C0**2 / probe.grad.clamp_min(1e-6)
        scene = Gaussians(**{**scene.tensors(), "sh0": sh0.detach() + step})
    return scene
