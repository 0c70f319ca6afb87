"""What some formats want to know, as flags of every verb that writes or reads scenes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

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
    """Order of the Gaussians in `.sog`: along a space-filling curve, or sorted into smooth images, which makes the file a
    little smaller and takes some seconds. All other formats have an order of their own; that of `.splatz` comes from its
    octree, which saves more."""

    splatz_coarseness: float = 1.0
    """Steps of all attributes in `.splatz`: 2 makes files a third smaller, 0.5 nearly twice as large."""

    splatz_codes: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Entries of the codebook of harmonics in `.splatz`, up to 65536. 0: each Gaussian has harmonics of its own."""

    splatz_exact: Annotated[float, tyro.conf.arg(metavar="FRACTION")] = 0.0
    """Fraction of the Gaussians, those that matter most, that keep what their harmonics differ from that codebook; 0.6 as in
    the VecTree of CityGaussian V2."""

    splatz_shape_stages: Annotated[int, tyro.conf.arg(metavar="0-8")] = 0
    """Scales and rotations in `.splatz` as sums of entries of so many codebooks of 64 each; 6 as in Compact-3DGS. 0: in
    steps, which is smaller at equal quality."""

    splatz_midpoints: Annotated[float, tyro.conf.arg(metavar="FRACTION")] = 0.0
    """Fraction of the Gaussians that a `.splatz` does not hold but makes half-way between two others, up to 0.5. Leaving the
    same fraction out with --prune looks better."""

    spz_frame: Literal["auto", "rub", "rdf"] = "auto"
    """Axes of an `.spz` that is read: what it says, else as specified (rub); rdf for files of programs that write ours as
    they are."""


def format_options(flags: FormatFlags, antialiased: bool) -> "FormatOptions":
    """What the flags say, checked."""
    from splat.compression.formats.registry import FormatOptions
    from splat.compression.formats.splatz.options import SplatzOptions
    from splat.compression.formats.spz import SpzOptions

    if not all(1 <= bits <= 8 for bits in flags.spz_sh_bits):
        raise InputError(f"`spz_sh_bits` must be 1 to 8 each, got {' '.join(map(str, flags.spz_sh_bits))}")
    if flags.sog_palette is not None and not 1 <= flags.sog_palette <= 1 << 16:
        raise InputError(f"`sog_palette` must be 1 to 65536, got {flags.sog_palette}")
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
