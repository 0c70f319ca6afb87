"""`splat eval`: measure a trained scene against the photos it has not seen."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from splat.run import Run
from splat.training.evaluate.measure_run import print_metrics
from splat.training.evaluate.report import write_report
from splat.training.evaluation import evaluate


@dataclass(frozen=True)
class EvalOptions:
    """Options of `splat eval`."""

    run: tyro.conf.Positional[Path]
    """Output folder of `splat train`."""
    capture: Path | None = None
    """Where the capture is now, if it was moved."""
    all_views: bool = False
    """Measure every photo, not only the held-out ones."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""


def eval(options: EvalOptions) -> None:
    """Measure a trained scene against the photos it has not seen: PSNR and SSIM per view."""
    run = Run(options.run)
    metrics = evaluate(
        run, options.capture, all_views=options.all_views, renders=run.renders, progress=True, device=options.device
    )
    iteration, scene = run.latest_scene()
    kept = {name: value for name, value in run.metrics().items() if name in ("train_seconds", "stages")}
    kind = {"all_views": True} if options.all_views else {}
    run.write_metrics({"iteration": iteration} | kept | kind | metrics.as_dict())
    print_metrics(metrics, "view" if options.all_views else "held-out view")
    write_report([run.path], run.report)
    print(f"scene     {scene}")
    print(f"pictures  {run.renders}")
    print(f"report    {run.report}")
