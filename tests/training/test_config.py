"""The configuration: what is written is read back, and so is what earlier versions wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from splat.errors import InputError
from splat.run import Run
from splat.training.checkpoint import MAY_CHANGE, resumed_settings
from splat.training.config import (
    DataConfig,
    LossWeights,
    OptimizationConfig,
    RunConfig,
    TrainConfig,
    load_config,
    save_config,
)
from splat.training.densify.choose import STRATEGIES
from splat.training.densify.mcmc import MCMCConfig
from splat.training.schedules import LearningRates

EARLIER = {
    "capture": "/captures/fox",
    "data": {"images": "photos", "resolution": 2, "max_size": 800, "eval": True},
    "optimization": {
        "iterations": 7000,
        "progressive": False,
        "full_size": True,
        "ssim_weight": 0.3,
        "grid_smoothness": 1.0,
        "late_steps": 2,
        "lr_means": 1e-4,
        "lr_final": 0.1,
    },
    "densify": {"strategy": "budget", "budget": 5000, "absgrad_threshold": 8e-4, "mask_weight": 5e-4, "noise": 1.0},
    "appearance": {"exposure": True, "grid_tv_weight": 10.0},
    "geometry": {"normal_weight": 0.05, "depth_points_weight": 0.01, "pose_limit": 0.1},
    "run": {"seed": 3},
}
"""Shortened from a run of version 0.1.0, before strategies had options of their own."""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_written_is_read_back(tmp_path: Path, strategy: str) -> None:
    config = TrainConfig(
        data=DataConfig(max_image_size=640),
        optimization=OptimizationConfig(iterations=5),
        lr=LearningRates(final=0.5),
        loss=LossWeights(flat=1.0),
        densify=STRATEGIES[strategy](budget=9),
    )
    save_config(config, tmp_path, Run(tmp_path))
    assert load_config(Run(tmp_path)) == (config, tmp_path)


def test_a_configuration_of_an_earlier_version_loads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(EARLIER))
    config, capture = load_config(Run(tmp_path))
    assert capture == Path("/captures/fox")
    assert (config.data.images, config.data.max_image_size, config.data.eval) == ("photos", 800, True)
    assert (config.optimization.iterations, config.optimization.progressive) == (7000, "off")
    assert (config.optimization.accumulate, config.accumulate, config.progressive) == (2, 2, False)
    assert config.lr == LearningRates(means=1e-4, final=0.1)
    assert config.loss == LossWeights(ssim=0.3, grid=1.0, bilateral_tv=10.0, normals=0.05, depth_points=0.01)
    assert config.densify == STRATEGIES["budget"](budget=5000, learned_mask=5e-4, absgrad_threshold=2e-4)
    assert config.appearance.exposure and config.geometry.pose_limit == 0.1 and config.run.seed == 3


def test_an_earlier_run_keeps_its_strategy(tmp_path: Path) -> None:
    densify = {"strategy": "mcmc", "noise": 1.0, "grad_threshold": 1.0}
    (tmp_path / "config.json").write_text(json.dumps(EARLIER | {"densify": densify}))
    assert load_config(Run(tmp_path))[0].densify == MCMCConfig(noise=1.0)


def test_an_unknown_strategy_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(EARLIER | {"densify": {"strategy": "magic"}}))
    with pytest.raises(InputError, match=r"magic.*budget, classic"):
        load_config(Run(tmp_path))


@pytest.mark.parametrize(
    "config, message",
    [
        (TrainConfig(optimization=OptimizationConfig(iterations=0)), "`iterations` must be at least 1, got 0"),
        (TrainConfig(lr=LearningRates(means=0.0)), "`lr.means` must be above 0"),
        (TrainConfig(loss=LossWeights(ssim=2.0)), "`loss.ssim` must be 0 to 1"),
        (TrainConfig(densify=MCMCConfig(budget=0)), "`budget` must be at least 1"),
        (TrainConfig(lr=LearningRates(sh0=float("inf"))), "`lr.sh0` must be a finite number"),
        (TrainConfig(densify=MCMCConfig(prune_opacity=2.0)), "`prune_opacity` must be 0 to 1, got 2"),
        (TrainConfig(optimization=OptimizationConfig(background="green")), "`background` must be black, white, random"),
    ],
)
def test_errors_name_parameters(config: TrainConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.check()


@pytest.mark.parametrize(
    "values, message",
    [
        ({"optimization": {"iteration": 5}}, "optimization: there is no iteration; there are iterations, "),
        ({"iterations": 5}, "the configuration: there is no iterations; there are data, "),
        ({"densify": "mcmc"}, "there is no strategy"),
        ({"data": 3}, "data: expected names with values, got 3"),
    ],
)
def test_settings_that_do_not_exist_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig.from_dict(values)


def test_what_a_resume_takes_and_what_it_refuses() -> None:
    run = TrainConfig(densify=STRATEGIES["classic"](), optimization=OptimizationConfig(iterations=30))
    longer = TrainConfig(optimization=OptimizationConfig(iterations=60), run=RunConfig(threads=2, device="cpu"))
    resumed = resumed_settings(run, longer)
    assert resumed.optimization.iterations == 60 and resumed.run == RunConfig(threads=2, device="cpu")
    assert resumed.densify == run.densify
    assert resumed_settings(run, TrainConfig(lr=LearningRates(sh0=1e-3))).lr.sh0 == 1e-3
    faster = TrainConfig(lr=LearningRates(means=1e-3))
    assert resumed_settings(faster, TrainConfig(), {"lr.sh0"}).lr.means == 1e-3
    assert resumed_settings(faster, TrainConfig(), {"lr.means"}).lr.means == LearningRates().means
    assert resumed_settings(run, None) == resumed_settings(run, TrainConfig()) == run
    assert (
        resumed_settings(run, TrainConfig(), {"iterations"}).optimization.iterations == 30_000
    )  # a default, but named
    asked = TrainConfig(
        densify=STRATEGIES["classic"](grad_threshold=1e-3), run=RunConfig(seed=5), loss=LossWeights(flat=1.0)
    )
    with pytest.raises(
        InputError, match=r"`loss.flat` 1.0 .the run has 0.0.*`grad_threshold` 0.001.*`seed` 5"
    ) as error:
        resumed_settings(run, asked)
    assert "`iterations`" in str(error.value) and "`overwrite`" in str(error.value)


@pytest.mark.parametrize("name", [name for name in MAY_CHANGE if name != "lr"] + ["lr.means", "lr.final"])
def test_what_may_change_is_a_setting(name: str) -> None:
    assert name in TrainConfig().flat()
    assert TrainConfig().with_values({name: "other"}).flat()[name] == "other"
