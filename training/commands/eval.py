"""`splat eval`: measure a trained scene against the photos it has not seen."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from splat.datasets.split import split
from splat.errors import InputError
from splat.training.evaluate.measure_run import measure_run, print_metrics
from splat.training.evaluate.report import write_report
from splat.training.open_run import open_run, read_capture


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
    trained = open_run(options.run, options.capture, options.device)
    run, config = trained.run, trained.config
    capture = read_capture(trained.capture, config)
    if not config.data.eval and not options.all_views:
        raise InputError(f"{options.run}: was trained on all photos, none was held out; measure those with --all-views")
    frames = list(capture.frames) if options.all_views else split(capture, config.data.test_every)[1]
    iteration, _ = run.latest_scene()
    print_metrics(measure_run(run, config, trained.gaussians, frames, iteration, {}))
    write_report([run.path], run.report)
    print(f"scene     {trained.file}")
    print(f"pictures  {run.renders}")
    print(f"report    {run.report}")
