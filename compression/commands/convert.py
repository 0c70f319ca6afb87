"""`splat convert`: write a scene in another file format."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from splat.compression.commands.format_flags import FormatFlags, format_options
from splat.compression.commands.placement_flags import PlaceFlags
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.opening import open_scene


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `splat convert`."""

    input: tyro.conf.Positional[Path]
    """A scene: .ply, .compressed.ply, .splat, .splatz, .spz, .sog or its meta.json, .glb, .ksplat, or the folder of a run."""

    output: tyro.conf.Positional[Path]
    """File to write; its ending chooses the format."""

    sh_degree: Annotated[int | None, tyro.conf.arg(metavar="0-4")] = None
    """Keep harmonics up to this degree only."""

    min_opacity: float = 0.0
    """Leave out Gaussians fainter than this."""

    place: PlaceFlags = field(default_factory=PlaceFlags)

    formats: FormatFlags = field(default_factory=FormatFlags)

    antialiased: bool = False
    """The scene was trained with --antialiased; .spz, .sog and .splatz record that. Automatic for the folder of a run."""

    overwrite: bool = False
    """Replace an output that exists."""

    COMMON: ClassVar[Sequence[str]] = (
        "input output sh_degree min_opacity upright rotate scale translate antialiased overwrite"
    ).split()


def convert(options: ConvertOptions) -> None:
    """Write a scene in another format. The endings of the names say which."""
    from splat.compression.formats import registry as formats

    target = formats.writable(options.output, options.formats.order)
    if options.output.exists() and not options.overwrite:
        raise InputError(f"{options.output}: exists already; choose another name, or say --overwrite")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 4:
        raise InputError(f"--sh-degree must be 0 to 4, got {options.sh_degree}")
    settings = format_options(options.formats, options.antialiased)
    began = time.monotonic()
    marked = False

    def load(file: Path) -> Gaussians:
        nonlocal marked
        loaded = formats.load_with_facts(file, settings)
        marked |= bool(loaded.antialiased)
        return loaded.gaussians

    opened = open_scene(options.input, load=load)
    scene, source = opened.gaussians, opened.file
    settings = replace(settings, antialiased=options.antialiased or opened.settings.antialiased or marked)
    degree = scene.sh_degree if options.sh_degree is None else min(scene.sh_degree, options.sh_degree)
    scene = scene.with_sh_degree(degree)
    if options.min_opacity > 0:
        scene = scene[scene.opacities >= options.min_opacity]
    formats.save(options.place.place(scene), options.output, settings)
    before, after = source.stat().st_size, formats.size_of(options.output)
    print(
        f"{len(scene):,} Gaussians of degree {degree}: {source.name} {before / 1e6:.2f} MB -> {options.output} "
        f"({target.name}) {after / 1e6:.2f} MB, {before / max(1, after):.1f} times smaller, "
        f"{time.monotonic() - began:.1f} s"
    )
    if degree and target.degree == 0:
        print(f"{target.name} has no view-dependent color: harmonics were left out", file=sys.stderr)
