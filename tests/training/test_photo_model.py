"""Exposure, bilateral grids, sky and poses: each undoes what it is made for."""

import math

import pytest
import torch
from captures import ring, subject

import splat
from scenes import cloud
from splat import Camera
from splat.datasets.capture import Frame
from splat.datasets.images.cache import Photo, PhotoCache
from splat.settings import RenderSettings
from splat.spherical_harmonics import basis
from splat.training.per_image.affine import change_colors
from splat.training.per_image.bilateral_grid import BilateralGrids, identity_grid, slice_grid, total_variation
from splat.training.per_image.exposure import Exposures
from splat.training.per_image.parameters import PerPhoto
from splat.training.per_image.poses import PoseCorrections, rigid_motion
from splat.training.per_image.sky import Sky, fibonacci_sphere

CPU = torch.device("cpu")


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(24, 32, 3, generator=torch.Generator().manual_seed(seed))


def test_identity_changes_nothing():
    rgb = picture()
    torch.testing.assert_close(slice_grid(identity_grid(), rgb), rgb)
    exposures = Exposures(2, 150, CPU)
    torch.testing.assert_close(exposures.apply(exposures.rows.values[1], rgb), rgb)
    assert float(total_variation(identity_grid())) == 0


def test_a_grid_is_interpolated_linearly_in_place_and_brightness():
    grid = identity_grid()
    grid[3] = torch.linspace(0, 1, 16)  # red's shift grows along x
    grid[7] = torch.linspace(0, 2, 16)[:, None]  # green's along y
    grid[11] = torch.linspace(0, 3, 8)[:, None, None]  # blue's with brightness
    rgb = picture()
    shift = slice_grid(grid, rgb) - rgb
    x = (torch.arange(32) + 0.5) / 32
    y = (torch.arange(24) + 0.5) / 24
    luma = rgb @ torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(shift[..., 0], x.expand(24, 32), atol=1e-5, rtol=0)
    torch.testing.assert_close(shift[..., 1], 2 * y[:, None].expand(24, 32), atol=1e-5, rtol=0)
    torch.testing.assert_close(shift[..., 2], 3 * luma, atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [lambda: Exposures(3, 150, CPU), lambda: BilateralGrids(3, 15, 10.0, CPU)])
def test_a_changed_photo_is_explained_and_others_are_left_alone(make):
    model, rgb = make(), picture()
    target = 0.5 * rgb + torch.tensor([0.1, 0.0, 0.2])
    for _ in range(300):
        leaf = model.rows.leaf(1)
        ((model.apply(leaf, rgb) - target).abs().mean() + 0 * model.regularization(leaf)).backward()
        model.rows.step(1, leaf, 0.0)
    assert float((model.apply(model.rows.values[1], rgb) - target).abs().mean()) < 0.01
    assert torch.equal(model.rows.values[0], make().rows.values[0])


def test_what_most_photos_have_in_common_becomes_the_scenes():
    scene, camera, model = subject(), ring(8, 48, 32)[1], Exposures(5, 150, CPU)
    usual = torch.tensor([[0.9, 0.05, 0.0, 0.02], [0.0, 0.8, 0.0, 0.05], [0.1, 0.0, 1.1, 0.03]])
    dark = 0.5 * torch.eye(3, 4)
    for photo, affine in enumerate([usual, dark, usual, dark, usual]):
        model.rows.values[photo] = (affine - model.identity) / model.steps
    render = splat.render(scene, camera, background=torch.full((3,), 0.5))
    before = [model.apply(row, render.rgb) for row in model.rows.values]
    common = model.recenter()
    torch.testing.assert_close(common, usual)
    change_colors(scene, common)
    torch.testing.assert_close(model.rows.values[2], torch.zeros(3, 4), atol=1e-5, rtol=0)
    again = splat.render(scene, camera)
    opaque = again.alpha > 0.999
    assert int(opaque.sum()) > 50
    for picture, row in zip(before, model.rows.values, strict=True):
        torch.testing.assert_close(model.apply(row, again.rgb)[opaque], picture[opaque], atol=5e-3, rtol=0)


def test_harmonics_change_with_the_colors():
    scene = cloud(50, seed=3, sh_degree=2, scale=0.2)
    matrix = torch.tensor([[0.9, 0.05, 0.0, 0.2], [0.0, 0.8, 0.0, 0.3], [0.1, 0.0, 1.1, 0.2]])
    harmonics = basis(2, torch.nn.functional.normalize(scene.means, dim=1))

    def color() -> torch.Tensor:
        return 0.5 + torch.einsum("nk,nkc->nc", harmonics, torch.cat([scene.sh0[:, None], scene.sh_rest], dim=1))

    before = color()
    change_colors(scene, matrix)
    torch.testing.assert_close(color(), before @ matrix[:, :3].T + matrix[:, 3])


def test_rows_have_moments_of_their_own_and_survive_a_round_trip():
    rows = PerPhoto(torch.zeros(2, 3), 0.1, 0.01)
    for photo in (0, 0, 1):
        leaf = rows.leaf(photo)
        leaf.sum().backward()
        rows.step(photo, leaf, 0.0)
    torch.testing.assert_close(rows.values, torch.tensor([[-0.2] * 3, [-0.1] * 3]))
    again = PerPhoto(torch.zeros(2, 3), 0.1, 0.01)
    again.load_state_dict(rows.state_dict())
    assert torch.equal(again.exp_avg, rows.exp_avg) and again.steps == [2, 1]
    leaf = rows.leaf(0)
    leaf.sum().backward()
    before = rows.values[0, 0].item()
    rows.step(0, leaf, 1.0)
    assert before - rows.values[0, 0].item() == pytest.approx(0.01, rel=1e-3)


def test_rigid_motion_is_the_exponential_and_smooth_at_zero():
    for scale in (0.0, 1e-9, 1e-4, 0.3, 2.0):
        vector = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64) * scale
        x, y, z = vector.tolist()
        cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        motion = rigid_motion(vector, torch.tensor([1.0, 2, 3], dtype=torch.float64))
        torch.testing.assert_close(motion[:3, :3], torch.linalg.matrix_exp(cross), atol=1e-12, rtol=0)
        assert motion[:3, 3].tolist() == [1, 2, 3]

    def flat(vector: torch.Tensor) -> torch.Tensor:
        return rigid_motion(vector, torch.zeros(3, dtype=torch.float64))

    for start in (torch.zeros(3), torch.tensor([0.1, 0.2, -0.3])):
        assert torch.autograd.gradcheck(flat, start.double().requires_grad_())


def test_a_wrong_pose_is_found_again_and_stays_within_its_limits():
    gaussians, camera = subject(), ring(8, 48, 32)[1]
    target = splat.render(gaussians, camera).rgb.detach()
    error = rigid_motion(torch.tensor([0.01, -0.008, 0.004]), torch.tensor([0.01, 0.02, -0.015]))
    wrong = Camera(error @ camera.viewmat, camera.K, camera.width, camera.height)
    poses = PoseCorrections(1, 40, math.radians(3), 0.1, CPU)
    for step in range(150):
        leaf = poses.rows.leaf(0)
        (splat.render(gaussians, poses.apply(leaf, wrong)).rgb - target).abs().mean().backward()
        poses.rows.step(0, leaf, step / 150)
    found = poses.corrected(0, wrong)
    assert float((found.viewmat - camera.viewmat).norm()) < 0.15 * float((wrong.viewmat - camera.viewmat).norm())
    poses.rows.values.fill_(1e6)
    degrees, shift = poses.sizes()
    assert float(degrees) == pytest.approx(3 * 3**0.5, rel=1e-4) and float(shift) == pytest.approx(
        0.1 * 3**0.5, rel=1e-4
    )


def test_a_motion_of_the_whole_world_is_taken_out_and_what_differs_stays():
    cameras = ring(12, 48, 32)
    generator = torch.Generator().manual_seed(0)
    world = rigid_motion(torch.tensor([0.004, -0.002, 0.003]), torch.tensor([0.01, 0.02, -0.01]))
    poses = PoseCorrections(12, 150, 0.1, 0.3, CPU)
    own = 0.002 * torch.randn(12, 6, generator=generator)
    for index, camera in enumerate(cameras):
        common = camera.viewmat @ world @ torch.linalg.inv(camera.viewmat)
        turn = torch.stack([common[2, 1] - common[1, 2], common[0, 2] - common[2, 0], common[1, 0] - common[0, 1]]) / 2
        wanted = torch.cat([turn, common[:3, 3]]) + own[index]
        poses.rows.values[index] = torch.atanh(wanted / torch.tensor([0.1] * 3 + [0.3] * 3))
    scene, before = subject(), [poses.corrected(i, camera) for i, camera in enumerate(cameras)]
    pictures = [splat.render(scene, camera).rgb for camera in before]
    motion = poses.recenter(cameras)
    motion.move(scene)
    assert float(motion.shift.norm()) > 0.01
    for index in (0, 5, 9):  # the scene moves along, so that every photo's render stays
        now = splat.render(scene, poses.corrected(index, cameras[index])).rgb
        stale = splat.render(subject(), poses.corrected(index, cameras[index])).rgb
        change = float((now - pictures[index]).abs().mean())
        assert change < 0.1 * float((stale - pictures[index]).abs().mean())
    left = poses.rows.values.tanh() * torch.tensor([0.1] * 3 + [0.3] * 3)
    # Of what differs, at most what 7 of 72 numbers can explain goes as well.
    assert float((left - own).norm()) < 0.45 * float(own.norm())
    again = poses.rows.values.clone()
    poses.recenter(cameras)
    torch.testing.assert_close(poses.rows.values, again, atol=1e-5, rtol=0)


def frames() -> list[Frame]:
    cameras = ring(6, 48, 32)
    blue = torch.zeros(32, 48, 3, dtype=torch.uint8)
    blue[..., 2] = 204
    photos = PhotoCache.holding({str(i): Photo(blue) for i in range(6)})
    return [Frame(str(i), camera, photos) for i, camera in enumerate(cameras)]


def test_the_sky_is_behind_everything_and_has_the_photos_color():
    scene, views = subject(), frames()
    sky = Sky.around(views, scene.means, extent=4.0)
    camera, settings = views[0].camera, RenderSettings()
    result = splat.render(scene, camera)
    apart = sky.behind(sky.leaf(), result.rgb, result.alpha, camera, torch.zeros(3), settings)
    together = splat.render(sky.with_scene(scene), camera).rgb
    torch.testing.assert_close(apart, together, atol=0.01, rtol=0)
    empty = splat.render(sky.gaussians, camera)
    assert float(empty.alpha.min()) > 0.98
    assert empty.rgb[0, 0].tolist() == pytest.approx([0.05, 0.05, 0.8], abs=0.03)
    assert float(sky.gaussians.means.norm(dim=1).min()) > 30


def test_the_sky_learns_its_colors():
    sky = Sky.around(frames(), torch.zeros(0, 3), extent=4.0)
    camera, black = frames()[0].camera, torch.zeros(32, 48, 3)
    for _ in range(300):
        leaf = sky.leaf()
        seen = sky.behind(leaf, black, torch.zeros(32, 48), camera, torch.zeros(3), RenderSettings())
        (seen - torch.tensor([0.7, 0.5, 0.2])).abs().mean().backward()
        sky.step(leaf)
    assert seen.mean((0, 1)).tolist() == pytest.approx([0.7, 0.5, 0.2], abs=0.03)
    again = Sky.around(frames(), torch.zeros(0, 3), extent=4.0)
    again.load_state_dict(sky.state_dict())
    assert torch.equal(again.gaussians.sh0, sky.gaussians.sh0) and again.steps == 300


def test_a_sphere_of_points_is_even():
    points = fibonacci_sphere(500)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(500))
    assert float(points.mean(0).norm()) < 0.01
    nearest = torch.cdist(points, points).topk(2, largest=False).values[:, 1]
    assert float(nearest.max() / nearest.min()) < 1.6
