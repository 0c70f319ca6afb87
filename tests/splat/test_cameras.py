"""Laws of the camera conventions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scenes import cameras, cloud
from splat import Camera, RenderSettings
from splat.reference.projection import project

LENGTHS = st.floats(-3, 3, width=32)
POINTS = st.tuples(LENGTHS, LENGTHS, LENGTHS)


def askew() -> Camera:
    """Turned, shifted, its principal point beside the middle of the image, a rotation to the last digit of a double."""
    camera = Camera.look_at((1.0, -2.0, -5.0), (0.5, 0.25, 1.0), (0.2, -1.0, 0.1), width=64, height=48).to(
        dtype=torch.float64
    )
    left, _, right = torch.linalg.svd(camera.viewmat[:3, :3])
    camera.viewmat[:3, :3] = left @ right
    camera.K[0, 2] += 3.5
    camera.K[1, 1] *= 1.2
    return camera


def test_look_at_puts_the_target_in_the_middle_and_up_on_top():
    camera = Camera.look_at((1.0, -2.0, -5.0), (0.5, 0.25, 1.0), width=64, height=48)
    project = lambda p: camera.K @ (camera.viewmat[:3, :3] @ torch.tensor(p) + camera.viewmat[:3, 3])  # noqa: E731
    middle, above = project([0.5, 0.25, 1.0]), project([0.5, -0.25, 1.0])
    assert middle[2] > 0
    torch.testing.assert_close(middle[:2] / middle[2], torch.tensor([32.0, 24.0]), atol=1e-4, rtol=0)
    assert above[1] / above[2] < 23  # y is down: smaller y is higher up
    torch.testing.assert_close(camera.position, torch.tensor([1.0, -2.0, -5.0]), atol=1e-5, rtol=0)


def test_resized_scales_each_axis_of_K():
    camera = Camera.look_at((0, 0, -1), (0, 0, 0), width=100, height=50).resized(50, 100)
    assert (camera.width, camera.height) == (50, 100)
    assert camera.K[0, 2] == 25 and camera.K[1, 2] == 50
    assert camera.K[1, 1] == 4 * camera.K[0, 0]


@given(st.lists(POINTS, min_size=1, max_size=5))
def test_unproject_takes_back_project(points):
    camera, points = askew(), torch.tensor(points, dtype=torch.float64)
    pixels, depth = camera.project(points)
    before = depth > 0.1
    torch.testing.assert_close(camera.unproject(pixels, depth)[before], points[before], atol=1e-9, rtol=1e-9)


@given(st.tuples(st.floats(0, 64), st.floats(0, 48)), st.floats(0.1, 100))
def test_project_takes_back_unproject(pixel, depth):
    camera, pixel, depth = askew(), torch.tensor(pixel, dtype=torch.float64), torch.tensor(depth, dtype=torch.float64)
    pixels, depths = camera.project(camera.unproject(pixel, depth))
    torch.testing.assert_close(pixels, pixel, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(depths, depth, atol=1e-9, rtol=1e-9)


@given(POINTS)
def test_depth_is_measured_along_forward_and_distances_stay(point):
    camera, point = askew(), torch.tensor(point, dtype=torch.float64)
    ahead = (point - camera.position) @ camera.forward
    torch.testing.assert_close(camera.project(point)[1], ahead, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(camera.to_camera(point)[2], ahead, atol=1e-12, rtol=1e-12)
    distance = (point - camera.position).norm()
    torch.testing.assert_close(camera.to_camera(point).norm(), distance, atol=1e-12, rtol=1e-12)


def test_forward_and_up_are_rows_of_the_rotation():
    for camera in (askew(), cameras(3)):
        assert torch.equal(camera.forward, camera.viewmat[..., 2, :3])
        assert torch.equal(camera.up, -camera.viewmat[..., 1, :3])
    toward = torch.nn.functional.normalize(torch.tensor([-0.5, 2.25, 6.0], dtype=torch.float64), dim=0)
    torch.testing.assert_close(askew().forward, toward, atol=1e-6, rtol=0)
    higher = askew().position + 5 * askew().forward + askew().up
    assert askew().project(higher)[0][1] < askew().project(higher - askew().up)[0][1]  # v grows downwards


def test_projects_as_the_reference_does():
    scene, camera = cloud(200), askew().to(dtype=torch.float32)
    expected = project(scene, camera.viewmat, camera.K, camera.width, camera.height, RenderSettings())
    pixels, depth = camera.project(scene.means)
    assert int(expected.drawn.sum()) > 100
    torch.testing.assert_close(pixels[expected.drawn], expected.mean2d[expected.drawn])
    torch.testing.assert_close(depth, expected.depth)


def test_any_leading_shape_in_the_dtype_given():
    camera, points = askew(), torch.zeros(2, 5, 3)
    pixels, depth = camera.project(points)
    assert pixels.shape == (2, 5, 2) and depth.shape == (2, 5)
    assert camera.unproject(pixels, depth[:1]).shape == camera.to_camera(points).shape == (2, 5, 3)
    assert {tensor.dtype for tensor in (pixels, depth, camera.unproject(pixels, depth))} == {torch.float32}
    assert camera.project(points.double())[0].dtype == torch.float64
    assert camera.project(points[0, :0])[0].shape == (0, 2)


def test_behind_the_camera_the_depth_says_so_and_nothing_breaks():
    camera = askew()
    pixels, depth = camera.project(torch.stack([camera.position, camera.position - camera.forward]))
    assert (depth <= 1e-12).all() and pixels[1].isfinite().all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Camera(torch.eye(3), torch.eye(3), 4, 4), "viewmat must be"),
        (lambda: Camera(torch.eye(4), torch.eye(4), 4, 4), "K must be"),
        (lambda: Camera(torch.eye(4), torch.eye(3), 0, 4), "at least one pixel"),
        (lambda: Camera.look_at((0, 0, 0), (0, 0, 0), width=4, height=4), "must differ"),
        (lambda: Camera.look_at((0, 0, 0), (0, 1, 0), width=4, height=4), "parallel"),
        (lambda: Camera.look_at((0, 0, 0), (0, 0, 1), width=4, height=4, fov_degrees=180), "fov_degrees"),
        (lambda: Camera.stack([]), "at least one"),
        (lambda: cameras(2).to_camera(torch.zeros(3)), "expected one camera, got 2"),
        (lambda: cameras(2).unproject(torch.zeros(2), torch.ones(())), "expected one camera, got 2"),
        (lambda: askew().project(torch.zeros(4)), r"\[\.\.\., 3\]"),
        (lambda: askew().unproject(torch.zeros(3), torch.ones(())), r"\[\.\.\., 2\]"),
        (lambda: askew().project(torch.zeros(3, dtype=torch.int64)), "floating point"),
    ],
)
def test_misuse_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_stack_refuses_mixed_sizes():
    one = Camera.look_at((0, 0, -1), (0, 0, 0), width=8, height=8)
    with pytest.raises(ValueError, match="one size"):
        Camera.stack([one, one.resized(4, 4)])
