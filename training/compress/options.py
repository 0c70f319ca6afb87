"""What `splat compress` is asked for; its fields become the flags."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from splat.compression.commands.format_flags import FormatFlags


@dataclass(frozen=True)
class CompressOptions:
    """Options of `splat compress`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write; its ending chooses the format, .splatz is the smallest. compressed.splatz in the run's folder, or beside
    the scene, unless given."""

    data: Path | None = None
    """The capture that the scene was trained on: its photos measure what is lost, say which Gaussians matter, and fine-tune.
    A run knows it; without one the scene's own renders have to do."""

    max_size: str | None = None
    """The best picture in a file of at most this size (800KB, 8MB): prunes, lowers degree and precision as needed."""

    max_drop: Annotated[float | None, tyro.conf.arg(metavar="DB")] = None
    """The smallest file that loses at most so many dB of PSNR."""

    prune: Annotated[float | None, tyro.conf.arg(metavar="FRACTION")] = None
    """Leave out this fraction of the Gaussians (0.6), those that matter least. Not together with a target."""

    score: Literal["removal", "weight", "peak", "volume", "sensitivity"] = "removal"
    """What matters: removal: squared change of the pictures without it. weight, peak: sum and largest of blend weights.
    volume: weight times a power of the volume. sensitivity: gradients with respect to position and scale."""

    finetune: Annotated[int | None, tyro.conf.arg(metavar="ITERATIONS")] = None
    """Train on for so many iterations with what the file can hold, so that the file written is the one that was optimized.
    1000 is usual; 0, the default, does not."""

    sh_degree: Annotated[int | None, tyro.conf.arg(metavar="0-3")] = None
    """Keep harmonics up to this degree only. Not together with a target."""

    precision: Annotated[int | None, tyro.conf.arg(metavar="0-7")] = None
    """Level of quality of the format, 0 the finest; .splatz has 8. Not together with a target."""

    resolution: Annotated[int | None, tyro.conf.arg(aliases=["-r"])] = None
    """Divide width and height of the photos by this; as the run did unless given."""

    formats: tyro.conf.OmitArgPrefixes[FormatFlags] = field(default_factory=FormatFlags)

    json: bool = False
    """Print JSON, for programs, and no table."""

    overwrite: bool = False
    """Replace an output that exists."""
