"""Measuring a run on its photos: metrics.json and renders/ in its folder, and the table that is printed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splat.datasets.capture import Frame
from splat.gaussians import Gaussians
from splat.result import Metrics
from splat.run import Run
from splat.settings import RenderSettings
from splat.training.config import TrainConfig, evaluation_background
from splat.training.evaluate.views import evaluate
from splat.training.per_image.poses import PoseCorrections

COLUMNS = {"psnr": ("PSNR [dB]", 2), "ssim": ("SSIM", 4), "psnr_aligned": ("aligned [dB]", 2), "lpips": ("LPIPS", 4)}
"""What is printed of the metrics: heading and digits."""


def measure(
    config: TrainConfig,
    gaussians: Gaussians,
    frames: Sequence[Frame],
    *,
    renders: Path | None = None,
    settings: RenderSettings | None = None,
    poses: PoseCorrections | None = None,
    lpips: bool = False,
    progress: bool = False,
) -> Metrics:
    """Evaluate a scene on some views as its run was trained: background, masks, and drawn so unless `settings` say how."""
    return evaluate(
        gaussians,
        frames,
        background=evaluation_background(config),
        settings=settings or RenderSettings(antialiased=config.optimization.antialiased),
        renders=renders,
        mask_mode=config.data.mask_mode,
        align=poses,
        lpips=lpips or config.run.lpips,
        progress=progress,
    )


def measure_run(
    run: Run,
    config: TrainConfig,
    gaussians: Gaussians,
    frames: list[Frame],
    iteration: int,
    timing: dict[str, Any],
    poses: PoseCorrections | None = None,
    *,
    progress: bool = False,
) -> Metrics:
    """Evaluate on held-out frames and write metrics.json and renders/."""
    metrics = measure(config, gaussians, frames, renders=run.renders, poses=poses, progress=progress)
    run.write_metrics({"iteration": iteration} | timing | metrics.as_dict())
    return metrics


def print_metrics(found: Metrics, heading: str = "held-out view") -> None:
    """Print the table of views."""
    metrics = found.as_dict()
    columns = {name: column for name, column in COLUMNS.items() if name in metrics}
    width = max(13, *(len(view["name"]) for view in metrics["views"]))
    print("  ".join([f"{heading:{width}s}", *(f"{title:>12s}" for title, _ in columns.values())]))
    for values in [*metrics["views"], {**metrics, "name": "mean"}]:
        numbers = (in_digits(values.get(name), digits) for name, (_, digits) in columns.items())
        print("  ".join([f"{values['name']:{width}s}", *numbers]))


def in_digits(value: float | None, digits: int) -> str:
    """A cell of the table; `-` where no pixel of the view counts."""
    return f"{'-':>12s}" if value is None or math.isnan(value) else f"{value:12.{digits}f}"
