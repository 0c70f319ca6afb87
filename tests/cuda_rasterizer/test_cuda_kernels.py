"""What only the CUDA kernels do, on a GPU or emulated; their results are tested with those of the others."""

import numpy as np
import pytest
import torch

import splat
from scenes import assert_agree, cameras, cloud, draw
from splat import Camera, RenderSettings
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops import guesses, memory
from splat.cuda_rasterizer.ops.adam import adam_step
from splat.cuda_rasterizer.ops.guesses import Counts
from splat.reference import render as reference

F64 = torch.float64
OPTIONS = {"depth": True, "features": torch.randn(60, 11, generator=torch.Generator().manual_seed(4))}


def scene(device, dtype=torch.float32):
    """Gaussians of all sizes, some over more tiles than a mask holds, in an image of 16 x 12 tiles."""
    gaussians = cloud(60, dtype=F64, sh_degree=1)
    gaussians.log_scales[::6] += 3.5
    gaussians.log_scales[3::6] -= 3
    camera = Camera.look_at((0.5, 0.3, -2.5), (0, 0, 0), width=250, height=180)
    return gaussians.to(device, dtype), camera.to(device, dtype)


def on_cpu(dtype, **options):
    """What the CPU kernels make of the scene."""
    return draw(
        splat.render, *scene("cpu", dtype), **{k: v.to(dtype) if k == "features" else v for k, v in options.items()}
    )


@pytest.fixture(scope="module")
def expected():
    return on_cpu(F64, **OPTIONS)


def drawn(device, dtype=torch.float32, **options):
    moved = {name: v.to(device, dtype) if isinstance(v, torch.Tensor) else v for name, v in options.items()}
    return {name: value.cpu() for name, value in draw(splat.render, *scene(device, dtype), **moved).items()}


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_agrees_with_the_cpu(expected, gpu, dtype, deterministic):
    actual = drawn(gpu, dtype, settings=RenderSettings(deterministic=deterministic), **OPTIONS)
    assert_agree(actual, expected, 1e-4 if dtype == torch.float32 else 1e-9)


def test_deterministic_bits(gpu):
    """Whatever the order in which threads and blocks run."""
    module = native.load()
    results = []
    for seed in (0, 1, 2, 12345):
        if hasattr(module, "set_seed"):
            module.set_seed(seed)
        results.append(drawn(gpu, settings=RenderSettings(deterministic=True), **OPTIONS))
    for other in results[1:]:
        for name, value in results[0].items():
            assert torch.equal(other[name], value), name


def test_image_and_loss_never_depend_on_the_order(gpu):
    """Only sums of gradients may: the forward and the loss are always deterministic."""
    module = native.load()
    gaussians, camera = scene(gpu)
    images, losses = [], []
    for seed in (0, 3, 4):
        if hasattr(module, "set_seed"):
            module.set_seed(seed)
        images.append(splat.render(gaussians, camera).rgb)
        losses.append(l1_ssim_loss(images[-1][None], torch.full_like(images[-1], 0.3)[None]))
    assert all(torch.equal(image, images[0]) for image in images)
    assert all(torch.equal(loss, losses[0]) for loss in losses)


@pytest.mark.parametrize("per_camera", [False, True])
@pytest.mark.parametrize("stored, evaluated", [(0, 0), (1, 1), (2, 2), (3, 0), (3, 2), (3, 3), (4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_camera_alone(gpu, dtype, stored, evaluated, per_camera):
    """Without gradients with respect to the camera another kernel does the same."""
    generator = torch.Generator().manual_seed(6)
    start = cloud(150, sh_degree=stored, dtype=F64)
    start.means[::3] += 1000  # not seen
    weights = torch.randn(1, 29, 37, 7, generator=generator, dtype=F64).to(gpu, dtype)
    shape = (1, 150, 3) if per_camera else (150, 3)
    start_features = torch.randn(shape, generator=generator, dtype=F64)
    results = []
    for alone in (False, True):
        gaussians = start.to(gpu, dtype).requires_grad_()
        features = start_features.to(gpu, dtype).requires_grad_()
        camera = cameras(1).to(gpu, dtype)
        view = Camera(camera.viewmat.requires_grad_(not alone), camera.K, camera.width, camera.height)
        settings = RenderSettings(deterministic=True)
        options = {"sh_degree": evaluated, "features": features, "depth": True, "statistics": True, "absgrad": True}
        drawn = splat.render(gaussians, view, settings=settings, **options)
        (torch.cat([drawn.rgb, drawn.depth[..., None], drawn.features], dim=-1) * weights).sum().backward()
        assert (camera.viewmat.grad is None) == alone
        tensors = {**gaussians.tensors(), "features": features}
        results.append({name: tensor.grad for name, tensor in tensors.items()})
        results[-1] |= {"mean2d": drawn.statistics.mean2d_grad, "absolute": drawn.statistics.mean2d_absgrad}
    assert_agree(results[1], results[0], 1e-5 if dtype == torch.float32 else 1e-12)
    assert all(bool((gradient[::3] == 0).all()) for gradient in (results[1]["means"], results[1]["sh_rest"]))


def test_capacity_that_is_enough_changes_nothing(gpu):
    exact = drawn(gpu, settings=RenderSettings(deterministic=True), **OPTIONS)
    roomy = drawn(gpu, settings=RenderSettings(deterministic=True, intersection_capacity=50_000), **OPTIONS)
    for name, value in exact.items():
        assert torch.equal(roomy[name], value), name


@pytest.mark.parametrize("likely", [Counts(1, 1), Counts(500, 1), Counts(1, 1000), Counts(90_000, 1000)])
def test_a_guess_changes_nothing(gpu, likely, monkeypatch):
    """Whether it was enough or not."""
    exact = drawn(gpu, settings=RenderSettings(deterministic=True), **OPTIONS)
    monkeypatch.setattr(guesses, "room", lambda kind, most: likely)
    actual = drawn(gpu, **OPTIONS)
    assert_agree(actual, exact, 1e-5)
    for image in ("rgb", "alpha", "depth", "median_depth", "features"):
        assert torch.equal(actual[image], exact[image]), image


def test_no_room_for_a_guess_leaves_room_for_what_is_needed(gpu, monkeypatch):
    exact = drawn(gpu, settings=RenderSettings(deterministic=True), **OPTIONS)
    monkeypatch.setattr(guesses, "room", lambda kind, most: Counts(10**8, 1000))
    asked, empty = [], memory.empty

    def small_device(like, *shape, dtype=None):
        asked.append(int(np.prod(shape)))
        if asked[-1] > 10**8:
            raise torch.OutOfMemoryError("no room")
        return empty(like, *shape, dtype=dtype)

    monkeypatch.setattr(memory, "empty", small_device)
    actual = drawn(gpu, **OPTIONS)
    assert max(asked) > 10**8
    assert_agree(actual, exact, 1e-5)


def test_what_renders_need_is_learned():
    most = Counts(10**9, 10**6)
    assert guesses.room("a", most) is None
    guesses.learn("a", Counts(100_000, 2000))
    first = guesses.room("a", most)
    assert first is not None and 110_000 < first.intersections < 130_000 and 2000 < first.visible < 10_000
    for _ in range(300):
        guesses.learn("a", Counts(50_000, 2000))
    later = guesses.room("a", most)
    assert later is not None and 50_000 < later.intersections < 65_000
    assert guesses.room("a", Counts(40_000, 100)) == Counts(40_000, 100)
    for kind in range(guesses.REMEMBERED):
        guesses.learn(kind, Counts(1, 1))
    assert guesses.room("a", most) is None


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("capacity", [1, 100])
def test_capacity_that_is_too_small_makes_nan(gpu, capacity, deterministic):
    gaussians, camera = scene(gpu)
    settings = RenderSettings(intersection_capacity=capacity, deterministic=deterministic)
    result = splat.render(gaussians.requires_grad_(), camera, depth=True, settings=settings)
    for image in (result.rgb, result.alpha, result.depth, result.median_depth):
        assert bool(image.isnan().all())
    result.rgb.sum().backward()  # crashes nothing


def test_nothing_visible_with_a_capacity(gpu):
    gaussians, camera = scene(gpu)
    for empty in (gaussians[:0], gaussians.map(lambda t: t - 1e6 if t.ndim == 2 and t.shape[1] == 3 else t)):
        result = splat.render(empty, camera, settings=RenderSettings(intersection_capacity=10))
        assert bool((result.rgb == 0).all())


def test_no_camera_draws_no_image(gpu):
    gaussians, camera = scene(gpu)
    nobody = Camera(camera.viewmat.new_empty(0, 4, 4), camera.K.new_empty(0, 3, 3), camera.width, camera.height)
    result = splat.render(gaussians.requires_grad_(), nobody, depth=True)
    assert result.rgb.shape == (0, camera.height, camera.width, 3)
    (result.rgb.sum() + result.depth.sum()).backward()
    assert all(bool((tensor.grad == 0).all()) for tensor in gaussians.tensors().values())


def test_more_tiles_than_16_bits(gpu):
    """Tile keys grow to 32 bits."""
    gaussians = cloud(6, dtype=F64, sh_degree=0)
    view = Camera.look_at((0, 0, -3.0), (0, 0, 0), width=16 * 22_000, height=1, fov_degrees=170.0).to(dtype=F64)
    batch = Camera.stack([view, view, view])
    result = splat.render(gaussians.to(gpu), batch.to(gpu))
    with native.using(native._load()):
        expected = splat.render(gaussians, batch)
    torch.testing.assert_close(result.rgb.cpu(), expected.rgb)
    assert bool((expected.alpha > 0).any())


def test_ties_in_depth_keep_the_order_of_indices(gpu):
    """As clones have them."""
    one = cloud(1, dtype=F64, sh_degree=0)
    many = one.map(lambda t: t.expand(70, *t.shape[1:]).clone())
    many.sh0.copy_(torch.randn(70, 3, dtype=F64, generator=torch.Generator().manual_seed(0)))
    many.logit_opacities.fill_(-1.0)
    camera = cameras(1, dtype=F64)
    actual = splat.render(many.to(gpu), camera.to(gpu)).rgb.cpu()
    torch.testing.assert_close(actual, reference.render(many, camera).rgb)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_a_training_step_in_a_cuda_graph():
    """With a capacity nothing waits for the host: a captured step, replayed, is the step."""
    camera = scene("cuda")[1]
    target = torch.full((1, camera.height, camera.width, 3), 100, dtype=torch.uint8, device="cuda")
    settings = RenderSettings(intersection_capacity=50_000, deterministic=True)
    clock = torch.tensor([1.0, 1e-3], dtype=torch.float64, device="cuda")

    def start():
        gaussians = scene("cuda")[0].requires_grad_()
        moments = {name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in gaussians.tensors().items()}

        def step():
            gradients = torch.autograd.grad(
                l1_ssim_loss(splat.render(gaussians, camera, settings=settings).rgb[None], target),
                list(gaussians.tensors().values()),
            )
            for (name, parameter), gradient in zip(gaussians.tensors().items(), gradients, strict=True):
                adam_step(parameter.detach(), gradient, *moments[name], clock=clock)

        return gaussians, step

    eager, eager_step = start()
    replayed, captured_step = start()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # the warm-up that capturing asks for, on a copy
        start()[1]()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured_step()
    for step in range(1, 4):
        clock[0] = step
        eager_step()
        graph.replay()
    for name, tensor in eager.tensors().items():
        assert torch.equal(tensor, replayed.tensors()[name]), name
