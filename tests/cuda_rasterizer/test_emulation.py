"""The emulation finds what it is there to find."""

import re

import pytest


def test_right_kernels_do_not_depend_on_the_order(emulation):
    results = set()
    for seed in range(6):
        emulation.set_seed(seed)
        results.add(emulation.run_faulty("sum"))
    assert results == {sum(((i ^ 39) + 1) * i for i in range(64))}


def test_a_missing_barrier_shows(emulation):
    if emulation.FINDS_RACES:
        pytest.skip("in this build it is an error, and another test's")
    results = set()
    for seed in range(6):
        emulation.set_seed(seed)
        results.add(emulation.run_faulty("race"))
    assert len(results) > 1


@pytest.mark.parametrize(
    "fault, message",
    [
        ("divergent", "different collectives"),
        ("left", "names a lane that has left|deadlock"),
        ("deadlock", "deadlock"),
    ],
)
def test_stuck_threads_are_an_error_and_not_a_hang(emulation, fault, message):
    for seed in range(4):
        emulation.set_seed(seed)
        with pytest.raises(RuntimeError, match=message):
            emulation.run_faulty(fault)
    emulation.set_seed(0)
    assert emulation.run_faulty("sum") > 0  # an error leaves nothing behind


@pytest.fixture
def races(emulation):
    if not emulation.FINDS_RACES:
        pytest.skip("this build of the emulation does not find races: run `make races`")
    return emulation


THREAD = r"thread \d+ of block \(\d, 0, 0\)"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "fault, message",
    [
        ("race", r"partners: .* shared memory at .* (read|wrote)"),
        ("lanes race", r"partners: .* shared memory at .* (read|wrote)"),
        ("warps race", r"partners: .* shared memory at .* (read|wrote)"),
        ("blocks race", r"two_blocks: .*\(\d, 0, 0\) writes global memory at .* wrote"),
        ("atomics race", r"count_threads: .* global memory at "),
    ],
)
def test_a_race_is_an_error_in_every_order(races, seed, fault, message):
    races.set_seed(seed)
    with pytest.raises(RuntimeError, match=message) as caught:
        races.run_faulty(fault)
    assert len(set(re.findall(THREAD, str(caught.value)))) == 2
    assert races.run_faulty("sum") > 0  # an error leaves nothing behind


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "kernel, result",
    [
        ("lanes", sum(((i ^ 7) + 1) * i for i in range(64))),
        ("blocks", 2),
        ("atomics", 64),
    ],
)
def test_what_is_ordered_is_no_race(races, seed, kernel, result):
    races.set_seed(seed)
    assert races.run_faulty(kernel) == result
