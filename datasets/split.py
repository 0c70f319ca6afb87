"""Which photos are held out for evaluation."""

from collections.abc import Sequence

from splat.datasets.capture import Capture, Frame
from splat.errors import InputError

EVERY = 8
"""One photo in so many is held out, as published figures have it."""


def split(capture: Capture, every: int = EVERY) -> tuple[list[Frame], list[Frame]]:
    """Training and test frames, as `held_out_frames` says.

    Raises:
        InputError: fewer than two frames would be left to train on.
    """
    tested = held_out_frames(capture.frames, every)
    train = [frame for frame, held in zip(capture.frames, tested, strict=True) if not held]
    test = [frame for frame, held in zip(capture.frames, tested, strict=True) if held]
    if len(train) < 2:
        raise InputError(
            f"{capture.path}: with {len(capture)} photos, holding out every {every}th leaves {len(train)} to train on; "
            "train without `eval`, or add photos"
        )
    return train, test


def held_out_frames(frames: Sequence[Frame], every: int = EVERY) -> list[bool]:
    """Which frames are test views: those that the capture itself names, else every `every`-th in the order of names, from the
    first: the split that published figures use (Barron et al. 2022)."""
    if every < 2:
        raise ValueError(f"held_out_frames: every must be at least 2, got {every}")
    named = any(frame.held_out for frame in frames)
    return [bool(frame.held_out) if named else index % every == 0 for index, frame in enumerate(frames)]
