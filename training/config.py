"""Everything that a training run can be told, with the published defaults (Kerbl et al. 2023) and their units.

The command line is made from these classes, and config.json in the output folder is written from them and read back.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.facts import as_json
from splat.io.parsing import parse_bytes
from splat.options.markers import OneOf, named_values
from splat.run import Run
from splat.training.densify.base import DensifyConfig
from splat.training.densify.budget import BudgetConfig
from splat.training.densify.choose import STRATEGIES
from splat.training.densify.growing import GradientConfig
from splat.training.old_config import upgraded
from splat.training.schedules import FULL_RUN, LearningRates


@dataclass(frozen=True)
class DataConfig:
    """Which photos, at which size."""

    images: Annotated[str, tyro.conf.arg(aliases=["-i"])] = "images"
    """Folder of the photos inside the capture."""
    resolution: Annotated[int, tyro.conf.arg(aliases=["-r"])] = 1
    """Divide width and height of the photos by this; -1 limits the longest side to 1600 pixels."""
    max_image_size: int | None = None
    """Longest side of the photos in pixels, at most."""
    eval: bool = False
    """Hold out photos (see `test_every`), and measure PSNR and SSIM on those at the end."""
    test_every: int = 8
    """With `eval`: hold out every so many photos, in the order of their names; a capture that names its test views itself
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
    allow_missing: bool = False
    """Train on the photos that are there and can be read, however few of those in the model they are."""


@dataclass(frozen=True)
class OptimizationConfig:
    """How long and how the optimizer works. Learning rates and weights of the loss: `lr`, `loss`."""

    iterations: int = FULL_RUN
    """Number of training steps. Schedules scale with it, so 7000 is a complete run and not the beginning of one."""
    time_limit: str | None = None
    """End after this time (90s, 15m, 1h) or after the iterations, whichever is first; schedules scale with it too. Such a
    run does not give the same bits again."""
    progressive: Literal["auto", "on", "off"] = "auto"
    """Begin with smaller photos, which is faster; auto does so with the strategy budget."""
    sh_degree: int = 3
    """Highest degree of spherical harmonics, 0 (no view-dependent color) to 3."""
    sh_from_start: bool = False
    """Fit view-dependent color of all degrees from the first iteration on, and not one degree more now and then."""
    background: Literal["black", "white", "random"] = "black"
    """Color behind the scene while training; random supervises opacity everywhere."""
    antialiased: bool = False
    """Mip-Splatting's opacity compensation: for scenes that will be looked at from farther away than they were taken."""
    sparse_adam: bool = False
    """Update only the Gaussians that a view shows: faster on large scenes, slightly different results."""
    fuse_adam: bool = False
    """GPU: take the optimizer's step inside the backward, which saves time and memory on large scenes."""
    accumulate: int | None = None
    """In the second half of the run, step once every so many iterations with the sum of their gradients. Unless given: 4
    with the strategy budget, else 1."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss."""

    ssim: float = 0.2
    """1 - SSIM; the rest is L1"""
    depth_points: float = 0.0
    """inverse depth of the capture's sparse points where a photo has seen them; 0.01 is usual"""
    depth_maps: float = 0.0
    """depth maps (`depths`) at the start; falls to a hundredth; 0.5 is usual"""
    depth_smooth: float = 0.0
    """steps in inverse depth where the photo is even; 0.01 is usual"""
    normals: float = 0.0
    """agreement of normals with the slope of the depth, in the second half; 0.05 is usual"""
    flat: float = 0.0
    """the shortest axis, which makes Gaussians flat; 1 is usual where a mesh is wanted"""
    grid: float = 0.0
    """differences of opacities and rotations between neighbors in a sorted grid (Self-Organizing Gaussians), which makes a
    `.sog` written with `--order grid` smaller and pictures a little worse; 1 is as published, 0.1 is milder"""
    bilateral_tv: float = 100.0
    """total variation of the bilateral grids"""


@dataclass(frozen=True)
class AppearanceConfig:
    """What differs from photo to photo, and is not the scene."""

    exposure: bool = False
    """Learn an affine change of color for every photo: brightness and white balance that the camera chose."""
    bilateral_grid: bool = False
    """Learn a bilateral grid of color changes for every photo: also vignetting, tone mapping and local edits."""
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
    depth_scale: float | None = None
    """World units for one unit of the depth files. Unless given, they are taken to be inverse depth from a network, and each
    is fitted to the sparse points of its photo."""


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
    """With `eval`: also measure LPIPS (needs the package lpips, which fetches its weights once)."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run."""

    data: DataConfig = field(default_factory=DataConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    lr: Annotated[LearningRates, named_values(LearningRates)] = field(default_factory=LearningRates)
    """Learning rates of Adam, per iteration."""
    loss: Annotated[LossWeights, named_values(LossWeights)] = field(default_factory=LossWeights)
    """Weights of the terms of the loss."""
    densify: Annotated[DensifyConfig, OneOf(STRATEGIES)] = field(default_factory=BudgetConfig)
    """Strategy that decides where Gaussians come from and when they go; each has options of its own, which `--help-all` shows
    together with `--densify NAME`."""
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def check(self) -> None:
        """Everything about the numbers that can be known before any photo is read.

        Raises:
            InputError: naming the parameter, what was expected and came.
        """
        for name, value in self.flat().items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"`{name}` must be a finite number, got {value}")
        for group in (self.data, self.optimization, self.densify):
            for name, hint in get_type_hints(type(group)).items():
                if get_origin(hint) is Literal and getattr(group, name) not in get_args(hint):
                    raise InputError(f"`{name}` must be {', '.join(get_args(hint))}, got {getattr(group, name)!r}")
        for name, value, (least, most) in self._limits():
            if value is not None and not least <= value <= most:
                number = f"at least {least:g}" if least else "0 or more"
                raise InputError(
                    f"`{name}` must be {number if most == math.inf else f'{least:g} to {most:g}'}, got {value:g}"
                )
        data, optimization = self.data, self.optimization
        if data.resolution != -1 and data.resolution < 1:
            raise InputError(f"`resolution` must be -1, or 1 and up, got {data.resolution}")
        positive = {"lr.means": self.lr.means, "lr.means_final": self.lr.means_final, "lr.final": self.lr.final}
        positive |= {} if self.geometry.depth_scale is None else {"depth_scale": self.geometry.depth_scale}
        for name, value in positive.items():
            if value <= 0:
                raise InputError(f"`{name}` must be above 0, got {value:g}")
        parse_bytes("`image_cache`", data.image_cache)
        if optimization.time_limit is not None:
            parse_seconds("`time_limit`", optimization.time_limit)
        if self.loss.depth_maps and data.depths is None:
            raise InputError("`loss.depth_maps` needs `depths`: the folder of depth maps inside the capture")
        if data.depths is not None and not self.loss.depth_maps:
            raise InputError("`depths` needs `loss.depth_maps`: how much the depth maps count; 0.5 is usual")
        if optimization.sparse_adam and self.accumulate > 1:
            raise InputError("`sparse_adam` steps by what one photo shows and cannot go with `accumulate` above 1")
        if optimization.fuse_adam:
            self._check_fused()

    def _limits(self) -> Iterator[tuple[str, float | None, tuple[float, float]]]:
        """Name, value, and the smallest and largest that there may be."""
        optimization, run, densify = self.optimization, self.run, self.densify
        yield "iterations", optimization.iterations, (1, math.inf)
        yield "accumulate", optimization.accumulate, (1, math.inf)
        yield "sh_degree", optimization.sh_degree, (0, 3)
        yield "max_image_size", self.data.max_image_size, (1, math.inf)
        yield "test_every", self.data.test_every, (2, math.inf)
        yield "threads", run.threads, (1, math.inf)
        yield "save_every", run.save_every, (0, math.inf)
        yield "keep_checkpoints", run.keep_checkpoints, (1, math.inf)
        yield "pose_limit", self.geometry.pose_limit, (0, math.inf)
        yield "pose_limit_degrees", self.geometry.pose_limit_degrees, (0, math.inf)
        for name, value in asdict(self.lr).items():
            yield f"lr.{name}", value, (0, 1 if name == "final" else math.inf)
        for name, value in asdict(self.loss).items():
            yield f"loss.{name}", value, (0, 1 if name == "ssim" else math.inf)
        for name, limits in densify.limits().items():
            yield name, getattr(densify, name), limits

    def _check_fused(self) -> None:
        """A fused step has no gradients that anything else could add to."""
        reasons = {
            f"`densify` {self.densify.name}": self.densify.adds_to_gradients,
            "`grad_source` ssim": isinstance(self.densify, GradientConfig) and self.densify.grad_source == "ssim",
            "`loss.grid`": self.loss.grid > 0,
            "`learned_mask`": self.densify.learned_mask > 0,
            "`accumulate` above 1": self.accumulate > 1,
            "`loss.normals`": self.loss.normals > 0,
            "`loss.flat`": self.loss.flat > 0,
        }
        for name, used in reasons.items():
            if used:
                hint = "; say `accumulate` 1" if "accumulate" in name else ""
                raise InputError(f"`fuse_adam` takes the step inside the backward and cannot go with {name}{hint}")

    def flat(self) -> dict[str, Any]:
        """The settings of all groups under their own names; those that are one flag together with the flag's."""
        flat = {}
        for group, inside in self.as_dict().items():
            for name, value in inside.items():
                name = "densify" if name == "strategy" else f"{group}.{name}" if group in ("lr", "loss") else name
                flat[name] = value
        return flat

    def with_values(self, values: Mapping[str, Any]) -> "TrainConfig":
        """Other values of settings of the photos, the optimizer, the rates and the run, by the names of `flat`."""
        names = ("data", "optimization", "lr", "run")
        own = {name.removeprefix("lr."): value for name, value in values.items()}
        return replace(self, **{name: _with(getattr(self, name), own) for name in names})

    @property
    def progressive(self) -> bool:
        """Whether the run begins with smaller photos."""
        chosen = self.optimization.progressive
        return chosen == "on" or (chosen == "auto" and self.densify.progressive)

    @property
    def accumulate(self) -> int:
        """Iterations to a step, in the second half of the run."""
        chosen = self.optimization.accumulate
        if chosen is None:
            every_step = self.optimization.fuse_adam or self.optimization.sparse_adam
            chosen = 1 if every_step else self.densify.accumulate
        return chosen

    @property
    def time_limit_seconds(self) -> float | None:
        limit = self.optimization.time_limit
        return None if limit is None else parse_seconds("`time_limit`", limit)

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; the strategy's options with its name."""
        return {**asdict(self), "densify": {"strategy": self.densify.name, **asdict(self.densify)}}

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, tolerant: bool = False) -> "TrainConfig":
        """The reverse of `as_dict`, also of what earlier versions wrote.

        Args:
            tolerant: leave out names that are not known, as there may be in files of other versions.

        Raises:
            InputError: a name is not known, or a group is none.
        """
        values = upgraded(values)
        densify = values.get("densify", {})
        strategy = densify.get("strategy", BudgetConfig.name) if isinstance(densify, dict) else None
        if strategy not in STRATEGIES:
            raise InputError(f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
        values["densify"] = {name: value for name, value in densify.items() if name != "strategy"}
        default = cls(densify=STRATEGIES[strategy]())
        groups = {item.name: getattr(default, item.name) for item in fields(cls)}
        if not tolerant:
            _check_names("the configuration", values, groups)
            for name, group in groups.items():
                _check_names(name, values.get(name, {}), {item.name: None for item in fields(group)})
        return cls(**{name: _with(group, values.get(name, {})) for name, group in groups.items()})


def _check_names(where: str, values: Any, known: Mapping[str, Any]) -> None:
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected names with values, got {values!r}")
    unknown = values.keys() - known.keys()
    if unknown:
        raise InputError(f"{where}: there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")


def _with(group: Any, values: dict[str, Any]) -> Any:
    """A dataclass with other values; those whose names it does not have are left out."""
    return replace(group, **{item.name: values[item.name] for item in fields(group) if item.name in values})


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
        temporary.write_text(as_json({"capture": str(capture.resolve()), **config.as_dict()}) + "\n")


def load_config(run: Run) -> tuple[TrainConfig, Path]:
    """The configuration of a run, and the folder of its capture.

    Raises:
        InputError: the file is missing or not a configuration.
    """
    path = run.config_file
    try:
        values = json.loads(path.read_text())
        capture = Path(values.pop("capture"))
        return TrainConfig.from_dict(values, tolerant=True), capture
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the output folder of `splat train`") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not a configuration written by `splat train` ({error})") from error
