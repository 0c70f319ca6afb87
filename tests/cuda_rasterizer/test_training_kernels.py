"""The fused loss and the fused optimizer against torch's own."""

import pytest
import torch

import splat
from scenes import cameras, cloud
from splat import Gaussians, RenderSettings
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops.adam import adam_step, adam_steps
from splat.cuda_rasterizer.ops.schema import PARAMETERS
from splat.image_metrics import ssim
from splat.training.optimizer import GaussianOptimizer


def images(batch: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(batch, height, width, 3, generator=generator)
    noise = torch.randn(batch, height, width, 3, generator=generator)
    return base, (base + 0.1 * noise).clamp(0, 1)


def plain_loss(image: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    """The published loss in double precision, by conv2d."""
    taps = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / 4.5)
    window = torch.outer(taps / taps.sum(), taps / taps.sum())[None, None]
    x, y = (t.permute(0, 3, 1, 2).reshape(-1, 1, *t.shape[1:3]) for t in (image, target))
    blur = lambda t: torch.nn.functional.conv2d(t, window, padding=5)  # noqa: E731
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    similarity = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return (1 - weight) * (x - y).abs().mean() + weight * (1 - similarity.mean())


@pytest.mark.parametrize("size", [(1, 40, 50), (3, 17, 23), (1, 1, 1), (2, 3, 5), (1, 64, 300), (2, 30, 150)])
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_loss_and_its_gradient(device, size, weight):
    image, target = images(*size)
    expected_in = image.double().requires_grad_()
    expected = plain_loss(expected_in, target.double(), weight)
    (2 * expected).backward()
    actual_in = image.to(device).requires_grad_()
    actual = l1_ssim_loss(actual_in, target.to(device), weight)
    (2 * actual).backward()
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=1e-5, atol=1e-6)
    error = (actual_in.grad.cpu().double() - expected_in.grad).norm() / expected_in.grad.norm()
    assert error < 1e-4


def test_uint8_targets_are_divided_by_255(device):
    image, target = images(2, 20, 30)
    bytes_ = (target * 255).round().to(torch.uint8)
    same = l1_ssim_loss(image.to(device), (bytes_.float() / 255).to(device), 0.2)
    torch.testing.assert_close(l1_ssim_loss(image.to(device), bytes_.to(device), 0.2), same)


def test_equal_images_have_no_loss(device):
    image = images(1, 30, 30)[0].to(device).requires_grad_()
    loss = l1_ssim_loss(image, image.detach(), 0.2)
    loss.backward()
    assert abs(loss.item()) < 1e-6 and image.grad.abs().max() < 1e-7


def test_metric_is_the_loss(device):
    """The evaluation's SSIM and the training's are one definition."""
    image, target = images(1, 40, 33)
    loss = l1_ssim_loss(image.to(device), target.to(device), 1.0)
    assert 1 - loss.item() == pytest.approx(ssim(image[0], target[0]), abs=1e-6)


def test_loss_has_the_same_bits_for_any_number_of_threads():
    image, target = images(2, 100, 70)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        x = image.clone().requires_grad_()
        loss = l1_ssim_loss(x, target, 0.2)
        loss.backward()
        results.append((loss.detach(), x.grad))
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    "image, target, message",
    [
        (torch.ones(4, 4, 3), torch.ones(4, 4, 3), "image must have shape"),
        (torch.ones(1, 0, 4, 3), torch.ones(1, 0, 4, 3), "no empty dimension"),
        (torch.ones(1, 4, 4, 3), torch.ones(1, 4, 5, 3), "target must have shape"),
        (torch.ones(1, 4, 4, 3, dtype=torch.float64), torch.ones(1, 4, 4, 3), "image must be float32"),
        (torch.ones(1, 4, 4, 3), torch.ones(1, 4, 4, 3, dtype=torch.int32), "target must be"),
    ],
)
def test_loss_misuse_is_explained(image, target, message):
    with pytest.raises(ValueError, match=message):
        l1_ssim_loss(image, target, 0.2)


@pytest.mark.parametrize("shape", [(1000,), (257, 3), (40, 15, 3), (1, 1)])
def test_adam_is_torchs_adam(device, shape):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator).to(device)
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01, eps=1e-15)
    ours, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, 6):
        gradient = torch.randn(shape, generator=generator).to(device)
        theirs.grad = gradient
        optimizer.step()
        adam_step(ours, gradient, m, v, step=step, lr=0.01)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_adam_reads_a_clock_on_the_device(device):
    by_number, by_clock = ([torch.full((300, 3), v, device=device) for v in (1.0, 0.1, 0.2)] for _ in range(2))
    clock = torch.tensor([1.0, 0.25], dtype=torch.float64, device=device)
    for step, lr in ((1, 0.5), (2, 0.25)):
        gradient = torch.randn(300, 3, generator=torch.Generator().manual_seed(step)).to(device)
        adam_step(by_number[0], gradient, *by_number[1:], step=step, lr=lr)
        adam_step(by_clock[0], gradient, *by_clock[1:], lr=2.0, clock=clock)  # the clock has a factor
        clock += torch.tensor([1.0, -0.125], dtype=torch.float64, device=device)
    assert all(torch.equal(a, b) for a, b in zip(by_number, by_clock, strict=True))
    with pytest.raises(ValueError, match="clock must be float64"):
        adam_step(by_clock[0], gradient, *by_clock[1:], clock=clock.float())


SHAPES = [(33, 3), (33, 4), (33,), (33, 15, 3), (33, 0, 3), (33, 1), (33, 3), (33, 7), (33, 2), (33, 40)]
"""More than the kernel takes at once, and one without numbers."""


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("clocked", [False, True])
@pytest.mark.parametrize("offset", [0, 1])  # numbers that are not aligned are read one by one
def test_adam_of_several_parameters_is_adam_of_each(device, sparse, clocked, offset):
    generator = torch.Generator().manual_seed(2)

    def tensors(positive: bool = False) -> list[torch.Tensor]:
        made = []
        for shape in SHAPES:
            count = torch.Size(shape).numel()
            values = torch.randn(count + offset, generator=generator).to(device)[offset:].view(shape)
            made.append(values.abs_() if positive else values)
        return made

    parameters, gradients, exp_avg, exp_avg_sq = tensors(), tensors(), tensors(), tensors(positive=True)
    rates = [0.01 * (k + 1) for k in range(len(SHAPES))]
    visible = torch.rand(33, generator=generator).to(device) < 0.5 if sparse else None
    clock = torch.tensor([4.0, 0.5], dtype=torch.float64, device=device) if clocked else None
    how = {"visible": visible, "clock": clock, "step": 4}
    one_by_one = [[t.clone() for t in group] for group in (parameters, exp_avg, exp_avg_sq)]
    for p, gradient, m, v, lr in zip(one_by_one[0], gradients, *one_by_one[1:], rates, strict=True):
        adam_step(p, gradient, m, v, lr=lr, **how)
    before = [t.clone() for t in parameters]
    adam_steps(parameters, gradients, exp_avg, exp_avg_sq, rates, **how)
    for actual, expected in zip((parameters, exp_avg, exp_avg_sq), one_by_one, strict=True):
        for a, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(a, e, rtol=1e-6, atol=1e-7)
    for after, old in zip(parameters, before, strict=True):
        changed = (after != old).reshape(33, -1).any(dim=1) if after.numel() > 0 else visible
        if sparse:
            assert torch.equal(changed, visible)


def test_sparse_adam_leaves_the_others_alone(device):
    parameter, m, v = (torch.full((100, 3), value, device=device) for value in (1.0, 0.1, 0.2))
    visible = torch.rand(100, generator=torch.Generator().manual_seed(0)).to(device) < 0.4
    all_rows = [t.clone() for t in (parameter, m, v)]
    gradient = torch.randn(100, 3, generator=torch.Generator().manual_seed(1)).to(device)
    adam_step(parameter, gradient, m, v, step=3, lr=0.1, visible=visible)
    before = [t.clone() for t in all_rows]
    adam_step(*all_rows[:1], gradient, *all_rows[1:], step=3, lr=0.1)
    for sparse, dense, old in zip((parameter, m, v), all_rows, before, strict=True):
        assert torch.equal(sparse[visible], dense[visible])
        assert torch.equal(sparse[~visible], old[~visible])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("visible_only", [False, True])
@pytest.mark.parametrize("sh_degree", [0, 2, 3])
def test_adam_inside_the_backward_is_adam_after_it(device, visible_only, sh_degree, count):
    camera = cameras(count).to(device)
    settings = RenderSettings(deterministic=True)
    rates = dict(zip(PARAMETERS, (0.01, 0.02, 0.03, 0.04, 0.05, 0.06), strict=True))
    start = cloud(70, sh_degree=sh_degree)
    start.means[::3] += 1000  # not seen
    results = []
    for fuse in (False, True):
        optimizer = GaussianOptimizer(start.to(device))
        for _ in range(3):
            leaves = optimizer.leaves()
            adam = optimizer.fused(rates, visible_only) if fuse else None
            result = splat.render(Gaussians(**leaves), camera, statistics=True, settings=settings, adam=adam)
            (result.rgb - 0.3).square().mean().backward()
            if fuse:
                assert all(leaf.grad is None for leaf in leaves.values())
                assert bool((result.statistics.mean2d_grad != 0).any())
            else:
                optimizer.step(leaves, rates, result.statistics.visible.any(0) if visible_only else None)
        tables = (optimizer.parameters, optimizer.exp_avg, optimizer.exp_avg_sq)
        results.append([table[name] for table in tables for name in PARAMETERS])
    for after, inside in zip(*results, strict=True):
        torch.testing.assert_close(inside, after, rtol=1e-4, atol=1e-6)
    moved = results[1][4] != start.sh0.to(device)
    assert bool(moved[1::3].any()) and not bool(moved[::3].any())


def test_a_fused_step_needs_tensors_it_can_change():
    optimizer = GaussianOptimizer(cloud(4))
    adam = optimizer.fused(dict.fromkeys(PARAMETERS, 0.1), False)
    with pytest.raises(ValueError, match="float32 and contiguous"):
        splat.render(cloud(4, dtype=torch.float64), cameras(1, dtype=torch.float64), adam=adam)
    with pytest.raises(ValueError, match="a moment of means"):
        splat.render(cloud(5), cameras(1), adam=adam)
    with pytest.raises(ValueError, match="normals"):
        splat.render(cloud(4), cameras(1), normals=True, adam=adam)


def test_adam_misuse_is_explained():
    good = torch.ones(4, 3)
    with pytest.raises(ValueError, match="gradient must be float32"):
        adam_step(good, torch.ones(4, 2), good.clone(), good.clone(), step=1, lr=0.1)
    with pytest.raises(ValueError, match="contiguous"):
        adam_step(torch.ones(3, 4).T, good, good.clone(), good.clone(), step=1, lr=0.1)
    with pytest.raises(ValueError, match="visible must be bool"):
        adam_step(good, good, good.clone(), good.clone(), step=1, lr=0.1, visible=torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="counted from 1"):
        adam_step(good, good, good.clone(), good.clone(), step=0, lr=0.1)
    with pytest.raises(ValueError, match="as many as parameters"):
        adam_steps([good], [good], [good.clone()], [good.clone()], [0.1, 0.2])
    with pytest.raises(ValueError, match="visible must be bool"):
        others = [torch.ones(4, 3), torch.ones(5, 3)]
        adam_steps(others, others, others, others, [0.1, 0.2], visible=torch.ones(4, dtype=torch.bool))
