"""Whatever a browser sends, the viewer goes on for the others. Most tests attack the same one, which has to bear it all."""

import contextlib
import math
import random
import socket
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
import viser
from captures import ring
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from wire import Wire

from splat.viewer.app import Viewer
from splat.viewer.guard import MOST_CLIENTS, MOST_UPLOADED, Guard, fitting

Make = Callable[..., Viewer]
FRONT, SIDE = ring(4, 96, 64)[:2]
NAN, INF = math.nan, math.inf


def draws_for_others(viewer: Viewer) -> None:
    """A well-behaved browser gets its picture and can use its controls."""
    with Wire(viewer) as good:
        good.look(FRONT)
        first = good.settled()
        good.look(SIDE)
        assert not torch.equal(good.settled(), first)
        good.set("Show", "alpha")
        assert not torch.equal(good.settled(), first)


CAMERAS: list[dict[str, Any]] = [
    {"wxyz": [NAN, 0, 0, 1]},
    {"wxyz": [0, 0, 0, 0]},
    {"wxyz": [1e30, 0, 0, 0]},
    {"wxyz": [1, 0, 0]},
    {"wxyz": "north"},
    {"position": [INF, 0, 0]},
    {"position": [1e300, 0, 0]},
    {"position": [[0], 0, 0]},
    {"position": None},
    {"fov": NAN},
    {"fov": "wide"},
    {"look_at": [NAN] * 3},
    {"up_direction": [0, 0, 0]},
    {"near": NAN},
    {"image_width": -1},
    {"image_width": 10**12, "image_height": 1},
    {"image_width": INF},
    {"image_height": 0},
    {"fov": 0.0},
    {"fov": 1e9},
    {"fov": -5},
]


def test_cameras_that_are_none(viewer: Viewer) -> None:
    """They are left out, or brought into range and drawn at a size that is allowed; before and after a good one."""
    for changes in CAMERAS:
        with Wire(viewer) as wire, contextlib.suppress(ConnectionClosed):
            wire.look(FRONT, **changes)
            wire.look(FRONT)
            wire.look(SIDE, **changes)
            time.sleep(0.05)
        for view in list(viewer.loop.views.values()):
            assert view.camera is None or max(view.camera.size()) <= 4096
    draws_for_others(viewer)


MESSAGES: list[Any] = [
    b"",
    b"\xff" * 100,
    "text",
    [],
    {},
    {"type": "Nothing"},
    {"type": ["list"]},
    {"type": "ViewerCameraMessage"},
    {"type": "GuiUpdateMessage", "uuid": "unknown", "updates": {"value": 1}},
    {"type": "GuiUpdateMessage", "uuid": 7, "updates": 7},
    {"type": "FileTransferPart", "source_component_uuid": None, "transfer_uuid": "x", "part_index": 0, "content": b"1"},
    {"type": "ShareUrlRequest"},
    {"type": "ShareUrlDisconnect"},
    {"type": "BackgroundImageMessage", "format": "png", "rgb_data": b"1", "depth_data": None},
    {"type": "RemoveSceneNodeMessage", "name": "/"},
    {"type": "ScenePointerMessage", "event_type": "click", "ray_origin": [NAN] * 3, "ray_direction": [0, 0, 0],
     "screen_pos": [[0, 0]] * 20_000, "modifier": None},
    {"type": "CommandTriggerMessage", "uuid": {"a": 1}},
    {"type": "GuiButtonHoldMessage", "uuid": "x", "frequency": NAN},
    {"type": "GetRenderResponseMessage", "payload": b"1" * 100_000, "render_uuid": "x"},
]  # fmt: skip


def test_messages_that_no_control_sends(viewer: Viewer) -> None:
    for message in MESSAGES:
        with Wire(viewer) as wire, contextlib.suppress(ConnectionClosed):
            wire.look(FRONT)
            wire.wait(lambda wire=wire: wire.frames() or None)
            for _ in range(3):
                wire.socket.send(message if isinstance(message, bytes | str) else msgspec.msgpack.encode(message))
            time.sleep(0.05)
    assert viewer.server._share_tunnel is None
    draws_for_others(viewer)


UPDATES: list[dict[str, Any]] = [
    {"update_cb": []},
    {"value": NAN},
    {"value": 1e308},
    {"value": "x" * 10_000_000},
    {"value": [1] * 100_000},
    {"value": {"a": 1}},
    {"value": None},
    {"removed": True, "value": 1},
    {"is_button": True},
    {},
]
CONTROLS = ("Show", "Opacity", "Background", "Only what is inside", "X", "View angle", "Count again")


def test_controls_keep_to_their_kind_and_range(viewer: Viewer) -> None:
    """Of a browser's own controls, and of those that all share."""
    for updates in UPDATES:
        with Wire(viewer) as wire:
            wire.look(FRONT)
            wire.wait(lambda wire=wire: wire.frames() or None)
            for uuid in [wire.control(label)["uuid"] for label in CONTROLS]:
                with contextlib.suppress(ConnectionClosed):
                    wire.send(type="GuiUpdateMessage", uuid=uuid, updates=updates)
            time.sleep(0.1)
        for view in list(viewer.loop.views.values()):
            assert 0 < view.look.opacity <= 2
            assert all(0 <= channel <= 255 for channel in view.look.background)
    draws_for_others(viewer)


def test_a_flood(viewer: Viewer) -> None:
    """Thousands of messages a second neither stop the viewer nor pile up."""
    with Wire(viewer) as wire:
        wire.look(FRONT)
        wire.settled()
        for step in range(1500):
            wire.look(FRONT, position=[0.001 * step, 0, -4])
        wire.settled()
        assert len(wire.frames()) < 1000
        (view,) = viewer.loop.views.values()
        wire.wait(lambda: view.camera.position[0] == pytest.approx(0.001 * 1499) or None)  # the last is never lost
    draws_for_others(viewer)


def test_too_many_browsers_are_refused(viewer: Viewer) -> None:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(viewer)) for _ in range(MOST_CLIENTS)]
        for wire in wires:
            wire.look(FRONT)
            wire.settled()
        late = stack.enter_context(Wire(viewer))
        late.wait(lambda: late.closed or None)
        assert late.socket.close_code == 1013
    deadline = time.monotonic() + 20
    while viewer.loop.watched and time.monotonic() < deadline:
        time.sleep(0.05)
    draws_for_others(viewer)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:{port}"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://known.example"}, True),
    ],
)
def test_only_pages_of_the_viewer_may_use_it(viewer_of: Make, headers: dict[str, str], allowed: bool) -> None:
    viewer = viewer_of(allowed_hosts=["known.example"])
    headers = {name: value.format(port=viewer.port) for name, value in headers.items()}
    with Wire(viewer, additional_headers=headers) as wire:
        if allowed:
            wire.look(FRONT)
            wire.settled()
        else:
            wire.wait(lambda: wire.closed or None)
            assert wire.socket.close_code == 1008


def test_who_is_refused_is_said_once_with_the_way_in(viewer_of: Make, capfd: pytest.CaptureFixture[str]) -> None:
    viewer = viewer_of(allowed_hosts=["known.example"])
    names = ["https://studio.example", "http://STUDIO.example:8443", "null", "https://a;b.example"]
    names += [f"https://{number}.example" for number in range(20)]
    for name in names:
        with Wire(viewer, additional_headers={"Origin": name}) as wire:
            wire.wait(lambda wire=wire: wire.closed or None)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("viewer: refused")]
    assert len(lines) == 8 and len(set(lines)) == 8
    assert "from studio.example," in lines[0] and lines[0].endswith("splat view --allow-host studio.example")
    assert viewer_of(allowed_hosts=["studio.example"]).guard.is_own_page("https://studio.example", "127.0.0.1:8080")


def test_a_name_that_was_made_to_lead_here(viewer: Viewer) -> None:
    """DNS rebinding: the page and the address it asks agree, but are somebody else's."""
    assert not viewer.guard.is_own_page("http://evil.example:8080", "evil.example:8080")
    assert viewer.guard.is_own_page("http://localhost:9000", "localhost:9000")
    open_one = Guard.__new__(Guard)
    open_one.local, open_one.hosts = False, set()
    assert open_one.is_own_page("http://studio.example:8080", "studio.example:8080")
    assert not open_one.is_own_page("http://evil.example", "studio.example:8080")


def test_files_of_the_machine_are_not_served(viewer: Viewer) -> None:
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..\\..\\etc\\passwd"):
        with socket.create_connection(("127.0.0.1", viewer.port), timeout=10) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert b"root:" not in raw.recv(1 << 16)
    with urllib.request.urlopen(f"http://127.0.0.1:{viewer.port}/") as page:
        assert b"<html" in page.read()


def test_broken_handshakes(viewer: Viewer) -> None:
    for noise in (b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"A" * 100_000):
        with socket.create_connection(("127.0.0.1", viewer.port), timeout=1) as raw, contextlib.suppress(OSError):
            raw.sendall(noise)
            raw.recv(100)
    with contextlib.suppress(InvalidHandshake, ConnectionClosed), connect(f"ws://127.0.0.1:{viewer.port}") as wrong:
        wrong.recv(timeout=10)
    with contextlib.suppress(ConnectionClosed):
        name = f"viser-v{viser.__version__}"
        with connect(f"ws://127.0.0.1:{viewer.port}", subprotocols=[name]) as huge:
            huge.send(b"\xc6" + b"\xff" * (8 << 20))
            with pytest.raises(ConnectionClosed):
                while True:
                    huge.recv(timeout=10)
    draws_for_others(viewer)


def test_random_bytes(viewer: Viewer) -> None:
    generator = random.Random(0)
    for _ in range(15):
        with Wire(viewer) as wire, contextlib.suppress(ConnectionClosed):
            for _ in range(5):
                wire.socket.send(generator.randbytes(generator.randrange(1, 200)))
    draws_for_others(viewer)


class Control:
    """Of a kind and with limits."""

    def __init__(self, value: object, **attributes: object) -> None:
        self.value = value
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("present", "limits", "sent", "becomes"),
    [
        (True, {}, False, False),
        (True, {}, 1, None),
        (1.0, {"min": 0.0, "max": 2.0}, 5, 2.0),
        (1.0, {"min": 0.0, "max": 2.0}, -5, 0.0),
        (1.0, {}, NAN, None),
        (1.0, {}, True, None),
        (1.0, {}, "1", None),
        ("a", {"options": ("a", "b")}, "b", "b"),
        ("a", {"options": ("a", "b")}, "c", None),
        ("a", {}, "anything", "anything"),
        ("a", {}, "x" * 5000, None),
        ((0.0, 1.0), {"min": 0.0, "max": 1.0}, [0.5, 9], (0.5, 1.0)),
        ((0.0, 1.0), {}, [0.5], None),
        ((0.0, 1.0), {}, [0.5, NAN], None),
        (None, {}, 1, None),
    ],
)
def test_what_fits_a_control(present: object, limits: dict[str, object], sent: object, becomes: object) -> None:
    assert fitting(sent, Control(present, **limits)) == becomes


def test_uploads_are_limited(viewer: Viewer) -> None:
    from viser import _messages as messages

    guard = viewer.guard
    assert guard.checked_upload(messages.FileTransferStartUpload("b", "t", "f", "m", 1, MOST_UPLOADED + 1)) is None
    start = messages.FileTransferStartUpload("b", "t", "f" * 1000, "m", 2, 10)
    assert len(guard.checked_upload(start).filename) == 255
    assert guard.checked_part(messages.FileTransferPart("b", "t", 0, b"12345678")) is not None
    assert guard.checked_part(messages.FileTransferPart("b", "t", 1, b"12345678")) is None
