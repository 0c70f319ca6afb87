"""Sharp frames out of a video: of every stretch of it the one that is least blurred."""

import shlex
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
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
DAMAGES = 1000
"""Places at which a file may be damaged, so that the search for what follows ends."""
ALL = 0.99
"""Fraction of the frames that a header promises from which on nothing is said: the last ones are often not shown."""


def is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class Extracted:
    """What came out of a video."""

    written: int
    notes: tuple[str, ...]


def extract_frames(video: Path, folder: Path, count: int, *, progress: bool = False) -> Extracted:
    """Write about `count` frames, spread evenly over the video, as frame_00001.jpg ...

    Raises:
        InputError: the file is not a video that can be decoded, or shows fewer than three frames.
    """
    import av

    folder.mkdir(parents=True, exist_ok=True)
    best: tuple[float, Any] | None = None
    stretch = written = read = lost = 0
    try:
        promised, total, times = _look_through(video)
        for frame in counted(_frames(video), "video", total=total, unit="frame", shown=progress):
            if frame is None:
                lost += 1
                continue
            place = bisect_left(times, frame.pts) if times and frame.pts is not None else read + lost
            here = place * count // max(total, count)
            # A little back is only a frame whose time is wrong, as in .avi files; far back, the clock has begun anew.
            if best is not None and not stretch - 1 <= here <= stretch:
                written += 1
                _write(best[1], folder / f"frame_{written:05d}.jpg")
                best = None
            stretch = here if best is None else stretch
            read += 1
            score = sharpness(frame)
            if best is None or score > best[0]:
                best = (score, frame)
        if best is not None:
            written += 1
            _write(best[1], folder / f"frame_{written:05d}.jpg")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"{video}: cannot be decoded ({error}); copy it anew, or convert it with a program that plays it: "
            f"ffmpeg -i {shlex.quote(str(video.absolute()))} -c:v libx264 out.mp4"
        ) from error
    notes: tuple[str, ...] = ()
    if lost or read < ALL * promised:
        notes = (
            f"{video.name}: {read:,} of {max(promised, read + lost):,} frames can be used; the others are damaged, cut off, "
            "or hidden by an edit",
        )
    if written < 3:
        raise InputError(
            f"{video}: shows only {written} frames; a scene needs a video that moves around it"
            + "".join(f" ({note})" for note in notes)
        )
    return Extracted(written, notes)


def _look_through(video: Path) -> tuple[int, int, list[int]]:
    """How many frames the header promises, about how many there are, and when each is shown, in order, where that is known.

    Only the whole file says how many there are: a header knows none where the video was written while it was taken, and may
    be wrong.
    """
    with _open(video) as container:
        if not container.streams.video:
            raise InputError(f"{video}: has no picture, only {len(container.streams)} other streams")
        stream = container.streams.video[0]
        promised = int(stream.frames)
        found = [packet.pts for packet in _packets(container, stream) if packet is not None and packet.size]
    times = sorted(time for time in found if time is not None)
    return promised, len(found), times if len(times) == len(found) else []


def _frames(video: Path) -> Iterator[Any]:
    """Decoded frames, and None for each that is damaged: after a damage all up to the next one that is complete by itself,
    for until then the decoder fills in what is not there."""
    import av

    with _open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        whole = True
        for packet in _packets(container, stream):
            try:
                frames = None if packet is None else packet.decode()
            except av.error.FFmpegError:
                frames = None
            if frames is None:
                whole = False
                yield None
                continue
            for frame in frames:
                whole = (whole or frame.key_frame) and not frame.is_corrupt
                yield frame if whole else None


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, and None for each place at which the file is damaged."""
    import av

    for _ in range(DAMAGES):
        try:
            yield from container.demux(stream)
            return
        except av.error.InvalidDataError:
            yield None


def _open(video: Path) -> Any:
    """`a:b.mp4` is no address here."""
    import av

    return av.open(str(video.absolute()))


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
