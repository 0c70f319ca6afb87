"""evaluate: measure a scene on the photos of a capture. What `splat.evaluate` and the verb `splat eval` call."""

from dataclasses import replace
from pathlib import Path

from splat.datasets.capture import Capture
from splat.datasets.split import split
from splat.device import choose_device
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.opening import settings_for
from splat.result import Metrics
from splat.run import Run
from splat.training.config import TrainConfig
from splat.training.evaluate.measure_run import measure
from splat.training.open_run import TrainedScene, open_run, open_trained, read_capture


def evaluate(
    scene: Gaussians | Run | Path | str,
    capture: Capture | Path | str | None = None,
    *,
    config: TrainConfig | None = None,
    all_views: bool = False,
    renders: Path | str | None = None,
    lpips: bool = False,
    progress: bool = True,
    device: str = "auto",
) -> Metrics:
    """Measure; `splat.evaluate` says what the arguments mean."""
    where = None if capture is None or isinstance(capture, Capture) else Path(capture)
    trained = _opened(scene, where, device)
    config = config or trained.config
    if not isinstance(capture, Capture):
        if trained.capture is None:
            raise InputError("a scene alone does not know its photos; give `capture`")
        capture = read_capture(
            trained.capture, config, progress, georeference=trained.georeference, scene=trained.gaussians.means
        )
    frames = list(capture.frames)
    if not all_views:
        if not config.data.eval:
            where = capture.path if trained.run is None else trained.run.path
            raise InputError(f"{where}: was trained on all photos, none was held out; measure those with `all_views`")
        frames = split(capture, config.data.test_every)[1]
    return measure(
        config,
        trained.gaussians,
        frames,
        renders=None if renders is None else Path(renders),
        settings=replace(trained.settings, antialiased=config.optimization.antialiased),
        lpips=lpips,
        progress=progress,
    )


def _opened(scene: Gaussians | Run | Path | str, capture: Path | None, device: str) -> TrainedScene:
    """The scene on the device. One that is not of a run is taken to have been trained without the held-out views."""
    if isinstance(scene, Run):
        return open_run(scene.path, capture, device)
    if isinstance(scene, Gaussians):
        chosen = choose_device(device)
        trained = TrainedScene(
            scene.detach().to(chosen), Path(), None, TrainConfig(), capture, chosen, settings_for(scene)
        )
    else:
        trained = open_trained(Path(scene), capture, device)
    if trained.run is not None and trained.run.config_file.is_file():
        return trained
    return replace(trained, config=replace(trained.config, data=replace(trained.config.data, eval=True)))
