"""Fine-tuning of a finished scene: pruned, and on the quantizer of a file format."""

from pathlib import Path

import pytest
import torch

import splat
from splat import Gaussians
from splat.compression.formats import registry as formats
from splat.compression.formats.quantizers import SogQuantizer, SplatzQuantizer, SpzQuantizer, straight_through
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.spz import SpzOptions
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import prune
from splat.datasets.capture import Capture
from splat.datasets.load import load_capture
from splat.errors import InputError
from splat.run import Run
from splat.settings import RenderSettings
from splat.training.compress.finetune import LR_FINAL, finetune, finetune_config, prune_and_finetune
from splat.training.config import TrainConfig, load_config
from splat.training.evaluate.views import evaluate
from splat.training.schedules import active_sh_degree


@pytest.fixture(scope="module")
def trained(small_run) -> tuple[Capture, Gaussians, TrainConfig]:
    capture, run = small_run
    scene = splat.load(Run(run).latest_scene()[1])
    return load_capture(capture), scene, load_config(Run(run))[0]


def psnr(gaussians: Gaussians, scene: Capture) -> float:
    return evaluate(gaussians, scene.frames, background=torch.zeros(3), settings=RenderSettings()).psnr


def test_a_pruned_scene_recovers_without_growing(trained):
    capture, whole, config = trained
    cameras = [frame.camera for frame in capture.frames]
    pruned = prune(whole, importance(whole, cameras), 0.7)
    told = []
    tuned = finetune(pruned, capture.frames, capture.extent, 150, config=config, progress=told.append)
    assert len(tuned) == len(pruned)
    assert psnr(tuned, capture) > psnr(pruned, capture) + 0.5
    assert told == list(range(1, 151))
    assert not any(tensor.requires_grad for tensor in tuned.tensors().values())


COARSE = {
    "spz": lambda: SpzQuantizer(SpzOptions(sh_bits=(3, 3))),
    "sog": lambda: SogQuantizer(palette=16),
    "shapes.splatz": lambda: SplatzQuantizer(SplatzOptions(shape_stages=2, shape_codes=16, coarseness=2)),
    "midpoints.splatz": lambda: SplatzQuantizer(SplatzOptions(midpoints=0.2, coarseness=2)),
}


@pytest.mark.parametrize("end", COARSE)
def test_what_was_optimized_is_what_is_written(end, trained, tmp_path):
    """And it is better than before, although it is quantized coarsely."""
    capture, whole, config = trained
    quantizer = COARSE[end]()
    rounded = quantizer(whole)
    tuned = finetune(whole, capture.frames, capture.extent, 150, config=config, quantizer=quantizer)
    quantizer.write(tuned, tmp_path / f"scene.{end}")
    found = formats.load(tmp_path / f"scene.{end}")
    # A file has an order of its own, by which Gaussians that came to lie at one place are drawn.
    assert psnr(found, capture) == pytest.approx(psnr(tuned, capture), abs=1e-2)
    assert psnr(found, capture) > psnr(rounded, capture) + 0.1


class Coarse:
    """A quantizer of nobody's: large steps of sizes and base colors. Remembers how often it was fitted."""

    def __init__(self) -> None:
        self.fitted = 0

    def refresh(self, gaussians: Gaussians) -> None:
        self.fitted += 1

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        there = gaussians.detach()
        steps = {"log_scales": there.log_scales.round(), "sh0": (2 * there.sh0).round() / 2}
        return straight_through(gaussians, Gaussians(**{**there.tensors(), **steps}))

    def write(self, gaussians: Gaussians, path: Path) -> None:
        splat.save(self(gaussians), path)


def test_optimizing_on_the_quantizer_beats_rounding_afterwards(trained):
    capture, whole, config = trained
    quantizer = Coarse()
    after = quantizer(finetune(whole, capture.frames, capture.extent, 200, config=config))
    tuned = finetune(whole, capture.frames, capture.extent, 200, config=config, quantizer=quantizer)
    assert psnr(tuned, capture) > psnr(after, capture) + 0.2
    assert quantizer.fitted == 4 and torch.equal(tuned.sh0, (2 * tuned.sh0).round() / 2)


def test_a_loss_that_is_not_finite_is_explained(trained):
    class Blinding(Coarse):
        def __call__(self, gaussians: Gaussians) -> Gaussians:
            there = gaussians.detach()
            blinding = Gaussians(**{**there.tensors(), "sh0": torch.full_like(there.sh0, 3e38)})
            return straight_through(gaussians, blinding)

    capture, whole, config = trained
    with pytest.raises(InputError, match=r"fine-tuning: the loss became (inf|nan) at iteration 1\..*splat verify"):
        finetune(whole, capture.frames, capture.extent, 10, config=config, quantizer=Blinding())


def test_the_photos_masks_and_loss_of_the_run_stay_and_per_photo_parts_go():
    flags = {
        "optimization": {"iterations": 7000, "time_limit": "1h", "background": "white", "fuse_adam": True},
        "densify": {"strategy": "mcmc", "mask_weight": 5e-4},
        "appearance": {"exposure": True, "sky": True},
        "geometry": {"refine_poses": True, "flat_weight": 0.5},
        "data": {"mask_mode": "segment"},
    }
    config = finetune_config(TrainConfig.from_dict(flags), cloudlet(), 500)
    config.check()
    assert config.optimization.background == "white" and config.data.mask_mode == "segment"
    assert config.loss.flat == 0.5 and not config.geometry.refine_poses
    assert not config.appearance.exposure and not config.appearance.sky
    assert config.densify.name == "fixed" and config.densify.learned_mask == 0
    assert config.optimization.iterations == 500 and config.time_limit_seconds is None
    degree, at_once = config.optimization.sh_degree, config.optimization.sh_from_start
    assert [active_sh_degree(degree, progress, at_once) for progress in (0.0, 0.5, 1.0)] == [2, 2, 2]
    first, last = config.lr.at(0.0, 1.0), config.lr.at(1.0, 1.0)
    assert last["quats"] == pytest.approx(LR_FINAL * first["quats"]) and first["quats"] == config.lr.quats


def cloudlet() -> Gaussians:
    from scenes import cloud

    return cloud(5, sh_degree=2)


def test_nothing_to_do_changes_nothing(trained):
    capture, whole, config = trained
    same = finetune(whole, capture.frames, capture.extent, 0, config=config)
    assert all(torch.equal(t, same.tensors()[name]) for name, t in whole.tensors().items())
    assert not len(finetune(whole[:0], capture.frames, capture.extent, 10, config=config))
    assert not Path("ckpts").exists()


def test_the_strategy_fixed_trains_without_adding_or_removing(small_run, run_splat, tmp_path):
    capture, _ = small_run
    assert (
        run_splat("train", capture, "-o", tmp_path, "--iterations", 60, "--densify", "fixed", "--lr", "final=0.1") == 0
    )
    assert len(splat.load(Run(tmp_path).latest_scene()[1])) == 300
    assert run_splat("train", capture, "-o", tmp_path / "b", "--lr", "final=0") == 1


def test_stages_reach_the_fraction_and_lose_little(trained):
    capture, whole, config = trained
    tuned = prune_and_finetune(whole, capture.frames, capture.extent, 0.6, 200, config=config)
    assert len(tuned) == round(0.4 * len(whole))
    same = finetune(whole, capture.frames, capture.extent, 200, config=config)
    assert psnr(tuned, capture) > psnr(same, capture) - 1.5
    quantizer = Coarse()
    found = prune_and_finetune(
        whole, capture.frames, capture.extent, 0.5, 60, stages=3, config=config, fit=lambda left: quantizer
    )
    assert len(found) == round(0.5 * len(whole)) and quantizer.fitted > 0
    assert torch.equal(found.sh0, (2 * found.sh0).round() / 2)
