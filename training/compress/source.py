"""What `splat compress` is given: the scene, and the capture that says what matters in it."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from splat.compression.commands.format_flags import format_options
from splat.compression.formats import registry as formats
from splat.compression.formats.axes import drawable
from splat.datasets.capture import Frame
from splat.datasets.split import split
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.parsing import parse_bytes
from splat.opening import open_scene
from splat.run import find_run
from splat.settings import RenderSettings
from splat.training.compress.judge import Judge, PhotoJudge, RenderJudge
from splat.training.compress.options import CompressOptions
from splat.training.config import TrainConfig, load_config
from splat.training.open_run import read_capture


@dataclass(frozen=True)
class Source:
    """What is compressed, and what is known of it."""

    path: Path  # of the file
    gaussians: Gaussians
    config: TrainConfig  # of the run, or the defaults
    frames: tuple[Frame, ...]  # to train on; empty without a capture
    extent: float
    judge: Judge


def check(options: CompressOptions) -> None:
    """Whether the options can be followed. Looked at before anything is read."""
    targets = [name for name in ("max_size", "max_drop") if getattr(options, name) is not None]
    knobs = [name for name in ("prune", "sh_degree", "precision") if getattr(options, name) is not None]
    if len(targets) > 1:
        raise InputError("--max-size and --max-drop are two targets; give one of them")
    if targets and knobs:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in knobs)
        raise InputError(f"{flags} cannot go with a target, which chooses by itself; leave one of them out")
    if options.max_size is not None and parse_bytes("--max-size", options.max_size) < 1:
        raise InputError(f"--max-size must be at least a byte, got {options.max_size}")
    if options.max_drop is not None and not options.max_drop > 0:
        raise InputError(f"--max-drop must be above 0 dB, got {options.max_drop}")
    if options.prune is not None and not 0 <= options.prune < 1:
        raise InputError(f"--prune must be from 0 to below 1, a fraction of the Gaussians, got {options.prune}")
    if options.finetune is not None and options.finetune < 0:
        raise InputError(f"--finetune must be 0 or more iterations, got {options.finetune}")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 3:
        raise InputError(f"--sh-degree must be 0 to 3, got {options.sh_degree}")
    if options.resolution is not None and options.resolution < 1 and options.resolution != -1:
        raise InputError(f"--resolution must be -1 or at least 1, got {options.resolution}")


def open_source(options: CompressOptions) -> Source:
    """Read the scene, and the capture where one is known."""
    config, capture = TrainConfig(), options.data
    run = find_run(options.scene)
    if run is not None and run.config_file.is_file():
        config, recorded = load_config(run)
        if capture is None and recorded.exists():
            capture = recorded
        elif capture is None:
            print(
                f"warning: the run's capture, {recorded}, is not there any more; say where with --data", file=sys.stderr
            )
    if options.resolution is not None:
        config = replace(config, data=replace(config.data, resolution=options.resolution))
    settings = format_options(options.formats, antialiased=config.optimization.antialiased)
    opened = open_scene(options.scene, load=lambda file: formats.load(file, settings))
    gaussians, path = opened.gaussians[drawable(opened.gaussians)], opened.file
    if not bool((gaussians.opacities >= RenderSettings().alpha_min).any()):
        raise InputError(f"{path}: holds no Gaussian that can be seen; nothing is left to compress")
    if capture is None:
        if options.finetune or options.max_drop is not None:
            flag = "--finetune" if options.finetune else "--max-drop"
            raise InputError(f"{flag} needs photos; give the capture that the scene was trained on with --data")
        judge: Judge = RenderJudge(gaussians, RenderSettings(antialiased=config.optimization.antialiased))
        return Source(path, gaussians, config, (), 1.0, judge)
    scene = read_capture(capture, config)
    frames, held_out = split(scene, config.data.test_every)
    unseen = run is None or config.data.eval
    if run is not None and not config.data.eval:
        frames = list(scene.frames)
    judge = PhotoJudge(held_out, [frame.camera for frame in frames], config, unseen)
    return Source(path, gaussians, config, tuple(frames), scene.extent, judge)
