"""What the operators take and give, in groups of named values, and how an operator is registered.

A group is a NamedTuple whose fields are, in order, arguments (or results) of an operator: the schema that torch reads is
written from the groups, so every name, type and place is said once.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, NamedTuple, Protocol, TypeVar, get_type_hints

import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack
from torch._C._autograd import _profiler_enabled

PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")
"""What a Gaussian consists of: the first of `Inputs`, in their order."""


class Inputs(NamedTuple):
    """Everything that is drawn, and the cameras that it is drawn by."""

    means: Tensor  # [N, 3]
    quats: Tensor  # [N, 4]
    log_scales: Tensor  # [N, 3]
    logit_opacities: Tensor  # [N]
    sh0: Tensor  # [N, 3]
    sh_rest: Tensor  # [N, (degree + 1)^2 - 1, 3]
    features: Tensor | None  # [N, F] or [C, N, F]
    viewmats: Tensor  # [C, 4, 4]
    Ks: Tensor  # [C, 3, 3]
    background: Tensor  # [C, 3]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """In the order of PARAMETERS."""
        return self.means, self.quats, self.log_scales, self.logit_opacities, self.sh0, self.sh_rest


class Settings(Protocol):
    """The thresholds that the kernels need; `splat.RenderSettings` has them."""

    @property
    def near(self) -> float: ...
    @property
    def far(self) -> float: ...
    @property
    def eps2d(self) -> float: ...
    @property
    def antialiased(self) -> bool: ...
    @property
    def alpha_max(self) -> float: ...
    @property
    def alpha_min(self) -> float: ...
    @property
    def transmittance_min(self) -> float: ...
    @property
    def frustum_margin(self) -> float: ...
    @property
    def deterministic(self) -> bool: ...
    @property
    def max_intersections(self) -> int: ...
    @property
    def intersection_capacity(self) -> int: ...


class Options(NamedTuple):
    """How it is drawn. The names are those of RenderArguments in csrc/arguments.h."""

    width: int
    height: int
    sh_degree: int
    with_depth: bool
    antialiased: bool
    near: float
    far: float
    eps2d: float
    alpha_max: float
    alpha_min: float
    transmittance_min: float
    frustum_margin: float
    deterministic: bool

    @classmethod
    def of(cls, settings: Settings, *, width: int, height: int, sh_degree: int, with_depth: bool) -> "Options":
        return cls(
            width=width,
            height=height,
            sh_degree=sh_degree,
            with_depth=with_depth,
            antialiased=settings.antialiased,
            near=settings.near,
            far=settings.far,
            eps2d=settings.eps2d,
            alpha_max=settings.alpha_max,
            alpha_min=settings.alpha_min,
            transmittance_min=settings.transmittance_min,
            frustum_margin=settings.frustum_margin,
            deterministic=settings.deterministic,
        )


class Limits(NamedTuple):
    """How many intersections of tiles and Gaussians there may be, and for how many memory is allocated without counting
    them first (0: they are counted)."""

    max_intersections: int
    intersection_capacity: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(min(settings.max_intersections, (1 << 32) - 1), settings.intersection_capacity)


class State(NamedTuple):
    """What the backward needs from the forward."""

    rgb: Tensor
    transmittance: Tensor
    depth: Tensor
    image_features: Tensor
    projected: Tensor
    intersection_offsets: Tensor
    intersections: Tensor
    tile_offsets: Tensor


class Outputs(NamedTuple):
    """What the forward makes. Images of what was not asked for are empty."""

    rgb: Tensor  # [C, H, W, 3]
    transmittance: Tensor  # [C, H, W]
    depth: Tensor  # [C, H, W]
    median_depth: Tensor  # [C, H, W]
    image_features: Tensor  # [C, H, W, F]
    radii: Tensor  # [C, N]
    projected: Tensor  # [C, N, bytes of a record]
    intersection_offsets: Tensor  # [C * N + 1] int64; empty where the backward does not need it
    intersections: Tensor  # [P, bytes of an intersection]
    tile_offsets: Tensor  # [C * T + 1] int64

    @property
    def state(self) -> State:
        return State(
            rgb=self.rgb,
            transmittance=self.transmittance,
            depth=self.depth,
            image_features=self.image_features,
            projected=self.projected,
            intersection_offsets=self.intersection_offsets,
            intersections=self.intersections,
            tile_offsets=self.tile_offsets,
        )


class OutputGradients(NamedTuple):
    """Gradients with respect to the forward's images."""

    v_rgb: Tensor | None
    v_alpha: Tensor | None
    v_depth: Tensor | None
    v_median_depth: Tensor | None
    v_image_features: Tensor | None


class Wanted(NamedTuple):
    """Which gradients to compute beside those with respect to the Gaussians' own parameters."""

    cameras_wanted: bool
    features_wanted: bool
    mean2d_wanted: bool
    mean2d_abs_wanted: bool


class OtherGradients(NamedTuple):
    """Gradients with respect to everything but the Gaussians' own parameters; empty where not wanted."""

    v_features: Tensor
    v_viewmats: Tensor
    v_Ks: Tensor
    v_mean2d: Tensor  # [C, N, 2]
    v_mean2d_abs: Tensor  # [C, N, 2]


class Gradients(NamedTuple):
    """All gradients."""

    v_means: Tensor
    v_quats: Tensor
    v_log_scales: Tensor
    v_logit_opacities: Tensor
    v_sh0: Tensor
    v_sh_rest: Tensor
    v_features: Tensor
    v_viewmats: Tensor
    v_Ks: Tensor
    v_mean2d: Tensor  # [C, N, 2]
    v_mean2d_abs: Tensor  # [C, N, 2]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """In the order of PARAMETERS."""
        return self.v_means, self.v_quats, self.v_log_scales, self.v_logit_opacities, self.v_sh0, self.v_sh_rest

    @property
    def others(self) -> OtherGradients:
        return OtherGradients(self.v_features, self.v_viewmats, self.v_Ks, self.v_mean2d, self.v_mean2d_abs)


class NoResults(NamedTuple):
    """What an operator gives that only changes its arguments."""


Group = type[tuple]
"""A NamedTuple class."""

Made = TypeVar("Made", bound=tuple)

_TYPES = {
    Tensor: "Tensor",
    Tensor | None: "Tensor?",
    list[Tensor]: "Tensor[]",
    int: "int",
    float: "float",
    bool: "bool",
    list[float]: "float[]",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_library = torch.library.Library("splat", "DEF")


@lru_cache
def _bounds(groups: tuple[Group, ...]) -> tuple[tuple[Callable[[Iterable[Any]], Any], int, int], ...]:
    """Of every group how it is made, and where it begins and ends among the values of all."""
    ends = list(accumulate(len(group._fields) for group in groups))  # type: ignore[attr-defined]
    return tuple(
        (group._make, begin, end)  # type: ignore[attr-defined]
        for group, begin, end in zip(groups, [0, *ends], ends, strict=False)
    )


def split(values: tuple, *groups: Group) -> list[Any]:
    """Values that follow one another, as the groups that they make up."""
    return [make(values[begin:end]) for make, begin, end in _bounds(groups)]


def _declare(groups: Iterable[Group], changed: Iterable[str] = ()) -> str:
    """The fields of groups as torch writes them in a schema. Operators change the tensors named `changed` in place."""
    alias = dict(zip(changed, _LETTERS, strict=False))
    fields = chain.from_iterable(get_type_hints(group).items() for group in groups)

    def one(name: str, hint: Any) -> str:
        written = _TYPES[hint]
        return f"{written.replace('Tensor', f'Tensor({alias[name]}!)') if name in alias else written} {name}"

    return ", ".join(one(name, hint) for name, hint in fields)


def _eager(first: Any) -> bool:
    """Whether nothing watches the operators: no tracing, compiling or profiling. They may then be passed by, which saves a
    tenth of a millisecond a step.

    Args:
        first: the first of an operator's arguments: a tensor, or a list of tensors. Those without numbers (fake, or of
            the device meta) and those of devices without kernels are torch's to deal with.
    """
    if isinstance(first, list):
        return not first or _eager(first[0])
    if first.device.type not in ("cpu", "cuda") or type(first).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return False
    return not (torch.compiler.is_compiling() or _profiler_enabled() or _len_torch_dispatch_stack())


def register(
    name: str,
    kernel: Callable[..., Made],
    fake: Callable[..., tuple],
    *,
    takes: tuple[Group, ...],
    gives: type[Made],
    changes: Iterable[str] = (),
) -> Callable[..., Made]:
    """Make `torch.ops.splat.NAME`, whose arguments are the fields of `takes`, one after the other.

    Args:
        kernel: takes one value per group of `takes`, and returns one of `gives`.
        fake: as `kernel`, but only makes tensors of the right shapes.
        gives: group of results.
        changes: names of arguments that are changed in place.

    Returns:
        What calls the operator, with groups as `kernel` does.
    """
    bounds = _bounds(takes)

    def by_groups(function: Callable[..., tuple]) -> Callable[..., tuple | None]:
        def run(*values: Any) -> tuple | None:
            result = function(*[make(values[begin:end]) for make, begin, end in bounds])
            return tuple(result) or None  # torch wants None of an operator without results

        return run

    _library.define(f"{name}({_declare(takes, changes)}) -> ({_declare([gives])})")
    _library.impl(name, by_groups(kernel), "CPU")
    _library.impl(name, by_groups(kernel), "CUDA")
    torch.library.register_fake(f"splat::{name}", by_groups(fake), lib=_library)
    operator = getattr(torch.ops.splat, name).default

    def call(*groups: tuple) -> Made:
        if _eager(groups[0][0]):
            return kernel(*groups)
        return gives(*(operator(*chain.from_iterable(groups)) or ()))

    return call
