"""Everything that a training run can be told, with the published defaults (Kerbl et al. 2023) and their units.

The command line is made from these classes, and config.json in the output folder is written from them and read back.
"""

import json
import re
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.parsing import parse_bytes
from splat.run import Run

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
    """With --eval: hold out every so many photos, in the order of their names; a capture that names its test views itself
    has those held out."""
    image_cache: str = "4GB"
    """Memory for decoded photos. Captures that need more are decoded again while training, ahead in threads."""
    masks: str = "masks"
    """Folder of masks inside the capture, black where a photo does not show the scene: for a.jpg a.png, a.jpg.png or
    a_mask.png. Photos without a mask are used whole. An empty name uses none."""
    mask_mode: Literal["ignore", "segment"] = "ignore"
    """ignore: what is masked is not looked at. segment: it is to stay empty, for an object without its surroundings."""
    invert_masks: bool = False
    """Masks are white where a photo does not show the scene."""
    depths: str | None = None
    """Folder of depth maps inside the capture, found by name as masks are: .npy, or 8 to 32-bit images."""


@dataclass(frozen=True)
class OptimizationConfig:
    """Loss, learning rates and schedules. Rates are per iteration, for Adam."""

    iterations: int = FULL_RUN
    """Number of training steps. Schedules scale with it, so 7000 is a complete run and not the beginning of one."""
    time_limit: str | None = None
    """End after this time (90s, 15m, 1h) or after the iterations, whichever is first; schedules scale with it too. Such a
    run does not give the same bits again."""
    progressive: bool = False
    """Begin with smaller photos, which is faster. The strategy budget always does, unless --full-size is given."""
    full_size: bool = False
    """Use whole photos from the first iteration on."""
    sh_degree: int = 3
    """Highest degree of spherical harmonics, 0 (no view-dependent color) to 3."""
    sh_from_start: bool = False
    """Fit view-dependent color of all degrees from the first iteration on, and not one degree more now and then."""
    ssim_weight: float = 0.2
    """Weight of (1 - SSIM) in the loss; the rest is L1."""
    grid_smoothness: float = 0.0
    """Weight of the differences of opacities and rotations between neighbors in a sorted grid (Self-Organizing Gaussians),
    which makes a `.sog` with --order grid smaller and pictures a little worse; 1 is as published, 0.1 is milder."""
    background: Literal["black", "white", "random"] = "black"
    """Color behind the scene while training; random supervises opacity everywhere."""
    antialiased: bool = False
    """Mip-Splatting's opacity compensation: for scenes that will be looked at from farther away than they were taken."""
    sparse_adam: bool = False
    """Update only the Gaussians that a view shows: faster on large scenes, slightly different results."""
    fuse_adam: bool = False
    """GPU: take the optimizer's step inside the backward, which saves time and memory on large scenes."""
    late_steps: int | None = None
    """In the second half of the run, step once every so many iterations with the sum of their gradients. Unless given: 4
    with the strategy budget, else 1."""
    lr_means: float = 1.6e-4
    """Positions at the start, times the scene's extent."""
    lr_means_final: float = 1.6e-6
    """Positions at the end, times the scene's extent; log-linear in between."""
    lr_sh0: float = 2.5e-3
    """Base color."""
    lr_sh_rest: float = 2.5e-3 / 20
    """View-dependent color."""
    lr_opacities: float = 0.05
    """Opacity logits."""
    lr_scales: float = 5e-3
    """Log scales."""
    lr_quats: float = 1e-3
    """Rotations."""
    lr_final: float = 1.0
    """Fraction of the rates, those of positions aside, that is left at the end; log-linear in between."""


@dataclass(frozen=True)
class DensifyConfig:
    """Where Gaussians come from and when they go."""

    strategy: Literal["budget", "classic", "absgrad", "mcmc", "fixed"] = "budget"
    """budget: grow along a curve to a fixed number, where errors are largest. classic: clone, split and prune by the rules
    of 2023. absgrad: the same by absolute gradients. mcmc: a fixed number that noise and relocation distribute. fixed: none
    is added, none removed."""
    budget: int | None = None
    """Never have more Gaussians than this. Unless given: by the number of photos' pixels for budget and mcmc, no limit for
    classic and absgrad."""
    init_midpoints: bool = False
    """Start with more Gaussians on flat parts: midpoints between the sparse points there (SAGS)."""
    grad_threshold: float = 2e-4
    """classic: clone or split where the mean gradient by the projected position (NDC-scaled) is at least this."""
    absgrad_threshold: float = 8e-4
    """absgrad: split where the mean of summed absolute gradients is at least this. budget: a quarter of it."""
    grad_source: Literal["loss", "ssim"] = "loss"
    """ssim: gradients count for growing only as far as they come from SSIM, so that blur and not color decides."""
    min_axis_ratio: float = 0.0
    """Never clone or split Gaussians whose shortest axis is at most this fraction of their longest; 0.01 keeps needles from
    multiplying."""
    mask_weight: float = 0.0
    """Learn a mask of Gaussians that are not needed and prune those while training (Compact 3DGS); 5e-4 is usual."""
    densify_every: int = 100
    """Iterations between two rounds of adding and removing."""
    densify_from: int = 500
    """First iteration at which to add; a fifth of the run when that is shorter."""
    densify_until: float | None = None
    """Fraction of the run after which to stop. Unless given: classic and absgrad 0.5 as published, 0.7 in runs below 3000
    iterations; mcmc 0.83; budget 0.6."""
    reset_every: int = 3000
    """classic and absgrad: iterations between two resets of the opacities, while densifying; 0 for none."""
    split_scale: float = 0.01
    """classic and absgrad: Gaussians larger than this times the extent are split, smaller ones cloned."""
    prune_opacity: float = 0.005
    """Remove (mcmc: relocate) Gaussians fainter than this."""
    prune_scale: float = 0.1
    """classic and absgrad: after the first reset, remove Gaussians larger than this times the extent."""
    opacity_decay: float = 0.004
    """budget: opacity that every Gaussian loses in a round, so that those which nothing holds up go."""
    noise: float = 5e5
    """mcmc: strength of the noise on positions, times their learning rate."""
    opacity_weight: float = 0.01
    """mcmc: weight of the mean opacity in the loss."""
    scale_weight: float = 0.01
    """mcmc: weight of the mean scale in the loss."""


@dataclass(frozen=True)
class AppearanceConfig:
    """What differs from photo to photo, and is not the scene."""

    exposure: bool = False
    """Learn an affine change of color for every photo: brightness and white balance that the camera chose."""
    bilateral_grid: bool = False
    """Learn a bilateral grid of color changes for every photo: also vignetting, tone mapping and local edits."""
    grid_tv_weight: float = 100.0
    """Smoothness of the bilateral grids."""
    sky: bool = False
    """Put a far shell of Gaussians around an outdoor scene, for sky and horizon."""


@dataclass(frozen=True)
class GeometryConfig:
    """Cameras and shapes."""

    refine_poses: bool = False
    """Correct the cameras' poses while training, within limits."""
    pose_limit_degrees: float = 3.0
    """Largest correction of a rotation."""
    pose_limit: float = 0.03
    """Largest correction of a position, as a fraction of the scene's extent."""
    depth_points_weight: float = 0.0
    """Weight of the inverse depth of the capture's sparse points where a photo has seen them; 0.01 is usual."""
    depth_maps_weight: float = 0.0
    """Weight of depth maps (--depths) at the start; it falls to a hundredth. 0.5 is usual."""
    depth_scale: float | None = None
    """World units for one unit of the depth files. Unless given, they are taken to be inverse depth from a network, and each
    is fitted to the sparse points of its photo."""
    depth_smooth_weight: float = 0.0
    """Weight of steps in inverse depth where the photo is even."""
    normal_weight: float = 0.0
    """Weight of the agreement of normals with the slope of the depth, in the second half; 0.05 is usual."""
    flat_weight: float = 0.0
    """Weight of the shortest axis, which makes Gaussians flat; 1 is usual where a mesh is wanted."""


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
    tensorboard: bool = False
    """Also write TensorBoard events into the output folder (needs the package tensorboard)."""
    lpips: bool = False
    """With --eval: also measure LPIPS (needs the package lpips, which fetches its weights once)."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    data: tyro.conf.OmitArgPrefixes[DataConfig] = field(default_factory=DataConfig)
    optimization: tyro.conf.OmitArgPrefixes[OptimizationConfig] = field(default_factory=OptimizationConfig)
    densify: tyro.conf.OmitArgPrefixes[DensifyConfig] = field(default_factory=DensifyConfig)
    appearance: tyro.conf.OmitArgPrefixes[AppearanceConfig] = field(default_factory=AppearanceConfig)
    geometry: tyro.conf.OmitArgPrefixes[GeometryConfig] = field(default_factory=GeometryConfig)
    run: tyro.conf.OmitArgPrefixes[RunConfig] = field(default_factory=RunConfig)

    def check(self) -> None:
        """Everything about the numbers that can be known before any photo is read.

        Raises:
            InputError: naming the flag, what was expected and came.
        """
        data, optimization, densify, run = self.data, self.optimization, self.densify, self.run
        at_least_one = {
            "--iterations": optimization.iterations,
            "--late-steps": optimization.late_steps,
            "--densify-every": densify.densify_every,
            "--budget": densify.budget,
            "--keep-checkpoints": run.keep_checkpoints,
            "--threads": run.threads,
        }
        not_negative = {
            "--save-every": run.save_every,
            "--grid-smoothness": optimization.grid_smoothness,
            "--mask-weight": densify.mask_weight,
            "--min-axis-ratio": densify.min_axis_ratio,
            **{
                f"--{name.replace('_', '-')}": value
                for name, value in asdict(self.geometry).items()
                if value is not None
            },
        }
        expectations: list[tuple[str, float | None, bool, str]] = [
            (flag, value, value is None or value >= 1, "at least 1") for flag, value in at_least_one.items()
        ]
        expectations += [(flag, value, value >= 0, "0 or more") for flag, value in not_negative.items()]
        expectations += [
            ("--sh-degree", optimization.sh_degree, 0 <= optimization.sh_degree <= 3, "0 to 3"),
            ("--lr-final", optimization.lr_final, 0 < optimization.lr_final <= 1, "above 0 and up to 1"),
            ("--ssim-weight", optimization.ssim_weight, 0 <= optimization.ssim_weight <= 1, "0 to 1"),
            ("--test-every", data.test_every, data.test_every >= 2, "at least 2"),
            ("--resolution", data.resolution, data.resolution == -1 or data.resolution >= 1, "-1, or 1 and up"),
        ]
        for flag, value, fine, expected in expectations:
            if not fine:
                raise InputError(f"{flag} must be {expected}, got {value}")
        parse_bytes("--image-cache", data.image_cache)
        if optimization.time_limit is not None:
            parse_seconds("--time-limit", optimization.time_limit)
        if self.geometry.depth_maps_weight and data.depths is None:
            raise InputError("--depth-maps-weight needs --depths: the folder of depth maps inside the capture")
        if data.depths is not None and not self.geometry.depth_maps_weight:
            raise InputError("--depths needs --depth-maps-weight: how much the depth maps count; 0.5 is usual")
        if optimization.progressive and optimization.full_size:
            raise InputError("--progressive and --full-size contradict each other; give one of them")
        if optimization.sparse_adam and self.late_steps > 1:
            raise InputError("--sparse-adam steps by what one photo shows and cannot go with --late-steps above 1")
        if optimization.fuse_adam:
            self._check_fused()

    def _check_fused(self) -> None:
        """A fused step has no gradients that anything else could add to."""
        reasons = {
            "--strategy mcmc": self.densify.strategy == "mcmc",
            "--grad-source ssim": self.densify.grad_source == "ssim",
            "--grid-smoothness": self.optimization.grid_smoothness > 0,
            "--mask-weight": self.densify.mask_weight > 0,
            "--late-steps above 1": self.late_steps > 1,
            "--normal-weight": self.geometry.normal_weight > 0,
            "--flat-weight": self.geometry.flat_weight > 0,
        }
        for flag, used in reasons.items():
            if used:
                hint = "; say --late-steps 1" if flag.startswith("--late") else ""
                raise InputError(f"--fuse-adam takes the step inside the backward and cannot go with {flag}{hint}")

    @property
    def progressive(self) -> bool:
        """Whether the run begins with smaller photos."""
        by_strategy = self.densify.strategy == "budget" and not self.optimization.full_size
        return self.optimization.progressive or by_strategy

    @property
    def late_steps(self) -> int:
        """Iterations to a step, in the second half of the run."""
        chosen = self.optimization.late_steps
        if chosen is None:
            every_step = self.optimization.fuse_adam or self.optimization.sparse_adam
            chosen = 4 if self.densify.strategy == "budget" and not every_step else 1
        return chosen

    @property
    def time_limit_seconds(self) -> float | None:
        limit = self.optimization.time_limit
        return None if limit is None else parse_seconds("--time-limit", limit)

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


def parse_seconds(flag: str, text: str) -> float:
    """90, 90s, 15m or 1.5h as seconds.

    Raises:
        InputError: it is none of these, or not positive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", text.strip().lower())
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise InputError(f"{flag} must be a time such as 90s, 15m or 1h, got {text!r}")
    return seconds


def evaluation_background(config: TrainConfig) -> Tensor:  # [3]
    """Color behind the scene where it must not be random."""
    return torch.ones(3) if config.optimization.background == "white" else torch.zeros(3)


def save_config(config: TrainConfig, capture: Path, run: Run) -> None:
    with replacing(run.config_file) as temporary:
        temporary.write_text(json.dumps({"capture": str(capture.resolve()), **config.as_dict()}, indent=2) + "\n")


def load_config(run: Run) -> tuple[TrainConfig, Path]:
    """The configuration of a run, and the folder of its capture.

    Raises:
        InputError: the file is missing or not a configuration.
    """
    path = run.config_file
    try:
        values = json.loads(path.read_text())
        return TrainConfig.from_dict(values), Path(values["capture"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the output folder of `splat train`") from None
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a configuration written by `splat train` ({error})") from error
