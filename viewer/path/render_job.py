"""RenderJob: draws a camera path to a video or to pictures, in the background."""

import shutil
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.io.images import write_image
from splat.io.video import VideoWriter
from splat.render import render
from splat.settings import RenderSettings


class Canceled(Exception):
    """The job was told to stop."""


class RenderJob:
    """One video or folder of PNGs. It appears under its name only when all of it is there.

    Args:
        scene: what to draw; a snapshot, nobody changes it.
        output: ends in .mp4 for a video; else a folder for PNGs, which must not exist.
        background: 0 to 1.
        progress: told after every picture how many are done.
        finished: told at the end, once, with what went wrong, or None.
    """

    def __init__(
        self,
        scene: Gaussians,
        cameras: Sequence[Camera],
        output: Path,
        *,
        fps: float,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        settings: RenderSettings | None = None,
        progress: Callable[[int], None],
        finished: Callable[[Exception | None], None],
    ) -> None:
        self.scene, self.cameras, self.output, self.fps = scene, cameras, output, fps
        self.background, self.settings = background, settings
        self.progress, self.finished = progress, finished
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="path", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Stop after the picture that is being drawn, and leave nothing behind."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended, after so many seconds at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            if self.output.suffix.lower() == ".mp4":
                self._write_video()
            else:
                self._write_pictures()
        except Exception as error:  # told to whoever asked for the video; the viewer goes on
            failure = error
            if not isinstance(error, Canceled | OSError):
                traceback.print_exc()
        self.finished(failure)

    def _write_video(self) -> None:
        with VideoWriter(self.output, self.fps) as video:
            for index in range(len(self.cameras)):
                video.write(self._draw(index))

    def _write_pictures(self) -> None:
        temporary = self.output.with_name(f".{self.output.name}.tmp")
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
            for index in range(len(self.cameras)):
                write_image(temporary / f"{index:05d}.png", self._draw(index))
            temporary.rename(self.output)

    def _draw(self, index: int) -> torch.Tensor:  # [H, W, 3]
        if self._stop.is_set():
            raise Canceled
        camera = self.cameras[index].to(self.scene.device)
        with torch.no_grad():
            picture = render(self.scene, camera, background=self.background, settings=self.settings).rgb.cpu()
        self.progress(index + 1)
        return picture
