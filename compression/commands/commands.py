"""The verbs of the formats: `splat convert` and `splat verify`."""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from splat.compression.commands.placement import PlaceFlags
from splat.errors import InputError

if TYPE_CHECKING:
    from splat.compression.formats.registry import FormatOptions


@dataclass(frozen=True)
class FormatFlags:
    """What some formats want to know."""

    spz_version: Literal[2, 3, 4] = 4
    """Version of `.spz` to write: 4 is smaller, faster and says which way its axes point; 3 is read by more programs."""

    spz_sh_bits: tuple[int, int] = (8, 8)
    """Bits of harmonics in `.spz`: of degree 1, and of the others. 5 4 is what other programs write."""

    sog_palette: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Entries of the palette of harmonics in `.sog`, up to 65536; a sixteenth of the Gaussians unless given."""

    order: Literal["morton", "grid"] = "morton"
    """Of the Gaussians in `.sog`: along a space-filling curve, or sorted into smooth images, which makes the file a little
    smaller and takes some seconds. All other formats have an order of their own; that of `.splatz` comes from its octree,
    which saves more."""

    splatz_coarseness: float = 1.0
    """Steps of all attributes in `.splatz`: 2 makes files a third smaller, 0.5 nearly twice as large."""

    splatz_codes: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Entries of the codebook of harmonics in `.splatz`, up to 65536. 0: each Gaussian has harmonics of its own."""

    splatz_exact: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.0
    """Share of the Gaussians, those that matter most, that keep what their harmonics differ from that codebook; 0.6 as in the
    VecTree of CityGaussian V2."""

    splatz_shape_stages: Annotated[int, tyro.conf.arg(metavar="0-8")] = 0
    """Scales and rotations in `.splatz` as sums of entries of so many codebooks of 64 each; 6 as in Compact-3DGS. 0: in
    steps, which is smaller at equal quality."""

    splatz_midpoints: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.0
    """Share of the Gaussians that a `.splatz` does not hold but makes half-way between two others, up to 0.5. Leaving the
    same share out with --prune looks better."""

    spz_frame: Literal["auto", "rub", "rdf"] = "auto"
    """Axes of an `.spz` that is read: what it says, else as specified (rub); rdf for files of programs that write ours as
    they are."""


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

    place: tyro.conf.OmitArgPrefixes[PlaceFlags] = field(default_factory=PlaceFlags)

    formats: tyro.conf.OmitArgPrefixes[FormatFlags] = FormatFlags()

    antialiased: bool = False
    """The scene was trained with --antialiased; .spz and .sog then say so. Known by itself for the folder of a run."""

    overwrite: bool = False
    """Replace an output that exists."""


@dataclass(frozen=True)
class VerifyOptions:
    """Options of `splat verify`."""

    file: tyro.conf.Positional[Path]
    """A scene of any format, or the folder of a run."""

    formats: tyro.conf.OmitArgPrefixes[FormatFlags] = FormatFlags()

    json: bool = False
    """Print JSON, for programs."""


def convert(options: ConvertOptions) -> None:
    """Write a scene in another format. The endings of the names say which."""
    from splat.compression.formats import registry as formats

    target = formats.writable(options.output, options.formats.order)
    if options.output.exists() and not options.overwrite:
        raise InputError(f"{options.output}: exists already; choose another name, or say --overwrite")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 4:
        raise InputError(f"--sh-degree must be 0 to 4, got {options.sh_degree}")
    settings = format_options(options.formats, options.antialiased or _trained_antialiased(options.input))
    source = formats.scene_file(options.input)
    began = time.monotonic()
    scene = formats.load(source, settings)
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
        print(f"{target.name} has no view-dependent colour: harmonics were left out", file=sys.stderr)


def verify(options: VerifyOptions) -> None:
    """Check a scene's file: ranges, axes, and that writing and reading it again gives the same. Exit status 1 when not."""
    from splat.cli.describe import as_text
    from splat.compression.formats.verify import verify as examine

    facts = examine(options.file, format_options(options.formats, antialiased=False))
    problems = facts["problems"]
    print(json.dumps(facts, indent=2) if options.json else as_text({**facts, "problems": problems or "none"}))
    if problems:
        sys.exit(1)


def format_options(flags: FormatFlags, antialiased: bool) -> "FormatOptions":
    """What the flags say, checked."""
    from splat.compression.formats.registry import FormatOptions
    from splat.compression.formats.splatz.options import SplatzOptions
    from splat.compression.formats.spz import SpzOptions

    if not all(1 <= bits <= 8 for bits in flags.spz_sh_bits):
        raise InputError(f"--spz-sh-bits must be 1 to 8 each, got {' '.join(map(str, flags.spz_sh_bits))}")
    if flags.sog_palette is not None and not 1 <= flags.sog_palette <= 1 << 16:
        raise InputError(f"--sog-palette must be 1 to 65536, got {flags.sog_palette}")
    spz = SpzOptions(flags.spz_version, flags.spz_sh_bits, flags.spz_frame)
    splatz = SplatzOptions(
        coarseness=flags.splatz_coarseness,
        sh_codes=flags.splatz_codes,
        sh_exact=flags.splatz_exact,
        shape_stages=flags.splatz_shape_stages,
        midpoints=flags.splatz_midpoints,
    )
    splatz.check()
    return FormatOptions(spz, splatz, flags.sog_palette, flags.order, antialiased)


def _trained_antialiased(path: Path) -> bool:
    """What the settings of a run say."""
    file = path / "config.json"
    if not file.is_file():
        return False
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["optimization"]["antialiased"])
    except (ValueError, KeyError, TypeError):
        return False
