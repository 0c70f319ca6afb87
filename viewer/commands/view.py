"""The verb of the viewer: `splat view`."""

import sys
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import tyro

from splat.errors import InputError


@dataclass(frozen=True)
class ViewOptions:
    """Options of `splat view`."""

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes of any format, or output folders of `splat train`; several are shown together or side by side."""
    capture: Path | None = None
    """Folder of the capture, for its cameras and photos; a run knows it, a scene alone does not."""
    host: str = "127.0.0.1"
    """Address to listen on. Anyone who reaches it sees the scene and can edit it in the viewer; there is no password."""
    port: int = 8080
    """Port to listen on; the next free one is taken if it is in use."""
    browser: bool = True
    """Open a browser window."""
    allow_host: tuple[str, ...] = ()
    """Further names under which browsers reach the viewer, through a proxy or tunnel that changes them."""
    max_image_size: int = 1920
    """Longest side of a picture in pixels."""
    device: str = "auto"
    """Where to draw: auto, cpu or cuda."""


def view(options: ViewOptions) -> None:
    """Look at scenes in the browser, drawn by this machine. Ctrl-C ends it."""
    if not options.scenes:
        raise InputError("which scene? `splat view point_cloud.ply`, or the output folder of `splat train`")
    if not 1 <= options.port <= 65535:
        raise InputError(f"--port must be 1 to 65535, got {options.port}")
    if not 64 <= options.max_image_size <= 4096:
        raise InputError(f"--max-image-size must be 64 to 4096 pixels, got {options.max_image_size}")

    from splat.device import choose_device
    from splat.viewer.address import address
    from splat.viewer.app import Viewer
    from splat.viewer.opening import first_run, open_capture, open_scenes

    slots, problems = open_scenes(list(options.scenes), choose_device(options.device))
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    capture, missing = open_capture(options.capture, slots)
    if missing:
        print(f"warning: {missing}", file=sys.stderr)
    run = first_run(slots)
    viewer = Viewer(
        slots,
        capture=capture,
        run=None if run is None else run.path,
        host=options.host,
        port=options.port,
        background=(0, 0, 0) if run is None else run.settings().background_bytes,
        longest=options.max_image_size,
        allowed_hosts=options.allow_host,
        messages=[*problems, *([missing] if missing else [])],
    )
    print(address(options.host, viewer.port), flush=True)
    if options.browser:
        webbrowser.open(f"http://127.0.0.1:{viewer.port}")
    try:
        while True:
            time.sleep(3600)
    finally:
        viewer.stop()
