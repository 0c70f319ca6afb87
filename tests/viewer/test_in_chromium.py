"""The viewer as a person meets it: in a real browser, with mouse and keyboard."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from captures import subject
from PIL import Image
from viewing import viewers

import splat
from splat.datasets.capture import Capture
from splat.io.images import to_uint8
from splat.viewer.app import Viewer
from splat.viewer.draw.client_view import ClientView
from splat.viewer.slots import SceneSlot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT = 60.0


@pytest.fixture(scope="module")
def shown(capture: Capture) -> Iterator[Viewer]:
    """A viewer with photos and two scenes."""
    with viewers() as make:
        yield make(SceneSlot("first", subject()), SceneSlot("second", subject()[:150], visible=False), capture=capture)


@pytest.fixture(scope="module")
def page(browser: "Browser", shown: Viewer) -> "Iterator[Page]":
    """One page for the tests of this file, which leave it as they found it, but for the camera."""
    page = opened(browser, shown)
    yield page
    page.close()


def opened(browser: "Browser", viewer: Viewer, width: int = 960, height: int = 540) -> "Page":
    """A page that shows its first full picture, pixel for pixel however slow WebGL is."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(1000 * WAIT)
    page.failures = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.failures.append(str(error)))  # type: ignore[attr-defined]
    page.goto(f"http://127.0.0.1:{viewer.port}?fixedDpr=1")
    page.get_by_text("Keys and help").wait_for()
    until(lambda: bool(viewer.loop.views) and viewer.loop.idle)
    page.get_by_role("alert").get_by_role("button").first.click()  # that there is no GPU
    page.get_by_role("alert").wait_for(state="detached")
    return page


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def newest(viewer: Viewer) -> ClientView:
    """What the viewer knows of the page that was opened last."""
    return viewer.loop.views[max(viewer.loop.views)]


def picture(page: "Page", viewer: Viewer) -> torch.Tensor:  # [H, W, 3] uint8
    """What the page shows where the scene is, once nothing changes."""
    until(lambda: viewer.loop.idle)
    canvas = page.locator("canvas").first
    before = None
    for _ in range(40):
        time.sleep(0.25)
        box = canvas.bounding_box()
        assert box is not None
        clip = {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}
        image = np.array(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"))
        if before is not None and np.array_equal(image, before) and viewer.loop.idle:
            return torch.from_numpy(image)
        before = image
    raise AssertionError("the page never stands still")


def direct(viewer: Viewer, count: int = 300, **options: object) -> torch.Tensor:  # [H, W, 3] uint8
    """The picture that the page should show, from the camera that it reports."""
    camera = newest(viewer).camera
    assert camera is not None
    with torch.no_grad():
        return to_uint8(splat.render(subject()[:count], camera.camera(), **options).rgb)


def psnr(image: torch.Tensor, expected: torch.Tensor) -> float:
    """dB, away from the corners, where the page shows the axes and its messages."""
    h, w = image.shape[0] // 6, image.shape[1] // 6
    error = image[h:-h, w:-w].double() - expected[h:-h, w:-w].double()
    return float(10 * torch.log10(255**2 / error.square().mean().clamp_min(1e-9)))


def comes_to_show(page: "Page", viewer: Viewer, expected: Callable[[], torch.Tensor], least: float = 36) -> None:
    """Wait until the page shows a picture: a server that has sent it does not know when a browser has drawn it."""
    deadline = time.monotonic() + WAIT
    while (found := psnr(picture(page, viewer), expected())) <= least:
        assert time.monotonic() < deadline, f"{found:.1f} dB from what it should show, expected {least}"


def ceases_to_show(page: "Page", viewer: Viewer, before: torch.Tensor, most: float = 30) -> torch.Tensor:
    """Wait until the page shows something else, and return that."""
    deadline = time.monotonic() + WAIT
    while (found := psnr(shown := picture(page, viewer), before)) >= most:
        assert time.monotonic() < deadline, f"still {found:.1f} dB from what it showed before, expected {most}"
    return shown


def choose(page: "Page", label: str, option: str) -> None:
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def tab(page: "Page", name: str) -> None:
    page.get_by_role("tab", name=name).click()


def number(page: "Page", label: str, value: float) -> None:
    """Type into the field beside a slider."""
    row = page.locator("p", has_text=label).locator("xpath=ancestor::*[.//input][1]")
    field = row.locator("input[type=text], input:not([type])").last
    field.fill(str(value))
    field.press("Enter")


def test_the_page_shows_the_render(page: "Page", shown: Viewer) -> None:
    comes_to_show(page, shown, lambda: direct(shown))
    assert page.failures == []  # type: ignore[attr-defined]


def test_the_mouse_moves_the_camera(page: "Page", shown: Viewer) -> None:
    before, first = picture(page, shown), newest(shown).camera
    page.mouse.move(250, 250)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(250 + 15 * step, 250 + 4 * step)
    page.mouse.up()
    until(lambda: newest(shown).camera != first)
    ceases_to_show(page, shown, before)
    comes_to_show(page, shown, lambda: direct(shown))


def test_two_pages(browser: "Browser", page: "Page", shown: Viewer) -> None:
    before, first = picture(page, shown), newest(shown)
    with closing(opened(browser, shown, 720, 500)) as other:
        other.mouse.move(200, 200)
        other.mouse.wheel(0, 300)
        choose(other, "Show", "alpha")
        until(lambda: newest(shown).look.mode == "alpha")
        until(lambda: newest(shown).camera.position != first.camera.position)

        def alpha() -> torch.Tensor:
            with torch.no_grad():
                rendered = splat.render(subject(), newest(shown).camera.camera())
            return to_uint8(rendered.alpha[..., None].expand(-1, -1, 3))

        comes_to_show(other, shown, alpha)
    until(lambda: len(shown.loop.views) == 1)
    assert first.look.mode == "color"
    comes_to_show(page, shown, lambda: before, 45)


def test_controls(page: "Page", shown: Viewer) -> None:
    """Each control changes what it says, in the picture that comes."""
    view = newest(shown)
    plain = picture(page, shown)
    for mode in ("depth", "normals", "overdraw", "centers", "ellipsoids"):
        choose(page, "Show", mode)
        until(lambda mode=mode: view.look.mode == mode)
        ceases_to_show(page, shown, plain)
    choose(page, "Show", "color")
    until(lambda: view.look.mode == "color")
    comes_to_show(page, shown, lambda: plain)
    number(page, "Opacity", 0.5)
    until(lambda: view.look.opacity == 0.5)
    number(page, "Opacity", 1)  # viser's page sends the last of what is typed into several fields within 50 ms
    until(lambda: view.look.opacity == 1)
    number(page, "Size", 0.5)
    until(lambda: view.look.scale == 0.5)
    number(page, "Size", 1)
    until(lambda: view.look.scale == 1.0)
    assert view.camera is not None
    before = view.camera.fov
    number(page, "View angle", 80)
    until(lambda: view.camera is not None and view.camera.fov > before)
    comes_to_show(page, shown, lambda: direct(shown))


def test_scenes(page: "Page", shown: Viewer) -> None:
    picture(page, shown)
    tab(page, "Scenes")
    boxes = page.get_by_label("Visible")
    boxes.nth(0).click()
    boxes.nth(1).click()
    until(lambda: [slot.visible for slot in shown.scenes] == [False, True])
    comes_to_show(page, shown, lambda: direct(shown, 150))
    boxes.nth(0).click()
    boxes.nth(1).click()
    until(lambda: [slot.visible for slot in shown.scenes] == [True, False])
    tab(page, "Look")


def test_photos_with_the_keyboard_and_by_clicking_a_camera(page: "Page", shown: Viewer) -> None:
    view = newest(shown)
    page.mouse.click(300, 300)
    page.keyboard.press("n")
    until(lambda: view.photo is not None and view.arrived)
    tab(page, "Photos")
    page.get_by_text("PSNR").wait_for()
    assert "PSNR" in page.get_by_text("PSNR").first.inner_text()
    page.get_by_role("button", name="Leave").click()
    until(lambda: view.photo is None)
    plain = picture(page, shown)
    page.get_by_label("Show cameras").click()
    ceases_to_show(page, shown, plain, 36)  # the cameras are drawn over the picture
    page.get_by_label("Show cameras").click()
    tab(page, "Look")
    page.mouse.click(300, 300)
    page.keyboard.press("2")
    until(lambda: view.look.mode == "depth")
    page.keyboard.press("1")
    page.keyboard.press("r")
    until(
        lambda: (
            view.look.mode == "color"
            and torch.allclose(torch.tensor(view.camera.position).float(), shown.view.position, atol=1e-3)
        )
    )


def test_help(page: "Page", shown: Viewer) -> None:
    page.get_by_text("Keys and help").click()
    page.get_by_text("back to the first view").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_text("back to the first view").wait_for(state="hidden")
    page.mouse.click(300, 300)
    page.keyboard.press("h")
    page.get_by_text("back to the first view").wait_for()
    page.get_by_role("button", name="Close").click()


def test_dark(page: "Page", shown: Viewer) -> None:
    scheme = page.locator("html").get_attribute("data-mantine-color-scheme")
    page.get_by_label("Dark controls").click()
    until(lambda: page.locator("html").get_attribute("data-mantine-color-scheme") != scheme)


def test_a_phone(browser: "Browser", page: "Page", shown: Viewer) -> None:
    """Everything is reachable in 360 pixels of width, and nothing is wider."""
    with closing(opened(browser, shown, 360, 740)) as phone:
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        picture(phone, shown)
        sheet = phone.get_by_role("tab", name="Look").bounding_box()
        assert sheet is not None and sheet["y"] > 250
        above = int(sheet["y"]) - 80  # the sheet's handle is higher than its tabs

        def seen_through() -> float:
            seen, expected = picture(phone, shown), direct(shown)
            assert seen.shape == expected.shape
            return psnr(seen[:above], expected[:above])

        until(lambda: seen_through() > 36)
        tab(phone, "Photos")
        phone.get_by_text("Show cameras").wait_for()
    until(lambda: len(shown.loop.views) == 1)


def test_the_browser_can_draw(page: "Page", shown: Viewer) -> None:
    """viser's own layer: nearly the picture, and it says what it lacks."""
    before = picture(page, shown)
    choose(page, "Drawn by", "browser")
    page.get_by_text("approximate").wait_for()
    until(lambda: newest(shown).splats is not None)
    until(lambda: 15 < psnr(picture(page, shown), before) < 50)
    choose(page, "Drawn by", "server")
    until(lambda: newest(shown).splats is None)
    comes_to_show(page, shown, lambda: before)


def test_a_scene_that_cannot_be_read_is_told(browser: "Browser", tmp_path: Path) -> None:
    with viewers() as make:
        viewer = make(messages=["broken.ply: ends early"])
        page = browser.new_page(viewport={"width": 960, "height": 540})
        page.goto(f"http://127.0.0.1:{viewer.port}")
        page.get_by_text("broken.ply: ends early").wait_for(timeout=1000 * WAIT)
        page.close()
