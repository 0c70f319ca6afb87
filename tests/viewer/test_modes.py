"""What the modes show is what they say."""

import pytest
import torch
from captures import ring, subject

import splat
from scenes import cloud
from splat import Camera, Gaussians, RenderSettings
from splat.datasets.capture import Capture
from splat.viewer.draw.contribution import ranks, score
from splat.viewer.draw.look import MODES as NAMES
from splat.viewer.draw.look import Look
from splat.viewer.draw.modes import MODES, Drawing, count_layers
from splat.viewer.draw.palette import heat, percentile
from splat.viewer.draw.photo_view import PhotoView, shown_psnr
from splat.viewer.draw.picture import side_by_side_cameras
from splat.viewer.draw.prepared import PreparedCache, prepare
from splat.viewer.slots import SceneSlot

CAMERA = ring(4, 96, 64)[0]


def discs(count: int, opacity: float = 0.9) -> Gaussians:
    """Flat Gaussians one behind the other in the middle of the view, each about a fifth of the width."""
    return Gaussians(
        means=torch.stack([torch.zeros(count), torch.zeros(count), torch.linspace(0, 0.5, count)], dim=1),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        log_scales=torch.tensor([0.3, 0.3, 0.01]).log().expand(count, 3),
        logit_opacities=torch.full((count,), opacity).logit(),
        sh0=torch.zeros(count, 3),
        sh_rest=torch.zeros(count, 0, 3),
    )


@pytest.mark.parametrize("count", [1, 3, 40, 500])
def test_layers_are_counted(count: int) -> None:
    camera = Camera.look_at((0, 0, -4), (0, 0, 0), width=96, height=64)
    layers = count_layers(discs(count), camera, RenderSettings())
    inside = layers > 0.3 * count
    assert layers[32, 48] == pytest.approx(count / 0.787, rel=0.15)  # in the middle a little more, at the rim less
    assert float(layers[inside].mean()) == pytest.approx(count, rel=0.15)
    drawn = splat.render(discs(count), camera).alpha > 0
    assert float((inside == drawn).float().mean()) > 0.97
    assert float(layers[0, 0]) == 0


def test_every_mode_draws_every_scene() -> None:
    assert set(MODES) == set(NAMES)
    broken = cloud(20)
    broken.means[3] = torch.nan
    broken.log_scales[4] = torch.inf
    for gaussians in (subject(), cloud(50, sh_degree=0), cloud(1), cloud(5)[:0], broken):
        for name, mode in MODES.items():
            scores = torch.linspace(0, 1, len(gaussians))
            picture = mode(Drawing(gaussians, CAMERA, Look(mode=name), RenderSettings(), scores))
            assert picture.shape == (64, 96, 3)
            assert bool(picture.isfinite().all())


def test_normals_face_the_camera() -> None:
    wall = discs(3)
    camera = Camera.look_at((0, 0, -4), (0, 0, 0), width=96, height=64)
    red, green, blue = MODES["normals"](Drawing(wall, camera, Look(), RenderSettings()))[32, 48].tolist()
    assert (red, green) == (pytest.approx(0.5, abs=0.05), pytest.approx(0.5, abs=0.05))
    assert blue > 0.9


def test_contribution_is_the_fraction_of_the_photos(capture: Capture) -> None:
    """Against weights found by taking each Gaussian away is too dear; two bounds that hold exactly are not."""
    gaussians = subject()
    gaussians.means[0] = torch.tensor([0.0, 100.0, 0.0])
    gaussians.logit_opacities[1] = -20.0
    scores = score(gaussians, capture.frames, RenderSettings())
    assert sorted([float(scores.contribution[0]), float(scores.contribution[1])])[1] < 0.01
    alone = gaussians[:0]
    assert len(score(alone, capture.frames, RenderSettings()).blame) == 0


def test_blame_finds_what_is_wrong(capture: Capture) -> None:
    gaussians = subject()
    wrong = int(score(gaussians, capture.frames, RenderSettings()).contribution.argmax())
    gaussians.sh0[wrong] = torch.tensor([3.0, -3.0, 3.0])
    blame = score(gaussians, capture.frames, RenderSettings()).blame
    assert float(blame[wrong]) > 0.9


def test_ranks() -> None:
    assert ranks(torch.tensor([5.0, -1.0, 3.0])).tolist() == [1.0, 0.0, 0.5]


def test_palette() -> None:
    colors = heat(torch.tensor([0.0, 1.0, 2.0, torch.nan]), 0.0, 2.0)
    assert colors[0].sum() < colors[1].sum() < colors[2].sum()
    assert colors[3].tolist() == [0, 0, 0]
    assert percentile(torch.arange(101.0), 0.5) == 50
    assert percentile(torch.zeros(0), 0.5) == 0


def test_side_by_side_shows_the_middle_of_each() -> None:
    views = side_by_side_cameras(CAMERA, 3)
    assert sum(view.width for view in views) == CAMERA.width
    for view in views:
        offset = float(view.K[0, 2]) - view.width / 2
        assert offset == pytest.approx(float(CAMERA.K[0, 2]) - CAMERA.width / 2)


def test_scenes_together_keep_their_colors() -> None:
    first, second = cloud(30, sh_degree=3), cloud(20, sh_degree=1, seed=2)
    both = Gaussians.cat([first, second])
    assert (len(both), both.sh_degree) == (50, 3)
    assert torch.allclose(splat.render(both[30:], CAMERA).rgb, splat.render(second, CAMERA).rgb, atol=1e-6)


def test_preparing_is_done_once() -> None:
    slot, cache = SceneSlot("one", subject()), PreparedCache()
    first = cache.get(slot, Look())
    assert cache.get(slot, Look(mode="depth")) is first
    slot.hidden = torch.arange(300) < 10
    second = cache.get(slot, Look())
    assert second is not first and len(second.gaussians) == 290
    assert second.index is not None and second.index[0] == 10
    slot.hidden = None
    assert cache.get(slot, Look()) is first
    for number in range(40):
        cache.get(slot, Look(opacity=0.1 + 0.01 * number))
    assert len(cache.entries) <= 12
    assert float(prepare(slot, Look(opacity=0.5)).gaussians.opacities[0]) == pytest.approx(
        0.5 * float(subject().opacities[0]), rel=1e-4
    )


@pytest.mark.parametrize("window", [(96, 64), (200, 64), (96, 200), (33, 77)])
def test_a_photo_is_in_the_middle_of_any_window(capture: Capture, window: tuple[int, int]) -> None:
    view = PhotoView(0, capture.frames[0])
    left, top, width, height = view.rectangle(*window)
    assert width == window[0] or height == window[1]
    assert (abs(window[0] - width - 2 * left), abs(window[1] - height - 2 * top)) <= (1, 1)
    camera = view.camera(*window)
    whole = splat.render(subject(), camera).rgb[top : top + height, left : left + width]
    own = splat.render(subject(), capture.frames[0].camera.resized(width, height)).rgb
    assert shown_psnr(whole, own) > 45  # far outside, Gaussians are flattened for another width
    assert view.is_at(camera, 1.0)
    assert not view.is_at(capture.frames[1].camera, 1.0)
