"""What a browser is sent: exactly what a direct render gives, for every control, whoever else looks."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from captures import ring, subject
from wire import Wire, seen_by

import splat
from scenes import cloud
from splat import Camera
from splat.datasets.capture import Capture
from splat.geometry.similarity import Similarity
from splat.io.images import to_uint8
from splat.viewer.app import Viewer
from splat.viewer.draw.look import Look
from splat.viewer.draw.picture import Request, draw
from splat.viewer.draw.prepared import PreparedCache
from splat.viewer.slots import SceneSlot

Make = Callable[..., Viewer]
SIZE = (160, 120)
FRONT, SIDE = ring(4, 96, 64)[:2]


def direct(camera: Camera, gaussians: splat.Gaussians | None = None, **options: object) -> torch.Tensor:
    """The picture that a window should show, uint8."""
    with torch.no_grad():
        return to_uint8(splat.render(gaussians or subject(), seen_by(camera, *SIZE), **options).rgb)


def expected(look: Look, camera: Camera = FRONT, *slots: SceneSlot) -> torch.Tensor:
    """The same by the viewer's own drawing, for what a direct render has no option for."""
    request = Request(slots or [SceneSlot("subject", subject())], look, seen_by(camera, *SIZE))
    with torch.no_grad():
        return draw(request, PreparedCache())


def test_a_resting_picture_is_the_render_and_a_moving_one_is_coarser(viewer_of: Make) -> None:
    viewer = viewer_of()
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        assert torch.equal(wire.settled(), direct(FRONT))
        view = next(iter(viewer.loop.views.values()))
        view.pace.side = 80
        before = len(wire.frames())
        for step in range(40):
            turned = Similarity.from_euler((0, 2.0 * step, 0)).camera(FRONT)
            wire.look(turned)
            time.sleep(0.02)
        rest = wire.settled()
        moving = wire.frames()[before:-1]
        assert len(moving) >= 3
        assert {frame["format"] for frame in moving} == {"jpeg"}
        assert torch.equal(rest, direct(turned))
        assert not torch.equal(rest, direct(FRONT))


def test_two_browsers_do_not_disturb_each_other(viewer_of: Make) -> None:
    viewer = viewer_of()
    with Wire(viewer, SIZE) as one, Wire(viewer, SIZE) as other:
        one.look(FRONT)
        other.look(SIDE)
        assert torch.equal(one.settled(), direct(FRONT))
        assert torch.equal(other.settled(), direct(SIDE))
        sent = len(one.frames())
        other.set("Show", "alpha")
        other.look(FRONT)
        assert torch.equal(other.settled(), expected(Look(mode="alpha")))
        assert len(one.frames()) == sent
    with Wire(viewer, SIZE) as late:
        late.look(SIDE)
        assert torch.equal(late.settled(), direct(SIDE))


@pytest.mark.parametrize(
    ("control", "value", "look"),
    [
        ("Show", "depth", Look(mode="depth")),
        ("Show", "normals", Look(mode="normals")),
        ("Show", "overdraw", Look(mode="overdraw")),
        ("Show", "centers", Look(mode="centers")),
        ("Show", "ellipsoids", Look(mode="ellipsoids")),
        ("Opacity", 0.3, Look(opacity=0.3)),
        ("Size", 0.4, Look(scale=0.4)),
        ("Background", [255, 128, 0], Look(background=(255, 128, 0))),
    ],
)
def test_controls_of_the_look(viewer_of: Make, control: str, value: object, look: Look) -> None:
    with Wire(viewer_of(), SIZE) as wire:
        wire.look(FRONT)
        plain = wire.settled()
        wire.set(control, value)
        changed = wire.settled()
        assert not torch.equal(changed, plain)
        assert torch.equal(changed, expected(look))


def test_degree_of_harmonics(viewer_of: Make) -> None:
    gaussians = cloud(200, seed=3)
    with Wire(viewer_of(SceneSlot("cloud", gaussians)), SIZE) as wire:
        wire.look(FRONT)
        assert torch.equal(wire.settled(), direct(FRONT, gaussians))
        wire.set("Harmonics", 1)
        assert torch.equal(wire.settled(), direct(FRONT, gaussians, sh_degree=1))


def test_crop_box(viewer_of: Make) -> None:
    viewer = viewer_of()
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        wire.settled()
        low = wire.control("X")["props"]["min"]
        wire.set("X", [low, 0.0])
        wire.set("Only what is inside", True)
        view = next(iter(viewer.loop.views.values()))
        picture = wire.settled()
        assert view.look.crop is not None
        lowest, highest = torch.tensor(view.look.crop)
        means = subject().means
        inside = ((means >= lowest) & (means <= highest)).all(dim=1)
        assert 20 < int(inside.sum()) < 280
        assert torch.equal(picture, direct(FRONT, subject()[inside]))
        wire.set("Only what is inside", False)
        assert torch.equal(wire.settled(), direct(FRONT))


def test_slots_that_change_are_drawn_again(viewer_of: Make) -> None:
    viewer = viewer_of()
    slot = viewer.scenes[0]
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        wire.settled()
        slot.hidden = torch.arange(300) < 150
        wire.expect()
        viewer.refresh()
        assert torch.equal(wire.settled(), direct(FRONT, subject()[150:]))
        wire.expect()
        viewer.replace(slot, subject()[:100])
        assert torch.equal(wire.settled(), direct(FRONT, subject()[:100]))
        slot.transform = Similarity.from_euler((0, 90, 0), scale=0.5)
        wire.expect()
        viewer.refresh()
        assert torch.equal(wire.settled(), direct(FRONT, slot.transform.gaussians(subject()[:100])))
        slot.selected = torch.arange(100) < 50
        wire.expect()
        viewer.refresh()
        colored = wire.settled()
        assert not torch.equal(colored, direct(FRONT, slot.transform.gaussians(subject()[:100])))


def test_several_scenes(viewer_of: Make) -> None:
    slots = [SceneSlot("left", subject()[:150]), SceneSlot("right", cloud(100, sh_degree=2, seed=5))]
    viewer = viewer_of(*slots)
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        assert torch.equal(wire.settled(), expected(Look(), FRONT, *slots))
        wire.set("Scenes", "side by side")
        halves = wire.settled()
        assert torch.equal(halves, expected(Look(layout="side by side"), FRONT, *slots))
        middle = direct(FRONT, slots[0].gaussians)[:, 40:119]  # each half shows the middle of its scene
        assert (halves[:, :79].int() - middle.int()).abs().float().mean() < 1
        wire.set("Scenes", "mix")
        wire.set("First or second", 1.0)
        assert torch.equal(wire.settled(), direct(FRONT, slots[1].gaussians))
        wire.set("Scenes", "together")
        wire.set("Visible", False)
        assert torch.equal(wire.settled(), direct(FRONT, slots[1].gaussians))


def test_photos(viewer_of: Make, capture: Capture) -> None:
    viewer = viewer_of(capture=capture)
    with Wire(viewer, (192, 160)) as wire:
        wire.look(FRONT)
        wire.settled()
        wire.set("Photo", 3)
        wire.wait(lambda: [m for m in wire.messages if m["type"] == "SetCameraPositionMessage"] or None)
        wire.set("Compare", "photo")
        camera = capture.frames[2].camera
        wire.look(camera)
        picture = wire.settled()
        # 96 x 64 in a window of 192 x 160: twice as large, between bars of 16 pixels.
        inner = picture[16:144]
        shown = inner.float().view(64, 2, 96, 2, 3).mean((1, 3))
        assert (shown - capture.frames[2].image.float()).abs().mean() < 2
        told = wire.wait(lambda: [m for m in wire.messages if "PSNR" in str(m.get("updates"))] or None)
        psnr = float(str(told[-1]["updates"]).split("PSNR ")[1].split(" dB")[0])
        assert psnr > 45  # the photos are renders of this very scene
        wire.set("Compare", "off")
        fitted = replace(camera.resized(192, 128))
        K = fitted.K.clone()
        K[1, 2] += 16
        with torch.no_grad():
            alone = to_uint8(splat.render(subject(), Camera(camera.viewmat, K, 192, 160)).rgb)
        assert torch.equal(wire.settled(), alone)
        wire.set("Compare", "wipe")
        wiped = wire.settled()
        assert torch.equal(wiped[:, 100:], alone[:, 100:])
        assert not torch.equal(wiped[:, :90], alone[:, :90])
        wire.look(SIDE)  # moving away ends the comparison
        assert torch.equal(
            wire.settled()[:, :, 0], to_uint8(splat.render(subject(), seen_by(SIDE, 192, 160)).rgb)[..., 0]
        )
        assert next(iter(viewer.loop.views.values())).photo is None


def test_scores_of_gaussians(viewer_of: Make, capture: Capture) -> None:
    gaussians = subject()
    gaussians.means[0] = torch.tensor([0.0, 100.0, 0.0])  # which no photo sees
    viewer = viewer_of(SceneSlot("subject", gaussians), capture=capture)
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        plain = wire.settled()
        wire.set("Show", "contribution")
        wire.wait(lambda: viewer.scores)
        assert viewer.scores is not None
        assert viewer.scores.contribution[0] == 0
        assert viewer.scores.contribution.max() == 1
        picture = wire.settled()
        assert not torch.equal(picture, plain)
        request = Request(viewer.scenes, Look(mode="contribution"), seen_by(FRONT, *SIZE), scores=viewer.scores)
        assert torch.equal(picture, draw(request, PreparedCache()))


def test_a_picture_that_cannot_be_drawn_is_told_and_the_next_one_is_drawn(
    viewer_of: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer = viewer_of()
    whole = viewer.scenes[0].gaussians
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        wire.settled()
        broken = subject()
        broken.quats = broken.quats[:7]
        viewer.scenes[0].gaussians = broken
        wire.expect()
        viewer.refresh()
        wire.wait(lambda: wire.notifications() or None)
        wire.expect()
        viewer.replace(viewer.scenes[0], whole[:50])
        assert torch.equal(wire.settled(), direct(FRONT, whole[:50]))
    assert "could not be drawn" in capsys.readouterr().err


def test_the_browser_draws_where_the_server_is_too_slow(viewer_of: Make) -> None:
    """It is sent the Gaussians, told so, and goes back to pictures when asked to."""
    viewer = viewer_of()
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        wire.settled()
        view = next(iter(viewer.loop.views.values()))
        view.pace.slow = 100
        view.pace.took = lambda pixels, seconds: None  # type: ignore[method-assign]
        for step in range(8):
            wire.look(Similarity.from_euler((0, 3.0 * step, 0)).camera(FRONT))
            time.sleep(0.02)
        splats = wire.wait(lambda: next((m for m in wire.messages if m["type"] == "GaussianSplatsMessage"), None))
        assert splats["name"] == "/scene"
        wire.wait(lambda: [m for m in wire.messages if "approximate" in str(m.get("updates"))] or None)
        wire.set("Drawn by", "server")
        assert torch.equal(wire.settled(), direct(Similarity.from_euler((0, 21.0, 0)).camera(FRONT)))


def test_browsers_that_go_are_forgotten(viewer_of: Make) -> None:
    viewer = viewer_of()
    with Wire(viewer, SIZE) as wire:
        wire.look(FRONT)
        wire.settled()
        assert viewer.loop.watched
    deadline = time.monotonic() + 20
    while viewer.loop.watched and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not viewer.loop.watched
