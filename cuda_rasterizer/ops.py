"""The kernels as torch operators: schema, implementation (one for CPU and CUDA) and fake implementation of each.

Scratch memory and streams come from torch and live here; the kernels get addresses. The operators know nothing of
autograd: see autograd.py. Shapes: N Gaussians, C cameras, H x W pixels, F feature channels, P pairs, T tiles per camera.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch._C._autograd import _profiler_enabled
from torch._subclasses.fake_tensor import is_fake

from splat.cuda_rasterizer import native

TILE = 16
PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")
HUGE = 4 << 20  # bytes

Made = TypeVar("Made")

_INPUTS = (
    "Tensor means, Tensor quats, Tensor log_scales, Tensor logit_opacities, Tensor sh0, Tensor sh_rest, "
    "Tensor? features, Tensor viewmats, Tensor Ks, Tensor background"
)
_OPTIONS = (
    "int width, int height, int sh_degree, bool with_depth, bool antialiased, float near, float far, float eps2d, "
    "float alpha_max, float alpha_min, float transmittance_min, float frustum_margin, bool deterministic"
)
_library = torch.library.Library("splat", "DEF")
_library.define(
    f"rasterize_forward({_INPUTS}, {_OPTIONS}, int max_pairs, int pair_capacity) -> (Tensor rgb, Tensor transmittance, "
    "Tensor depth, Tensor median_depth, Tensor image_features, Tensor radii, Tensor projected, Tensor pair_offsets, "
    "Tensor pairs, Tensor tile_offsets)"
)
_library.define(
    f"rasterize_backward({_INPUTS}, Tensor rgb, Tensor transmittance, Tensor depth, Tensor image_features, "
    "Tensor projected, Tensor pair_offsets, Tensor pairs, Tensor tile_offsets, Tensor? v_rgb, Tensor? v_alpha, "
    f"Tensor? v_depth, Tensor? v_median_depth, Tensor? v_image_features, {_OPTIONS}, bool cameras_wanted, "
    "bool features_wanted, bool mean2d_wanted, bool mean2d_abs_wanted) -> (Tensor, Tensor, Tensor, Tensor, Tensor, "
    "Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    "rasterize_backward_adam(Tensor(a!) means, Tensor(b!) quats, Tensor(c!) log_scales, Tensor(d!) logit_opacities, "
    "Tensor(e!) sh0, Tensor(f!) sh_rest, Tensor? features, Tensor viewmats, Tensor Ks, Tensor background, Tensor rgb, "
    "Tensor transmittance, Tensor depth, Tensor image_features, Tensor projected, Tensor pair_offsets, Tensor pairs, "
    "Tensor tile_offsets, Tensor? v_rgb, Tensor? v_alpha, Tensor? v_depth, Tensor? v_median_depth, "
    f"Tensor? v_image_features, {_OPTIONS}, bool cameras_wanted, bool features_wanted, bool mean2d_wanted, "
    "bool mean2d_abs_wanted, Tensor(g!)[] exp_avg, Tensor(h!)[] exp_avg_sq, float[] lr, int step, float beta1, float beta2, "
    "float eps, bool visible_only) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    f"contribution({_INPUTS}, Tensor? pixel_weights, {_OPTIONS}, int max_pairs) -> (Tensor weight, Tensor peak, "
    "Tensor pixels, Tensor removal)"
)
_library.define("l1_ssim(Tensor image, Tensor target, float ssim_weight, bool gradient_wanted) -> (Tensor, Tensor)")
_library.define(
    "adam_step(Tensor(a!) parameter, Tensor gradient, Tensor(b!) exp_avg, Tensor(c!) exp_avg_sq, Tensor? visible, "
    "Tensor? clock, int step, float lr, float beta1, float beta2, float eps) -> ()"
)


def _empty(like: Tensor, *shape: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised memory, in huge pages where it is large: it is fresh in every step (see csrc/cpu/memory.h)."""
    tensor = like.new_empty(*shape, dtype=dtype or like.dtype)
    if tensor.device.type == "cpu" and not is_fake(tensor) and tensor.nbytes >= HUGE:
        native.load().advise_huge_pages(tensor.data_ptr(), tensor.nbytes)
    return tensor


def _run(stage: str, arguments: Any) -> Any:
    """Run one kernel, under its own name in torch.profiler's traces."""
    kernel = getattr(native.load(), stage)
    if not _profiler_enabled():  # entering an empty record_function costs more than a small kernel's launch
        return kernel(arguments)
    with torch.profiler.record_function(f"splat::{stage}"):
        return kernel(arguments)


def _on(device: torch.device, arguments: Any) -> Any:
    """Address the kernels for a device: torch's current stream of a GPU, or the CPU's threads.

    Raises:
        RuntimeError: the build has no CUDA kernels.
    """
    if device.type == "cuda":
        if native.describe_cuda(native.load()) is None:
            raise RuntimeError(
                "the tensors are on a CUDA device, and this build has no CUDA kernels. Install the CUDA toolkit (nvcc) and "
                "run `pip install .` again, or move the scene to the CPU with .to('cpu'); `splat doctor` tells more"
            )
        arguments.device = torch.cuda.current_device() if device.index is None else device.index
        arguments.stream = torch.cuda.current_stream(device).cuda_stream
    elif hasattr(arguments, "threads"):
        arguments.threads = torch.get_num_threads()
    return arguments


@contextmanager
def _explain_memory(options: "_Options", pairs: int) -> Iterator[None]:
    """Say what was asked for and how to need less, where torch says only that memory ran out."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"out of memory for an image of {options.width} x {options.height} with {pairs:,} (tile, Gaussian) pairs. Draw "
            "fewer Gaussians, a smaller image or one camera at a time"
            + (", or without RenderSettings.deterministic" if options.deterministic else "")
            + f". torch says: {error}"
        ) from error


def _addresses(arguments: Any, tensors: Mapping[str, Tensor | None]) -> list[Tensor]:
    """Write the tensors' addresses; returns the tensors, contiguous, which must outlive the call."""
    kept = []
    for name, tensor in tensors.items():
        if tensor is not None:
            kept.append(tensor.contiguous())
            setattr(arguments, name, kept[-1].data_ptr())
    return kept


class _Inputs(NamedTuple):
    means: Tensor
    quats: Tensor
    log_scales: Tensor
    logit_opacities: Tensor
    sh0: Tensor
    sh_rest: Tensor
    features: Tensor | None
    viewmats: Tensor
    Ks: Tensor
    background: Tensor


class _Options(NamedTuple):
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


class _State(NamedTuple):
    """What the backward needs from the forward."""

    rgb: Tensor
    transmittance: Tensor
    depth: Tensor
    image_features: Tensor
    projected: Tensor
    pair_offsets: Tensor
    pairs: Tensor
    tile_offsets: Tensor


class _Upstream(NamedTuple):
    """Gradients by the forward's outputs."""

    v_rgb: Tensor | None
    v_alpha: Tensor | None
    v_depth: Tensor | None
    v_median_depth: Tensor | None
    v_image_features: Tensor | None


class _Wanted(NamedTuple):
    """Which gradients to compute beside those of the Gaussians' own parameters."""

    cameras: bool
    features: bool
    mean2d: bool
    mean2d_abs: bool


class FusedAdam(NamedTuple):
    """An Adam step that the backward of a render takes by itself, where no gradient is needed for anything else.

    The lists are in the order of means, quats, log_scales, logit_opacities, sh0, sh_rest.
    """

    exp_avg: list[Tensor]
    exp_avg_sq: list[Tensor]
    lr: list[float]
    step: int
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-15
    visible_only: bool = False


def _take(kind: Callable[..., Made], values: Iterator[Any]) -> Made:
    """The next few operator arguments, by name."""
    return kind(*itertools.islice(values, len(kind._fields)))  # type: ignore[attr-defined]


def _render_arguments(inputs: _Inputs, options: _Options) -> tuple[Any, list[Tensor]]:
    arguments = native.load().RenderArguments()
    arguments.gaussians = inputs.means.shape[0]
    arguments.cameras = inputs.viewmats.shape[0]
    arguments.sh_rest_count = inputs.sh_rest.shape[1]
    arguments.features_count = 0 if inputs.features is None else inputs.features.shape[-1]
    arguments.features_per_camera = inputs.features is not None and inputs.features.ndim == 3
    arguments.is_double = inputs.means.dtype == torch.float64
    for name, value in options._asdict().items():
        setattr(arguments, name, value)
    return _on(inputs.means.device, arguments), _addresses(arguments, inputs._asdict())


def _outputs(inputs: _Inputs, options: _Options, pairs: Any, pair_bytes: int) -> dict[str, Tensor]:
    """The forward's outputs, uninitialised. `pairs` is the number of pairs, which fake tensors do not know."""
    like, count, cameras = inputs.means, inputs.means.shape[0], inputs.viewmats.shape[0]
    height, width = options.height, options.width
    tiles = ((height + TILE - 1) // TILE) * ((width + TILE - 1) // TILE)
    depth_shape = (cameras, height, width) if options.with_depth else (0,)
    channels = 0 if inputs.features is None else inputs.features.shape[-1]
    # A record of csrc/records.h, Projected: 10 numbers, a rectangle, a mask and a count, in whole cache lines.
    offsets = cameras * count + 1 if options.deterministic or not native.is_cuda(like.device) else 0
    record = 64 if like.dtype == torch.float32 else 128
    return {
        "rgb": _empty(like, cameras, height, width, 3),
        "transmittance": _empty(like, cameras, height, width),
        "depth": _empty(like, depth_shape),
        "median_depth": _empty(like, depth_shape),
        "image_features": _empty(like, cameras, height, width, channels),
        "radii": _empty(like, cameras, count),
        "projected": _empty(like, cameras, count, record, dtype=torch.uint8),
        "pair_offsets": _empty(like, offsets, dtype=torch.int64),
        "pairs": _empty(like, pairs, pair_bytes, dtype=torch.uint8),
        "tile_offsets": _empty(like, cameras * tiles + 1, dtype=torch.int64),
    }


def _rasterize_forward(*values: Any) -> tuple[Tensor, ...]:
    remaining = iter(values)
    inputs, options = _take(_Inputs, remaining), _take(_Options, remaining)
    _, outputs, _ = _draw(inputs, options, *remaining)
    return tuple(outputs.values())


def _draw(
    inputs: _Inputs, options: _Options, max_pairs: int, capacity: int
) -> tuple[Any, dict[str, Tensor], list[Tensor]]:
    """Run the stages of the forward. Returns the arguments as they were at the end, the outputs, and what must outlive
    any further stage that is given these arguments."""
    module = native.load()
    arguments, kept = _render_arguments(inputs, options)
    pair_bytes = module.pair_bytes(arguments)
    with _explain_memory(options, 0):
        outputs = _outputs(inputs, options, 0, pair_bytes)
        project_scratch = _empty(inputs.means, module.project_scratch_bytes(arguments), dtype=torch.uint8)
    if module.projected_bytes(arguments) != outputs["projected"].shape[-1]:
        raise native.NativeModuleError("the compiled module does not fit this source; run `pip install .` again")
    made = outputs | {"project_scratch": project_scratch}
    kept += _addresses(arguments, {name: tensor for name, tensor in made.items() if tensor.numel() and name != "pairs"})
    if native.is_cuda(inputs.means.device):
        arguments.pair_capacity = capacity
    _run("project", arguments)
    pairs = arguments.pair_count
    if pairs > max_pairs:
        raise RuntimeError(
            f"this render needs {pairs:,} (tile, Gaussian) pairs, more than max_pairs = {max_pairs:,}. Many Gaussians "
            "cover a large part of the image: remove those, render a smaller image, or raise RenderSettings.max_pairs"
        )
    with _explain_memory(options, pairs):
        outputs["pairs"] = _empty(outputs["pairs"], pairs, pair_bytes)
        scratch = _empty(inputs.means, module.forward_scratch_bytes(arguments), dtype=torch.uint8)
    kept += _addresses(arguments, {"pairs": outputs["pairs"], "scratch": scratch})
    _run("bin", arguments)
    _run("rasterize_forward", arguments)
    return arguments, outputs, kept


def _rasterize_forward_fake(*values: Any) -> tuple[Tensor, ...]:
    remaining = iter(values)
    inputs, options = _take(_Inputs, remaining), _take(_Options, remaining)
    pair_bytes = 4 if native.is_cuda(inputs.means.device) else 8
    return tuple(_outputs(inputs, options, torch.library.get_ctx().new_dynamic_size(), pair_bytes).values())


def _contribution(*values: Any) -> tuple[Tensor, ...]:
    remaining = iter(values)
    inputs, pixel_weights = _take(_Inputs, remaining), next(remaining)
    options, max_pairs = _take(_Options, remaining), next(remaining)
    arguments, outputs, kept = _draw(inputs, options, max_pairs, 0)
    found = _contributions(inputs)
    named = {"weight_sums": found[0], "weight_maxima": found[1], "pixel_counts": found[2], "removal_changes": found[3]}
    if not native.is_cuda(inputs.means.device):
        with _explain_memory(options, arguments.pair_count):
            pairs = _empty(inputs.means, max(1, arguments.pair_count), native.load().CONTRIBUTIONS)
        kept += _addresses(arguments, {"pair_gradients": pairs})
    kept += _addresses(arguments, {**named, "pixel_weights": pixel_weights})
    _run("contribution", arguments)
    del outputs, kept
    return found


def _contributions(inputs: _Inputs) -> tuple[Tensor, ...]:
    """Weight, peak, pixels and removal, uninitialised."""
    like, count = inputs.means, inputs.means.shape[0]
    kinds = (torch.float64, like.dtype, torch.int64, torch.float64)
    return tuple(_empty(like, count, dtype=kind) for kind in kinds)


def _contribution_fake(*values: Any) -> tuple[Tensor, ...]:
    return _contributions(_Inputs(*values[: len(_Inputs._fields)]))


def _gradients(inputs: _Inputs, wanted: _Wanted, fused: bool = False) -> dict[str, Tensor]:
    """The backward's outputs, uninitialised; those that are not wanted are empty."""
    like, probe = inputs.means, (inputs.viewmats.shape[0], inputs.means.shape[0], 2)
    shapes: dict[str, Any] = {} if fused else {name: getattr(inputs, name).shape for name in PARAMETERS}
    shapes["features"] = inputs.features.shape if wanted.features and inputs.features is not None else 0
    shapes["viewmats"] = inputs.viewmats.shape if wanted.cameras else 0
    shapes["Ks"] = inputs.Ks.shape if wanted.cameras else 0
    shapes["mean2d"] = probe if wanted.mean2d else 0
    shapes["mean2d_abs"] = probe if wanted.mean2d_abs else 0
    return {f"v_{name}": _empty(like, shape) for name, shape in shapes.items()}


def _rasterize_backward_adam(*values: Any) -> tuple[Tensor, ...]:
    count = len(FusedAdam._fields)
    arguments, fused = values[:-count], FusedAdam(*values[-count:])
    if native.is_cuda(values[0].device) and values[0].dtype == torch.float32:
        return _rasterize_backward(*arguments, fused=fused)
    *gradients, v_features, v_viewmats, v_Ks, v_mean2d, v_mean2d_abs = _rasterize_backward(*arguments)
    visible = None
    if fused.visible_only:
        offsets = arguments[len(_Inputs._fields) + _State._fields.index("pair_offsets")]
        visible = (offsets.diff() > 0).view(-1, len(values[0])).any(dim=0)
    for parameter, gradient, m, v, lr in zip(
        values, gradients, fused.exp_avg, fused.exp_avg_sq, fused.lr, strict=False
    ):
        _adam_step(parameter, gradient, m, v, visible, None, fused.step, lr, fused.beta1, fused.beta2, fused.eps)
    return v_features, v_viewmats, v_Ks, v_mean2d, v_mean2d_abs


def _rasterize_backward(*values: Any, fused: FusedAdam | None = None) -> tuple[Tensor, ...]:
    remaining = iter(values)
    inputs, state, upstream = _take(_Inputs, remaining), _take(_State, remaining), _take(_Upstream, remaining)
    options, wanted = _take(_Options, remaining), _take(_Wanted, remaining)
    module = native.load()
    arguments, kept = _render_arguments(inputs, options)
    gradients = _gradients(inputs, wanted, fused is not None)
    if fused is not None:
        for index, (m, v, lr) in enumerate(zip(fused.exp_avg, fused.exp_avg_sq, fused.lr, strict=True)):
            arguments.fuse_adam(index, m.data_ptr(), v.data_ptr(), lr)
        arguments.adam_step, arguments.adam_visible_only = fused.step, fused.visible_only
        arguments.adam_beta1, arguments.adam_beta2, arguments.adam_eps = fused.beta1, fused.beta2, fused.eps
    skipped = {"v_features": not wanted.features, "v_viewmats": not wanted.cameras, "v_Ks": not wanted.cameras}
    skipped |= {"v_mean2d": not wanted.mean2d, "v_mean2d_abs": not wanted.mean2d_abs}
    if not state.pair_offsets.numel():
        skipped["pair_offsets"] = True
    given = state._asdict() | upstream._asdict() | gradients
    kept += _addresses(arguments, {name: tensor for name, tensor in given.items() if not skipped.get(name)})
    arguments.pair_count = state.pairs.shape[0]
    with _explain_memory(options, arguments.pair_count):
        rows, floats = module.gradient_rows(arguments), module.pair_gradient_floats(arguments)
        pair_gradients = _empty(inputs.means, max(1, rows), floats)
        scratch = _empty(inputs.means, module.backward_scratch_bytes(arguments), dtype=torch.uint8)
    kept += _addresses(arguments, {"pair_gradients": pair_gradients, "scratch": scratch})
    _run("rasterize_backward", arguments)
    _run("project_backward", arguments)
    return tuple(gradients.values())


def _rasterize_backward_fake(*values: Any) -> tuple[Tensor, ...]:
    return tuple(
        _gradients(_Inputs(*values[: len(_Inputs._fields)]), _Wanted(*values[-len(_Wanted._fields) :])).values()
    )


def _rasterize_backward_adam_fake(*values: Any) -> tuple[Tensor, ...]:
    wanted = _Wanted(*values[: -len(FusedAdam._fields)][-len(_Wanted._fields) :])
    return tuple(_gradients(_Inputs(*values[: len(_Inputs._fields)]), wanted, fused=True).values())


def _l1_ssim(image: Tensor, target: Tensor, ssim_weight: float, gradient_wanted: bool) -> tuple[Tensor, Tensor]:
    module = native.load()
    arguments = _on(image.device, module.LossArguments())
    arguments.images, arguments.height, arguments.width = image.shape[:3]
    arguments.target_is_uint8 = target.dtype == torch.uint8
    arguments.ssim_weight = ssim_weight
    sums = _empty(image, 2, dtype=torch.float64)
    gradient = _empty(image, image.shape if gradient_wanted else (0,))
    scratch = _empty(image, module.loss_scratch_bytes(arguments), dtype=torch.uint8)
    tensors: dict[str, Tensor | None] = {"image": image, "target": target, "sums": sums, "scratch": scratch}
    kept = _addresses(arguments, tensors | {"v_image": gradient if gradient_wanted else None})
    _run("loss", arguments)
    del kept
    return sums, gradient


def _l1_ssim_fake(image: Tensor, target: Tensor, ssim_weight: float, gradient_wanted: bool) -> tuple[Tensor, Tensor]:
    return _empty(image, 2, dtype=torch.float64), _empty(image, image.shape if gradient_wanted else (0,))


def _adam_step(
    parameter: Tensor,
    gradient: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    visible: Tensor | None,
    clock: Tensor | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    if parameter.numel() == 0:
        return
    arguments = _on(parameter.device, native.load().AdamArguments())
    arguments.rows = parameter.shape[0]
    arguments.columns = parameter.numel() // parameter.shape[0]
    arguments.step, arguments.lr, arguments.eps = step, lr, eps
    arguments.beta1, arguments.beta2 = beta1, beta2
    tensors = {"parameter": parameter, "gradient": gradient, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
    kept = _addresses(arguments, {**tensors, "visible": visible, "clock": clock})
    _run("adam", arguments)
    del kept


for _name, _kernel, _fake in (
    ("rasterize_forward", _rasterize_forward, _rasterize_forward_fake),
    ("contribution", _contribution, _contribution_fake),
    ("rasterize_backward", _rasterize_backward, _rasterize_backward_fake),
    ("rasterize_backward_adam", _rasterize_backward_adam, _rasterize_backward_adam_fake),
    ("l1_ssim", _l1_ssim, _l1_ssim_fake),
    ("adam_step", _adam_step, lambda *_: None),
):
    _library.impl(_name, _kernel, "CPU")
    _library.impl(_name, _kernel, "CUDA")
    torch.library.register_fake(f"splat::{_name}", _fake, lib=_library)


def adam_step(
    parameter: Tensor,  # [N, ...] float32, contiguous, changed in place
    gradient: Tensor,  # like parameter
    exp_avg: Tensor,  # like parameter, changed in place
    exp_avg_sq: Tensor,  # like parameter, changed in place
    *,
    step: int = 1,
    lr: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
    visible: Tensor | None = None,  # [N] bool
    clock: Tensor | None = None,  # [2] float64
) -> None:
    """One step of Adam (Kingma and Ba 2015) in place, fused.

    Args:
        step: number of this step, counted from 1, for the bias correction.
        clock: step and lr on the parameter's device, read when the kernel runs instead of the two numbers: a captured
            CUDA graph can be replayed as they change.
        visible: rows that are not are left alone, moments included (sparse Adam); all rows unless given.

    Raises:
        ValueError: a tensor is not float32, not contiguous, or not of the parameter's shape.
    """
    for name, tensor in {
        "parameter": parameter,
        "gradient": gradient,
        "exp_avg": exp_avg,
        "exp_avg_sq": exp_avg_sq,
    }.items():
        if tensor.dtype != torch.float32 or tensor.shape != parameter.shape:
            raise ValueError(
                f"adam_step: {name} must be float32 of shape {list(parameter.shape)}, got {tensor.dtype} {list(tensor.shape)}"
            )
        if name != "gradient" and not tensor.is_contiguous():
            raise ValueError(f"adam_step: {name} is changed in place and must be contiguous")
    if visible is not None and (visible.dtype != torch.bool or visible.shape != parameter.shape[:1]):
        raise ValueError(
            f"adam_step: visible must be bool of shape {list(parameter.shape[:1])}, got {visible.dtype} {list(visible.shape)}"
        )
    if clock is not None and (clock.dtype != torch.float64 or clock.shape != (2,) or clock.device != parameter.device):
        raise ValueError(
            f"adam_step: clock must be float64 [2] on {parameter.device}, got {clock.dtype} {list(clock.shape)} "
            f"on {clock.device}"
        )
    if step < 1:
        raise ValueError(f"adam_step: step is counted from 1, got {step}")
    with torch.no_grad():
        torch.ops.splat.adam_step(parameter, gradient, exp_avg, exp_avg_sq, visible, clock, step, lr, beta1, beta2, eps)
