"""TrainingPanel: where a run is, its curves, and its buttons."""

import threading
import traceback
from typing import Protocol

import numpy as np
import viser

from splat.viewer.context import Used, ViewerContext
from splat.viewer.panels.training_history import History

UPDATE = 2.0
"""Seconds between two updates."""


class SteeredRun(Protocol):
    """A run as the panel shows and steers it."""

    history: History
    iterations: int  # of the whole run
    paused: bool
    finished: bool

    def pause(self, paused: bool) -> None:
        """Stand still, or go on."""

    def one_step(self) -> None:
        """Do one more iteration and stand still again."""

    def save(self) -> None:
        """Save after this iteration."""

    def stop(self) -> None:
        """Save and end after this iteration."""


class TrainingPanel:
    """Shown by `splat train --view`."""

    title = "Training"
    edits = False

    def __init__(self, viewer: ViewerContext, live: SteeredRun) -> None:
        self.viewer, self.live = viewer, live

    def build(self, gui: viser.GuiApi) -> None:
        guarded = self.viewer.guarded
        self.bar = gui.add_progress_bar(0.0)
        self.facts = gui.add_markdown("starting …")
        self.pausing = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
        self.pausing.on_click(guarded(self.toggle_pause))
        one = gui.add_button("One step", icon=viser.Icon.PLAYER_TRACK_NEXT, hint="One iteration, then pause.")
        save = gui.add_button("Save now", icon=viser.Icon.DEVICE_FLOPPY, hint="A checkpoint and a point cloud.")
        stop = gui.add_button(
            "Stop", icon=viser.Icon.PLAYER_STOP, color="red", hint="Save and end; `splat train --resume` goes on later."
        )
        one.on_click(guarded(self.one_step))
        save.on_click(guarded(self.save))
        stop.on_click(guarded(self.stop))
        self.buttons = [self.pausing, one, save, stop]
        fraction = gui.add_slider(
            "Drawing may take",
            1,
            60,
            1,
            round(100 * self.viewer.loop.resting.fraction),
            hint="Percent of the time, while cameras rest: what the run is slowed down by.",
        )
        fraction.on_update(guarded(lambda _: self.viewer.loop.give(float(fraction.value) / 100)))
        empty = np.zeros(1), np.zeros(1)
        self.loss = gui.add_uplot(empty, series("loss"), title="Loss", aspect=2.0, scales=SCALES)
        self.psnr = gui.add_uplot(
            empty, series("dB"), title="PSNR of the photos trained on, dB", aspect=2.0, scales=SCALES
        )
        threading.Thread(target=self._follow, name="training panel", daemon=True).start()

    def _follow(self) -> None:
        """Keep the numbers up to date while somebody looks."""
        loop = self.viewer.loop
        while not loop.stopped.wait(UPDATE):
            if not loop.watched:
                continue
            try:
                self.update()
            except Exception:  # a panel that fails must not end the run's process
                traceback.print_exc()
                return

    def update(self) -> None:
        now, live = self.live.history.now, self.live
        self.bar.value = 100 * now.progress
        state = "finished" if live.finished else "paused" if live.paused else f"{live.history.speed:.1f} iterations/s"
        psnr = "" if now.psnr is None else f", PSNR {now.psnr:.2f} dB"
        self.facts.content = (
            f"Iteration **{now.iteration:,}** of {live.iterations:,}, {state}  \n"
            f"**{now.count:,}** Gaussians, loss {now.loss:.4f}{psnr}"
        )
        loss, level = live.history.curves()
        if len(loss[0]) > 1:
            self.loss.data = loss
        if len(level[0]) > 1:
            self.psnr.data = level
        if live.finished:
            for button in self.buttons:
                button.disabled = True

    def toggle_pause(self, _: object) -> None:
        self._show_paused(not self.live.paused)
        self.live.pause(not self.live.paused)

    def one_step(self, _: object) -> None:
        self._show_paused(True)
        self.live.one_step()

    def save(self, event: Used) -> None:
        self.live.save()
        self.viewer.notify("Saving", "after this iteration", client=event.client)

    def stop(self, event: Used) -> None:
        self.live.stop()
        self.viewer.notify("Stopping", "The run saves and ends; `splat train --resume` goes on with it.")

    def _show_paused(self, paused: bool) -> None:
        self.pausing.label = "Resume" if paused else "Pause"
        self.pausing.icon = viser.Icon.PLAYER_PLAY if paused else viser.Icon.PLAYER_PAUSE


SCALES = {"x": viser.uplot.Scale(time=False), "y": viser.uplot.Scale(auto=True)}


def series(label: str) -> tuple[viser.uplot.Series, ...]:
    """A curve over iterations."""
    line = viser.uplot.Series(label=label, stroke="#1c7ed6", width=1.5, points={"show": False})
    return viser.uplot.Series(label="iteration"), line
