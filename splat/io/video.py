"""VideoWriter: frames in, an H.264 MP4 out that every browser and player opens."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from splat.io.atomic_file import replacing
from splat.io.images import to_uint8


class VideoWriter:
    """Writes an MP4 frame by frame. The file appears under its name only when all of it is there.

    >>> with VideoWriter("orbit.mp4", fps=30) as video:
    ...     for camera in cameras:
    ...         video.write(splat.render(scene, camera).rgb)

    An exception inside the block leaves no file, and an existing one unharmed. Frames of odd width or height are padded
    by repeating the last column or row: the format (yuv420p) needs even sizes.

    Args:
        path: ends in .mp4. Missing folders are created.
        fps: frames per second.
        crf: quality of the encoder; 0 is lossless, 18 looks lossless, larger is smaller.

    Raises:
        ValueError: the suffix is not .mp4, fps is not positive, or the block ended without a frame.
        OSError: the folder cannot be written or the disk is full.
    """

    def __init__(self, path: str | Path, fps: float = 30.0, *, crf: int = 18) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"VideoWriter: expected a name ending in .mp4, got {self.path}")
        if not fps > 0:
            raise ValueError(f"VideoWriter: fps must be positive, got {fps}")
        self.fps = Fraction(fps).limit_denominator(1001)
        self.crf = crf
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None  # height and width of the first frame

    def __enter__(self) -> "VideoWriter":
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w", options={"movflags": "faststart"}))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            if error is not None:
                raise error  # through the stack, so that the temporary file is deleted
            if self._stream is None:
                raise ValueError(f"VideoWriter: no frame was written to {self.path}")
            self._encode(None)

    def write(self, image: Tensor) -> None:
        """Append a frame: [H, W, 3], uint8 or float 0..1, of the size of the first one."""
        import av

        if self._container is None:
            raise RuntimeError("VideoWriter: write() belongs into a `with VideoWriter(...)` block")
        pixels = to_uint8(image).numpy()
        height, width = pixels.shape[:2]
        if self._size is None:
            self._size = (height, width)
            self._stream = self._container.add_stream("h264", rate=self.fps)
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": str(self.crf)}
        if (height, width) != self._size:
            raise ValueError(
                f"VideoWriter: every frame must be {self._size[1]} x {self._size[0]} like the first, got {width} x {height}"
            )
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._encode(av.VideoFrame.from_ndarray(pixels, format="rgb24"))

    def _encode(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
