"""`splat retouch`: carry a change of colors in one picture over to the scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.datasets.capture import Capture, Frame
from splat.errors import InputError
from splat.io.georeference_file import note_beside
from splat.io.images import read_image
from splat.io.ply import save
from splat.io.progress import Counter
from splat.io.wording import listed
from splat.training.evaluate.views import picture_stem
from splat.training.open_run import open_run
from splat.training.retouch import retouch as retouch_colors


@dataclass(frozen=True)
class RetouchOptions:
    """Options of `splat retouch`."""

    run: tyro.conf.Positional[Path]
    """Output folder of `splat train`."""
    edited: Path
    """The retouched picture of one view: a render, from renders/ or `splat render --along all`, or the photo itself, with
    colors changed and nothing moved. Its name, or --view, says which view it is."""
    view: str | None = None
    """Name of the photo whose view was retouched; by the name of the edited picture unless given."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Scene to write; retouched.ply in the run's folder unless given."""
    capture: Path | None = None
    """Where the capture is now, if it was moved."""
    seed: int = 0
    """Seed of the fit."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""
    overwrite: bool = False
    """Replace an output that exists."""


def retouch(options: RetouchOptions) -> None:
    """Carry a change of colors that was made in one picture over to the whole scene, and save it.

    Raises:
        InputError: no such run or view, or the picture is not of that view.
    """
    trained = open_run(options.run, options.capture, options.device)
    output = options.output or options.run / "retouched.ply"
    if options.output is not None and output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; choose another name with -o, or say --overwrite")
    edited = read_image(options.edited).float() / 255
    device = trained.device
    capture = trained.load_capture()
    frame = find_view(capture, options.view, options.edited)
    size = frame.camera.height, frame.camera.width
    if edited.shape[:2] == (size[0], 3 * size[1]):
        edited = edited[:, size[1] : 2 * size[1]]  # photo, render, error: a picture of renders/, retouched as a whole
    if edited.shape[:2] != size:
        raise InputError(
            f"{options.edited}: is {edited.shape[1]} x {edited.shape[0]}, the view of {frame.name} {size[1]} x {size[0]}; "
            "keep the size when retouching"
        )
    with Counter("retouch", unit="step") as counter:

        def advance(step: int, steps: int, loss: float) -> None:
            counter.to(step, steps)

        result, scores = retouch_colors(
            trained.gaussians,
            frame.camera.to(device),
            edited.to(device),
            background=trained.background,
            settings=trained.settings,
            seed=options.seed,
            progress=advance,
        )
    save(result, output)
    note_beside(output, trained.georeference)
    print(
        f"view of {frame.name}: {scores['before']:.2f} dB from the edited picture before, {scores['after']:.2f} dB after"
    )
    print(f"scene     {output}")


def find_view(capture: Capture, name: str | None, edited: Path) -> Frame:
    """The frame whose view was edited.

    Raises:
        InputError: there is none of that name, or there are several.
    """
    wanted = name if name is not None else edited.name
    found = [frame for frame in capture.frames if frame.name == name]
    for frame in capture.frames if not found else []:
        stems = {Path(frame.name).stem, picture_stem(frame.name)}
        if wanted in {frame.name, Path(frame.name).name} or {wanted, Path(wanted).stem} & stems:
            found.append(frame)
    if len(found) == 1:
        return found[0]
    if found:
        names = listed(frame.name for frame in found)
        raise InputError(f"{wanted}: could be any of {names}; say which view it is with --view")
    shown = ", ".join(frame.name for frame in capture.frames[:5])
    raise InputError(
        f"{wanted}: no view of {capture.path} has this name (there: {shown} ...); say which it is with --view"
    )
