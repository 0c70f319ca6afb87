"""Shared pages in a real browser: what they show is what we draw, nothing is loaded, controls and messages work."""

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from captures import write_capture

import splat
from scenes import cameras, cloud
from splat import Camera, Gaussians, RenderSettings
from splat.compression.formats import registry as formats
from splat.compression.formats.sog import writer as sog
from splat.geometry.similarity import Similarity
from splat.io.images import read_image
from splat.opening import OpenedScene
from splat.viewer.share import page as share
from splat.viewer.share import payload as share_scene
from splat.viewer.share import views as share_views

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RunSplat = Callable[..., int]

PICTURE = """async ([viewmat, K, width, height]) => {
  const { data } = await splatViewer.picture(viewmat, K, width, height);
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return btoa(text);
}"""
FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return cloud(3000, scale=0.06)


@pytest.fixture(scope="module")
def shared(scene: Gaussians, run_splat: RunSplat, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Gaussians]:
    """A page made of a .sog with a capture, and the scene that the .sog holds."""
    folder = tmp_path_factory.mktemp("shared")
    formats.save(scene, folder / "scene.sog")
    write_capture(folder / "capture", photos=12)
    flags = ("--title", "A ball", "--capture", folder / "capture")
    assert run_splat("share", folder / "scene.sog", "-o", folder / "page.html", *flags) == 0
    return folder / "page.html", sog.read(folder / "scene.sog")


@contextmanager
def opened(browser: "Browser", path: Path, ready: bool = True, script: str = "", **options: Any) -> "Iterator[Page]":
    """A page in a window of its own, started."""
    context = browser.new_context(**{"viewport": {"width": 320, "height": 240}, **options})
    page = context.new_page()
    if script:
        page.add_init_script(script)
    page.goto(path.as_uri())
    if ready:
        page.evaluate("splatViewer.ready")
    yield page
    context.close()


@pytest.fixture(scope="module")
def page(browser: "Browser", shared: tuple[Path, Gaussians]) -> "Iterator[Page]":
    with opened(browser, shared[0]) as page:
        yield page


def picture(page: "Page", camera: Camera) -> torch.Tensor:  # [H, W, 3]
    arguments = [camera.viewmat.tolist(), camera.K.tolist(), camera.width, camera.height]
    data = bytearray(base64.b64decode(page.evaluate(PICTURE, arguments)))
    return torch.frombuffer(data, dtype=torch.uint8).view(camera.height, camera.width, 4)[..., :3] / 255


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return -10 * math.log10(max(1e-10, float((a - b.clamp(0, 1)).square().mean())))


def one(batch: Camera, index: int) -> Camera:
    return Camera(batch.viewmat[index], batch.K[index], batch.width, batch.height)


def pose(page: "Page") -> torch.Tensor:  # [4, 4]
    return torch.tensor(page.evaluate("splatViewer.camera.viewmat"))


def moved(page: "Page", before: torch.Tensor) -> bool:
    return float((pose(page) - before).abs().max()) > 1e-4


def wait_for_rest(page: "Page") -> None:
    """Until no flight goes on."""
    last = pose(page)
    for _ in range(200):
        page.wait_for_timeout(150)
        if not moved(page, last):
            return
        last = pose(page)


@pytest.mark.parametrize("view", range(4))
def test_shows_what_we_draw(page: "Page", shared: tuple[Path, Gaussians], view: int) -> None:
    """Four views, principal points off the middle, harmonics of degree 3."""
    camera = one(cameras(4, width=160, height=120), view)
    assert psnr(picture(page, camera), splat.render(shared[1], camera).rgb) > 45


def test_harmonics_are_drawn(page: "Page", shared: tuple[Path, Gaussians]) -> None:
    """Without them, the same comparison fails by far."""
    camera = one(cameras(1, width=160, height=120), 0)
    assert psnr(picture(page, camera), splat.render(shared[1], camera, sh_degree=0).rgb) < 35


def test_any_format_antialiased_on_white(
    browser: "Browser", scene: Gaussians, run_splat: RunSplat, tmp_path: Path
) -> None:
    thin = Gaussians(**{**scene.tensors(), "log_scales": scene.log_scales - 1})
    formats.save(thin, tmp_path / "scene.ply")
    flags = ("--antialiased", "--background", "white", "--sh-degree", 0)
    assert run_splat("share", tmp_path / "scene.ply", *flags) == 0
    camera = one(cameras(1, width=48, height=36), 0)

    def expected(antialiased: bool) -> torch.Tensor:
        settings = RenderSettings(antialiased=antialiased)
        return splat.render(thin, camera, background=(1, 1, 1), sh_degree=0, settings=settings).rgb

    with opened(browser, tmp_path / "scene.html") as page:
        drawn = picture(page, camera)
    assert psnr(drawn, expected(True)) > 38
    assert psnr(drawn, expected(False)) < 33


@pytest.mark.parametrize("unit", [1e-4, 1e5])
def test_a_scene_in_any_unit(
    browser: "Browser", scene: Gaussians, run_splat: RunSplat, tmp_path: Path, unit: float
) -> None:
    """Where the near plane is, and so whether one sees anything, goes by the size of the scene."""
    scaled = Similarity(torch.eye(3), torch.zeros(3), unit)
    formats.save(scaled.gaussians(scene), tmp_path / "scene.ply")
    assert run_splat("share", tmp_path / "scene.ply", "--sh-degree", 0) == 0
    camera = one(cameras(1, width=48, height=36), 0)
    with opened(browser, tmp_path / "scene.html") as page:
        drawn = picture(page, scaled.camera(camera))
    assert psnr(drawn, splat.render(scene, camera, sh_degree=0).rgb) > 38


def test_window_shows_the_camera_it_is_told(page: "Page", shared: tuple[Path, Gaussians], tmp_path: Path) -> None:
    camera = one(cameras(1, width=320, height=240), 0)
    arguments = [camera.viewmat.tolist(), camera.K.tolist(), 320, 240]
    page.evaluate("([v, K, w, h]) => splatViewer.setCamera(v, K, w, h)", arguments)
    page.keyboard.press("h")
    page.screenshot(path=tmp_path / "window.png")
    page.keyboard.press("h")
    shown = read_image(tmp_path / "window.png") / 255
    assert psnr(shown, splat.render(shared[1], camera).rgb) > 40


def test_nothing_is_loaded(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    requests: list[str] = []
    context = browser.new_context()
    context.on("request", lambda request: requests.append(request.url))
    page = context.new_page()
    page.goto(shared[0].as_uri())
    page.evaluate("splatViewer.ready")
    page.keyboard.press("1")
    page.wait_for_timeout(500)
    context.close()
    assert {url.split(":")[0] for url in requests} <= {"file", "blob", "data"}
    assert [url for url in requests if url.startswith("file")] == [shared[0].as_uri()]


@pytest.mark.parametrize("button", ["left", "right"])
def test_dragging(page: "Page", button: str) -> None:
    page.keyboard.press("r")
    wait_for_rest(page)
    before = pose(page)
    page.mouse.move(150, 100)
    page.mouse.down(button=button)
    page.mouse.move(190, 110, steps=4)
    page.mouse.up(button=button)
    after = pose(page)
    turned = float((after[:3, :3] - before[:3, :3]).abs().max()) > 1e-3
    assert turned == (button == "left")
    assert moved(page, before)
    page.keyboard.press("r")
    wait_for_rest(page)
    assert not moved(page, before)


def test_wheel_and_flying(page: "Page") -> None:
    for act in (
        lambda: page.mouse.wheel(0, 200),
        lambda: page.keyboard.press("w", delay=150),
        lambda: page.keyboard.press("e", delay=150),
        lambda: page.keyboard.press("ArrowLeft", delay=150),
    ):
        before = pose(page)
        act()
        page.evaluate(FRAME)
        assert moved(page, before)


def test_double_click_makes_a_target(page: "Page") -> None:
    page.keyboard.press("r")
    wait_for_rest(page)
    before = pose(page)
    page.mouse.dblclick(175, 130)
    wait_for_rest(page)
    after = pose(page)
    eyes = [-m[:3, :3].T @ m[:3, 3] for m in (before, after)]
    assert torch.allclose(*eyes, atol=1e-3)
    assert moved(page, before)


def test_start_views(page: "Page", shared: tuple[Path, Gaussians]) -> None:
    assert page.locator("#strip button").count() == share_views.THUMBS
    views = share_views.views_of_capture(shared[0].parent / "capture", OpenedScene(shared[1], Path()))
    page.keyboard.press("3")
    wait_for_rest(page)
    assert torch.allclose(pose(page), views[2].camera.viewmat, atol=1e-3)
    page.locator("#strip button").nth(5).click()
    wait_for_rest(page)
    assert torch.allclose(pose(page), views[5].camera.viewmat, atol=1e-3)


def test_help_theme_and_cameras(page: "Page", tmp_path: Path) -> None:
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    color = "getComputedStyle(document.querySelector('header')).color"
    before = page.evaluate(color)
    page.locator("#theme").click()
    assert page.evaluate(color) != before
    page.locator("#theme").click()
    page.keyboard.press("r")
    wait_for_rest(page)
    page.wait_for_timeout(500)
    before_lines = page.screenshot()
    page.keyboard.press("c")
    page.evaluate(FRAME)
    assert page.screenshot() != before_lines
    page.keyboard.press("c")


def test_coarse_while_moving_full_at_rest(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    with opened(browser, shared[0]) as page:
        page.wait_for_timeout(400)
        page.evaluate(
            """() => {
              const view = document.getElementById("view");
              window.scales = [];
              new MutationObserver(() => scales.push(+view.dataset.scale)).observe(view, { attributes: true });
            }"""
        )
        page.mouse.move(100, 100)
        page.mouse.down()
        page.mouse.move(120, 100, steps=3)
        page.mouse.up()
        page.wait_for_timeout(600)
        scales = page.evaluate("scales")
        assert min(scales) < 1
        assert scales[-1] == 1


def test_fingers(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    options = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True}
    with opened(browser, shared[0], **options) as page:
        session = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[int, int]) -> None:
            where = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

        page.wait_for_timeout(300)
        start = pose(page)
        touch("touchStart", (200, 300))
        touch("touchMove", (230, 320))
        touch("touchMove", (260, 330))
        touch("touchEnd")
        turned = pose(page)
        assert float((turned[:3, :3] - start[:3, :3]).abs().max()) > 1e-3
        touch("touchStart", (150, 300), (250, 300))
        touch("touchMove", (120, 300), (280, 300))
        touch("touchMove", (100, 300), (300, 300))
        touch("touchEnd")
        nearer = pose(page)
        assert torch.allclose(nearer[:3, :3], turned[:3, :3], atol=1e-4)
        assert moved(page, turned)
        for name in ("header", "nav", "#strip"):  # everything lies within the screen
            box = page.locator(name).first.bounding_box()
            assert (
                box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 700
            )


def test_lost_graphics_come_back(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    camera = one(cameras(1, width=80, height=60), 0)
    with opened(browser, shared[0]) as page:
        before = picture(page, camera)
        page.evaluate(
            """async () => {
              const lose = splatViewer.gl.getExtension("WEBGL_lose_context");
              const pause = () => new Promise(done => setTimeout(done, 300));
              lose.loseContext(); await pause(); lose.restoreContext(); await pause();
            }"""
        )
        assert torch.equal(picture(page, camera), before)


def test_without_workers(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    camera = one(cameras(1, width=80, height=60), 0)
    with opened(browser, shared[0], script="delete window.Worker") as page:
        assert psnr(picture(page, camera), splat.render(shared[1], camera).rgb) > 45


@pytest.mark.parametrize("damage", ["changed", "cut", "foreign"])
def test_damage_is_said(browser: "Browser", shared: tuple[Path, Gaussians], tmp_path: Path, damage: str) -> None:
    content = bytearray(shared[0].read_bytes())
    start = content.index(b'id="scene">') + len(b'id="scene">')
    if damage == "changed":
        at = start + 3000
        content[at] = ord("a") if content[at] != ord("a") else ord("b")
    elif damage == "cut":
        del content[start + 5000 :]
    else:
        content[start + 3000 : start + 3000] = "€".encode()
    (tmp_path / "page.html").write_bytes(content)
    with opened(browser, tmp_path / "page.html", ready=False) as page:
        page.wait_for_selector("#message", state="visible")
        assert "damaged" in page.locator("#message").inner_text()
        assert not page.locator("#loading").is_visible()


def test_without_webgl(browser: "Browser", shared: tuple[Path, Gaussians]) -> None:
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    with opened(browser, shared[0], ready=False, script=script) as page:
        page.wait_for_selector("#message", state="visible")
        assert "WebGL2" in page.locator("#message").inner_text()


def test_names_are_only_text(browser: "Browser", scene: Gaussians, tmp_path: Path) -> None:
    evil = "</script></title><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>$title&amp;"
    view = share_views.View(one(cameras(1), 0), evil, share_views.thumbnail(torch.zeros(8, 8, 3, dtype=torch.uint8)))
    options = share.PageOptions(evil, view, (0.0, -1.0, 0.0), [view])
    payload = share_scene.encode(scene[:200])
    (tmp_path / "page.html").write_bytes(share.page(payload, options))
    with opened(browser, tmp_path / "page.html") as page:
        assert page.evaluate("window.broken") is None
        assert page.title() == evil
        assert page.locator("h1").first.inner_text() == evil
        assert page.locator("#strip button").get_attribute("title") == evil[: share_views.NAME_LIMIT]


def test_viewer_is_small(shared: tuple[Path, Gaussians]) -> None:
    view = share_views.view_around(shared[1])
    assert len(share.page(b"", share.PageOptions("A ball", view, (0.0, -1.0, 0.0)))) < 60_000


@pytest.mark.slow
def test_two_hundred_thousand(browser: "Browser", run_splat: RunSplat, tmp_path: Path) -> None:
    scene = cloud(200_000, scale=0.012)
    formats.save(scene, tmp_path / "scene.sog", formats.FormatOptions(sog_palette=256))
    assert run_splat("share", tmp_path / "scene.sog") == 0
    camera = one(cameras(1, width=320, height=240), 0)
    with opened(browser, tmp_path / "scene.html") as page:
        assert page.evaluate("splatViewer.count") == 200_000
        drawn = picture(page, camera)
    assert psnr(drawn, splat.render(sog.read(tmp_path / "scene.sog"), camera).rgb) > 40
    assert (tmp_path / "scene.html").stat().st_size < 8 / 7 * (tmp_path / "scene.sog").stat().st_size + 100_000
