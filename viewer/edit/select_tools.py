"""SelectTools: the controls and gestures that select: box, sphere, rectangle, brush, and by value."""

import asyncio
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import viser
from torch import Tensor

from splat.cameras import Camera
from splat.geometry.quaternions import rotation_matrix
from splat.geometry.similarity import Similarity
from splat.viewer.context import ViewerContext
from splat.viewer.draw.client_camera import ClientCamera
from splat.viewer.draw.palette import percentile
from splat.viewer.edit.measure import depth_seen
from splat.viewer.edit.selection import (
    COMBINATIONS,
    MAX_STROKE,
    VALUES,
    Combination,
    Seen,
    between,
    box,
    floaters,
    sphere,
)
from splat.viewer.edit.session import EditSession

TOOLS = {
    "off": "The mouse turns the view.",
    "box": "Move and turn the box with its handles, then **Select inside**.",
    "sphere": "Move the sphere with its handles, then **Select inside**.",
    "rectangle": "Drag a rectangle over the picture. With Shift it adds, with Ctrl it takes away.",
    "brush": "Paint over the picture. With Shift it adds, with Ctrl it takes away; the right button still moves the view.",
}
"""Ways to select, and what to do."""

GESTURES: dict[str | None, Combination | None] = {None: None, "shift": "add", "cmd/ctrl": "subtract"}
"""Held keys and what they make of the region; None: what the control says."""

Drag = viser.SceneNodeDragEvent[viser.IcosphereHandle]
"""A piece of a drag over the surface that takes the mouse."""

DEPTH_SIZE = 1024
"""Longest side in pixels of the depth that tells what is in front."""
OUTLINE = (255, 190, 60)


@dataclass
class Stroke:
    """A stroke that is being painted."""

    seen: Seen
    camera: Camera
    radius: float  # pixels of the camera
    how: Combination
    before: Tensor  # [N] bool: what was selected
    touched: Tensor  # [N] bool
    points: list[tuple[float, float]] = field(default_factory=list)
    done: int = 0  # points that `touched` includes


class SelectTools:
    """One set for all browsers; a gesture belongs to the browser that makes it."""

    def __init__(self, viewer: ViewerContext, session: Callable[[], EditSession], changed: Callable[[], None]) -> None:
        self.viewer, self.session, self.changed = viewer, session, changed
        self.nodes: list[viser.SceneNodeHandle] = []  # gizmos and surfaces of the tool that is on
        self.gizmo: viser.TransformControlsHandle | None = None
        self.painting = threading.Lock()
        self.looking = threading.Lock()  # held while something slow is found out, of which there is one at a time
        self.strokes: dict[int, Stroke] = {}

    def build(self, gui: viser.GuiApi) -> None:
        guarded, extent = self.viewer.guarded, self.viewer.view.extent
        self.tool = gui.add_dropdown("Tool", tuple(TOOLS), hint="What the mouse does in the picture.")
        self.advice = gui.add_markdown(f"*{TOOLS['off']}*", visible=False)
        self.how = gui.add_dropdown("New region", tuple(COMBINATIONS), hint="What it does to what is selected already.")
        self.front = gui.add_checkbox("Only what is in front", True, visible=False, hint="Not what the picture hides.")
        self.radius = gui.add_slider(
            "Brush", 0.5, 25.0, 0.5, 4.0, visible=False, hint="Radius in percent of the picture's height."
        )
        self.size = gui.add_vector3(
            "Box size", (extent / 2,) * 3, min=(0.0, 0.0, 0.0), step=extent / 200, visible=False
        )
        self.ball = gui.add_slider("Radius", extent / 500, 2 * extent, extent / 500, extent / 4, visible=False)
        self.inside = gui.add_button("Select inside", visible=False)
        simple = gui.add_button_group("", ("All", "None", "Invert"))
        with gui.add_folder("By value", expand_by_default=False):
            self.value = gui.add_dropdown("Value", tuple(VALUES))
            self.range = gui.add_vector2("From, to", (0.0, 0.1), step=0.001)
            by_value = gui.add_button("Select")
            alone = gui.add_button("Select floaters", hint="Gaussians with no others near.")
        self.tool.on_update(guarded(self.change_tool))
        self.size.on_update(guarded(lambda _: self._draw_shape()))
        self.ball.on_update(guarded(lambda _: self._draw_shape()))
        self.inside.on_click(guarded(self.select_inside))
        simple.on_click(guarded(self.select_simply))
        self.value.on_update(guarded(self.suggest_range))
        by_value.on_click(guarded(self.select_by_value))
        alone.on_click(guarded(self.select_floaters))
        self.viewer.server.on_client_connect(lambda client: self._add_surface(client))
        self.suggest_range(None)

    def change_tool(self, _: object) -> None:
        """Put away the gestures and gizmos of one tool and bring those of another."""
        tool, scene = self.tool.value, self.viewer.server.scene
        self.put_away()
        self.advice.content, self.advice.visible = f"*{TOOLS[tool]}*", tool != "off"
        self.front.visible = tool in ("rectangle", "brush")
        self.radius.visible = tool == "brush"
        self.size.visible, self.ball.visible = tool == "box", tool == "sphere"
        self.inside.visible = tool in ("box", "sphere")
        if tool in ("box", "sphere"):
            center = self.session().center().tolist()
            self.gizmo = scene.add_transform_controls(
                "/select",
                scale=0.25 * self.viewer.view.extent,
                position=tuple(center),
                disable_rotations=tool == "sphere",
            )
            self.nodes.append(self.gizmo)
            self._draw_shape()
        elif tool == "rectangle":
            for modifier in GESTURES:
                scene.on_rect_select(modifier=modifier)(self.viewer.guarded(self.select_rectangle))  # type: ignore[arg-type]
        elif tool == "brush":
            for client in self.viewer.server.get_clients().values():
                self._add_surface(client)

    def put_away(self) -> None:
        self.viewer.server.scene.remove_rect_select_callback("all")
        self.gizmo = None
        while self.nodes:
            node = self.nodes.pop()
            if not node._impl.removed:
                node.remove()

    def select_inside(self, _: object) -> None:
        """What is in the box or the sphere."""
        if self.gizmo is None:
            return
        means = self.session().means()
        position = torch.tensor(self.gizmo.position, dtype=torch.float64)
        if self.tool.value == "sphere":
            self._select(sphere(means, position.tolist(), float(self.ball.value)))
            return
        rotation = rotation_matrix(torch.tensor(self.gizmo.wxyz, dtype=torch.float64))
        self._select(box(means, Similarity(rotation, position), tuple(map(float, self.size.value))))

    def select_simply(self, event: viser.GuiEvent[viser.GuiButtonGroupHandle]) -> None:
        session = self.session()
        match event.target.value:
            case "All":
                session.select(torch.ones_like(session.history.shown))
            case "None":
                session.select(None)
            case "Invert":
                session.invert()
        self.changed()

    def suggest_range(self, _: object) -> None:
        """Values from the lowest to that of the lowest twentieth."""
        session = self.session()
        values = VALUES[self.value.value](session.history.gaussians())
        values = values[values.isfinite()]
        if len(values):
            self.range.value = (round(float(values.min()), 6), round(percentile(values, 0.05), 6))

    def select_by_value(self, _: object) -> None:
        low, high = map(float, self.range.value)
        self._select(between(VALUES[self.value.value](self.session().history.gaussians()), low, high))

    def select_rectangle(self, event: viser.SceneRectSelectEvent) -> None:
        if not self.looking.acquire(blocking=False):
            return
        try:
            seen, camera = self._seen(event.client)
        finally:
            self.looking.release()
        corners = [(x * camera.width, y * camera.height) for x, y in (event.screen_min, event.screen_max)]
        self._select(seen.rectangle(*corners), GESTURES.get(event.modifier))

    def select_floaters(self, _: object) -> None:
        """Gaussians that lie alone."""
        if not self.looking.acquire(blocking=False):
            return
        try:
            self._select(floaters(self._means_shown()))
        finally:
            self.looking.release()

    def _select(self, region: Tensor, how: Combination | None = None) -> None:
        self.session().select(region, how or self.how.value)
        self.changed()

    def _means_shown(self) -> Tensor:  # [N, 3]
        """Centers, NaN where nothing is shown."""
        session = self.session()
        return torch.where(session.history.shown[:, None], session.means(), math.nan)

    def _seen(self, client: viser.ClientHandle) -> tuple[Seen, Camera]:
        """Where a browser sees every Gaussian, and the camera in whose pixels that is."""
        session = self.session()
        camera = ClientCamera.of(client.camera).camera(DEPTH_SIZE)
        depth = None
        if self.front.value:
            depth = depth_seen(session.shown(), camera, session.slot.settings)
        return Seen.by(camera, session.means(), depth), camera

    def _draw_shape(self) -> None:
        """The edges of the box or the circles of the sphere, which move with the gizmo."""
        if self.gizmo is None:
            return
        lines = ball_lines(float(self.ball.value)) if self.tool.value == "sphere" else box_lines(self.size.value)
        self.nodes.append(
            self.viewer.server.scene.add_line_segments(
                "/select/shape", points=lines, colors=OUTLINE, thickness=2.0, thickness_units="screen"
            )
        )

    def _add_surface(self, client: viser.ClientHandle) -> None:
        """Something all around that is not seen and takes the mouse: viser tells of drags on things only."""
        if self.tool.value != "brush":
            return
        surface = client.scene.add_icosphere(
            "/brush",
            100 * self.viewer.view.extent,
            subdivisions=1,
            wireframe=True,  # of which nearly nothing has to be drawn
            opacity=0.0,
            side="double",
            cast_shadow=False,
            receive_shadow=False,
            position=tuple(self.viewer.view.target.tolist()),
        )
        for modifier in GESTURES:
            surface.on_drag("left", modifier=modifier)(self.paint)  # type: ignore[call-overload]
        self.nodes.append(surface)

    async def paint(self, event: Drag) -> None:
        """A piece of a stroke. Gathered in order here; what it touches is found in another thread."""
        number = event.client.client_id
        if event.phase == "start":
            self.strokes.pop(number, None)
            await asyncio.to_thread(self._start_stroke, event)
        stroke = self.strokes.get(number)
        if stroke is None or len(stroke.points) >= MAX_STROKE:
            return
        x, y = event.end_screen_pos
        if math.isfinite(x) and math.isfinite(y):
            stroke.points.append((x * stroke.camera.width, y * stroke.camera.height))
        await asyncio.to_thread(self.viewer.guarded(lambda _: self._touch(stroke)), event)
        if event.phase == "end":
            self.strokes.pop(number, None)

    def _start_stroke(self, event: Drag) -> None:
        session = self.session()
        seen, camera = self._seen(event.client)
        before = session.selected
        self.strokes[event.client.client_id] = stroke = Stroke(
            seen,
            camera,
            float(self.radius.value) / 100 * camera.height,
            GESTURES.get(event.modifier) or self.how.value,
            before,
            torch.zeros_like(before),
        )
        x, y = event.start_screen_pos
        if math.isfinite(x) and math.isfinite(y):
            stroke.points.append((x * camera.width, y * camera.height))

    def _touch(self, stroke: Stroke) -> None:
        """Select what the newest part of a stroke has touched."""
        with self.painting:
            if stroke.done == len(stroke.points):
                return
            first, stroke.done = max(0, stroke.done - 1), len(stroke.points)
            stroke.touched = stroke.touched | stroke.seen.brush(stroke.points[first : stroke.done], stroke.radius)
            session = self.session()
            if len(stroke.before) == len(session.history.original):
                session.select(COMBINATIONS[stroke.how](stroke.before, stroke.touched))
        self.changed()


def box_lines(size: tuple[float, ...]) -> np.ndarray:  # [12, 2, 3]
    """The edges of a box around the origin."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    return np.array([[corners[i], corners[i | bit]] for i in range(8) for bit in (1, 2, 4) if not i & bit])


def ball_lines(radius: float) -> np.ndarray:  # [144, 2, 3]
    """Three circles around the origin."""
    turn = np.linspace(0, 2 * np.pi, 49)
    circle = radius * np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    edges = np.stack([circle[:-1], circle[1:]], axis=1)
    return np.concatenate([np.roll(edges, axis, axis=2) for axis in range(3)])
