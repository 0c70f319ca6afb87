"""Watching a run: what a watcher is told after every iteration, and what it may answer."""

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from splat.gaussians import Gaussians

PAUSE = 0.02
"""Seconds between two questions to a watcher that has paused the run."""


class Order(Enum):
    """How a run goes on."""

    GO = "go"
    WAIT = "wait"  # do nothing for a moment, then ask again
    SAVE = "save"  # save a checkpoint and the scene, then ask again
    STOP = "stop"  # end now, as Ctrl-C does


@dataclass(frozen=True)
class Step:
    """What a watcher of the run is told after every iteration."""

    iteration: int
    loss: float
    gaussians: Gaussians  # being optimised; shares memory with the run: copy what is kept
    scene: Callable[[], Gaussians]  # makes what would be saved now; may share memory with the run too
    psnr: float | None = None  # dB, of the photo that was used; now and then
    progress: float = 0.0  # share of the run that has passed
    seconds: float = 0.0  # spent on training, without pauses


class Watcher(Protocol):
    """Called in the thread of the run, after every iteration. It returns at once; to pause the run it answers WAIT, and is
    then asked again with the same step until it answers something else. None means GO."""

    def __call__(self, step: Step) -> Order | None: ...


class Watch:
    """A watcher that can do no harm: if it fails once, it is left alone from then on and the run goes on.

    Args:
        watcher: who watches; None for nobody.
    """

    def __init__(self, watcher: Watcher | None) -> None:
        self.watcher = watcher

    def __call__(self, step: Step) -> Order:
        if self.watcher is None:
            return Order.GO
        try:
            return self.watcher(step) or Order.GO
        except Exception:
            warnings.warn(
                f"what watches the run has failed and is not asked any more; the run goes on\n{traceback.format_exc()}",
                stacklevel=2,
            )
            self.watcher = None
            return Order.GO

    def settle(
        self, step: Step, save: Callable[[], None], interrupted: Callable[[], bool], pause: Callable[[float], None]
    ) -> bool:
        """Ask until the run may go on. Returns whether it is to stop.

        Args:
            save: is called when the watcher wants that.
            interrupted: whether Ctrl-C was pressed, which ends a pause too.
            pause: lets the given seconds pass without counting them as training.
        """
        while not interrupted():
            order = self(step)
            if order is Order.SAVE:
                save()
            elif order is Order.WAIT:
                pause(PAUSE)
            else:
                return order is Order.STOP
        return False
