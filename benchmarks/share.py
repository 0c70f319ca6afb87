"""Shared pages in Chromium without a GPU: sizes, time to open, frames per second, and PSNR against our own render.

    python benchmarks/share.py [--gaussians 200000] [--scene FILE] [--size 1280x720] [--json FILE]

Without --scene it is the seeded box of benchmarks/cpu_raster.py: Gaussians of splat-like sizes, all in view, degree 3.
Needs Playwright for Python and Chromium (CHROMIUM names another program). The window is driven as a hand would: a drag of
three seconds. Frames are those that the page has drawn by then, at the resolution that it chose; `opens` is from the
navigation to the first frame at full resolution.
"""

import argparse
import base64
import json
import math
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from cpu_raster import box_scene
from playwright.sync_api import Page, sync_playwright

import splat
from splat import Camera
from splat.compression.formats import registry as formats
from splat.compression.formats.sog import writer as sog
from splat.viewer.share import page as share
from splat.viewer.share import payload as share_scene
from splat.viewer.share import text_encoding as share_text
from splat.viewer.share import views as share_views

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()
PICTURE = """async ([viewmat, K, width, height]) => {
  const { data } = await splatViewer.picture(viewmat, K, width, height);
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return btoa(text);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--palette", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments.scene, arguments.gaussians, arguments.palette, width, height, Path(name))
    for key, value in result.items():
        print(f"{key:24s} {value:,}" if isinstance(value, int | float) else f"{key:24s} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(
    scene: Path | None, count: int, palette: int | None, width: int, height: int, folder: Path
) -> dict[str, Any]:
    """Make the page, open it, look at it, drag in it."""
    source = folder / "scene.sog"
    if scene is None:
        sog.write(box_scene(count), source, palette=palette)
    elif share_scene.sog_meta(scene) is not None:
        shutil.copy(scene, source)
    else:
        sog.write(formats.load(scene), source, palette=palette)
    began = time.monotonic()
    gaussians, payload = sog.read(source), share_scene.encode_sog(source)
    packed = time.monotonic() - began
    home = share_views.view_around(gaussians)
    content = share.page(payload, share.PageOptions("Benchmark", home, (0.0, -1.0, 0.0)))
    (folder / "page.html").write_bytes(content)
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        sys.exit("no Chromium; install it, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        began = time.monotonic()
        page.goto((folder / "page.html").as_uri())
        page.evaluate("splatViewer.ready")
        opens = time.monotonic() - began
        page.wait_for_timeout(1000)
        print("opened", round(opens, 2), flush=True)
        scores = [psnr(page, gaussians, home.camera, step) for step in range(3)]
        page.wait_for_timeout(1500)
        print("pictures", scores, flush=True)
        frames, seconds, rest = drag(page)
        scale = page.evaluate("splatViewer.scale")
        version = browser.version
        browser.close()
    text = len(share_text.encode(payload))
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "chromium": version,
        "window": f"{width}x{height}",
        "gaussians": len(gaussians),
        "sh_degree": gaussians.sh_degree,
        "sog_bytes": source.stat().st_size,
        "payload_bytes": len(payload),
        "payload_text_bytes": text,
        "viewer_bytes": len(content) - text,
        "page_bytes": len(content),
        "base64_of_sog_bytes": 4 * -(-source.stat().st_size // 3),
        "packing_seconds": round(packed, 2),
        "opens_seconds": round(opens, 2),
        "psnr_db": [round(score, 2) for score in scores],
        "moving_frames_per_second": round(frames / seconds, 2),
        "moving_scale": round(scale, 2),
        "full_frame_seconds": round(rest, 2),
    }


def psnr(page: Page, gaussians: splat.Gaussians, home: Camera, step: int) -> float:
    """One picture of 640 x 480 from a camera beside the first."""
    angle = 0.5 * (step - 1)
    target = gaussians.means.median(dim=0).values
    offset = home.position - target
    turn = torch.tensor(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]], dtype=torch.float32
    )
    camera = Camera.look_at(target + turn @ offset, target, width=640, height=480)
    data = page.evaluate(PICTURE, [camera.viewmat.tolist(), camera.K.tolist(), camera.width, camera.height])
    pixels = torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.uint8).view(480, 640, 4)[..., :3] / 255
    error = (pixels - splat.render(gaussians, camera).rgb.clamp(0, 1)).square().mean()
    return -10 * math.log10(max(1e-10, float(error)))


def drag(page: Page) -> tuple[int, float, float]:
    """Frames and seconds of a drag, and seconds from its end to the frame at full resolution."""
    page.mouse.move(400, 300)
    page.mouse.down()
    for phase in range(20):  # until the resolution has settled
        page.mouse.move(400 + 4 * phase, 300)
        page.wait_for_timeout(100)
    before, began, step = page.evaluate("splatViewer.frames"), time.monotonic(), 0
    while time.monotonic() - began < 3:
        step += 1
        page.mouse.move(480 + 3 * (step % 60), 300 + step % 7)
        page.wait_for_timeout(16)
    frames, seconds = page.evaluate("splatViewer.frames") - before, time.monotonic() - began
    page.mouse.up()
    began = time.monotonic()
    while page.locator("#view").get_attribute("data-scale") != "1.00":
        page.wait_for_timeout(20)
    page.evaluate("splatViewer.gl.finish(), splatViewer.gl.readPixels(0, 0, 1, 1, 6408, 5121, new Uint8Array(4))")
    return frames, seconds, time.monotonic() - began


if __name__ == "__main__":
    main()
