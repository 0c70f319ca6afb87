"""The native rasterizer against the specification: every output, every gradient."""

import pytest
import torch

import splat
from scenes import assert_agree, cameras, check_gradients, cloud, draw
from splat import Camera, RenderSettings
from splat.cuda_rasterizer.autograd import rasterize
from splat.cuda_rasterizer.native import is_cuda
from splat.cuda_rasterizer.ops.schema import Inputs
from splat.reference import render as reference

GAUSSIANS = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")
# In float, a pixel where alpha is within rounding of a cutoff may differ; norm-wise that stays below this.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def assert_same_as_reference(device, gaussians, camera, dtype, **options):
    expected = draw(reference.render, gaussians, camera, **options)
    moved = {k: v.to(device, dtype) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    actual = draw(splat.render, gaussians.to(device, dtype), camera.to(device, dtype), **moved)
    assert_agree({name: value.cpu() for name, value in actual.items()}, expected, TOLERANCE[dtype])


F64 = torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("antialiased", [False, True])
def test_everything_at_once(device, dtype, antialiased):
    features = torch.randn(80, 5, dtype=F64, generator=torch.Generator().manual_seed(2))
    assert_same_as_reference(
        device,
        cloud(80, dtype=F64),
        cameras(2, dtype=F64),
        dtype,
        background=torch.tensor([[0.2, 0.5, 0.9], [1.0, 0.0, 0.3]], dtype=F64),
        features=features,
        depth=True,
        normals=True,
        settings=RenderSettings(antialiased=antialiased),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stored, evaluated", [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (3, 1), (4, 0)])
def test_sh_degrees(device, dtype, stored, evaluated):
    assert_same_as_reference(
        device, cloud(40, sh_degree=stored, dtype=F64), cameras(2, dtype=F64), dtype, sh_degree=evaluated
    )


@pytest.mark.parametrize("count", [0, 1, 2, 17, 40])
@pytest.mark.parametrize("depth", [False, True])
def test_feature_channels(device, count, depth):
    features = torch.randn(30, count, dtype=F64, generator=torch.Generator().manual_seed(3))
    options = {"features": features} if count else {}
    assert_same_as_reference(device, cloud(30, dtype=F64), cameras(1, dtype=F64), torch.float32, depth=depth, **options)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (5, 40), (64, 3)])
def test_image_sizes(device, size):
    camera = cameras(1, width=size[0], height=size[1], dtype=F64)
    assert_same_as_reference(device, cloud(50, dtype=F64), camera, torch.float32, depth=True)


@pytest.mark.parametrize("scale", [0.002, 0.02, 1.0, 20.0])
def test_sizes_of_gaussians(device, scale):
    """From smaller than a pixel to far larger than the image."""
    assert_same_as_reference(
        device, cloud(60, scale=scale, dtype=F64), cameras(3, dtype=F64), torch.float64, depth=True
    )


@pytest.mark.parametrize("seed", range(6))
def test_crowded_tiles(device, seed):
    """Several batches of Gaussians per tile, most pixels finished early."""
    gaussians = cloud(700, seed=seed, dtype=F64, sh_degree=1)
    gaussians.logit_opacities.add_(1.5)
    assert_same_as_reference(device, gaussians, cameras(1, dtype=F64), torch.float64, depth=True)


def test_needles(device):
    """Thin and long, where the determinant of the covariance loses its digits if it is computed carelessly."""
    gaussians = cloud(30, dtype=F64)
    gaussians.log_scales[:, 0] += 4
    gaussians.log_scales[:, 1:] -= 5
    assert_same_as_reference(device, gaussians, cameras(2, dtype=F64), torch.float32)


def test_other_thresholds(device):
    settings = RenderSettings(near=2.9, far=3.6, eps2d=0.1, alpha_max=0.6, alpha_min=0.05, transmittance_min=0.1)
    assert_same_as_reference(
        device, cloud(80, dtype=F64), cameras(2, dtype=F64), torch.float64, depth=True, settings=settings
    )


def test_clamped_jacobian(device):
    """Wide Gaussians whose centers are far outside the image."""
    gaussians, camera = cloud(60, scale=0.6, dtype=F64), cameras(2, dtype=F64)
    gaussians.means.mul_(3)
    K = camera.K.clone()
    K[:, 0, 0] *= 2
    K[:, 1, 1] *= 2
    assert_same_as_reference(device, gaussians, Camera(camera.viewmat, K, 37, 29), torch.float64)


def test_gradcheck(device):
    """Against finite differences, with nothing of ours in between."""
    check_gradients(splat.render, device)


def test_absolute_gradients(device):
    gaussians, camera = cloud(12, sh_degree=0, dtype=F64), cameras(1, width=9, height=7, dtype=F64)
    camera = Camera(camera.viewmat[0], camera.K[0], 9, 7)
    v_rgb = torch.randn(7, 9, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    expected = reference.absolute_gradients(gaussians.map(lambda t: t.clone()).requires_grad_(), camera, v_rgb)
    moving = gaussians.to(device).requires_grad_()
    result = splat.render(moving, camera.to(device), statistics=True, absgrad=True)
    (result.rgb * v_rgb.to(device)).sum().backward()
    torch.testing.assert_close(result.statistics.mean2d_absgrad.cpu(), expected)
    assert bool((expected >= result.statistics.mean2d_grad.cpu().abs() - 1e-12).all())


def test_cameras_in_a_batch_are_the_cameras_one_by_one(device):
    gaussians, batch = cloud(60).to(device), cameras(3).to(device)
    together = splat.render(gaussians, batch, depth=True)
    for index in range(3):
        alone = splat.render(gaussians, Camera(batch.viewmat[index], batch.K[index], 37, 29), depth=True)
        for name in ("rgb", "alpha", "depth", "median_depth"):
            assert torch.equal(getattr(together, name)[index], getattr(alone, name)), name


def test_features_per_camera(device):
    gaussians, batch = cloud(40, dtype=F64).to(device), cameras(2, dtype=F64).to(device)
    features = torch.randn(2, 40, 3, dtype=F64).to(device).requires_grad_()
    common = {
        "mean2d_probe": None,
        "mean2d_abs_probe": None,
        "width": 37,
        "height": 29,
        "sh_degree": 3,
        "with_depth": False,
    }
    image = rasterize(
        Inputs(
            **gaussians.tensors(),
            features=features,
            viewmats=batch.viewmat,
            Ks=batch.K,
            background=torch.zeros(2, 3, dtype=F64).to(device),
        ),
        settings=RenderSettings(),
        **common,
    )
    weight = torch.randn_like(image.features)
    (image.features * weight).sum().backward()
    for index in range(2):
        own = features[index].detach().requires_grad_()
        single = splat.render(gaussians, Camera(batch.viewmat[index], batch.K[index], 37, 29), features=own)
        torch.testing.assert_close(image.features[index], single.features)
        (single.features * weight[index]).sum().backward()
        torch.testing.assert_close(features.grad[index], own.grad)


def test_same_bits_for_any_number_of_threads():
    results = []
    for threads in (1, 2, 3, 8, 2):
        torch.set_num_threads(threads)
        options = {"depth": True, "absgrad": True, "features": torch.ones(3000, 2)}
        results.append(draw(splat.render, cloud(3000, scale=0.05), cameras(2, width=200, height=90), **options))
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(other[name], value), name


def test_every_instruction_set():
    """All compiled variants that this processor runs agree with the specification."""
    from splat.cuda_rasterizer import native

    module = native.load()
    chosen = module.variant()
    expected = draw(reference.render, cloud(80, dtype=F64), cameras(2, dtype=F64), depth=True)
    try:
        for variant in module.supported_variants():
            module.choose_variant(variant)
            for dtype in (torch.float32, torch.float64):
                actual = draw(
                    splat.render,
                    cloud(80, dtype=F64).to(dtype=dtype),
                    cameras(2, dtype=F64).to(dtype=dtype),
                    depth=True,
                )
                assert_agree(actual, expected, TOLERANCE[dtype])
    finally:
        module.choose_variant(chosen)


def test_unseen_gaussians_have_zero_gradients(device):
    gaussians = cloud(50).to(device)
    gaussians.means[::2] += 1000
    gaussians.requires_grad_()
    result = splat.render(gaussians, cameras(2).to(device), statistics=True)
    result.rgb.sum().backward()
    assert not bool(result.statistics.visible[:, ::2].any())
    for name, tensor in gaussians.tensors().items():
        assert bool((tensor.grad[::2] == 0).all()), name
        assert bool((tensor.grad[1::2] != 0).any()), name


def test_operators_keep_torchs_rules(device):
    """Schema, fake tensors and tracing (torch.library.opcheck)."""
    gaussians, camera = cloud(30).to(device), cameras(2).to(device)
    inputs = (*gaussians.tensors().values(), None, camera.viewmat, camera.K, torch.zeros(2, 3, device=device))
    options = (37, 29, 3, True, False, 0.01, 1e10, 0.3, 0.99, 1 / 255, 1e-4, 0.3, False)
    limits = (1 << 20, 0)
    checks = ["test_schema", "test_autograd_registration", "test_faketensor"]
    if not is_cuda(
        device
    ):  # it compares the state too, bit for bit, which has places that the CUDA kernels never write
        checks.append("test_aot_dispatch_dynamic")
    forward, backward = torch.ops.splat.rasterize_forward.default, torch.ops.splat.rasterize_backward.default
    torch.library.opcheck(forward, (*inputs, *options, *limits), test_utils=checks)
    rgb, transmittance, depth, _, features, _, *state = torch.ops.splat.rasterize_forward(*inputs, *options, *limits)
    upstream = (torch.ones_like(rgb), None, torch.ones_like(depth), None, None)
    wanted = (True, False, True, True)
    arguments = (*inputs, rgb, transmittance, depth, features, *state, *upstream, *options, *wanted)
    torch.library.opcheck(backward, arguments, test_utils=checks)
    moments = [torch.zeros_like(t) for t in inputs[:6]], [torch.zeros_like(t) for t in inputs[:6]]
    fused = (*arguments, *moments, [1e-3] * 6, 1, 0.9, 0.999, 1e-15, True)
    torch.library.opcheck(torch.ops.splat.rasterize_backward_adam.default, fused, test_utils=checks[:3])
