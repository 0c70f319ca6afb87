"""MeasureTools: picking points on what is seen, and the distances between them."""

import threading
from collections.abc import Callable

import numpy as np
import torch
import viser

from splat.errors import InputError
from splat.geometry.similarity import Similarity
from splat.viewer.context import ViewerContext
from splat.viewer.draw.client_camera import ClientCamera
from splat.viewer.edit.measure import Measurement, pick
from splat.viewer.edit.session import EditSession

COLOR = (230, 60, 60)


class MeasureTools:
    """Points, lines between them, and their lengths."""

    def __init__(self, viewer: ViewerContext, session: Callable[[], EditSession], changed: Callable[[], None]) -> None:
        self.viewer, self.session, self.changed = viewer, session, changed
        self.measured = Measurement()
        self.places: tuple[Similarity, ...] = ()  # where parts of the scene were when points were picked
        self.nodes: list[viser.SceneNodeHandle] = []
        self.lock = threading.RLock()
        self.looking = (
            threading.Lock()
        )  # held while a point is found, which takes a picture; clicks meanwhile do not count

    def build(self, gui: viser.GuiApi) -> None:
        guarded = self.viewer.guarded
        self.picking = gui.add_checkbox("Pick points", False, hint="Click on the scene.")
        self.picking.on_update(guarded(lambda _: self.change_picking()))
        self.text = gui.add_markdown("Pick two points or more.")
        clear = gui.add_button("Clear")
        clear.on_click(guarded(lambda _: self.clear()))
        self.length = gui.add_number("Real length", 1.0, min=0.0, step=0.01)
        scale = gui.add_button("Scale scene to it", hint="So that the total becomes the real length.")
        scale.on_click(guarded(lambda _: self.scale_scene()))

    @property
    def unit(self) -> float:
        """Length of one unit of the scene in those of its capture."""
        georeference = self.session().slot.georeference
        return 1.0 if georeference is None else georeference.unit

    def change_picking(self) -> None:
        scene = self.viewer.server.scene
        scene.remove_click_callback("all")
        if self.picking.value:
            scene.on_click()(self.viewer.guarded(self.pick))

    def pick(self, event: viser.SceneClickEvent) -> None:
        """Add the point under the mouse."""
        session = self.session()
        camera = ClientCamera.of(event.client.camera).camera(self.viewer.longest)
        x, y = event.screen_pos
        if not 0 <= x <= 1 or not 0 <= y <= 1:
            return
        settings = session.slot.settings
        if not self.looking.acquire(blocking=False):
            return
        try:
            point = pick(session.shown(), camera, (x * camera.width, y * camera.height), settings)
        finally:
            self.looking.release()
        if point is None:
            raise InputError("Nothing is there to measure.")
        with self.lock:
            try:
                measured = self.measured.adding(point)
            except ValueError as error:
                raise InputError(str(error)) from None
            self.show(measured)

    def forget_if_moved(self) -> None:
        """Points do not follow a scene that has been moved; they go."""
        if self.measured.points and self.places != self.session().history.state.places:
            self.clear()

    def clear(self) -> None:
        """Forget all points."""
        with self.lock:
            self.show(Measurement())

    def scale_scene(self) -> None:
        try:
            factor = self.measured.scale_to(float(self.length.value) / self.unit)
            move = Similarity(torch.eye(3), torch.zeros(3), factor)
        except ValueError as error:
            raise InputError(str(error)) from None
        self.session().move(move, selected=False)
        points = move.points(torch.tensor(self.measured.points, dtype=torch.float64))
        self.show(Measurement(tuple(map(tuple, points.tolist()))))
        self.changed()

    def show(self, measured: Measurement) -> None:
        """Draw points, lines and lengths."""
        self.measured, self.places = measured, self.session().history.state.places
        scene = self.viewer.server.scene
        while self.nodes:
            self.nodes.pop().remove()
        self.text.content = describe(measured, self.unit)
        if not measured.points:
            return
        points = np.array(measured.points)
        self.nodes.append(
            scene.add_point_cloud(
                "/measure/points", points, COLOR, point_size=0.012 * self.viewer.view.extent, point_shape="circle"
            )
        )
        if len(points) > 1:
            edges = np.stack([points[:-1], points[1:]], axis=1)
            self.nodes.append(
                scene.add_line_segments(
                    "/measure/lines", points=edges, colors=COLOR, thickness=2.5, thickness_units="screen"
                )
            )
        for index, (length, middle) in enumerate(zip(measured.lengths, (points[:-1] + points[1:]) / 2, strict=True)):
            self.nodes.append(scene.add_label(f"/measure/{index}", f"{self.unit * length:.4g}", position=middle))


def describe(measured: Measurement, unit: float = 1.0) -> str:
    """The lengths, as Markdown; a unit of the scene is `unit` of those that are meant."""
    if len(measured.points) < 2:
        return "Pick two points or more." if not measured.points else "Pick another point."
    lines = [f"**{unit * measured.lengths[-1]:.5g}** from the last but one"]
    if len(measured.lengths) > 1:
        lines.append(f"**{unit * measured.total:.5g}** in all")
    if measured.angle is not None:
        lines.append(f"**{measured.angle:.1f}°** at the last but one")
    return "  \n".join(lines)
