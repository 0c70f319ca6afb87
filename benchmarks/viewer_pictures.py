"""The pictures of the viewer in docs/guides/pictures/, taken in Chromium.

    python benchmarks/viewer_pictures.py RUN [--output docs/guides/pictures] [--train CAPTURE]

Opens the run as `splat view` does and photographs the main states: color, the modes, a photo compared, the cameras, a phone;
with --train also a run while it trains.
"""

import argparse
import io
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from splat.viewer.app import Viewer
from splat.viewer.opening import open_capture, open_scenes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "viewer"))
import chromium

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "guides" / "pictures"
SIZE = (1280, 760)
WAIT = 120.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the viewer did not get there")
        time.sleep(0.1)


def opened(browser: Browser, port: int, size: tuple[int, int] = SIZE) -> Page:
    """A page with its controls, and without viser's word on software WebGL."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(1000 * WAIT)
    page.goto(f"http://127.0.0.1:{port}")
    page.get_by_text("Keys and help").wait_for()
    time.sleep(1)
    alert = page.get_by_role("alert").get_by_role("button")
    if alert.count():
        alert.first.click()
    return page


def photograph(page: Page, viewer: Viewer | None) -> Image.Image:
    """The page, once it has all that it waits for."""
    if viewer is not None:
        until(lambda: viewer.loop.idle)
    page.mouse.move(5, 5)  # so that no hint is in the way
    time.sleep(2.5)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def states(browser: Browser, viewer: Viewer) -> dict[str, Image.Image]:
    """Name -> picture of the viewer's main states."""
    taken: dict[str, Image.Image] = {}
    page = opened(browser, viewer.port)
    taken["viewer"] = photograph(page, viewer)
    modes = []
    for mode in ("depth", "normals", "overdraw", "ellipsoids", "contribution", "blame"):
        choose(page, "Show", mode)
        if mode in ("contribution", "blame"):
            until(lambda: viewer.scores is not None)
        canvas = page.locator("canvas").first.bounding_box()
        assert canvas is not None
        modes.append(photograph(page, viewer).crop((0, 0, int(canvas["width"]), int(canvas["height"]))))
    taken["viewer_modes"] = sheet(modes, 3, 1280)
    choose(page, "Show", "color")
    tab(page, "Photos")
    page.get_by_role("button", name="Next").click()
    page.get_by_text("PSNR").wait_for()
    taken["viewer_photo"] = photograph(page, viewer)
    page.get_by_role("button", name="Leave").click()
    page.get_by_label("Show cameras").click()
    page.mouse.move(300, 400)
    for _ in range(5):
        page.mouse.wheel(0, 400)
        time.sleep(0.1)
    taken["viewer_cameras"] = photograph(page, viewer)
    page.get_by_label("Show cameras").click()
    tab(page, "Scenes")
    taken["viewer_scenes"] = photograph(page, viewer)
    page.close()
    phone = opened(browser, viewer.port, (390, 760))
    taken["viewer_phone"] = photograph(phone, viewer)
    phone.close()
    return taken


def training(browser: Browser, capture: Path) -> Image.Image:
    """A run while it trains."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "splat",
            "train",
            str(capture),
            "-o",
            folder,
            "--overwrite",
            "--iterations",
            "3000",
        ]
        command += ["-r", "4", "--view", "--view-port", "18300", "--view-fraction", "0.3"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = next(line for line in process.stdout if line.startswith("viewer at"))
            page = opened(browser, int(address.split("://")[1].split(":")[1].split()[0]))
            tab(page, "Training")
            next(line for line in process.stdout if line.startswith("iteration 900"))
            page.get_by_role("button", name="Pause").click()
            time.sleep(3)
            picture = photograph(page, None)
            page.close()
            process.send_signal(signal.SIGINT)
        return picture


def sheet(pictures: list[Image.Image], columns: int, width: int) -> Image.Image:
    """Pictures of one size in rows."""
    each = width // columns
    height = round(each * pictures[0].height / pictures[0].width)
    whole = Image.new("RGB", (each * columns, height * -(-len(pictures) // columns)))
    for number, picture in enumerate(pictures):
        whole.paste(
            picture.resize((each, height), Image.Resampling.LANCZOS),
            (number % columns * each, number // columns * height),
        )
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, default=PICTURES)
    parser.add_argument("--train", type=Path, help="a capture to train on, for the picture of a run")
    options: Any = parser.parse_args()
    slots, _ = open_scenes([options.run], torch.device("cpu"))
    capture, _ = open_capture(None, slots)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.program(), args=chromium.FLAGS)
        viewer = Viewer(slots, capture=capture, port=0)
        try:
            taken = states(browser, viewer)
        finally:
            viewer.stop()
        if options.train:
            taken["viewer_training"] = training(browser, options.train)
        browser.close()
    for name, picture in taken.items():
        picture.save(options.output / f"{name}.jpg", quality=85)
        print(options.output / f"{name}.jpg")


if __name__ == "__main__":
    main()
