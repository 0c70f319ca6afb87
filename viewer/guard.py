"""Guard: what browsers send is checked before anything acts on it. A message that no control of ours would send is dropped.

viser trusts its clients: it sets any attribute of a control that a message names, to anything, and relays requests to a
service for sharing. Here only known messages pass, their numbers finite and in range, a bounded number of them a second,
from a bounded number of browsers that the viewer's own page was loaded in.
"""

import asyncio
import logging
import math
import re
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import viser
from viser import _messages as messages

MOST_CLIENTS = 8
MOST_PER_SECOND = 400
"""Messages of one browser that are listened to; moving a camera sends 60."""
LATE = 0.05
"""Seconds after which a camera that came too fast is tried again."""
MOST_BYTES = 4 << 20
"""Of one message; the largest that our controls send is a part of an uploaded file."""
MOST_UPLOADED = 16 << 20
"""Bytes of one file."""
MOST_TEXT = 4096
"""Characters in a text field."""
MOST_POINTS = 10_000
"""Points of one gesture."""
MOST_NAMED, MOST_NAME = 8, 253
"""Names of hosts that are said on the terminal, and characters of one (RFC 1035)."""
LARGEST = 1e7
"""Coordinate beyond which nothing is drawn in float32 anyway, world units."""
WINDOW = (16, 8192)
"""Width or height of a window, pixels."""
FOV = (math.radians(1), math.radians(170))
TOO_MANY = 1013
"""Status with which a connection is refused: try again later."""
NOT_ALLOWED = 1008

Handler = Callable[[Any, Any], Awaitable[None]]


class Guard:
    """Stands before one server's handlers.

    Args:
        local: whether the server listens on this machine alone; pages then must come from here, so that no page of
            somewhere else can use the viewer through the browser of its user.
        hosts: further names under which the viewer is reached, through a proxy.
    """

    def __init__(self, server: viser.ViserServer, *, local: bool, hosts: Collection[str] = ()) -> None:
        self.server, self.local, self.hosts = server, local, {host.lower() for host in hosts}
        self.refused: set[str] = set()  # names that have been said
        self.uploads: dict[str, int] = {}  # transfer -> bytes that may still come
        self.connections = server._websock_server
        self.connections._handle_incoming_message = self.guarded(self.connections._handle_incoming_message)  # type: ignore[method-assign, assignment]
        self.connections.on_client_connect(self.admit)
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # a traceback for every broken message
        for noise in ("Queued a .* on a closed connection", r"\[viser\] .* does not match annotation"):
            warnings.filterwarnings("ignore", message=noise)  # browsers go, and messages are checked here

    async def admit(self, connection: Any) -> None:
        """A websocket was opened: refuse it, or guard it."""
        socket = self.connections._live_connections[connection.client_id]
        socket.protocol.max_message_size = MOST_BYTES
        connection._handle_incoming_message = self.guarded(connection._handle_incoming_message)
        headers = {} if socket.request is None else socket.request.headers
        if not self.is_own_page(headers.get("Origin"), headers.get("Host")):
            self.tell_of_refusal(headers.get("Origin"))
            await socket.close(
                NOT_ALLOWED, "the viewer answers its own page only; `splat view --allow-host` allows others"
            )
        elif len(self.connections._live_connections) > MOST_CLIENTS:
            await socket.close(TOO_MANY, f"{MOST_CLIENTS} browsers look already")

    def tell_of_refusal(self, origin: str | None) -> None:
        """Say once for each name, and for eight names at most, how browsers that come by it are let in."""
        name = (urlsplit(origin or "").hostname or "")[:MOST_NAME]
        if name in self.refused or len(self.refused) >= MOST_NAMED or not re.fullmatch(r"[\w.:-]+", name):
            return
        self.refused.add(name)
        print(
            f"viewer: refused a browser whose page is from {name}, not from the viewer's own address. If that is your proxy "
            f"or tunnel, let it in: splat view --allow-host {name}",
            file=sys.stderr,
            flush=True,
        )

    def is_own_page(self, origin: str | None, host: str | None) -> bool:
        """Whether a connection comes from a page of ours, or from a program, which sends no origin."""
        if origin is None:
            return True
        page, asked = urlsplit(origin).hostname or "", urlsplit(f"//{host or ''}").hostname or ""
        if page.lower() in self.hosts:
            return True
        if self.local and asked not in ("127.0.0.1", "localhost", "::1"):
            return False  # a name of somebody else's that was made to lead here
        return page == asked

    def guarded(self, handler: Handler) -> Handler:
        """The handler, told only of what passes. Of too many messages the last camera is told when there is room again:
        it is where the browser stands."""
        allowance: dict[Any, tuple[float, float]] = {}  # client -> messages that it may send, and since when
        late: dict[Any, Any] = {}  # client -> its last camera, while that waits
        waiting: set[asyncio.Task[None]] = set()  # asyncio itself does not hold on to them

        def allowed(client_id: Any) -> bool:
            left, then = allowance.get(client_id, (float(MOST_PER_SECOND), time.monotonic()))
            now = time.monotonic()
            left = min(MOST_PER_SECOND, left + (now - then) * MOST_PER_SECOND) - 1
            allowance[client_id] = max(left, 0.0), now
            return left >= 0

        async def tell(client_id: Any, message: Any) -> None:
            try:
                checked = self.checked(client_id, message)
            except (TypeError, ValueError, OverflowError, KeyError, AttributeError):
                return  # not of the shape that it says
            if checked is not None:
                await handler(client_id, checked)

        async def tell_late(client_id: Any) -> None:
            while not allowed(client_id):
                await asyncio.sleep(LATE)
            camera = late.pop(client_id)
            if client_id in self.connections._live_connections:
                await tell(client_id, camera)

        async def handle(client_id: Any, message: Any) -> None:
            camera = isinstance(message, messages.ViewerCameraMessage)
            if camera and client_id in late:
                late[client_id] = message  # in its turn
            elif allowed(client_id):
                await tell(client_id, message)
            elif camera:
                late[client_id] = message
                task = asyncio.ensure_future(tell_late(client_id))
                waiting.add(task)
                task.add_done_callback(waiting.discard)

        return handle

    def checked(self, client_id: Any, message: Any) -> Any:
        """The message if it may pass, its numbers brought into range; None otherwise."""
        match message:
            case messages.ViewerCameraMessage():
                return checked_camera(message)
            case messages.GuiUpdateMessage():
                return self.checked_update(client_id, message)
            case messages.TransformControlsUpdateMessage():
                return message if numbers(message.wxyz, 4) and numbers(message.position, 3) else None
            case messages.ScenePointerMessage():
                rays = [ray for ray in (message.ray_origin, message.ray_direction) if ray is not None]
                points = message.screen_pos
                fits = len(points) <= MOST_POINTS and all(numbers(point, 2) for point in points)
                return message if fits and all(numbers(ray, 3) for ray in rays) else None
            case messages.SceneNodeClickMessage():
                fits = numbers(message.ray_origin, 3) and numbers(message.ray_direction, 3)
                return message if fits and numbers(message.screen_pos, 2) else None
            case messages.SceneNodeDragMessage():
                places = (message.start_position, message.end_position)
                return message if all(numbers(place, 3) for place in places) else None
            case messages.FileTransferStartUpload():
                return self.checked_upload(message)
            case messages.FileTransferPart():
                return self.checked_part(message)
            case (
                messages.TransformControlsDragStartMessage()
                | messages.TransformControlsDragEndMessage()
                | messages.GuiFormSubmitMessage()
                | messages.GuiFormDirtyMessage()
                | messages.GuiButtonHoldMessage()
                | messages.CommandTriggerMessage()
                | messages.GetRenderResponseMessage()
            ):
                return message
        return None

    def checked_update(self, client_id: Any, message: Any) -> Any:
        """A control was used: its value may change, to something that it can be, and nothing else of it."""
        if set(message.updates) != {"value"}:
            return None
        client = self.server._connected_clients.get(client_id)
        for gui in (self.server.gui, None if client is None else client.gui):
            handle = None if gui is None else gui._gui_input_handle_from_uuid.get(message.uuid)
            if handle is not None:
                value = fitting(message.updates["value"], handle)
                return None if value is None else replace(message, updates={"value": value})
        return None

    def checked_upload(self, message: Any) -> Any:
        size, parts = message.size_bytes, message.part_count
        if not (isinstance(size, int) and isinstance(parts, int) and 0 <= size <= MOST_UPLOADED and 0 <= parts <= 4096):
            return None
        if len(self.uploads) > 64:
            self.uploads.clear()
        self.uploads[str(message.transfer_uuid)[:64]] = size
        return replace(message, filename=str(message.filename)[:255], mime_type=str(message.mime_type)[:255])

    def checked_part(self, message: Any) -> Any:
        left = self.uploads.get(message.transfer_uuid, 0) - len(message.content)
        self.uploads[message.transfer_uuid] = left
        return message if left >= 0 and isinstance(message.content, bytes) else None


def checked_camera(message: Any) -> Any:
    """A camera that can be drawn from, or None."""
    vectors = (message.position, message.look_at, message.up_direction)
    if not (numbers(message.wxyz, 4) and all(numbers(vector, 3) for vector in vectors)):
        return None
    if sum(value * value for value in message.wxyz) < 1e-12 or max(map(abs, message.wxyz)) > 1e3:
        return None
    if not numbers((message.fov, message.near, message.far, message.image_width, message.image_height), 5, math.inf):
        return None
    return replace(
        message,
        fov=min(max(float(message.fov), FOV[0]), FOV[1]),
        image_width=min(max(int(message.image_width), WINDOW[0]), WINDOW[1]),
        image_height=min(max(int(message.image_height), WINDOW[0]), WINDOW[1]),
    )


def numbers(values: Any, count: int, largest: float = LARGEST) -> bool:
    """Whether these are so many finite numbers, none beyond `largest`."""
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) and abs(value) <= largest for value in values)
    )


def fitting(value: Any, handle: Any) -> Any:
    """What a control's value becomes: the one that was sent, brought into the control's range; None if it is of another
    kind. A control's present value says what kind that is."""
    present = handle.value
    options = getattr(handle, "options", None)
    if isinstance(present, bool):
        return value if isinstance(value, bool) else None
    if isinstance(present, str):
        if not isinstance(value, str) or len(value) > MOST_TEXT or (options is not None and value not in options):
            return None
        return value
    if isinstance(present, int | float):
        if not numbers((value,), 1, math.inf):
            return None
        return in_range(value, handle)
    if isinstance(present, tuple):
        if not numbers(value, len(present), math.inf):
            return None
        return tuple(in_range(one, handle) for one in value)
    return None


def in_range(value: float, handle: Any) -> float:
    """A number between the limits of a control that has any."""
    low, high = getattr(handle, "min", None), getattr(handle, "max", None)
    if isinstance(low, int | float):
        value = max(value, low)
    if isinstance(high, int | float):
        value = min(value, high)
    return value
