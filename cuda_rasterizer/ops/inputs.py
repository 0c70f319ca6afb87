"""Everything about the inputs of a render, by name, that the kernels take for granted."""

import torch

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.checks import check_device, check_floats, check_range, check_shape
from splat.cuda_rasterizer.ops.schema import Inputs


def check_inputs(inputs: Inputs, width: int, height: int, sh_degree: int) -> None:
    """
    Raises:
        ValueError: a shape, dtype or device does not fit, or a number is out of range.
    """
    module = native.load()
    means, viewmats, sh_rest, features = inputs.means, inputs.viewmats, inputs.sh_rest, inputs.features
    count, cameras = means.shape[0] if means.ndim else 0, viewmats.shape[0] if viewmats.ndim else 0
    check_shape("means", means, (count, 3))
    check_shape("quats", inputs.quats, (count, 4), "one per mean: w, x, y, z")
    check_shape("log_scales", inputs.log_scales, (count, 3), "one per mean")
    check_shape("logit_opacities", inputs.logit_opacities, (count,), "one per mean")
    check_shape("sh0", inputs.sh0, (count, 3), "one per mean")
    check_shape("sh_rest", sh_rest, (count, sh_rest.shape[1] if sh_rest.ndim == 3 else 0, 3), "one row per mean")
    check_shape("viewmats", viewmats, (cameras, 4, 4))
    check_shape("Ks", inputs.Ks, (cameras, 3, 3), "one per viewmat")
    check_shape("background", inputs.background, (cameras, 3), "one per camera")
    if features is not None:
        expected = (count, features.shape[-1]) if features.ndim < 3 else (cameras, count, features.shape[-1])
        check_shape("features", features, expected, "one row per mean")
    check_range("width", width, 1, module.IMAGE_SIDE_MAX)
    check_range("height", height, 1, module.IMAGE_SIDE_MAX)
    stored = round((sh_rest.shape[1] + 1) ** 0.5) - 1
    check_range("sh_degree", sh_degree, 0, stored, "the scene has no more coefficients")
    check_range("sh_degree", sh_degree, 0, module.SH_DEGREE_MAX, "the kernels evaluate no more")
    dtype, device = means.dtype, means.device
    alike = all(t is None or (t.dtype == dtype and t.device == device) for t in inputs)
    if not alike or dtype not in (torch.float32, torch.float64):  # which of them, and what to do
        check_floats(inputs._asdict())
        check_device(inputs._asdict())
