"""Schedules: published values at 30,000 iterations, complete runs at any length."""

import pytest

from splat.training.densify.classic import Classic, ClassicConfig
from splat.training.densify.growing import DensifySchedule
from splat.training.schedules import (
    FIRST_SIZE,
    FULL_SIZE_FROM,
    Clock,
    Iteration,
    LearningRates,
    active_sh_degree,
    photo_fraction,
)


def at(iteration: int, iterations: int = 30_000) -> Iteration:
    return Iteration(iteration, iteration / iterations)


def test_means_fall_log_linearly():
    rates = LearningRates()
    assert rates.at(0.0, extent=2.0)["means"] == pytest.approx(2 * 1.6e-4)
    assert rates.at(0.5, extent=2.0)["means"] == pytest.approx(2 * 1.6e-5)
    assert rates.at(1.0, extent=2.0)["means"] == pytest.approx(2 * 1.6e-6)


def test_sh_degree_grows_every_thousand_iterations_of_a_full_run():
    iterations = (1, 999, 1000, 2000, 2999, 3000, 30_000)
    assert [active_sh_degree(3, i / 30_000) for i in iterations] == [0, 0, 1, 2, 2, 3, 3]
    assert active_sh_degree(1, 0.3) == 1 and active_sh_degree(3, 0.0, from_start=True) == 3


def test_published_density_schedule():
    schedule = DensifySchedule.of(ClassicConfig(), 30_000)
    edits = [i for i in range(1, 30_001) if schedule.edits(at(i))]
    assert (edits[0], edits[1], edits[-1]) == (500, 600, 14_900)
    assert [i for i in range(1, 30_001) if Classic(ClassicConfig(), 30_000, 1.0).resets(at(i))] == [
        3000,
        6000,
        9000,
        12_000,
    ]
    assert schedule.gathers(at(14_999)) and not schedule.gathers(at(15_000))


@pytest.mark.parametrize("iterations, last_edit", [(7000, 3400), (500, 300), (100, 0), (1, 0)])
def test_shorter_runs_end_with_time_to_settle(iterations, last_edit):
    schedule = DensifySchedule.of(ClassicConfig(), iterations)
    edits = [i for i in range(1, iterations + 1) if schedule.edits(at(i, iterations))]
    assert max(edits, default=0) == last_edit


def test_no_resets_on_request():
    strategy = Classic(ClassicConfig(reset_every=0), 30_000, 1.0)
    assert not any(strategy.resets(at(i)) for i in range(1, 30_001))


def test_progressive_sizes_grow_to_the_whole_in_few_steps():
    fractions = [photo_fraction(i / 1000, 4000) for i in range(1001)]
    assert fractions == sorted(fractions) and fractions[0] == pytest.approx(FIRST_SIZE, rel=0.06)
    assert fractions[int(1000 * FULL_SIZE_FROM)] == fractions[-1] == 1.0
    assert len(set(fractions)) < 20
    assert photo_fraction(0.0, 250) == 0.8 and photo_fraction(0.0, 48) == 1.0


def test_a_clock_ends_with_its_iterations_or_its_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(10, None)
    clock.start()
    moments = []
    while not clock.finished:
        now[0] += 100
        moments.append(clock.tick())
    assert [now.number for now in moments] == list(range(1, 11)) and moments[4].progress == 0.5
    clock = Clock(1000, 60.0)
    clock.spent = 15.0  # before a resume
    clock.start()
    now[0] += 15
    assert clock.tick().progress == pytest.approx(0.5)
    now[0] += 31
    assert clock.finished and clock.seconds == pytest.approx(61)
