"""MoveTools: moving, turning and scaling the selection or the scene, by handles or numbers, and standing it upright."""

import threading
from collections.abc import Callable

import torch
import viser

from splat.errors import InputError
from splat.geometry.alignment import UP, find_ground, standing_on, standing_up, up_of_cameras
from splat.geometry.quaternions import rotation_matrix
from splat.geometry.similarity import Similarity
from splat.viewer.context import ViewerContext
from splat.viewer.edit.session import EditSession

SOLID = 0.5
"""Gaussians fainter than this say nothing about where the ground is."""


class MoveTools:
    """What is selected is moved; where nothing is, the whole scene."""

    def __init__(self, viewer: ViewerContext, session: Callable[[], EditSession], changed: Callable[[], None]) -> None:
        self.viewer, self.session, self.changed = viewer, session, changed
        self.gizmo: viser.TransformControlsHandle | None = None
        self.start = Similarity.identity()  # pose of the gizmo when it was grabbed
        self.dragged = False  # whether the drag has moved something already
        self.busy = threading.Lock()

    def build(self, gui: viser.GuiApi) -> None:
        guarded = self.viewer.guarded
        self.handles = gui.add_checkbox("Handles", False, hint="Drag what is selected, or the whole scene.")
        self.handles.on_update(guarded(lambda _: self.show_handles()))
        step = self.viewer.view.extent / 100
        self.by = gui.add_vector3("Move", (0.0, 0.0, 0.0), step=step, hint="World units.")
        self.turn = gui.add_vector3("Turn", (0.0, 0.0, 0.0), step=1.0, hint="Degrees about x, then y, then z.")
        self.scale = gui.add_number("Scale", 1.0, min=1e-3, max=1e3, step=0.01)
        apply = gui.add_button("Apply", hint="Turns and scales about the middle of what is moved.")
        apply.on_click(guarded(lambda _: self.apply()))
        level = gui.add_button_group("Up from", ("Ground", "Cameras"))
        level.on_click(guarded(lambda event: self.stand_up(event.target.value, event.client)))

    def show_handles(self) -> None:
        """Bring the gizmo to the middle of what it moves, or put it away."""
        if self.gizmo is not None:
            self.gizmo.remove()
            self.gizmo = None
        if not self.handles.value:
            return
        self.gizmo = self.viewer.server.scene.add_transform_controls(
            "/move", scale=0.3 * self.viewer.view.extent, position=tuple(self.session().center().tolist())
        )
        self.gizmo.on_update(self.viewer.guarded(self.drag))

    def drag(self, event: viser.TransformControlsEvent) -> None:
        """The gizmo was grabbed, moved, or let go. Where steps come faster than they are done, some are left out."""
        if event.phase == "start":
            self.start, self.dragged = self._pose(event.target), False
            return
        if not self.busy.acquire(blocking=event.phase == "end"):
            return
        try:
            move = self._pose(event.target) @ self.start.inverse()
            if self.session().move(move, amend=self.dragged):
                self.dragged = True
        finally:
            self.busy.release()
        if event.phase == "end":
            self.changed()

    def apply(self) -> None:
        """Move by the numbers."""
        session = self.session()
        try:
            move = Similarity.from_euler(self.turn.value, scale=float(self.scale.value)).about(session.center())
            move = Similarity.from_euler(translation=self.by.value) @ move
        except ValueError as error:
            raise InputError(str(error)) from None
        session.move(move)
        self.by.value, self.turn.value, self.scale.value = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1.0
        self.show_handles()
        self.changed()

    def stand_up(self, how: str, client: viser.ClientHandle | None) -> None:
        """Turn the whole scene so that up is up. Browsers go on looking at what they looked at.

        Raises:
            InputError: no cameras are known, or no ground can be found.
        """
        session, capture = self.session(), self.viewer.capture
        placed = session.placed()  # cameras stayed behind when the scene was moved
        cameras = [] if capture is None else [placed.camera(frame.camera) for frame in capture.frames]
        if how == "Cameras" and not cameras:
            raise InputError(
                "No cameras are known; `splat view --capture FOLDER` names those that the scene was made from."
            )
        try:
            if how == "Cameras":
                move = standing_up(up_of_cameras(cameras))
                told = "Up is now what was up for the cameras."
            else:
                shown = session.shown()
                above = torch.stack([camera.position for camera in cameras]) if cameras else None
                up = placed.rotation @ self.viewer.view.up.double()
                plane = find_ground(shown.means[shown.opacities > SOLID], up, above)
                move = standing_on(plane)
                told = (
                    f"{plane.fraction:.0%} of the solid Gaussians lie on the ground, which is now level, at height 0."
                )
        except ValueError as error:
            raise InputError(str(error)) from None
        session.move(move, selected=False)
        for one in self.viewer.server.get_clients().values():
            follow(one, move)
        self.show_handles()
        self.changed()
        self.viewer.notify("Upright", told, client=client)

    @staticmethod
    def _pose(gizmo: viser.TransformControlsHandle) -> Similarity:
        return Similarity(rotation_matrix(torch.tensor(gizmo.wxyz, dtype=torch.float64)), torch.tensor(gizmo.position))


def follow(client: viser.ClientHandle, move: Similarity) -> None:
    """Let a browser see what it saw, after all of it was moved, and turn around the world's up."""
    handle = client.camera
    position, target = (move.points(torch.tensor(place)).tolist() for place in (handle.position, handle.look_at))
    with client.atomic():
        handle.position, handle.look_at, handle.up_direction = tuple(position), tuple(target), UP
