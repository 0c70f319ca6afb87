"""Laws that the specification itself must keep."""

import math

import pytest
import torch

from scenes import cameras, check_gradients, cloud
from splat import Camera, Gaussians, RenderSettings
from splat.geometry.quaternions import rotation_matrix
from splat.reference import render as reference
from splat.render import ALPHA_TINY

F64 = torch.float64
EVERYWHERE = RenderSettings(alpha_min=1e-12, transmittance_min=1e-15)


def one(mean=(0.0, 0.0, 2.0), scale=0.3, opacity=0.5, color=(0.2, 0.5, 0.9)) -> Gaussians:
    """One isotropic Gaussian in front of a camera at the origin."""
    return Gaussians(
        means=torch.tensor([mean], dtype=F64),
        quats=torch.tensor([[1.0, 0, 0, 0]], dtype=F64),
        log_scales=torch.full((1, 3), math.log(scale), dtype=F64),
        logit_opacities=torch.tensor([math.log(opacity / (1 - opacity))], dtype=F64),
        sh0=(torch.tensor([color], dtype=F64) - 0.5) / 0.28209479177387814,
        sh_rest=torch.zeros(1, 0, 3, dtype=F64),
    )


def front_camera(size: int = 15, focal: float = 20.0) -> Camera:
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], dtype=F64)
    return Camera(torch.eye(4, dtype=F64), K, size, size)


def concatenate(*parts: Gaussians) -> Gaussians:
    return Gaussians(**{name: torch.cat([p.tensors()[name] for p in parts]) for name in parts[0].tensors()})


def test_one_gaussian_by_hand():
    """On the axis the covariance is (f s / z)^2 + eps2d, and alpha = o exp(-d^2 / (2 variance))."""
    result = reference.render(one(), front_camera(), background=(0.1, 0.1, 0.1))
    variance = (20 * 0.3 / 2) ** 2 + 0.3
    alpha = 0.5 * math.exp(-(3**2 + 2**2) / (2 * variance))
    assert result.alpha[7 + 2, 7 - 3].item() == pytest.approx(alpha)
    expected = torch.tensor([0.2, 0.5, 0.9], dtype=F64) * alpha + 0.1 * (1 - alpha)
    torch.testing.assert_close(result.rgb[7 + 2, 7 - 3], expected)


def test_gradients():
    check_gradients(reference.render)


def test_moving_world_and_camera_together_changes_nothing():
    gaussians, camera = cloud(40, sh_degree=0, dtype=F64), cameras(2, dtype=F64)
    turn = torch.tensor([0.3, -0.8, 0.5, 0.1], dtype=F64)
    R, shift = rotation_matrix(turn), torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    w, v = (turn / turn.norm())[0], (turn / turn.norm())[1:]
    q = torch.nn.functional.normalize(gaussians.quats, dim=1)
    product = torch.cat(
        [
            w * q[:, :1] - (q[:, 1:] @ v)[:, None],
            w * q[:, 1:] + q[:, :1] * v + torch.linalg.cross(v.expand(40, 3), q[:, 1:]),
        ],
        1,
    )
    moved = Gaussians(
        gaussians.means @ R.T + shift,
        product,
        gaussians.log_scales,
        gaussians.logit_opacities,
        gaussians.sh0,
        gaussians.sh_rest,
    )
    world = torch.eye(4, dtype=F64)
    world[:3, :3], world[:3, 3] = R, shift
    before = reference.render(gaussians, camera, depth=True)
    after = reference.render(moved, Camera(camera.viewmat @ world.inverse(), camera.K, 37, 29), depth=True)
    torch.testing.assert_close(after.rgb, before.rgb)
    torch.testing.assert_close(after.depth, before.depth)


def test_order_of_gaussians_does_not_matter():
    gaussians, camera = cloud(50, dtype=F64), cameras(1, dtype=F64)
    shuffled = gaussians[torch.randperm(50, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(reference.render(shuffled, camera).rgb, reference.render(gaussians, camera).rgb)


def test_scaling_the_world_scales_depth_only():
    gaussians, camera = cloud(30, dtype=F64), cameras(1, dtype=F64)
    bigger = Gaussians(
        **{**gaussians.tensors(), "means": 3 * gaussians.means, "log_scales": gaussians.log_scales + math.log(3)}
    )
    viewmat = camera.viewmat.clone()
    viewmat[:, :3, 3] *= 3
    a = reference.render(gaussians, camera, depth=True)
    b = reference.render(bigger, Camera(viewmat, camera.K, 37, 29), depth=True)
    torch.testing.assert_close(b.rgb, a.rgb)
    torch.testing.assert_close(b.depth, 3 * a.depth)


def test_a_crop_is_part_of_the_image():
    """cx and cy move the window: rendering a part is the part of the render."""
    gaussians, camera = cloud(30, dtype=F64), cameras(1, dtype=F64)
    K = camera.K.clone()
    K[:, 0, 2] -= 5
    K[:, 1, 2] -= 3
    # The frustum's margin moves with the window; keep the linearization away from it.
    settings = RenderSettings(frustum_margin=100.0)
    whole = reference.render(gaussians, camera, settings=settings).rgb
    part = reference.render(gaussians, Camera(camera.viewmat, K, 20, 11), settings=settings).rgb
    torch.testing.assert_close(part, whole[:, 3:14, 5:25])


def test_background_counts_by_transmittance():
    gaussians, camera = cloud(30, dtype=F64), cameras(2, dtype=F64)
    black = reference.render(gaussians, camera)
    background = torch.tensor([[0.3, 0.6, 0.9], [1.0, 0.0, 0.5]], dtype=F64)
    colored = reference.render(gaussians, camera, background=background)
    torch.testing.assert_close(colored.rgb, black.rgb + (1 - black.alpha)[..., None] * background[:, None, None])


def test_weights_are_what_alpha_is_made_of():
    """Features of one add up to alpha, of the depth to depth times alpha."""
    gaussians, camera = cloud(30, dtype=F64), cameras(1, dtype=F64)
    z = gaussians.means @ camera.viewmat[0, 2, :3] + camera.viewmat[0, 2, 3]
    result = reference.render(gaussians, camera, features=torch.stack([torch.ones_like(z), z], 1), depth=True)
    torch.testing.assert_close(result.features[..., 0], result.alpha)
    torch.testing.assert_close(result.features[..., 1], result.depth * result.alpha.clamp_min(ALPHA_TINY))


def test_what_would_end_the_light_is_left_out():
    """Two walls of 0.99 leave 1e-4 of the light; whatever follows would take it below the minimum and ends the pixel."""
    walls = concatenate(*(one(mean=(0, 0, z), scale=30.0, opacity=0.9999) for z in (1.0, 1.5)))
    behind = concatenate(walls, one(mean=(0, 0, 3.0), color=(1, 0, 0)), one(mean=(0, 0, 4.0), opacity=0.01))
    settings = RenderSettings(transmittance_min=0.9e-4)
    before, after = (reference.render(g, front_camera(), settings=settings) for g in (walls, behind))
    torch.testing.assert_close(before.alpha[7, 7], torch.tensor(1 - 1e-4, dtype=F64))
    torch.testing.assert_close(after.rgb[7, 7], before.rgb[7, 7], rtol=0, atol=0)


def test_median_depth_is_where_half_is_left():
    layers = concatenate(*(one(mean=(0, 0, z), scale=2.0, opacity=0.4) for z in (1.0, 2.0, 3.0)))
    result = reference.render(layers, front_camera(), depth=True)
    assert result.median_depth[7, 7].item() == pytest.approx(2.0)  # 0.6, then 0.36
    faint = reference.render(layers[:1], front_camera(), depth=True)
    assert faint.median_depth[7, 7] == 0 and faint.depth[7, 7].item() == pytest.approx(1.0)


def test_antialiasing_keeps_the_light_of_small_gaussians():
    """The dilation spreads a tiny Gaussian; with the factor the sum over pixels stays near the undilated one."""
    tiny, camera = one(scale=0.01, opacity=0.9), front_camera()
    light = {
        aa: reference.render(tiny, camera, settings=RenderSettings(antialiased=aa, alpha_min=1e-6)).alpha.sum().item()
        for aa in (False, True)
    }
    undilated = 0.9 * 2 * math.pi * (20 * 0.01 / 2) ** 2
    assert light[True] == pytest.approx(undilated, rel=0.15)
    assert light[False] > 10 * undilated


def test_normals_face_the_camera():
    flat = one()
    flat.log_scales[0, 2] -= 4  # thin along z
    result = reference.render(flat, front_camera(), normals=True)
    torch.testing.assert_close(result.normals[7, 7], torch.tensor([0.0, 0, -1], dtype=F64))
    assert bool((reference.render(flat[:0], front_camera(), normals=True).normals == 0).all())


def test_behind_near_or_faint_is_not_drawn():
    for gaussian in (one(mean=(0, 0, -2.0)), one(mean=(0, 0, 0.005)), one(opacity=1 / 256)):
        assert reference.render(gaussian, front_camera()).alpha.max() == 0
