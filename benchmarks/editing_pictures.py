"""The pictures of editing and of a camera path in docs/guides/pictures/, taken in Chromium.

    python benchmarks/editing_pictures.py RUN [--output docs/guides/pictures]

The run's capture must still be where it was: the path is made of its cameras.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from viewer_pictures import PICTURES, opened, photograph, tab, until

from splat.geometry.camera_path import CameraPath, Keyframe
from splat.viewer.app import Viewer
from splat.viewer.edit.edit_panel import EditPanel
from splat.viewer.opening import open_capture, open_scenes
from splat.viewer.path.path_panel import PathPanel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "viewer"))
import chromium


def editing(browser: Browser, viewer: Viewer) -> Image.Image:
    """Something painted with the brush, and a distance."""
    panel = next(panel for panel in viewer.panels if isinstance(panel, EditPanel))
    page = opened(browser, viewer.port)
    tab(page, "Edit")
    panel.measure.picking.value = True
    time.sleep(1)
    for x, y in ((140, 640), (620, 660)):
        count = len(panel.measure.measured.points)
        page.mouse.click(x, y)
        until(lambda count=count: len(panel.measure.measured.points) > count)  # type: ignore[misc]
    panel.measure.picking.value = False
    panel.select.tool.value = "brush"
    time.sleep(5)
    page.mouse.move(470, 330)
    page.mouse.down()
    for x, y in ((520, 300), (580, 330), (620, 280), (560, 380)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    until(lambda: bool(panel.session().selected.any()) and not panel.select.strokes)
    picture = photograph(page, viewer)
    page.close()
    panel.select.tool.value = "off"
    panel.measure.clear()
    panel.clear()
    return picture


def flying(browser: Browser, viewer: Viewer) -> Image.Image:
    """A path through every second camera of the capture, from farther away."""
    assert viewer.capture is not None
    panel = next(panel for panel in viewer.panels if isinstance(panel, PathPanel))
    stops = [Keyframe.of(frame.camera) for frame in viewer.capture.frames[::2][:8]]
    panel.use(CameraPath(tuple(stops), constant_speed=True))
    page = opened(browser, viewer.port)
    tab(page, "Path")
    page.mouse.move(400, 380)
    page.mouse.down()
    page.mouse.move(480, 240, steps=5)
    page.mouse.up()
    for _ in range(7):
        page.mouse.wheel(0, 400)
        time.sleep(0.2)
    picture = photograph(page, viewer)
    page.close()
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, default=PICTURES)
    options: Any = parser.parse_args()
    slots, _ = open_scenes([options.run], torch.device("cpu"))
    capture, _ = open_capture(None, slots)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.program(), args=chromium.FLAGS)
        viewer = Viewer(slots, capture=capture, port=0)
        try:
            taken = {"viewer_editing": editing(browser, viewer), "viewer_path": flying(browser, viewer)}
        finally:
            viewer.stop()
        browser.close()
    for name, picture in taken.items():
        picture.save(options.output / f"{name}.jpg", quality=85)
        print(options.output / f"{name}.jpg")


if __name__ == "__main__":
    main()
