"""Sharp frames out of a video: of every stretch of it the one that is least blurred."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splat.errors import InputError
from splat.io.progress import counted

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".3gp")
SHARPNESS_SIDE = 480
"""Longest side in pixels at which sharpness is judged: noise and compression do not count there."""
LONGEST_SIDE = 1920


def is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


def extract_frames(video: Path, folder: Path, count: int, *, progress: bool = False) -> int:
    """Write about `count` frames, spread evenly over the video, as frame_00001.jpg ... Returns how many.

    Raises:
        InputError: the file is not a video that can be decoded, or shows fewer than three frames.
    """
    import av

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise InputError(f"{video}: has no picture, only {len(container.streams)} other streams")
            total = frames_in(container)
        best: tuple[float, Any] | None = None
        stretch = written = 0
        frames = counted(_frames(video), "video", total=total or None, unit="frame", shown=progress)
        for index, frame in enumerate(frames):
            here = index * count // max(total, count)
            if here != stretch and best is not None:
                written += 1
                _write(best[1], folder / f"frame_{written:05d}.jpg")
                best = None
            stretch = here
            score = sharpness(frame)
            if best is None or score > best[0]:
                best = (score, frame)
        if best is not None:
            written += 1
            _write(best[1], folder / f"frame_{written:05d}.jpg")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{video}: cannot be decoded ({error}); convert it first: ffmpeg -i {video.name} -c:v libx264 out.mp4"
        ) from error
    if written < 3:
        raise InputError(f"{video}: shows only {written} frames; a scene needs a video that moves around it")
    return written


def frames_in(container: Any) -> int:
    """Number of frames, by the header or by duration and rate; 0 where neither is known."""
    stream = container.streams.video[0]
    if stream.frames:
        return int(stream.frames)
    rate = float(stream.average_rate or 0)
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    return int(rate * seconds)


def _frames(video: Path) -> Iterator[Any]:
    """Decoded frames; what is left of a video that ends inside one is used."""
    import av

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        seen = False
        try:
            for frame in container.decode(stream):
                seen = True
                yield frame
        except av.error.InvalidDataError:
            if not seen:
                raise


def sharpness(frame: Any) -> float:
    """Variance of the Laplacian of the brightness, at a small size: larger is sharper."""
    scale = min(1.0, SHARPNESS_SIDE / max(frame.width, frame.height))
    small = frame.reformat(max(8, int(frame.width * scale)), max(8, int(frame.height * scale)), "gray")
    gray = small.to_ndarray().astype(np.float32)
    laplacian = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    return float(laplacian.var())


def _write(frame: Any, path: Path) -> None:
    image = frame.to_image()
    turn = int(getattr(frame, "rotation", 0) or 0) % 360  # phones store how they were held
    if turn:
        image = image.rotate(turn, expand=True)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    image.save(path, quality=95, subsampling=0)
