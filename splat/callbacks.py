"""Callbacks of a training: what one is told after every iteration, and what it may answer.

Training calls them and the viewer is one; both import these types and nothing of each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from splat.gaussians import Gaussians


class Action(Enum):
    """How a run goes on."""

    CONTINUE = "continue"
    WAIT = "wait"  # do nothing for a moment, then ask again
    SAVE = "save"  # save a checkpoint and the scene, and go on; after WAIT: and ask again
    STOP = "stop"  # end now, as Ctrl-C does


@dataclass(frozen=True)
class Step:
    """What a callback is told after every iteration."""

    iteration: int
    loss: float
    gaussians: Gaussians  # being optimized; shares memory with the run: copy what is kept
    scene: Callable[[], Gaussians]  # makes what would be saved now; may share memory with the run too
    psnr: float | None = None  # dB, of the photo that was used; now and then
    progress: float = 0.0  # fraction of the run that has passed
    seconds: float = 0.0  # spent on training, without pauses


class TrainingCallback(Protocol):
    """Called in the thread of the run, after every iteration. It returns at once; to pause the run it answers WAIT, and is
    then asked again with the same step until it answers something else. None means CONTINUE."""

    def __call__(self, step: Step, /) -> Action | None: ...


class LiveViewer(TrainingCallback, Protocol):
    """A callback that shows the run to people."""

    def end(self, scene: Gaussians) -> None:
        """The run is over: show what it has made, as long as somebody looks."""

    def close(self) -> None:
        """Stop showing."""
