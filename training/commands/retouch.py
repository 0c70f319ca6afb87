"""`splat retouch`: which view was edited, and where the changed scene goes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from splat.datasets.capture import Frame, Scene
from splat.datasets.load import PhotoOptions, load_scene
from splat.device import choose_device
from splat.errors import InputError
from splat.io.images import read_image
from splat.io.ply import load, save
from splat.settings import RenderSettings
from splat.training.config import load_config
from splat.training.evaluate.evaluate import picture_name
from splat.training.retouch import retouch
from splat.training.run_folder import RunFolder
from splat.training.trainer import evaluation_background

if TYPE_CHECKING:
    from splat.training.commands.commands import RetouchOptions


def retouch_scene(options: "RetouchOptions") -> None:
    """Fit, bake, save, and lay before and after beside each other.

    Raises:
        InputError: no such run or view, or the picture is not of that view.
    """
    folder = RunFolder(options.run)
    config, recorded = load_config(folder.config)
    output = options.output or options.run / "retouched.ply"
    if options.output is not None and output.exists():
        raise InputError(f"{output}: exists already; choose another name with -o")
    edited = read_image(options.edited).float() / 255
    data = config.data
    scene = load_scene(
        options.capture or recorded, PhotoOptions(data.resolution, data.max_size, data.images, masks=None)
    )
    frame = find_view(scene, options.view, options.edited)
    size = frame.camera.height, frame.camera.width
    if edited.shape[:2] == (size[0], 3 * size[1]):
        edited = edited[:, size[1] : 2 * size[1]]  # photo, render, error: a picture of renders/, retouched as a whole
    if edited.shape[:2] != size:
        raise InputError(
            f"{options.edited}: is {edited.shape[1]} x {edited.shape[0]}, the view of {frame.name} {size[1]} x {size[0]}; "
            "keep the size when retouching"
        )
    device = choose_device("auto")
    background, settings = evaluation_background(config), RenderSettings(antialiased=config.optimization.antialiased)
    with tqdm(desc="retouch", unit="step", disable=not sys.stderr.isatty()) as bar:

        def advance(step: int, steps: int, loss: float) -> None:
            bar.total = steps
            bar.update(step - bar.n)

        result, scores = retouch(
            load(folder.latest_scene()).to(device),
            frame.camera.to(device),
            edited.to(device),
            background=background.to(device),
            settings=settings,
            seed=options.seed,
            progress=advance,
        )
    save(result, output)
    print(
        f"view of {frame.name}: {scores['before']:.2f} dB from the edited picture before, {scores['after']:.2f} dB after"
    )
    print(f"scene     {output}")


def find_view(scene: Scene, name: str | None, edited: Path) -> Frame:
    """The frame whose view was edited.

    Raises:
        InputError: there is none of that name.
    """
    wanted = name if name is not None else edited.name
    for frame in scene.frames:
        same = {frame.name, Path(frame.name).name, Path(frame.name).stem, picture_name(frame.name)}
        if wanted in same or Path(wanted).stem in same:
            return frame
    shown = ", ".join(frame.name for frame in scene.frames[:5])
    raise InputError(
        f"{wanted}: no view of {scene.path} has this name (there: {shown} ...); say which it is with --view"
    )
