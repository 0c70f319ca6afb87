"""LiveTraining: what watches a run and shows it. The run calls it after every iteration and knows nothing else of a viewer.

The run never waits for a picture. Its thread copies the parameters, and the viewer's thread draws the copy; a new copy is made
only if somebody looks, the last copy has been drawn, and drawing has had no more than its fraction of the time.
"""

import sys
import threading
import time
from pathlib import Path

import torch

from splat.callbacks import Action, Step
from splat.datasets.capture import Capture
from splat.gaussians import Gaussians
from splat.settings import RenderSettings
from splat.viewer.address import address
from splat.viewer.app import Viewer
from splat.viewer.panels.training_history import History
from splat.viewer.panels.training_panel import TrainingPanel
from splat.viewer.slots import SceneSlot

STAY_POLL = 0.5
"""Seconds between two looks whether the last browser has gone."""


class LiveTraining:
    """The callback of a run, with a viewer of its own.

    Args:
        initial: what the run starts from.
        iterations: of the whole run.
        fraction: of the time that drawing may take while cameras rest.
    """

    def __init__(
        self,
        initial: Gaussians,
        capture: Capture,
        folder: Path,
        *,
        iterations: int,
        antialiased: bool,
        background: tuple[int, int, int],
        host: str,
        port: int,
        fraction: float,
    ) -> None:
        self.iterations = iterations
        self.history = History()
        self.lock = threading.Lock()
        self.paused = self.saving = self.stopping = self.finished = False
        self.steps = 0  # iterations that are still done although the run is paused
        self.shown = -1  # iteration whose copy was handed over last
        self.slot = SceneSlot("training", copied(initial), settings=RenderSettings(antialiased=antialiased))
        self.viewer = Viewer(
            [self.slot],
            capture=capture,
            run=folder,
            host=host,
            port=port,
            background=background,
            fraction=fraction,
            panels=[lambda viewer: TrainingPanel(viewer, self)],
            live=True,
        )
        print(address(host, self.viewer.port), flush=True)

    def __call__(self, step: Step, /) -> Action:
        """Told of an iteration: note it, perhaps copy the scene, and say how to go on."""
        self.history.add(step.iteration, step.loss, step.psnr, len(step.gaussians), step.progress, step.seconds)
        with self.lock:
            if self.stopping:
                return Action.STOP
            if self.saving:
                self.saving = False
                return Action.SAVE
            waiting = self.paused and self.steps <= 0
            if self.paused and not waiting:
                self.steps -= 1
        self.hand_over(step, at_once=waiting)
        return Action.WAIT if waiting else Action.CONTINUE

    def hand_over(self, step: Step, *, at_once: bool) -> None:
        """Copy the scene for the viewer if it is time.

        Args:
            at_once: the run stands still, so that drawing takes nothing from it.
        """
        loop = self.viewer.loop
        if step.iteration == self.shown or not loop.watched or not loop.idle or (loop.resting.wait > 0 and not at_once):
            return
        began = loop.spent()
        self.shown = step.iteration
        with torch.no_grad():
            gaussians = copied(step.scene())
            if gaussians.device.type == "cuda":  # the viewer draws on another stream
                torch.cuda.current_stream(gaussians.device).synchronize()
        loop.resting.worked(loop.spent() - began)
        self.viewer.replace(self.slot, gaussians)

    def pause(self, paused: bool) -> None:
        with self.lock:
            self.paused, self.steps = paused, 0

    def one_step(self) -> None:
        """Do one more iteration and stand still again."""
        with self.lock:
            self.paused = True
            self.steps += 1

    def save(self) -> None:
        with self.lock:
            self.saving = True

    def stop(self) -> None:
        with self.lock:
            self.stopping = True

    def end(self, scene: Gaussians) -> None:
        """The run is over: show what it has made, as long as somebody looks."""
        self.finished, self.viewer.loop.following = True, False
        self.viewer.replace(self.slot, copied(scene))
        if self.viewer.loop.watched:
            print("the viewer stays open until its last browser is closed; Ctrl-C ends it", file=sys.stderr)
        try:
            while self.viewer.loop.watched:
                time.sleep(STAY_POLL)
        finally:
            self.close()

    def close(self) -> None:
        self.viewer.stop()


def copied(gaussians: Gaussians) -> Gaussians:
    """Values of its own, without gradients."""
    return gaussians.map(lambda tensor: tensor.detach().clone())
