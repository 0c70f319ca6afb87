"""Everything that a training run can be told, with the published defaults (Kerbl et al. 2023) and their units.

The command line is made from these classes, and config.json in the output folder is written from them and read back.
"""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from splat.atomic_file import replacing
from splat.errors import InputError

FULL_RUN = 30_000
"""Iterations of the published recipe; schedules are stated for it."""


@dataclass(frozen=True)
class DataConfig:
    """Which photos, at which size."""

    images: Annotated[str, tyro.conf.arg(aliases=["-i"])] = "images"
    """Folder of the photos inside the capture."""
    resolution: Annotated[int, tyro.conf.arg(aliases=["-r"])] = 1
    """Divide width and height of the photos by this; -1 limits the longest side to 1600 pixels."""
    max_size: int | None = None
    """Longest side of the photos in pixels, at most."""
    eval: bool = False
    """Hold out every `test_every`-th photo, and measure PSNR and SSIM on those at the end."""
    test_every: int = 8
    """With --eval: hold out every so many photos, in the order of their names."""


@dataclass(frozen=True)
class OptimizationConfig:
    """Loss, learning rates and schedules. Rates are per iteration, for Adam."""

    iterations: int = FULL_RUN
    """Number of training steps. Schedules scale with it, so 7000 is a complete run and not the beginning of one."""
    sh_degree: int = 3
    """Highest degree of spherical harmonics, 0 (no view-dependent colour) to 3."""
    ssim_weight: float = 0.2
    """Weight of (1 - SSIM) in the loss; the rest is L1."""
    background: Literal["black", "white", "random"] = "black"
    """Colour behind the scene while training; random supervises opacity everywhere."""
    antialiased: bool = False
    """Mip-Splatting's opacity compensation: for scenes that will be looked at from farther away than they were taken."""
    sparse_adam: bool = False
    """Update only the Gaussians that a view shows: faster on large scenes, slightly different results."""
    fuse_adam: bool = False
    """GPU: take the optimizer's step inside the backward, which saves time and memory on large scenes."""
    lr_means: float = 1.6e-4
    """Positions at the start, times the scene's extent."""
    lr_means_final: float = 1.6e-6
    """Positions at the end, times the scene's extent; log-linear in between."""
    lr_sh0: float = 2.5e-3
    """Base colour."""
    lr_sh_rest: float = 2.5e-3 / 20
    """View-dependent colour."""
    lr_opacities: float = 0.05
    """Opacity logits."""
    lr_scales: float = 5e-3
    """Log scales."""
    lr_quats: float = 1e-3
    """Rotations."""

    @property
    def share(self) -> float:
        """Length of this run as a share of the published one."""
        return self.iterations / FULL_RUN


@dataclass(frozen=True)
class DensifyConfig:
    """Adaptive density control."""

    strategy: Literal["classic"] = "classic"
    """classic: clone, split and prune by the published rules."""
    budget: int | None = None
    """Never have more Gaussians than this; those with the largest gradients come first. No limit unless given."""
    grad_threshold: float = 2e-4
    """Clone or split where the mean gradient by the projected position (NDC-scaled) is at least this."""
    densify_every: int = 100
    """Iterations between two rounds of cloning, splitting and pruning."""
    densify_from: int = 500
    """First iteration at which to densify; a fifth of the run when that is shorter."""
    densify_until: float | None = None
    """Share of the run after which to stop. Unless given 0.5, as published, and 0.7 for runs below 3000 iterations."""
    reset_every: int = 3000
    """Iterations between two resets of the opacities, while densifying; 0 for none."""
    split_scale: float = 0.01
    """Gaussians larger than this times the extent are split, smaller ones cloned."""
    prune_opacity: float = 0.005
    """Remove Gaussians fainter than this."""
    prune_scale: float = 0.1
    """After the first reset, remove Gaussians larger than this times the extent."""


@dataclass(frozen=True)
class RunConfig:
    """How the run behaves."""

    seed: int = 0
    """Seed of everything random."""
    save_every: int = 1000
    """Iterations between two checkpoints; 0 for one at the end only."""
    keep_checkpoints: int = 2
    """How many of the latest checkpoints to keep."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""
    threads: int | None = None
    """CPU threads; torch's own choice unless given."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    data: tyro.conf.OmitArgPrefixes[DataConfig] = field(default_factory=DataConfig)
    optimization: tyro.conf.OmitArgPrefixes[OptimizationConfig] = field(default_factory=OptimizationConfig)
    densify: tyro.conf.OmitArgPrefixes[DensifyConfig] = field(default_factory=DensifyConfig)
    run: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)

    def check(self) -> None:
        """Everything about the numbers that can be known before any photo is read.

        Raises:
            InputError: naming the flag, what was expected and came.
        """
        expectations = [
            ("--iterations", self.optimization.iterations, self.optimization.iterations >= 1, "at least 1"),
            ("--sh-degree", self.optimization.sh_degree, 0 <= self.optimization.sh_degree <= 3, "0 to 3"),
            ("--ssim-weight", self.optimization.ssim_weight, 0 <= self.optimization.ssim_weight <= 1, "0 to 1"),
            ("--test-every", self.data.test_every, self.data.test_every >= 2, "at least 2"),
            ("--densify-every", self.densify.densify_every, self.densify.densify_every >= 1, "at least 1"),
            ("--budget", self.densify.budget, self.densify.budget is None or self.densify.budget >= 1, "at least 1"),
            ("--save-every", self.run.save_every, self.run.save_every >= 0, "0 or more"),
            ("--keep-checkpoints", self.run.keep_checkpoints, self.run.keep_checkpoints >= 1, "at least 1"),
            ("--threads", self.run.threads, self.run.threads is None or self.run.threads >= 1, "at least 1"),
            (
                "--resolution",
                self.data.resolution,
                self.data.resolution == -1 or self.data.resolution >= 1,
                "-1, or 1 and up",
            ),
        ]
        for flag, value, fine, expected in expectations:
            if not fine:
                raise InputError(f"{flag} must be {expected}, got {value}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        return _build(cls, values)


def _build(kind: Any, values: dict[str, Any]) -> Any:
    """An instance of a nested dataclass from plain dictionaries; unknown names are left out."""
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)} & values.keys()
    return kind(
        **{name: _build(hints[name], values[name]) if is_dataclass(hints[name]) else values[name] for name in known}
    )


def save_config(config: TrainConfig, capture: Path, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"capture": str(capture.resolve()), **config.as_dict()}, indent=2) + "\n")


def load_config(path: Path) -> tuple[TrainConfig, Path]:
    """The configuration and the capture's folder of a run.

    Raises:
        InputError: the file is missing or not a configuration.
    """
    try:
        values = json.loads(path.read_text())
        return TrainConfig.from_dict(values), Path(values["capture"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the output folder of `splat train`") from None
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a configuration written by `splat train` ({error})") from error
