"""Which photos are held out for evaluation."""

from splat.datasets.capture import Capture, Frame
from splat.errors import InputError


def split(capture: Capture, every: int = 8) -> tuple[list[Frame], list[Frame]]:
    """Training and test frames: those that the capture itself names, else every `every`-th frame in the order of names,
    from the first, is a test frame: the split that published figures use (Barron et al. 2022).

    Raises:
        InputError: fewer than two frames would be left to train on.
    """
    if every < 2:
        raise ValueError(f"split: every must be at least 2, got {every}")
    named = any(frame.held_out for frame in capture.frames)
    tested = [bool(frame.held_out) if named else index % every == 0 for index, frame in enumerate(capture.frames)]
    train = [frame for frame, held in zip(capture.frames, tested, strict=True) if not held]
    test = [frame for frame, held in zip(capture.frames, tested, strict=True) if held]
    if len(train) < 2:
        raise InputError(
            f"{capture.path}: with {len(capture)} photos, holding out every {every}th leaves {len(train)} to train on; "
            "train without `eval`, or add photos"
        )
    return train, test
