"""`splat convert`: write scenes in another file format."""

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from splat.compression.commands.format_flags import FormatFlags, format_options
from splat.compression.commands.frame_flags import framed
from splat.compression.commands.placement_flags import PlaceFlags
from splat.compression.commands.selection_flags import SelectionFlags
from splat.errors import InputError
from splat.gaussians import Gaussians, drawable
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io.georeference_file import beside, note_beside
from splat.io.local_origin import local_origin
from splat.io.wording import number_of
from splat.opening import OpenedScene, open_scene

if TYPE_CHECKING:
    from splat.compression.formats.registry import FormatOptions


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `splat convert`."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT [INPUT ...] OUTPUT")]
    """Scenes, which are put together if they are several, and last the file to write, whose ending chooses the format. An input
    is a .ply, .compressed.ply, .splat, .splatz, .spz, .sog or its meta.json, .glb, .gltf, .ksplat, or the folder of a run."""

    sh_degree: Annotated[int | None, tyro.conf.arg(metavar="0-4")] = None
    """Keep harmonics up to this degree only."""

    select: SelectionFlags = field(default_factory=SelectionFlags)

    frame: Literal["local", "capture"] | None = None
    """Coordinates to write. local: those of the run, moved to the origin where they are far from it. capture: those of the
    capture, as far as the format can hold them. As the scene has them unless given."""

    place: PlaceFlags = field(default_factory=PlaceFlags)

    formats: FormatFlags = field(default_factory=FormatFlags)

    antialiased: bool = False
    """The scene was trained with --antialiased; .spz, .sog and .splatz record that. Automatic for the folder of a run, and for
    files that say so."""

    overwrite: bool = False
    """Replace an output that exists."""

    COMMON: ClassVar[Sequence[str]] = (
        "files sh_degree crop min_opacity filter_floaters decimate frame upright rotate scale translate antialiased overwrite"
    ).split()


def convert(options: ConvertOptions) -> None:
    """Write a scene in another format, or several as one. The ending of the last name says which."""
    from splat.compression.formats import registry as formats

    if len(options.files) < 2:
        raise InputError("splat convert INPUT OUTPUT: expected a scene, and the file to write")
    *inputs, output = options.files
    target = formats.writable(output, options.formats.order)
    if output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; choose another name, or say --overwrite")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 4:
        raise InputError(f"--sh-degree must be 0 to 4, got {options.sh_degree}")
    options.select.check()
    settings = format_options(options.formats, options.antialiased)
    began = time.monotonic()
    opened, antialiased = read_all(inputs, settings)
    sources, found = [scene.file for scene in opened], framed(opened, options.frame)
    before = sum(formats.size_of(file) for file in sources)
    scene = found.gaussians
    if not len(scene):
        raise InputError(f"{inputs[0]}: holds no Gaussians that can be drawn, so there is nothing to write")
    degree = scene.sh_degree if options.sh_degree is None else min(scene.sh_degree, options.sh_degree)
    scene = options.select.select(scene.with_sh_degree(degree), found.read)
    move = options.place.move(scene, found.placement)
    scene, placement = placed(scene, move, output, exact=found.placement is not None)
    settings = replace(settings, antialiased=options.antialiased or antialiased, placement=placement)
    formats.save(scene, output, settings)
    georeference: Georeference | None = found.georeference
    if not found.georeference.is_identity:
        georeference = found.georeference.after(move) if placement is None else None
    if georeference is None:
        warnings.warn(
            f"{output}: the scene was turned or put far away, so no {beside(output).name} says where it lies in its capture",
            stacklevel=2,
        )
    noted = note_beside(output, georeference)
    after = formats.size_of(output)
    names = sources[0].name if len(sources) == 1 else f"{len(sources)} files"
    print(
        f"{number_of(len(scene), 'Gaussian')} of degree {degree}: {names} {before / 1e6:.2f} MB -> {output} "
        f"({target.name}) {after / 1e6:.2f} MB, {before / max(1, after):.1f} times smaller, "
        f"{time.monotonic() - began:.1f} s"
    )
    if degree and target.degree == 0:
        print(f"{target.name} has no view-dependent color: harmonics were left out", file=sys.stderr)
    if georeference is not None and noted:
        print(f"coordinates {georeference.describe()}; {beside(output).name} leads back")


def placed(
    scene: Gaussians, move: Similarity, output: Path, *, exact: bool = False
) -> tuple[Gaussians, Similarity | None]:
    """A scene where it is to be, without what cannot be drawn there; or where it is, and how the file leads there.

    Args:
        exact: leave it to the file in any case; else only where 32-bit floats would ruin positions.

    Raises:
        InputError: nothing can be drawn there.
    """
    from splat.compression.formats import registry as formats

    if move.is_identity:
        return scene, None
    there = move.gaussians(scene)
    fine = formats.only_drawable(there, str(output))
    if not len(fine):
        raise InputError(f"{output}: not written: none of its Gaussians can be drawn where they are put")
    if not exact and local_origin(fine.means.double(), fine.scales) is None:
        return fine, None
    return scene if fine is there else scene[drawable(there)], move


def read_all(inputs: Sequence[Path], settings: "FormatOptions") -> tuple[list[OpenedScene], bool]:
    """The scenes of some files, and whether one of them was trained with antialiasing."""
    from splat.compression.formats import registry as formats

    opened = [open_scene(path, load=lambda file: formats.load_with_facts(file, settings)) for path in inputs]
    marks = [scene.render.antialiased for scene in opened]
    if any(marks) and not all(marks):
        warnings.warn(
            f"{sum(marks)} of {len(marks)} inputs say that they were trained with antialiasing; the output says so for all",
            stacklevel=2,
        )
    return opened, any(marks)
