"""Seeded scenes that tests and benchmarks share."""

from collections.abc import Callable

import torch

from splat import Camera, Gaussians, RenderResult, RenderSettings


def cloud(
    count: int, *, seed: int = 0, sh_degree: int = 3, scale: float = 0.2, dtype: torch.dtype = torch.float32
) -> Gaussians:
    """A ball of Gaussians around the origin; `scale` is their median standard deviation."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Gaussians(
        means=normal(count, 3) * 0.8,
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.4 + torch.tensor(scale, dtype=torch.float64).log(),
        logit_opacities=normal(count),
        sh0=normal(count, 3) * 0.5,
        sh_rest=normal(count, (sh_degree + 1) ** 2 - 1, 3) * 0.1,
    ).to(dtype=dtype)


def cameras(count: int = 2, *, width: int = 37, height: int = 29, dtype: torch.dtype = torch.float32) -> Camera:
    """Cameras around the origin with principal points off the middle; sizes are no multiples of a tile."""
    eyes = [(0.0, 0.0, -3.0), (1.0, 0.5, -2.5), (-2.0, -1.0, 2.0), (0.3, -2.8, 0.4)][:count]
    batch = Camera.stack([Camera.look_at(eye, (0, 0, 0), (0.1, -1, 0.2), width=width, height=height) for eye in eyes])
    K = batch.K.clone()
    K[:, 0, 2] += 1.7
    K[:, 1, 2] -= 2.3
    return Camera(batch.viewmat, K, width, height).to(dtype=dtype)


def smooth(dtype: torch.dtype = torch.float64) -> tuple[Gaussians, Camera]:
    """A few wide Gaussians away from every cutoff, for finite differences: alpha between alpha_min and alpha_max at every
    pixel, nothing near the near plane, no color near zero."""
    generator = torch.Generator().manual_seed(7)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1

    gaussians = Gaussians(
        means=uniform(5, 3) * torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64),
        quats=uniform(5, 4),
        log_scales=uniform(5, 3) * 0.3 - 0.2,
        logit_opacities=uniform(5) * 0.5 - 0.3,
        sh0=uniform(5, 3) * 0.3 + 0.8,
        sh_rest=uniform(5, 24, 3) * 0.05,
    )
    return gaussians.to(dtype=dtype), cameras(2, width=9, height=7, dtype=dtype)


def draw(function, gaussians: Gaussians, camera: Camera, **options):
    """Outputs of a render and the gradients of a random linear function of them, by name."""
    gaussians = gaussians.map(lambda t: t.clone()).requires_grad_()
    viewmat, K = camera.viewmat.clone().requires_grad_(), camera.K.clone().requires_grad_()
    leaves = {**gaussians.tensors(), "viewmat": viewmat, "K": K}
    for name in ("background", "features"):
        if isinstance(options.get(name), torch.Tensor):
            leaves[name] = options[name] = options[name].clone().requires_grad_()
    result = function(gaussians, Camera(viewmat, K, camera.width, camera.height), statistics=True, **options)
    names = ("rgb", "alpha", "depth", "median_depth", "features", "normals")
    outputs = {name: getattr(result, name) for name in names if getattr(result, name) is not None}
    generator = torch.Generator().manual_seed(5)
    loss = sum(
        (value * torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)).sum()
        for value in outputs.values()
    )
    loss.backward()
    outputs |= {f"v_{name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    outputs["v_mean2d"] = result.statistics.mean2d_grad
    outputs["radii"] = result.statistics.radii
    return {name: value.detach() for name, value in outputs.items()}


def assert_agree(actual, expected, tolerance: float):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        error = (actual[name].double() - value).norm() / value.norm().clamp_min(1e-12)
        assert error <= tolerance, f"{name}: relative error {error:.2e}"


def check_gradients(render: Callable[..., RenderResult], device: torch.device | str = "cpu") -> None:
    """torch's gradcheck of a renderer by everything that it differentiates by, classic and antialiased."""
    gaussians, camera = smooth()
    generator = torch.Generator().manual_seed(1)
    inputs = [*gaussians.tensors().values(), camera.viewmat, camera.K]
    inputs += [torch.rand(2, 3, generator=generator).double(), torch.randn(5, 2, generator=generator).double()]
    for antialiased in (False, True):
        settings = RenderSettings(antialiased=antialiased, alpha_min=1e-12, transmittance_min=1e-15)

        def run(*t: torch.Tensor, settings: RenderSettings = settings) -> tuple[torch.Tensor, ...]:
            view = Camera(t[6], t[7], camera.width, camera.height)
            r = render(Gaussians(*t[:6]), view, background=t[8], features=t[9], depth=True, settings=settings)
            assert r.depth is not None and r.features is not None
            return r.rgb, r.alpha, r.depth, r.features

        leaves = [tensor.to(device).clone().requires_grad_() for tensor in inputs]
        assert torch.autograd.gradcheck(run, leaves, fast_mode=True, atol=1e-4)
