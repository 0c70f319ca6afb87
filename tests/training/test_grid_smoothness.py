"""Smoothness of neighbors in a grid: what it measures, its gradient, and that a run with it is one."""

import json

import pytest
import torch
from captures import write_capture

from scenes import cloud
from splat.compression.formats.sog.grid_order import grid_order, grid_size
from splat.training.losses import grid_smoothness
from splat.training.losses.grid_smoothness import EVERY, SORT_EVERY, GridSmoothness, blurred, grid_smoothness_loss


@pytest.mark.parametrize("count", [1, 2, 5, 16, 90, 1000])
def test_a_blur_is_a_weighted_mean_of_the_pixels_there_are(count):
    pixels = torch.rand(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    height, width = grid_size(count)
    expected = torch.zeros_like(pixels)
    for index in range(count):
        row, column = divmod(index, width)
        total = 0.0
        for y in range(max(0, row - 2), min(height, row + 3)):
            for x in range(max(0, column - 2), min(width, column + 3)):
                if y * width + x < count:
                    weight = torch.exp(torch.tensor(-((y - row) ** 2 + (x - column) ** 2) / 18.0, dtype=torch.float64))
                    expected[index] += weight * pixels[y * width + x]
                    total += weight
        expected[index] /= total
    torch.testing.assert_close(blurred(pixels), expected)


def test_alike_gaussians_cost_nothing():
    scene = cloud(300, sh_degree=0, dtype=torch.float64)
    order = grid_order(scene)
    assert float(grid_smoothness_loss(scene, order)) > 0.1
    scene.quats[:], scene.logit_opacities[:] = torch.tensor([0.5, -0.1, 0.2, 0.3], dtype=torch.float64), 0.7
    assert float(grid_smoothness_loss(scene, order)) < 1e-20
    lengths = torch.linspace(0.1, 9, 300, dtype=torch.float64)[:, None]
    scene.quats.mul_(torch.where(torch.arange(300)[:, None] % 2 == 0, lengths, -lengths))  # the same rotations
    assert float(grid_smoothness_loss(scene, order)) < 1e-20


def test_gradients():
    scene = cloud(21, sh_degree=0, dtype=torch.float64)
    order = grid_order(scene)

    def loss(quats: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        scene.quats, scene.logit_opacities = quats, logits
        return grid_smoothness_loss(scene, order)

    assert torch.autograd.gradcheck(loss, (scene.quats.requires_grad_(), scene.logit_opacities.requires_grad_()))


def test_descending_makes_neighbors_alike_and_leaves_the_rest():
    scene = cloud(400, sh_degree=0).requires_grad_()
    order = grid_order(scene.detach())
    before = float(grid_smoothness_loss(scene, order))
    optimizer = torch.optim.Adam([scene.quats, scene.logit_opacities], 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        grid_smoothness_loss(scene, order).backward()
        optimizer.step()
    assert float(grid_smoothness_loss(scene, order)) < 0.1 * before
    assert scene.means.grad is None and scene.log_scales.grad is None and scene.sh0.grad is None


def test_a_grid_is_sorted_when_the_set_has_changed_or_long_ago(monkeypatch):
    sorts = []

    def sort(gaussians, seed, *, passes):
        sorts.append((len(gaussians), passes))
        return torch.arange(len(gaussians))

    monkeypatch.setattr(grid_smoothness, "grid_order", sort)
    term = GridSmoothness(2.0)
    assert all(term(cloud(50), iteration) is None for iteration in range(1, EVERY))
    value = term(cloud(50), EVERY)
    assert float(value) == pytest.approx(2 * EVERY * float(term.last))
    term(cloud(50), 2 * EVERY)
    assert sorts == [(50, 2)]
    term.forget()
    term(cloud(60), 3 * EVERY)
    term(cloud(60), SORT_EVERY)
    assert sorts == [(50, 2), (60, 2)]
    term(cloud(60), SORT_EVERY + 3 * EVERY)
    assert sorts == [(50, 2), (60, 2), (60, 8)]
    again = GridSmoothness(2.0)
    again.load_state_dict(term.state_dict(), torch.device("cpu"))
    assert torch.equal(again(cloud(60), SORT_EVERY + 4 * EVERY), term(cloud(60), SORT_EVERY + 4 * EVERY))
    assert len(sorts) == 3


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture")
    write_capture(folder, photos=16)
    return folder


def test_a_run_is_smoother_and_as_good(capture, tmp_path, run_splat):
    last = {}
    for weight in (0.001, 1):
        out = tmp_path / f"run-{weight}"
        flags = ("--iterations", 400, "--eval", "--sh-degree", 0, "--loss", f"grid={weight}")
        assert run_splat("train", capture, "-o", out, *flags) == 0
        assert json.loads((out / "config.json").read_text())["loss"]["grid"] == weight
        line = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        last[weight] = line["grid_roughness"], json.loads((out / "metrics.json").read_text())["psnr"]
    assert last[1][0] < 0.3 * last[0.001][0]
    assert last[1][1] > last[0.001][1] - 1.5


def test_resuming_changes_nothing(capture, tmp_path, run_splat):
    flags = ("--iterations", 150, "--sh-degree", 0, "--loss", "grid=1", "--save-every", 83, "--keep-checkpoints", 5)
    for name in "ab":
        assert run_splat("train", capture, "-o", tmp_path / name, *flags) == 0
    (tmp_path / "b/ckpts/ckpt_000150.pt").unlink()
    assert run_splat("train", "-o", tmp_path / "b", "--resume") == 0
    first, second = (torch.load(tmp_path / name / "ckpts/ckpt_000150.pt", weights_only=True) for name in "ab")
    assert torch.equal(first["grid"]["order"], second["grid"]["order"])
    for name, value in first["optimizer"]["parameters"].items():
        assert torch.equal(value, second["optimizer"]["parameters"][name]), name
