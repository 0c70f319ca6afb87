"""The emulation finds what it is there to find."""

import pytest


def test_right_kernels_do_not_depend_on_the_order(emulation):
    results = set()
    for seed in range(6):
        emulation.set_seed(seed)
        results.add(emulation.run_faulty("sum"))
    assert results == {sum(((i + 7) % 64 + 1) * i for i in range(64))}


def test_a_missing_barrier_shows(emulation):
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
