"""Laws of the camera conventions."""

import pytest
import torch

from splat import Camera


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
    ],
)
def test_misuse_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_stack_refuses_mixed_sizes():
    one = Camera.look_at((0, 0, -1), (0, 0, 0), width=8, height=8)
    with pytest.raises(ValueError, match="one size"):
        Camera.stack([one, one.resized(4, 4)])
