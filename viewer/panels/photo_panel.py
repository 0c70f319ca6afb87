"""PhotoPanel: the capture's photos: where they were taken, flying there, and laying them over the render."""

import numpy as np
import torch
import viser

from splat.geometry.viewpoints import central
from splat.io.images import to_uint8
from splat.render import render
from splat.viewer.context import ViewerContext
from splat.viewer.draw.client_camera import orientation, vertical_fov
from splat.viewer.draw.client_view import ClientView
from splat.viewer.draw.look import COMPARISONS
from splat.viewer.draw.photo_view import PhotoView, shown_psnr

MOST_FRUSTUMS = 500
THUMBNAIL = 96
"""Longest side of the little pictures in the frustums, pixels."""


class PhotoPanel:
    """Frustums with thumbnails, and the comparison with one photo."""

    title = "Photos"

    def __init__(self, viewer: ViewerContext, view: ClientView) -> None:
        self.viewer, self.view = viewer, view
        self.frames = () if viewer.capture is None else viewer.capture.frames
        self.frustums: list[viser.CameraFrustumHandle] = []

    def build(self, gui: viser.GuiApi) -> None:
        if not self.frames:
            gui.add_markdown(
                "No photos are known. `splat view --capture FOLDER` names those that the scene was made from."
            )
            return
        guarded = self.viewer.guarded
        first = central([frame.camera for frame in self.frames])  # where the viewer looks from at first
        self.shown = gui.add_checkbox("Show cameras", False, hint="Click one to look through it.")
        self.shown.on_update(guarded(self.show_frustums))
        self.number = gui.add_slider("Photo", 1, max(2, len(self.frames)), 1, first + 1)
        self.number.on_update(guarded(lambda event: self.fly(int(self.number.value) - 1)))
        steps = gui.add_button_group("", ("Previous", "Next", "Leave"))
        steps.on_click(
            guarded(lambda event: self.leave() if event.target.value == "Leave" else self.step(event.target.value))
        )
        gui.add_command("Next photo", hotkey="N").on_trigger(guarded(lambda _: self.step("Next")))
        gui.add_command("Photo before", hotkey="B").on_trigger(guarded(lambda _: self.step("Previous")))
        gui.add_command("Photo on or off", hotkey="T").on_trigger(guarded(self.toggle))
        self.how = gui.add_dropdown(
            "Compare",
            COMPARISONS,
            initial_value=self.view.look.comparison,
            hint="How the photo is laid over the render.",
        )
        self.how.on_update(guarded(lambda _: self.view.change(comparison=self.how.value)))
        self.wipe = gui.add_slider("Photo or render", 0.0, 1.0, 0.005, self.view.look.wipe)
        self.wipe.on_update(guarded(lambda _: self.view.change(wipe=float(self.wipe.value))))
        self.about = gui.add_markdown("Choose a photo to compare the render with it.")
        self.view.on_leave = self.left

    def step(self, direction: str) -> None:
        """To the neighboring photo; to the one of the slider if none is looked at."""
        if self.view.photo is None:
            self.fly(int(self.number.value) - 1)
            return
        self.fly((self.view.photo.index + (1 if direction == "Next" else -1)) % len(self.frames))

    def toggle(self, _: object) -> None:
        """Show the photo alone, or the render alone."""
        self.how.value = "off" if self.how.value == "photo" else "photo"
        self.view.change(comparison=self.how.value)

    def leave(self) -> None:
        """Do not compare any more."""
        self.view.leave_photo()
        self.left()

    def fly(self, index: int) -> None:
        """Look through a photo's camera and say how well the scene fits it."""
        index = min(max(index, 0), len(self.frames) - 1)
        photo = PhotoView(index, self.frames[index])
        if self.view.photo is not None and self.view.photo.index == index:
            return
        self.view.fly_to(photo)
        self.number.value = index + 1
        self.about.content = f"**{photo.frame.name}**"
        self.about.content = f"**{photo.frame.name}** — PSNR {self.measure(photo):.2f} dB"

    def measure(self, photo: PhotoView) -> float:
        """PSNR in dB of the whole first scene against the photo, at the size that photos are read with, masks left out."""
        slot = self.viewer.scenes[0]
        gaussians = slot.transform.gaussians(slot.gaussians)
        background = torch.tensor(self.viewer.background) / 255
        with torch.no_grad():
            rendered = render(
                gaussians,
                photo.frame.camera.to(gaussians.device),
                background=background.to(gaussians.device),
                settings=slot.settings,
            ).rgb.cpu()
        pixels = photo.frame.photo
        return shown_psnr(rendered, pixels.over(background), pixels.mask)

    def left(self) -> None:
        """The camera has moved away from the photo."""
        self.about.content = "Choose a photo to compare the render with it."

    def show_frustums(self, _: object) -> None:
        """Draw the cameras, or take them away."""
        while self.frustums:
            self.frustums.pop().remove()
        if not self.shown.value:
            return
        size = 0.06 * self.viewer.view.extent
        for index in range(0, len(self.frames), max(1, -(-len(self.frames) // MOST_FRUSTUMS))):
            camera = self.frames[index].camera
            handle = self.view.client.scene.add_camera_frustum(
                f"/photos/{index}",
                fov=vertical_fov(camera),
                aspect=camera.width / camera.height,
                scale=size,
                thickness=1.5,
                thickness_units="screen",
                color=(28, 126, 214),
                image=self.thumbnail(index),
                format="jpeg",
                wxyz=orientation(camera),
                position=tuple(camera.position.tolist()),
            )
            handle.on_click(self.viewer.guarded(lambda _, index=index: self.fly(index)))
            self.frustums.append(handle)

    def thumbnail(self, index: int) -> np.ndarray:
        """A photo, small."""
        frame = self.frames[index]
        scale = min(1.0, THUMBNAIL / max(frame.camera.width, frame.camera.height))
        size = max(1, round(frame.camera.width * scale)), max(1, round(frame.camera.height * scale))
        return to_uint8(PhotoView(index, frame).photo(*size, torch.zeros(3))).numpy()
