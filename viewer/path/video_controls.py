"""PathVideo: the controls that render a camera path in the background, with progress and cancel."""

import threading
from collections.abc import Callable
from pathlib import Path

import viser

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.camera_path import CameraPath
from splat.viewer.context import Used, ViewerContext, browser_of
from splat.viewer.draw.look import Look
from splat.viewer.draw.prepared import prepare
from splat.viewer.path.render_job import Canceled, RenderJob
from splat.viewer.saving import allowed_file

SIZES = ("1280 x 720", "1920 x 1080", "3840 x 2160", "1080 x 1920", "1080 x 1080", "640 x 360")
KINDS = ("MP4", "PNGs")
MOST_DOWNLOADED = 256 << 20
"""Bytes of a video that is sent to a browser; it is held in memory for that."""


class PathVideo:
    """One video at a time, for all browsers.

    Args:
        path: gives the path as it is now.
        folder: where videos go; None where there is no folder.
    """

    def __init__(self, viewer: ViewerContext, path: Callable[[], CameraPath], folder: Path | None) -> None:
        self.viewer, self.path, self.folder = viewer, path, folder
        self.job: RenderJob | None = None
        self.lock = threading.Lock()

    def build(self, gui: viser.GuiApi) -> None:
        if self.folder is None:
            gui.add_markdown("This scene was not read from a file, so there is no folder to write into.")
            return
        guarded = self.viewer.guarded
        self.size = gui.add_dropdown("Size", SIZES)
        self.fps = gui.add_number("Rate", 30.0, min=1.0, max=240.0, step=1.0, hint="Pictures per second.")
        self.kind = gui.add_dropdown("As", KINDS)
        self.name = gui.add_text("Name", "flight", hint=f"Written into {self.folder}.")
        self.overwrite = gui.add_checkbox("Overwrite", False)
        self.render_button = gui.add_button("Render")
        self.progress = gui.add_progress_bar(0.0, visible=False)
        self.status = gui.add_markdown("", visible=False)
        self.cancel_button = gui.add_button("Cancel", visible=False)
        self.download_button = gui.add_button("Download", visible=False)
        self.render_button.on_click(guarded(self.render))
        self.cancel_button.on_click(guarded(lambda _: self.cancel()))
        self.download_button.on_click(guarded(self.download))

    def render(self, event: object) -> None:
        """Start drawing what is visible now.

        Raises:
            InputError: a video is being drawn, there is no path or nothing to see, or the file cannot be written.
        """
        assert self.folder is not None
        with self.lock:
            if self.job is not None and not self.job.wait(0):
                raise InputError("A video is being rendered; wait for it or cancel it.")
            video = self.kind.value == "MP4"
            name = self.name.value.strip().removesuffix(".mp4")
            output = allowed_file(
                f"{name}.mp4" if video else name, [self.folder], overwrite=video and self.overwrite.value
            )
            width, height = map(int, self.size.value.split(" x "))
            try:
                cameras = self.path().cameras(float(self.fps.value), width, height)
            except ValueError as error:
                raise InputError(str(error)) from None
            slots = [slot for slot in self.viewer.scenes if slot.visible]
            if not slots:
                raise InputError("No scene is visible.")
            self.job = RenderJob(
                Gaussians.cat([prepare(slot, Look()).gaussians for slot in slots]),
                cameras,
                output,
                fps=float(self.fps.value),
                background=tuple(value / 255 for value in self.viewer.background),  # type: ignore[arg-type]
                settings=slots[0].settings,
                progress=lambda done: self.advance(done, len(cameras)),
                finished=lambda failure: self.finish(output, failure),
            )
            self.advance(0, len(cameras))
            self.show(running=True)
            self.job.start()

    def cancel(self) -> None:
        """Stop the video that is being drawn."""
        if self.job is not None:
            self.job.cancel()

    def advance(self, done: int, count: int) -> None:
        self.progress.value = 100 * done / count
        self.status.content = f"{done:,} of {count:,} pictures"

    def finish(self, output: Path, failure: Exception | None) -> None:
        """A video is there, or is not."""
        self.show(running=False)
        if failure is None:
            self.status.content = f"`{output}`"
            self.download_button.visible = output.suffix == ".mp4"
            self.viewer.notify(
                "The video is ready" if output.suffix == ".mp4" else "The pictures are ready", str(output)
            )
        elif isinstance(failure, Canceled):
            self.status.content = "Canceled; nothing was written."
        else:
            self.status.content = f"It could not be written: {failure}"
            self.viewer.notify("The video could not be written", str(failure), error=True)

    def show(self, *, running: bool) -> None:
        """Which controls there are, while a video is drawn and otherwise."""
        self.render_button.disabled = running
        self.progress.visible = self.cancel_button.visible = running
        self.status.visible = True
        if running:
            self.download_button.visible = False

    def download(self, event: Used) -> None:
        """Send the video to the browser."""
        if self.job is None or not self.job.output.is_file():
            raise InputError("The video is not there any more.")
        if self.job.output.stat().st_size > MOST_DOWNLOADED:
            raise InputError(f"The video is too large to send; copy it: {self.job.output}")
        browser_of(event).send_file_download(self.job.output.name, self.job.output.read_bytes(), save_immediately=True)
