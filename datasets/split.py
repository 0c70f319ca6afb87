"""Which photos are held out for evaluation."""

from splat.datasets.scene import Frame, Scene
from splat.errors import InputError


def split(scene: Scene, every: int = 8) -> tuple[list[Frame], list[Frame]]:
    """Training and test frames: every `every`-th frame in the order of names, from the first, is a test frame.

    This is the split that published figures use (Barron et al. 2022).

    Raises:
        InputError: fewer than two frames would be left to train on.
    """
    if every < 2:
        raise ValueError(f"split: every must be at least 2, got {every}")
    train = [frame for index, frame in enumerate(scene.frames) if index % every]
    test = [frame for index, frame in enumerate(scene.frames) if index % every == 0]
    if len(train) < 2:
        raise InputError(
            f"{scene.path}: with {len(scene)} photos, holding out every {every}th leaves {len(train)} to train on; "
            "train without --eval, or add photos"
        )
    return train, test
