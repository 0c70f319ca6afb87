"""Values that no scene should have and some do: nothing crashes, nothing poisons its neighbors."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Camera, Gaussians, RenderSettings

NAN, INF = float("nan"), float("inf")
VALUES = [NAN, INF, -INF, 0.0, -0.0, 1e-45, 1e-38, 1e-20, 80.0, -80.0, 1e6, -1e6, 1e20, -1e20, 3e38, -3e38]
PARAMETERS = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")


def assert_finite_gradients(gaussians: Gaussians) -> None:
    for name, tensor in gaussians.tensors().items():
        assert bool(tensor.grad.isfinite().all()), name


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(PARAMETERS), st.integers(0, 200), st.sampled_from(VALUES)), max_size=6),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
)
@example([("sh_rest", 3, -INF)], torch.float32, False)
@example([("quats", i, 0.0) for i in range(4)], torch.float32, True)
@example([("log_scales", i, 80.0) for i in range(6)], torch.float32, True)
def test_any_value_anywhere(changes, dtype, antialiased):
    gaussians = cloud(12, dtype=dtype)
    for name, position, value in changes:
        flat = gaussians.tensors()[name].view(-1)
        flat[position % len(flat)] = value
    gaussians.requires_grad_()
    result = splat.render(
        gaussians,
        cameras(2, dtype=dtype),
        depth=True,
        normals=True,
        statistics=True,
        absgrad=True,
        settings=RenderSettings(antialiased=antialiased),
    )
    for name in ("rgb", "alpha", "depth", "median_depth", "normals"):
        assert bool(getattr(result, name).isfinite().all()), name
    (result.rgb.clamp(0, 10).sum() + result.alpha.sum()).backward()
    # Colors of 1e20 are drawn, and their gradients overflow; all other values must leave finite gradients.
    if not any(name.startswith("sh") and 1e6 < abs(value) < INF for name, _, value in changes):
        assert_finite_gradients(gaussians)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_bad_gaussian_is_left_out_and_the_others_stay(device, name, value):
    if name == "logit_opacities" and value == INF:
        pytest.skip("an infinite logit is an opacity of 1")
    good = cloud(20).to(device)
    bad = good.map(lambda tensor: torch.cat([tensor[:7], tensor[7:8], tensor[7:]]))
    bad.tensors()[name][7].fill_(value)
    bad.requires_grad_()
    without, with_bad = (splat.render(g, cameras(2).to(device), depth=True) for g in (good, bad))
    assert torch.equal(with_bad.rgb, without.rgb) and torch.equal(with_bad.depth, without.depth)
    with_bad.rgb.sum().backward()
    assert all(bool((tensor.grad[7] == 0).all()) for tensor in bad.tensors().values())
    assert_finite_gradients(bad)


def test_zero_quaternion_is_left_out(device):
    gaussians = cloud(3).to(device)
    gaussians.quats.zero_()
    assert splat.render(gaussians, cameras(1).to(device)).alpha.max() == 0


def test_nothing_to_draw(device):
    empty = cloud(5)[:0].to(device).requires_grad_()
    background = torch.tensor([0.1, 0.2, 0.3], device=device)
    result = splat.render(
        empty, cameras(2).to(device), background=background, depth=True, normals=True, statistics=True
    )
    assert torch.equal(result.rgb, background.expand_as(result.rgb))
    result.rgb.sum().backward()
    assert empty.means.grad.shape == (0, 3)


def test_camera_inside_a_gaussian(device):
    gaussians = cloud(4, scale=2.0).to(device)
    viewmat = torch.eye(4, device=device)
    viewmat[:3, 3] = -gaussians.means[0]
    gaussians = gaussians.requires_grad_()
    camera = Camera(viewmat, cameras(1).K[0].to(device), 37, 29)
    splat.render(gaussians, camera).rgb.sum().backward()
    assert_finite_gradients(gaussians)


def test_points_on_the_camera_plane_and_behind(device):
    gaussians = cloud(200).to(device)
    gaussians.means[:, 2] = torch.linspace(-1, 1, 200) * 0.02
    camera = Camera(torch.eye(4, device=device), cameras(1).K[0].to(device), 37, 29)
    gaussians = gaussians.requires_grad_()
    result = splat.render(gaussians, camera, statistics=True)
    result.rgb.sum().backward()
    assert_finite_gradients(gaussians)
    assert not bool(result.statistics.visible[gaussians.means[:, 2] < 0.01].any())


def test_hostile_cameras(device):
    """A camera that is not finite sees nothing and ends nothing."""
    for field, value in (("viewmat", NAN), ("viewmat", INF), ("K", NAN), ("K", INF), ("K", 0.0)):
        camera = cameras(1).to(device)
        getattr(camera, field)[0, 0, 0] = value
        gaussians = cloud(20).to(device).requires_grad_()
        result = splat.render(gaussians, camera)
        assert result.alpha.max() == 0 or bool(result.rgb.isfinite().all())
        result.rgb.sum().backward()


def test_more_intersections_than_allowed(device):
    gaussians = cloud(100, scale=5.0).to(device)
    with pytest.raises(RuntimeError, match=r"max_intersections = 50.*remove those"):
        splat.render(gaussians, cameras(1).to(device), settings=RenderSettings(max_intersections=50))


@pytest.mark.parametrize("name", ["quats", "log_scales", "logit_opacities", "sh0", "sh_rest"])
def test_wrong_shapes_are_named(name):
    tensors = cloud(5).tensors()
    with pytest.raises(ValueError, match=name):
        Gaussians(**{**tensors, name: tensors[name][:3]})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda g, c: splat.render(g.to(dtype=torch.float16), c), "float32 or float64"),
        (lambda g, c: splat.render(g, c.to(dtype=torch.float64)), "viewmats must have the dtype"),
        (lambda g, c: splat.render(g, c, features=torch.ones(4, 2)), r"features must have shape \[5, 2\]"),
        (
            lambda g, c: splat.render(g, c, features=torch.ones(5, 2, dtype=torch.float64)),
            "features must have the dtype",
        ),
        (lambda g, c: splat.render(g, c, background=torch.ones(4)), "background must be"),
        (lambda g, c: splat.render(g, c, sh_degree=4), "sh_degree must be from 0 to 3"),
        (lambda g, c: splat.render(g, c, sh_degree=-1), "sh_degree"),
        (lambda g, c: splat.render(g, Camera(c.viewmat, c.K, 1 << 20, 4)), "width must be"),
        (lambda g, c: splat.render(g.to("meta"), c), "device"),
    ],
)
def test_misuse_is_explained(change, message):
    with pytest.raises(ValueError, match=message):
        change(cloud(5), cameras(1))


def test_settings_are_checked():
    for bad in (
        {"near": -1},
        {"near": 2, "far": 1},
        {"alpha_min": 0},
        {"alpha_max": 1},
        {"eps2d": 0},
        {"max_intersections": 0},
    ):
        with pytest.raises(ValueError, match="RenderSettings"):
            RenderSettings(**bad)
