"""Retouching: an edit of one view appears in others, what was not edited stays, and other pictures are refused."""

import pytest
import torch
from captures import ring, subject

import splat
from splat.errors import InputError
from splat.image_metrics import psnr
from splat.io.images import read_image, write_image
from splat.settings import RenderSettings
from splat.training.retouch import Grid4D, changed_colors, retouch

BLACK = torch.zeros(3)


def warm(image: torch.Tensor) -> torch.Tensor:
    return (image * torch.tensor([1.15, 1.0, 0.75]) + torch.tensor([0.03, 0.0, 0.0])).clamp(0, 1)


def test_the_identity_changes_no_color():
    scene = subject()
    grid = Grid4D.identity(scene.means, torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed_colors(scene, grid).sh0, scene.sh0, atol=1e-5, rtol=0)
    assert grid(torch.full((2, 3), 1e9), torch.tensor([-1.0, 2.0])).isfinite().all()


def test_an_edit_is_carried_over_to_other_views():
    scene, cameras = subject(), ring(8, 96, 64)

    def view(scene, camera):
        return splat.render(scene, camera).rgb.detach().clamp(0, 1)

    edited = warm(view(scene, cameras[0]))
    result, scores = retouch(scene, cameras[0], edited, background=BLACK, settings=RenderSettings())
    assert scores["after"] > scores["before"] + 5
    for camera in cameras[1:4]:
        wanted = warm(view(scene, camera))
        assert psnr(view(result, camera), wanted) > psnr(view(scene, camera), wanted) + 3
    assert torch.equal(result.means, scene.means) and torch.equal(result.logit_opacities, scene.logit_opacities)


def test_a_picture_of_another_view_is_refused():
    scene, cameras = subject(), ring(8, 96, 64)
    other = splat.render(scene, cameras[3]).rgb.detach().clamp(0, 1)
    with pytest.raises(InputError, match="does not show this view"):
        retouch(scene, cameras[0], other, background=BLACK, settings=RenderSettings())


def test_the_command(small_run, tmp_path, capsys, run_splat):
    run = small_run[1]
    picture = read_image(run / "renders/001.png")[:, 48:96].float() / 255
    write_image(tmp_path / "001.png", warm(picture))
    assert run_splat("retouch", run, "--edited", tmp_path / "001.png", "-o", tmp_path / "out.ply") == 0
    assert "scene" in capsys.readouterr().out
    before = splat.load(next(run.glob("point_cloud/*/point_cloud.ply")))
    after = splat.load(tmp_path / "out.ply")
    assert torch.equal(before.means, after.means) and not torch.equal(before.sh0, after.sh0)


@pytest.mark.parametrize(
    "name, size, more, message",
    [
        ("nobody.png", (32, 48), (), "no view of"),
        ("001.png", (20, 20), (), "is 20 x 20, the view of 001.png 48 x 32"),
        ("x.png", (32, 48), ("--view", "nobody"), "no view of"),
    ],
)
def test_mistakes(small_run, tmp_path, capsys, run_splat, name, size, more, message):
    write_image(tmp_path / name, torch.rand(*size, 3))
    assert run_splat("retouch", small_run[1], "--edited", tmp_path / name, "-o", tmp_path / "o.ply", *more) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "o.ply").exists()
