"""What a render is compared with: masks take all error and gradient away, sizes and backgrounds fit the step."""

import pytest
import torch

import splat
from scenes import cameras, cloud
from splat.cameras import Camera
from splat.datasets.capture import Frame
from splat.datasets.images.cache import Photo
from splat.training.config import TrainConfig
from splat.training.densify.budget import BudgetConfig
from splat.training.densify.choose import default_budget
from splat.training.losses.objective import Objective
from splat.training.losses.target import TargetImage, camera_for, make_target
from splat.training.schedules import Iteration

BLACK = torch.zeros(3)


def photo(height: int = 20, width: int = 30, **more: torch.Tensor) -> Photo:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    return Photo(image, **{"alpha": None, "mask": None, "depth": None, **more})


def test_without_companions_the_photo_is_compared_as_it_is():
    target = make_target(photo(), 1.0, BLACK, "ignore")
    rgb = torch.rand(20, 30, 3)
    shown, image = target.compared_with(rgb)
    assert shown is rgb and torch.equal(image, photo().image)


@pytest.mark.parametrize("grad_source", ["loss", "ssim"])
def test_masked_pixels_have_no_error_and_no_gradient(grad_source):
    mask = torch.ones(40, 48, dtype=torch.bool)
    mask[10:30, 12:36] = False
    target = make_target(photo(40, 48, mask=mask), 1.0, BLACK, "ignore")
    rgb = torch.rand(40, 48, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert float(target.error(rgb)[~mask].max()) == 0 and float(target.error(rgb)[mask].mean()) > 0.2
    objective = Objective(TrainConfig(densify=BudgetConfig(grad_source=grad_source)), 1.0)
    scene, camera = cloud(3), cameras(1)
    frame, result = Frame("a", camera, None), splat.render(scene, camera)
    loss = objective(rgb, result, target, frame, camera, scene, Iteration(10, 0.1))
    (loss.rest if loss.ssim is None else loss.rest + loss.ssim).backward()
    assert float(rgb.grad[~mask].abs().max()) == 0 and float(rgb.grad[mask].abs().min()) > 0


def test_clipped_values_stand_for_all_brighter_ones():
    image = torch.tensor([250, 255, 255, 100], dtype=torch.uint8)[None, :, None].expand(1, 4, 3)
    rgb = torch.tensor([1.2, 1.2, 0.9, 0.5])[None, :, None].repeat(1, 1, 3).requires_grad_()
    shown, compared = TargetImage(image).compared_with(rgb, clipped=True)
    wanted = torch.tensor([250 / 255, 1.2, 1.0, 100 / 255])
    torch.testing.assert_close(compared[0, :, 0], wanted)
    (shown - compared).abs().sum().backward()
    assert rgb.grad[0, :, 0].tolist() == [1, 0, -1, 1]


def test_segmented_photos_are_cut_out():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[:, :15] = True
    white = torch.ones(3)
    target = make_target(photo(mask=mask), 1.0, white, "segment")
    assert target.mask is None and torch.equal(target.alpha, mask.float())
    shown = target.as_float(torch.zeros(20, 30, 3))
    assert torch.equal(shown[~mask], torch.ones_like(shown[~mask]))
    assert torch.allclose(shown[mask], photo().image[mask].float() / 255)


def test_a_masked_photo_with_alpha_is_cut_out_by_both():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[:, :15] = True
    alpha = torch.full((20, 30), 128, dtype=torch.uint8)
    target = make_target(photo(mask=mask, alpha=alpha), 1.0, BLACK, "segment")
    assert torch.allclose(target.alpha, 128 / 255 * mask)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.77, 1.0])
def test_everything_has_the_size_of_the_step(fraction):
    everything = photo(
        mask=torch.rand(20, 30) > 0.5, alpha=torch.full((20, 30), 9, dtype=torch.uint8), depth=torch.rand(20, 30)
    )
    target = make_target(everything, fraction, BLACK, "ignore")
    height, width = max(8, round(20 * fraction)), max(8, round(30 * fraction))
    assert target.image.shape == (height, width, 3)
    assert {tuple(plane.shape) for plane in (target.mask, target.alpha, target.depth)} == {(height, width)}
    camera = Camera.look_at((0, 0, -3), (0, 0, 0), width=30, height=20)
    small = camera_for(camera, target)
    assert (small.width, small.height) == (width, height)
    assert float(small.K[0, 0] / camera.K[0, 0]) == pytest.approx(width / 30)


def test_a_smaller_photo_keeps_its_mean_color():
    even = Photo(torch.full((40, 60, 3), 77, dtype=torch.uint8), None, None, None)
    assert torch.equal(make_target(even, 0.3, BLACK, "ignore").image, torch.full((12, 18, 3), 77, dtype=torch.uint8))


@pytest.mark.parametrize("photos, size, start, expected", [(10, 100, 10, 50_000), (400, 1000, 10, 2_000_000)])
def test_the_budget_suits_the_photos(photos, size, start, expected):
    camera = Camera.look_at((0, 0, -3), (0, 0, 0), width=size, height=size)
    frames = [Frame(str(index), camera, None) for index in range(photos)]
    assert default_budget(frames, start) == expected
    assert default_budget(frames, expected + 5) == expected + 5  # points of the capture are not thrown away
    assert default_budget(frames * 50, start) <= 3_000_000
