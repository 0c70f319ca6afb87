"""What every Gaussian contributes: against the specification, and laws."""

import pytest
import torch

import splat
from scenes import assert_agree, cameras, cloud
from splat import Camera, Contribution, RenderSettings
from splat.cuda_rasterizer.native import is_cuda
from splat.reference import render as reference

F64 = torch.float64
NEVER_ENDING = RenderSettings(transmittance_min=1e-12)
TOLERANCE = {torch.float32: 1e-4, F64: 1e-9}


def single(camera: Camera, index: int) -> Camera:
    return Camera(camera.viewmat[index], camera.K[index], camera.width, camera.height)


def numbers(found: Contribution) -> dict[str, torch.Tensor]:
    named = {"weight": found.weight, "peak": found.peak, "pixels": found.pixels, "removal": found.removal}
    return {name: value.cpu().double() for name, value in named.items()}


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("antialiased", [False, True])
def test_against_the_specification(device, dtype, weighted, antialiased):
    """Two cameras; every Gaussian really left out once by the reference."""
    scene, intersection = cloud(40, dtype=F64), cameras(2, dtype=F64)
    scene.logit_opacities.clamp_max_(3)  # no alpha at alpha_max, where the two may round differently
    settings = RenderSettings(transmittance_min=1e-12, antialiased=antialiased)
    images = torch.rand(2, 29, 37, generator=torch.Generator().manual_seed(1), dtype=F64) if weighted else None
    if images is not None:
        images[:, :5] = 0
    background = (0.2, 0.5, 0.9)
    expected = sum_of(
        reference.contribution(
            scene, single(intersection, i), None if images is None else images[i], background, settings
        )
        for i in range(2)
    )
    actual = splat.contribution(
        scene.to(device, dtype),
        intersection.to(device, dtype),
        pixel_weights=None if images is None else images.to(device, dtype),
        background=background,
        settings=settings,
    )
    assert actual.weight.dtype == F64 and actual.peak.dtype == dtype
    assert_agree(numbers(actual), numbers(expected), TOLERANCE[dtype])


def sum_of(several):
    first, *others = several
    for other in others:
        first = first + other
    return first


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (64, 3)])
def test_crowded_tiles_and_odd_sizes(device, size):
    """Several batches a tile and pixels that end early: weights are those with which features are composited."""
    scene = cloud(400, sh_degree=0).to(device)
    scene.logit_opacities.add_(1.5)
    camera = single(cameras(1, width=size[0], height=size[1]), 0).to(device)
    found = splat.contribution(scene, camera)
    probe = torch.zeros(400, 1, device=device).requires_grad_()
    splat.render(scene, camera, features=probe).features.sum().backward()
    assert_agree({"weight": found.weight.cpu()}, {"weight": probe.grad[:, 0].cpu().double()}, 1e-5)
    alpha = splat.render(scene, camera).alpha
    assert abs(float(found.weight.sum() - alpha.double().sum())) < 1e-3 * (1 + float(alpha.sum()))
    assert bool(((found.pixels > 0) == (found.peak > 0)).all())
    assert bool((found.weight <= found.peak.double() * found.pixels * (1 + 1e-5)).all())


def test_cameras_add_up(device):
    scene, three = cloud(60).to(device), cameras(3).to(device)
    together = splat.contribution(scene, three)
    alone = sum_of(splat.contribution(scene, single(three, i)) for i in range(3))
    for name, value in numbers(together).items():
        torch.testing.assert_close(value, numbers(alone)[name], rtol=1e-12, atol=0)


def test_cameras_of_several_sizes_and_unweighted_ones(device):
    scene = cloud(60).to(device)
    several = [single(cameras(1), 0).to(device), single(cameras(2, width=50, height=18), 1).to(device)]
    mask = torch.zeros(29, 37, device=device)
    found = splat.contribution(scene, several, pixel_weights=[mask, None])
    expected = splat.contribution(scene, several[1])
    for name, value in numbers(found).items():
        torch.testing.assert_close(value, numbers(expected)[name], rtol=1e-12, atol=0)


def test_what_is_not_seen_has_zeros(device):
    scene = cloud(30).to(device)
    scene.means[::2] += 1000
    found = splat.contribution(scene, cameras(2).to(device), settings=NEVER_ENDING)
    assert all(float(value[::2].abs().max()) == 0 and float(value[1::2].max()) > 0 for value in numbers(found).values())


def test_nothing_at_all(device):
    assert all(not len(v) for v in numbers(splat.contribution(cloud(0).to(device), cameras(1).to(device))).values())


def test_hostile_values(device):
    scene = cloud(40).to(device)
    scene.means[0] = torch.nan
    scene.log_scales[1] = torch.inf
    scene.quats[2] = 0
    scene.logit_opacities[3] = 1e30
    scene.log_scales[4] = 80
    found = numbers(splat.contribution(scene, cameras(2).to(device)))
    assert all(bool(value.isfinite().all()) for value in found.values())
    assert all(float(value[:3].abs().max()) == 0 for value in found.values())


def test_same_bits_for_any_number_of_threads():
    results = []
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        results.append(numbers(splat.contribution(cloud(3000, scale=0.05), cameras(2, width=200, height=90))))
    for other in results[1:]:
        assert all(torch.equal(other[name], value) for name, value in results[0].items())


def test_every_instruction_set():
    from splat.cuda_rasterizer import native

    module = native.load()
    chosen, found = module.variant(), []
    try:
        for variant in module.supported_variants():
            module.choose_variant(variant)
            found.append(numbers(splat.contribution(cloud(200), cameras(2))))
    finally:
        module.choose_variant(chosen)
    for other in found[1:]:
        assert_agree(other, found[0], 1e-4)


def test_wrong_arguments(device):
    scene, camera = cloud(5).to(device), cameras(2).to(device)
    with pytest.raises(ValueError, match=r"one image for each of 2 cameras, got 1"):
        splat.contribution(scene, camera, pixel_weights=torch.ones(1, 29, 37, device=device))
    with pytest.raises(ValueError, match=r"pixel_weights must have shape \[1, 29, 37\]"):
        splat.contribution(scene, camera, pixel_weights=torch.ones(2, 37, 29, device=device))
    with pytest.raises(ValueError, match="no negative number"):
        splat.contribution(scene, camera, pixel_weights=-torch.ones(2, 29, 37, device=device))
    with pytest.raises(ValueError, match="dtype of means"):
        splat.contribution(scene, camera, pixel_weights=torch.ones(2, 29, 37, device=device).double())


def test_operators_keep_torchs_rules_for_it(device):
    scene, intersection = cloud(10).to(device), cameras(2).to(device)
    inputs = (*scene.tensors().values(), None, intersection.viewmat, intersection.K, torch.zeros(2, 3, device=device))
    options = (37, 29, 3, False, False, 0.01, 1e10, 0.3, 0.99, 1 / 255, 1e-4, 0.3, False)
    checks = ["test_schema", "test_autograd_registration", "test_faketensor"]
    if not is_cuda(device):
        checks.append("test_aot_dispatch_dynamic")
    arguments = (*inputs, *options, torch.ones(2, 29, 37, device=device), 1 << 20)
    torch.library.opcheck(torch.ops.splat.contribution.default, arguments, test_utils=checks)
