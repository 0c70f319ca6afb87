"""`splat convert`: write scenes in another file format."""

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from splat.compression.commands.format_flags import FormatFlags, format_options
from splat.compression.commands.placement_flags import PlaceFlags
from splat.compression.commands.selection_flags import SelectionFlags
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.opening import open_scene

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

    place: PlaceFlags = field(default_factory=PlaceFlags)

    formats: FormatFlags = field(default_factory=FormatFlags)

    antialiased: bool = False
    """The scene was trained with --antialiased; .spz, .sog and .splatz record that. Automatic for the folder of a run, and for
    files that say so."""

    overwrite: bool = False
    """Replace an output that exists."""

    COMMON: ClassVar[Sequence[str]] = (
        "files sh_degree crop min_opacity filter_floaters decimate upright rotate scale translate antialiased overwrite"
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
    scene, antialiased, sources = read_all(inputs, settings)
    settings = replace(settings, antialiased=options.antialiased or antialiased)
    if not len(scene):
        raise InputError(f"{inputs[0]}: holds no Gaussians that can be drawn, so there is nothing to write")
    degree = scene.sh_degree if options.sh_degree is None else min(scene.sh_degree, options.sh_degree)
    scene = options.place.place(options.select.select(scene.with_sh_degree(degree)))
    formats.save(scene, output, settings)
    before, after = sum(file.stat().st_size for file in sources), formats.size_of(output)
    names = sources[0].name if len(sources) == 1 else f"{len(sources)} files"
    print(
        f"{len(scene):,} Gaussians of degree {degree}: {names} {before / 1e6:.2f} MB -> {output} "
        f"({target.name}) {after / 1e6:.2f} MB, {before / max(1, after):.1f} times smaller, "
        f"{time.monotonic() - began:.1f} s"
    )
    if degree and target.degree == 0:
        print(f"{target.name} has no view-dependent color: harmonics were left out", file=sys.stderr)


def read_all(inputs: Sequence[Path], settings: "FormatOptions") -> tuple[Gaussians, bool, list[Path]]:
    """The scenes of some files as one, whether it was trained with antialiasing, and the files themselves."""
    from splat.compression.formats import registry as formats

    scenes, marks, sources = [], [], []

    def load(file: Path) -> Gaussians:
        loaded = formats.load_with_facts(file, settings)
        marks.append(bool(loaded.antialiased))
        return loaded.gaussians

    for path in inputs:
        opened = open_scene(path, load=load)
        marks[-1] |= opened.settings.antialiased
        scenes.append(opened.gaussians)
        sources.append(opened.file)
    if any(marks) and not all(marks):
        warnings.warn(
            f"{sum(marks)} of {len(marks)} inputs say that they were trained with antialiasing; the output says so for all",
            stacklevel=2,
        )
    return Gaussians.cat(scenes), any(marks), sources
