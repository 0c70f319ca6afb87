"""Moving pictures keep to their time whatever the machine, and drawing keeps to its fraction."""

from hypothesis import given
from hypothesis import strategies as st

from splat.viewer.draw.pacing import SMALLEST_SIDE, Duty, Pace


@given(
    fixed=st.floats(0.001, 0.06),
    megapixel=st.floats(0.01, 2.0),
    window=st.tuples(st.integers(300, 2000), st.integers(300, 1500)),
)
def test_pictures_come_to_take_the_budget(fixed: float, megapixel: float, window: tuple[int, int]) -> None:
    """Or are as large as the window, or as small as they may be, or their pixels cost little beside the fixed part."""
    pace, taken, side = Pace(), 0.0, 0
    for _ in range(300):
        side = pace.size(*window)
        scale = side / max(window)
        pixels = round(window[0] * scale) * round(window[1] * scale)
        taken = fixed + megapixel * 1e-6 * pixels
        pace.took(pixels, taken)
    smallest = side <= SMALLEST_SIDE and taken >= 0.9 * pace.budget
    largest = side == max(window) and taken <= 1.1 * pace.budget
    assert smallest or largest or 0.8 * pace.budget < taken < 1.35 * max(pace.budget, fixed)


def test_the_size_changes_little_between_two_pictures() -> None:
    pace = Pace()
    first = pace.size(1920, 1080)
    pace.took(first * first, 10.0)
    assert pace.size(1920, 1080) > 0.7 * first
    pace = Pace()
    pace.took(1000, 1e-6)
    assert pace.size(1920, 1080) < 1.4 * first


@given(st.lists(st.floats(0.001, 0.5), min_size=5, max_size=40), st.floats(0.02, 0.9))
def test_work_keeps_to_its_fraction(works: list[float], fraction: float) -> None:
    clock = [0.0]
    duty = Duty(fraction, lambda: clock[0])
    for work in works:
        clock[0] += duty.wait
        clock[0] += work
        duty.worked(work)
    clock[0] += duty.wait
    assert sum(works) / clock[0] <= fraction * 1.001
    assert sum(works) / clock[0] >= fraction * 0.999


def test_drawing_is_left_to_the_browser_only_where_small_pictures_stay_slow() -> None:
    pace = Pace()
    for _ in range(40):
        side = pace.size(1280, 720)
        pace.took(side * side * 9 // 16, 0.5)
    assert pace.hopeless
    pace.took(10_000, 0.05)
    assert not pace.hopeless
    for _ in range(40):
        side = pace.size(1280, 720)
        pace.took(side * side * 9 // 16, 1e-6 * side * side)  # large ones would be slow, these are not
    assert not pace.hopeless
