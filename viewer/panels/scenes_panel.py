"""ScenesPanel: what is open: which scenes are drawn, which iteration of a run, and numbers about them."""

from pathlib import Path

import numpy as np
import torch
import viser
from torch import Tensor

from splat.gaussians import Gaussians
from splat.opening import load_snapshot
from splat.viewer.context import ViewerContext
from splat.viewer.draw.picture import memory_bytes
from splat.viewer.opening import saved_iterations
from splat.viewer.slots import SceneSlot

BINS = 40


class ScenesPanel:
    """A folder per scene."""

    title = "Scenes"
    edits = False

    def __init__(self, viewer: ViewerContext) -> None:
        self.viewer = viewer

    def build(self, gui: viser.GuiApi) -> None:
        for slot in self.viewer.scenes:
            with gui.add_folder(slot.name):
                self._build_slot(gui, slot)

    def _build_slot(self, gui: viser.GuiApi, slot: SceneSlot) -> None:
        guarded = self.viewer.guarded
        if len(self.viewer.scenes) > 1:
            visible = gui.add_checkbox("Visible", slot.visible)

            def change_visible(_: object) -> None:
                slot.visible = bool(visible.value)
                self.viewer.refresh()

            visible.on_update(guarded(change_visible))
        facts = gui.add_markdown(describe(slot))
        saved = saved_iterations(slot)
        if len(saved) > 1:
            names = tuple(f"{iteration:,}" for iteration in saved)
            current = next(
                (name for name, file in zip(names, saved.values(), strict=True) if file == slot.file), names[-1]
            )
            iteration = gui.add_dropdown("Iteration", names, initial_value=current)
            files = dict(zip(names, saved.values(), strict=True))
            iteration.on_update(guarded(lambda _: self.load(slot, files[iteration.value], facts)))
        opacity = plot(gui, "Opacity", histogram(slot.gaussians.opacities, 0, 1))
        size = plot(gui, "Longest axis, log10 of world units", histogram(sizes(slot.gaussians), -5, 1))
        again = gui.add_button("Count again", hint="After editing or while it trains.")

        def count(_: object) -> None:
            facts.content = describe(slot)
            opacity.data = histogram(slot.gaussians.opacities, 0, 1)
            size.data = histogram(sizes(slot.gaussians), -5, 1)

        again.on_click(guarded(count))

    def load(self, slot: SceneSlot, file: Path, facts: viser.GuiMarkdownHandle) -> None:
        """Show another saved iteration of a run."""
        gaussians = load_snapshot(file).to(slot.gaussians.device)
        slot.file = file
        self.viewer.replace(slot, gaussians)
        facts.content = describe(slot)


def describe(slot: SceneSlot) -> str:
    """Count, harmonics, memory and file, as Markdown."""
    gaussians = slot.gaussians
    lines = [
        f"**{len(gaussians):,}** Gaussians, harmonics of degree {gaussians.sh_degree}",
        f"{memory_bytes(gaussians) / 1e6:.1f} MB in memory",
    ]
    if slot.file is not None:
        lines[1] += (
            f", {slot.file.stat().st_size / 1e6:.1f} MB on disk (`{slot.file.name}`)" if slot.file.exists() else ""
        )
    return "  \n".join(lines)


def sizes(gaussians: Gaussians) -> Tensor:  # [N]
    return gaussians.log_scales.amax(dim=1) / float(np.log(10))


def histogram(values: Tensor, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the bins, and the number of values in each; those outside are in the first or last."""
    finite = values[values.isfinite()].clamp(low, high)
    counts = torch.histc(finite.cpu().float(), BINS, low, high).numpy().astype(np.float64)
    edges = np.linspace(low, high, BINS + 1)
    return (edges[:-1] + edges[1:]) / 2, counts


def plot(gui: viser.GuiApi, title: str, data: tuple[np.ndarray, np.ndarray]) -> viser.GuiUplotHandle:
    """A histogram as a filled line."""
    line = viser.uplot.Series(label="count", stroke="#1c7ed6", fill="#1c7ed640", width=1, points={"show": False})
    return gui.add_uplot(
        data,
        (viser.uplot.Series(label="value"), line),
        title=title,
        aspect=2.0,
        legend=viser.uplot.Legend(show=False),
        scales={"x": viser.uplot.Scale(time=False), "y": viser.uplot.Scale(auto=True)},
        axes=(viser.uplot.Axis(), viser.uplot.Axis(size=64)),
    )
