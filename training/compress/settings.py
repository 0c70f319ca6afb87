"""How a scene is compressed. The command line is made from this class."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from splat.compression.commands.format_flags import FormatFlags
from splat.errors import InputError
from splat.io.parsing import parse_bytes


@dataclass(frozen=True)
class CompressSettings:
    """A target, or what is done step by step; and the format's own settings."""

    max_bytes: Annotated[int | str | None, tyro.conf.arg(metavar="SIZE")] = None
    """The best picture in a file of at most this size (800KB, 8MB): prunes, lowers degree and precision as needed."""

    max_psnr_drop: Annotated[float | None, tyro.conf.arg(metavar="DB")] = None
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

    formats: FormatFlags = field(default_factory=FormatFlags)

    @property
    def size(self) -> int | None:
        """`max_bytes` as a number."""
        return None if self.max_bytes is None else parse_bytes("`max_bytes`", str(self.max_bytes))

    def check(self) -> None:
        """Whether the settings can be followed. Looked at before anything is read.

        Raises:
            InputError: naming the field, what was expected and came.
        """
        has_target = self.max_bytes is not None or self.max_psnr_drop is not None
        knobs = [name for name in ("prune", "sh_degree", "precision") if getattr(self, name) is not None]
        if self.max_bytes is not None and self.max_psnr_drop is not None:
            raise InputError("`max_bytes` and `max_psnr_drop` are two targets; give one of them")
        if has_target and knobs:
            names = ", ".join(f"`{name}`" for name in knobs)
            raise InputError(f"{names} cannot go with a target, which chooses by itself; leave one of them out")
        if self.size is not None and self.size < 1:
            raise InputError(f"`max_bytes` must be at least a byte, got {self.max_bytes}")
        if self.max_psnr_drop is not None and not self.max_psnr_drop > 0:
            raise InputError(f"`max_psnr_drop` must be above 0 dB, got {self.max_psnr_drop}")
        if self.prune is not None and not 0 <= self.prune < 1:
            raise InputError(f"`prune` must be from 0 to below 1, a fraction of the Gaussians, got {self.prune}")
        if self.finetune is not None and self.finetune < 0:
            raise InputError(f"`finetune` must be 0 or more iterations, got {self.finetune}")
        if self.sh_degree is not None and not 0 <= self.sh_degree <= 3:
            raise InputError(f"`sh_degree` must be 0 to 3, got {self.sh_degree}")
        if self.resolution is not None and self.resolution < 1 and self.resolution != -1:
            raise InputError(f"`resolution` must be -1 or at least 1, got {self.resolution}")
