"""Schedules: published values at 30,000 iterations, complete runs at any length."""

import pytest

from splat.training.config import DensifyConfig, OptimizationConfig
from splat.training.schedules import DensifySchedule, active_sh_degree, means_learning_rate


def test_means_fall_log_linearly():
    config = OptimizationConfig()
    assert means_learning_rate(config, 2.0, 0) == pytest.approx(2 * 1.6e-4)
    assert means_learning_rate(config, 2.0, 15_000) == pytest.approx(2 * 1.6e-5)
    assert means_learning_rate(config, 2.0, 30_000) == pytest.approx(2 * 1.6e-6)
    assert means_learning_rate(OptimizationConfig(iterations=70), 1.0, 70) == pytest.approx(1.6e-6)


def test_sh_degree_grows_every_thousand_iterations():
    config = OptimizationConfig()
    assert [active_sh_degree(config, i) for i in (1, 999, 1000, 2000, 2999, 3000, 30_000)] == [0, 0, 1, 2, 2, 3, 3]
    assert active_sh_degree(OptimizationConfig(sh_degree=1), 9000) == 1
    assert active_sh_degree(OptimizationConfig(iterations=300), 30) == 3


def test_published_density_schedule():
    schedule = DensifySchedule.of(DensifyConfig(), 30_000)
    edits = [i for i in range(1, 30_001) if schedule.edits(i)]
    assert (edits[0], edits[1], edits[-1]) == (500, 600, 14_900)
    assert [i for i in range(1, 30_001) if schedule.resets(i)] == [3000, 6000, 9000, 12_000]
    assert schedule.gathers(14_999) and not schedule.gathers(15_000)


@pytest.mark.parametrize("iterations, last_edit", [(7000, 3400), (500, 300), (100, 0), (1, 0)])
def test_shorter_runs_end_with_time_to_settle(iterations, last_edit):
    schedule = DensifySchedule.of(DensifyConfig(), iterations)
    edits = [i for i in range(1, iterations + 1) if schedule.edits(i)]
    assert max(edits, default=0) == last_edit


def test_no_resets_on_request():
    schedule = DensifySchedule.of(DensifyConfig(reset_every=0), 30_000)
    assert not any(schedule.resets(i) for i in range(1, 30_001))
