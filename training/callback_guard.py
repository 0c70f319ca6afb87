"""CallbackGuard: calls a run's callback such that it can do no harm: if it fails once, the run goes on without it."""

import traceback
import warnings
from collections.abc import Callable

from splat.callbacks import Action, Step, TrainingCallback

PAUSE = 0.02
"""Seconds between two calls of a callback that has paused the run."""


class CallbackGuard:
    """A callback that can do no harm.

    Args:
        callback: None for nobody.
    """

    def __init__(self, callback: TrainingCallback | None) -> None:
        self.callback = callback

    def __call__(self, step: Step) -> Action:
        if self.callback is None:
            return Action.CONTINUE
        try:
            return self.callback(step) or Action.CONTINUE
        except Exception:
            warnings.warn(
                f"what watches the run has failed and is not asked any more; the run goes on\n{traceback.format_exc()}",
                stacklevel=2,
            )
            self.callback = None
            return Action.CONTINUE

    def settle(
        self, step: Step, save: Callable[[], None], interrupted: Callable[[], bool], pause: Callable[[float], None]
    ) -> bool:
        """Ask until the run may go on; a run that waits still waits after it was saved. Returns whether it is to stop.

        Args:
            save: is called when the callback wants that.
            interrupted: whether Ctrl-C was pressed, which ends a pause too.
            pause: lets the given seconds pass without counting them as training.
        """
        waiting = False
        while not interrupted():
            action = self(step)
            if action is Action.SAVE:
                save()
                if not waiting:
                    return False
            elif action is Action.WAIT:
                waiting = True
                pause(PAUSE)
            else:
                return action is Action.STOP
        return False
