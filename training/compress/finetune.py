"""Fine-tuning: a finished scene trained a little longer on its photos, after it was pruned or while it is quantized.

The number of Gaussians stays as it is. With the quantizer of a file format what is drawn, and so what is optimized, is what the
file will hold; the parameters behind it keep moving between its steps (straight-through estimator, Bengio et al. 2013).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splat.compression.formats.quantizers import Quantizer
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import prune, ranks, recolored
from splat.datasets.capture import Frame
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.settings import RenderSettings
from splat.training.config import AppearanceConfig, TrainConfig, evaluation_background
from splat.training.densify.base import FixedConfig
from splat.training.schedules import LearningRates
from splat.training.trainer import Trainer

LR_MEANS, LR_MEANS_FINAL = 8e-5, 1.6e-6
"""Positions, times the scene's extent: from half of a run's first rate to its last."""
LR_FRACTION = 4.0
"""Of a run's other rates, at the start: a scene that is trained to its end moves on only if it is shaken first."""
LR_FINAL = 0.02
"""Fraction of those that is left at the end."""
ACCUMULATE = 8
"""In the second half, iterations to a step: the gradients of several photos together, for a finish with less noise."""
EARLY_STAGES = 0.3
"""Fraction of the iterations that all stages of pruning but the last have together."""
REFRESHES = 4
"""How often a quantizer is fitted again in the first half; in the second it stays, so that the parameters can settle on it."""


def finetune(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    extent: float,
    iterations: int = 1000,
    *,
    config: TrainConfig | None = None,
    quantizer: Quantizer | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Gaussians:
    """Train a scene further on photos, with low rates that fall, and without adding or removing any Gaussian.

    Args:
        extent: of the capture, world units.
        config: of the run that made the scene: its loss, background, masks and antialiasing hold. What a run learns about
            single photos and poses is left out: a scene alone cannot say it.
        quantizer: fine-tune what this format represents. It is fitted first, and again a few times.
        progress: is told the number of every iteration.

    Returns:
        The new parameters on the CPU; with a quantizer, what it makes of them: written, they are read back the same.

    Raises:
        InputError: the loss is not finite, or a photo cannot be read.
    """
    if not len(gaussians) or iterations < 1:
        return gaussians.detach()
    config = finetune_config(config or TrainConfig(), gaussians, iterations)
    trainer = Trainer(
        config,
        frames,
        extent,
        gaussians.detach().to(dtype=torch.float32),
        None,
        device=device,
        transform=quantizer,
    )
    refresh_every = max(1, iterations // (2 * REFRESHES))
    trainer.clock.start()
    while not trainer.clock.finished:
        if quantizer is not None and trainer.iteration % refresh_every == 0 and 2 * trainer.iteration < iterations:
            with torch.no_grad():
                quantizer.refresh(trainer.optimizer.gaussians)
        _step(trainer)
        if progress is not None:
            progress(trainer.iteration)
    found = trainer.optimizer.gaussians
    with torch.no_grad():
        return (found if quantizer is None else quantizer(found)).detach().to("cpu")


def prune_and_finetune(
    gaussians: Gaussians,
    frames: Sequence[Frame],
    extent: float,
    fraction: float,
    iterations: int = 1000,
    *,
    stages: int = 2,
    config: TrainConfig | None = None,
    fit: Callable[[Gaussians], Quantizer] | None = None,
    device: torch.device | str = "cpu",
) -> Gaussians:
    """Leave out a fraction of the Gaussians in stages, each by what the photos' cameras see, and fine-tune after each. Most of
    the iterations, and the quantizer, are for the last.

    Args:
        fraction: of all Gaussians, 0 to 1.
        stages: which leave out equal fractions of what each finds. Two do a little better than one; with a quantizer, which
            takes all the iterations it can get, one does.
        fit: makes the quantizer of what is left for the last stage.
    """
    config = config or TrainConfig()
    cameras = [frame.camera for frame in frames]
    background = evaluation_background(config)
    settings = RenderSettings(antialiased=config.optimization.antialiased)

    def scored(left: Gaussians) -> Tensor:
        return importance(left, cameras, background=background, settings=settings)

    count, scene = len(gaussians), gaussians.detach()
    early = round(EARLY_STAGES * iterations / max(1, stages - 1)) if stages > 1 else 0
    for stage in range(1, stages + 1):
        keep = round(count * (1 - fraction) ** (stage / stages))
        left = prune(scene, ranks(scene, scored), 1 - keep / max(1, len(scene)))
        scene = recolored(left, scene, cameras, background=background, settings=settings)
        last = stage == stages
        scene = finetune(
            scene,
            frames,
            extent,
            iterations - early * (stages - 1) if last else early,
            config=config,
            quantizer=fit(scene) if last and fit is not None else None,
            device=device,
        )
    return scene


def _step(trainer: Trainer) -> float:
    try:
        return trainer.step()[0]
    except InputError as error:
        if math.isfinite(trainer.last_loss):
            raise
        raise InputError(
            f"fine-tuning: the loss became {trainer.last_loss} at iteration {trainer.iteration}. Look for values that are not "
            "finite with `splat verify`, or leave fine-tuning out"
        ) from error


def finetune_config(config: TrainConfig, gaussians: Gaussians, iterations: int) -> TrainConfig:
    """How to go on with a run's scene."""
    lr = config.lr
    return replace(
        config,
        optimization=replace(
            config.optimization,
            iterations=iterations,
            time_limit=None,
            progressive="off",
            sh_degree=gaussians.sh_degree,
            sh_from_start=True,
            sparse_adam=False,
            fuse_adam=False,
            accumulate=ACCUMULATE,
        ),
        lr=LearningRates(
            means=LR_MEANS,
            means_final=LR_MEANS_FINAL,
            sh0=LR_FRACTION * lr.sh0,
            sh_rest=LR_FRACTION * lr.sh_rest,
            opacities=LR_FRACTION * lr.opacities,
            scales=LR_FRACTION * lr.scales,
            quats=LR_FRACTION * lr.quats,
            final=LR_FINAL,
        ),
        densify=FixedConfig(budget=len(gaussians)),
        appearance=AppearanceConfig(),
        geometry=replace(config.geometry, refine_poses=False),
    )
