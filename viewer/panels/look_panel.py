"""LookPanel: how a browser wants the scene drawn."""

import math
from typing import Any, cast

import torch
import viser

from splat.viewer.context import ViewerContext
from splat.viewer.draw.client_view import ClientView, Drawn
from splat.viewer.draw.look import LAYOUTS, MODES
from splat.viewer.draw.palette import percentile

DRAWERS = ("automatic", "server", "browser")
"""Automatic is the server, unless it proves too slow to move around in what it draws."""
CLIENT_NOTE = (
    "Drawn by this browser: smooth, but approximate. Color does not change with the direction of view, modes do not apply, "
    "and very small or thin Gaussians are missing."
)
TOLD_EVERY = 0.25
"""Seconds between two updates of the line that says how fast pictures come."""


class LookPanel:
    """Mode, sliders, crop box, field of view, and who draws."""

    title = "Look"

    def __init__(self, viewer: ViewerContext, view: ClientView) -> None:
        self.viewer, self.view = viewer, view
        self.told = 0.0

    def build(self, gui: viser.GuiApi) -> None:
        view, guarded = self.view, self.viewer.guarded
        degree = max(slot.gaussians.sh_degree for slot in self.viewer.scenes)
        self.mode = gui.add_dropdown("Show", tuple(MODES), initial_value="color", hint="What the picture shows.")
        self.explanation = gui.add_markdown(f"*{MODES['color']}*")
        self.mode.on_update(guarded(self.change_mode))
        if len(self.viewer.scenes) > 1:
            self._build_layout(gui)
        if degree:
            harmonics = gui.add_slider(
                "Harmonics",
                0,
                degree,
                1,
                degree,
                hint="Degree of view-dependent color; 0 is the same from everywhere.",
            )
            harmonics.on_update(guarded(lambda _: view.change(sh_degree=int(harmonics.value))))
        opacity = gui.add_slider("Opacity", 0.05, 2.0, 0.05, 1.0, hint="Factor for the opacity of every Gaussian.")
        opacity.on_update(guarded(lambda _: view.change(opacity=float(opacity.value))))
        size = gui.add_slider("Size", 0.05, 2.0, 0.05, 1.0, hint="Factor for the size of every Gaussian.")
        size.on_update(guarded(lambda _: view.change(scale=float(size.value))))
        fov = math.degrees(self.view.client.camera.fov)
        self.fov = gui.add_slider(
            "View angle", 10, 120, 1, round(min(max(fov, 10), 120)), hint="Vertical field of view in degrees."
        )
        self.fov.on_update(guarded(self.change_fov))
        background = gui.add_rgb("Background", view.look.background)
        background.on_update(guarded(lambda _: view.change(background=tuple(background.value))))
        self._build_crop(gui)
        self.drawer = gui.add_dropdown(
            "Drawn by", DRAWERS, hint="The server draws exactly; the browser draws smoothly over a slow connection."
        )
        self.drawer.on_update(guarded(self.change_drawer))
        dark = gui.add_checkbox("Dark controls", False)
        dark.on_update(
            guarded(
                lambda _: gui.configure_theme(
                    dark_mode=bool(dark.value), control_width="medium", show_logo=False, show_share_button=False
                )
            )
        )
        self.speed = gui.add_markdown("")
        view.on_drawn = self.tell
        for key, mode in zip("123456789", MODES, strict=False):
            command = gui.add_command(f"Show {mode}", hotkey=cast(Any, key), description=MODES[mode])
            command.on_trigger(guarded(lambda _, mode=mode: self.show(mode)))
        gui.add_command("First view", hotkey="R").on_trigger(guarded(self.go_back))

    def _build_layout(self, gui: viser.GuiApi) -> None:
        view, guarded = self.view, self.viewer.guarded
        layout = gui.add_dropdown("Scenes", LAYOUTS, hint="How several scenes are shown.")
        mix = gui.add_slider("First or second", 0.0, 1.0, 0.01, view.look.mix, visible=False)

        def change_layout(_: object) -> None:
            mix.visible = layout.value == "mix"
            view.change(layout=layout.value)

        layout.on_update(guarded(change_layout))
        mix.on_update(guarded(lambda _: view.change(mix=float(mix.value))))

    def _build_crop(self, gui: viser.GuiApi) -> None:
        means = self.viewer.scenes[0].gaussians.means
        means = means[means.isfinite().all(dim=1)]
        low = [percentile(means[:, axis], 0.002) for axis in range(3)]
        high = [max(percentile(means[:, axis], 0.998), low[axis] + 1e-6) for axis in range(3)]
        with gui.add_folder("Crop box", expand_by_default=False):
            active = gui.add_checkbox("Only what is inside", False)
            ranges = [
                gui.add_multi_slider(axis, low[i], high[i], (high[i] - low[i]) / 200, (low[i], high[i]))
                for i, axis in enumerate("XYZ")
            ]
        outline: list[viser.SceneNodeHandle] = []

        def change_crop(_: object) -> None:
            corners = [tuple(float(r.value[end]) for r in ranges) for end in (0, 1)]
            self.view.change(crop=(corners[0], corners[1]) if active.value else None)
            while outline:
                outline.pop().remove()
            if active.value:
                outline.append(self._draw_box(*corners))

        controls: list[Any] = [active, *ranges]
        for control in controls:
            control.on_update(self.viewer.guarded(change_crop))

    def _draw_box(self, low: tuple[float, ...], high: tuple[float, ...]) -> viser.SceneNodeHandle:
        """Twelve edges."""
        ends = torch.tensor([low, high])
        corners = torch.stack([ends[[i >> 2 & 1, i >> 1 & 1, i & 1], [0, 1, 2]] for i in range(8)])
        edges = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]
        return self.view.client.scene.add_line_segments(
            "/crop", points=torch.stack([corners[list(edge)] for edge in edges]).numpy(), colors=(255, 190, 60)
        )

    def show(self, mode: str) -> None:
        """Choose a mode, as the dropdown does."""
        self.mode.value = mode
        self.change_mode(None)

    def go_back(self, _: object) -> None:
        """Look from where the viewer began."""
        first, camera = self.viewer.view, self.view.client.camera
        self.view.leave_photo()
        with self.view.client.atomic():
            camera.position = tuple(first.position.tolist())
            camera.look_at = tuple(first.target.tolist())
            camera.up_direction = tuple(first.up.tolist())

    def change_mode(self, _: object) -> None:
        mode = self.mode.value
        self.explanation.content = f"*{MODES[mode]}*"
        self.view.change(mode=mode)
        if mode == "error" and self.view.photo is None:
            self.viewer.notify(
                "Which photo?", "Choose one under Photos, to see how the render differs.", client=self.view.client
            )
        if mode in ("contribution", "blame"):
            self.viewer.score(self.view.client)

    def change_fov(self, _: object) -> None:
        self.view.leave_photo()
        self.view.client.camera.fov = math.radians(float(self.fov.value))

    def change_drawer(self, _: object) -> None:
        self.view.pace.slow = 0
        self.draw_in_browser(self.drawer.value == "browser")

    def draw_in_browser(self, client_side: bool) -> None:
        self.view.change(client_side=client_side)
        if client_side:
            self.speed.content = CLIENT_NOTE

    def tell(self, drawn: Drawn) -> None:
        """Say how long the last picture took, and leave drawing to the browser if that is too long to move around."""
        if (
            drawn.moving
            and self.drawer.value == "automatic"
            and self.view.pace.hopeless
            and not self.viewer.loop.following
        ):
            self.draw_in_browser(True)
            return
        if drawn.size == (0, 0) or (drawn.moving and self.view.drawn - self.told < TOLD_EVERY):
            return
        self.told = self.view.drawn
        self.speed.content = f"{drawn.size[0]} × {drawn.size[1]} in {drawn.seconds * 1e3:.0f} ms"
