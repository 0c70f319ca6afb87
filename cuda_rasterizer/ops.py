"""The kernels as torch operators: schema, CPU implementation and fake implementation of each.

Scratch memory comes from torch and lives here; the kernels get addresses. The operators know nothing of autograd: see
autograd.py. Shapes: N Gaussians, C cameras, H x W pixels, F feature channels, P pairs, T tiles per camera.
"""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake

from splat.cuda_rasterizer import native

TILE = 16
PAIR_BYTES = 8
HUGE = 4 << 20  # bytes

_INPUTS = (
    "Tensor means, Tensor quats, Tensor log_scales, Tensor logit_opacities, Tensor sh0, Tensor sh_rest, "
    "Tensor? features, Tensor viewmats, Tensor Ks, Tensor background"
)
_OPTIONS = (
    "int width, int height, int sh_degree, bool with_depth, bool antialiased, float near, float far, float eps2d, "
    "float alpha_max, float alpha_min, float transmittance_min, float frustum_margin"
)
_library = torch.library.Library("splat", "DEF")
_library.define(
    f"rasterize_forward({_INPUTS}, {_OPTIONS}, int max_pairs) -> (Tensor rgb, Tensor transmittance, Tensor depth, "
    "Tensor median_depth, Tensor image_features, Tensor radii, Tensor projected, Tensor pair_offsets, Tensor pairs, "
    "Tensor tile_offsets)"
)
_library.define(
    f"rasterize_backward({_INPUTS}, Tensor rgb, Tensor transmittance, Tensor depth, Tensor image_features, "
    "Tensor projected, Tensor pair_offsets, Tensor pairs, Tensor tile_offsets, Tensor? v_rgb, Tensor? v_alpha, "
    f"Tensor? v_depth, Tensor? v_median_depth, Tensor? v_image_features, {_OPTIONS}, bool cameras_wanted, "
    "bool features_wanted, bool mean2d_wanted, bool mean2d_abs_wanted) -> (Tensor, Tensor, Tensor, Tensor, Tensor, "
    "Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_library.define("l1_ssim(Tensor image, Tensor target, float ssim_weight, bool gradient_wanted) -> (Tensor, Tensor)")
_library.define(
    "adam_step(Tensor(a!) parameter, Tensor gradient, Tensor(b!) exp_avg, Tensor(c!) exp_avg_sq, Tensor? visible, "
    "int step, float lr, float beta1, float beta2, float eps) -> ()"
)


def _empty(like: Tensor, *shape: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialised memory, in huge pages where it is large: it is fresh in every step (see csrc/cpu/memory.h)."""
    tensor = like.new_empty(*shape, dtype=dtype or like.dtype)
    if tensor.device.type == "cpu" and not is_fake(tensor) and tensor.nbytes >= HUGE:
        native.load().advise_huge_pages(tensor.data_ptr(), tensor.nbytes)
    return tensor


def _run(stage: str, arguments: Any) -> Any:
    """Run one kernel, under its own name in torch.profiler's traces."""
    with torch.profiler.record_function(f"splat::{stage}"):
        return getattr(native.load(), stage)(arguments)


def _addresses(arguments: Any, tensors: dict[str, Tensor | None]) -> list[Tensor]:
    """Write the tensors' addresses; returns the tensors, contiguous, which must outlive the call."""
    kept = []
    for name, tensor in tensors.items():
        if tensor is not None:
            kept.append(tensor.contiguous())
            setattr(arguments, name, kept[-1].data_ptr())
    return kept


def _render_arguments(inputs: dict[str, Tensor | None], options: dict[str, Any]) -> tuple[Any, list[Tensor]]:
    arguments = native.load().RenderArguments()
    means, features = inputs["means"], inputs["features"]
    arguments.gaussians = means.shape[0]
    arguments.cameras = inputs["viewmats"].shape[0]
    arguments.sh_rest_count = inputs["sh_rest"].shape[1]
    arguments.features_count = 0 if features is None else features.shape[-1]
    arguments.features_per_camera = features is not None and features.ndim == 3
    arguments.is_double = means.dtype == torch.float64
    arguments.threads = torch.get_num_threads()
    for name, value in options.items():
        setattr(arguments, name, value)
    return arguments, _addresses(arguments, inputs)


def _inputs(values: tuple[Any, ...]) -> dict[str, Tensor | None]:
    names = "means quats log_scales logit_opacities sh0 sh_rest features viewmats Ks background".split()
    return dict(zip(names, values, strict=True))


def _options(values: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        "width height sh_degree with_depth antialiased near far eps2d alpha_max alpha_min transmittance_min frustum_margin"
    )
    return dict(zip(names.split(), values, strict=True))


def _outputs(inputs: dict[str, Tensor | None], options: dict[str, Any], pairs: Any) -> dict[str, Tensor]:
    """The forward's outputs, uninitialised. `pairs` is the number of pairs, which fake tensors do not know."""
    like, cameras = inputs["means"], inputs["viewmats"].shape[0]
    height, width, features = options["height"], options["width"], inputs["features"]
    tiles = ((height + TILE - 1) // TILE) * ((width + TILE - 1) // TILE)
    depth_shape = (cameras, height, width) if options["with_depth"] else (0,)
    channels = 0 if features is None else features.shape[-1]
    # A record of csrc/cpu/stages.h, Projected: 10 numbers, a rectangle and a mask, in whole cache lines.
    record = 64 if like.dtype == torch.float32 else 128
    return {
        "rgb": _empty(like, cameras, height, width, 3),
        "transmittance": _empty(like, cameras, height, width),
        "depth": _empty(like, depth_shape),
        "median_depth": _empty(like, depth_shape),
        "image_features": _empty(like, cameras, height, width, channels),
        "radii": _empty(like, cameras, like.shape[0]),
        "projected": _empty(like, cameras, like.shape[0], record, dtype=torch.uint8),
        "pair_offsets": _empty(like, cameras * like.shape[0] + 1, dtype=torch.int64),
        "pairs": _empty(like, pairs, PAIR_BYTES, dtype=torch.uint8),
        "tile_offsets": _empty(like, cameras * tiles + 1, dtype=torch.int64),
    }


def _rasterize_forward_cpu(*values: Any) -> tuple[Tensor, ...]:
    inputs, options, max_pairs = _inputs(values[:10]), _options(values[10:22]), values[22]
    module = native.load()
    arguments, kept = _render_arguments(inputs, options)
    outputs = _outputs(inputs, options, 0)
    if module.projected_bytes(arguments) != outputs["projected"].shape[-1]:
        raise native.NativeModuleError("the compiled module does not fit this source; run `pip install .` again")
    kept += _addresses(arguments, {name: tensor for name, tensor in outputs.items() if name != "pairs"})
    pairs = _run("project", arguments)
    if pairs > max_pairs:
        raise RuntimeError(
            f"this render needs {pairs:,} (tile, Gaussian) pairs, more than max_pairs = {max_pairs:,}. Many Gaussians "
            "cover a large part of the image: remove those, render a smaller image, or raise RenderSettings.max_pairs"
        )
    outputs["pairs"] = _empty(outputs["pairs"], pairs, PAIR_BYTES)
    scratch = _empty(inputs["means"], module.forward_scratch_bytes(arguments), dtype=torch.uint8)
    kept += _addresses(arguments, {"pairs": outputs["pairs"], "scratch": scratch})
    _run("bin", arguments)
    _run("rasterize_forward", arguments)
    return tuple(outputs.values())


def _rasterize_forward_fake(*values: Any) -> tuple[Tensor, ...]:
    pairs = torch.library.get_ctx().new_dynamic_size()
    return tuple(_outputs(_inputs(values[:10]), _options(values[10:22]), pairs).values())


def _gradients(inputs: dict[str, Tensor | None], wanted: tuple[bool, ...]) -> dict[str, Tensor]:
    """The backward's outputs, uninitialised; those that are not wanted are empty."""
    cameras, features, mean2d, mean2d_abs = wanted
    like, probe_shape = inputs["means"], (inputs["viewmats"].shape[0], inputs["means"].shape[0], 2)
    names = ["means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest"]
    names += ["features"] * features + ["viewmats", "Ks"] * cameras
    gradients = {f"v_{name}": _empty(inputs[name], inputs[name].shape) for name in names}
    gradients["v_mean2d"] = _empty(like, probe_shape if mean2d else (0,))
    gradients["v_mean2d_abs"] = _empty(like, probe_shape if mean2d_abs else (0,))
    order = "means quats log_scales logit_opacities sh0 sh_rest features viewmats Ks mean2d mean2d_abs"
    return {f"v_{name}": gradients.get(f"v_{name}", _empty(like, 0)) for name in order.split()}


def _rasterize_backward_cpu(*values: Any) -> tuple[Tensor, ...]:
    inputs, options, wanted = _inputs(values[:10]), _options(values[23:35]), values[35:39]
    names = "rgb transmittance depth image_features projected pair_offsets pairs tile_offsets"
    upstream = "v_rgb v_alpha v_depth v_median_depth v_image_features"
    state = dict(zip(f"{names} {upstream}".split(), values[10:23], strict=True))
    module = native.load()
    arguments, kept = _render_arguments(inputs, options)
    gradients = _gradients(inputs, wanted)
    given = {"means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest"}
    given |= {"viewmats", "Ks"} if wanted[0] else set()
    given |= {"features"} if wanted[1] else set()
    given |= {"mean2d"} if wanted[2] else set()
    given |= {"mean2d_abs"} if wanted[3] else set()
    kept += _addresses(arguments, state)
    kept += _addresses(arguments, {f"v_{name}": gradients[f"v_{name}"] for name in given})
    floats = module.pair_gradient_floats(arguments)
    pair_gradients = _empty(inputs["means"], max(1, state["pairs"].shape[0]), floats)
    scratch = _empty(inputs["means"], module.backward_scratch_bytes(arguments), dtype=torch.uint8)
    kept += _addresses(arguments, {"pair_gradients": pair_gradients, "scratch": scratch})
    _run("rasterize_backward", arguments)
    _run("project_backward", arguments)
    return tuple(gradients.values())


def _rasterize_backward_fake(*values: Any) -> tuple[Tensor, ...]:
    return tuple(_gradients(_inputs(values[:10]), values[35:39]).values())


def _l1_ssim_cpu(image: Tensor, target: Tensor, ssim_weight: float, gradient_wanted: bool) -> tuple[Tensor, Tensor]:
    module = native.load()
    arguments = module.LossArguments()
    arguments.images, arguments.height, arguments.width = image.shape[:3]
    arguments.target_is_uint8 = target.dtype == torch.uint8
    arguments.threads = torch.get_num_threads()
    arguments.ssim_weight = ssim_weight
    sums = _empty(image, 2, dtype=torch.float64)
    gradient = _empty(image, image.shape if gradient_wanted else (0,))
    scratch = _empty(image, module.loss_scratch_bytes(arguments), dtype=torch.uint8)
    tensors = {"image": image, "target": target, "sums": sums, "scratch": scratch}
    kept = _addresses(arguments, tensors | ({"v_image": gradient} if gradient_wanted else {}))
    _run("loss", arguments)
    del kept
    return sums, gradient


def _l1_ssim_fake(image: Tensor, target: Tensor, ssim_weight: float, gradient_wanted: bool) -> tuple[Tensor, Tensor]:
    return _empty(image, 2, dtype=torch.float64), _empty(image, image.shape if gradient_wanted else (0,))


def _adam_step_cpu(
    parameter: Tensor,
    gradient: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    visible: Tensor | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    if parameter.numel() == 0:
        return
    module = native.load()
    arguments = module.AdamArguments()
    arguments.rows = parameter.shape[0]
    arguments.columns = parameter.numel() // parameter.shape[0]
    arguments.threads = torch.get_num_threads()
    arguments.step, arguments.lr, arguments.eps = step, lr, eps
    arguments.beta1, arguments.beta2 = beta1, beta2
    tensors = {"parameter": parameter, "gradient": gradient, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
    kept = _addresses(arguments, tensors | {"visible": visible})
    _run("adam", arguments)
    del kept


def _no_cuda(*_: Any) -> Any:
    raise RuntimeError(
        "the tensors are on a CUDA device, and this build has no CUDA kernels. Move the scene to the CPU with "
        ".to('cpu'); `splat doctor` tells what the build contains"
    )


for _name, _cpu, _fake in (
    ("rasterize_forward", _rasterize_forward_cpu, _rasterize_forward_fake),
    ("rasterize_backward", _rasterize_backward_cpu, _rasterize_backward_fake),
    ("l1_ssim", _l1_ssim_cpu, _l1_ssim_fake),
    ("adam_step", _adam_step_cpu, lambda *_: None),
):
    _library.impl(_name, _cpu, "CPU")
    _library.impl(_name, _no_cuda, "CUDA")
    torch.library.register_fake(f"splat::{_name}", _fake, lib=_library)


def adam_step(
    parameter: Tensor,  # [N, ...] float32, contiguous, changed in place
    gradient: Tensor,  # like parameter
    exp_avg: Tensor,  # like parameter, changed in place
    exp_avg_sq: Tensor,  # like parameter, changed in place
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
    visible: Tensor | None = None,  # [N] bool
) -> None:
    """One step of Adam (Kingma and Ba 2015) in place, fused.

    Args:
        step: number of this step, counted from 1, for the bias correction.
        visible: rows that are not are left alone, moments included (sparse Adam); all rows unless given.

    Raises:
        ValueError: a tensor is not float32, not contiguous, or not of the parameter's shape.
    """
    for name, tensor in {"parameter": parameter, "gradient": gradient, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}.items():
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
    if step < 1:
        raise ValueError(f"adam_step: step is counted from 1, got {step}")
    with torch.no_grad():
        torch.ops.splat.adam_step(parameter, gradient, exp_avg, exp_avg_sq, visible, step, lr, beta1, beta2, eps)
