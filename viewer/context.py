"""The viewer as its panels know it, and the panels as the viewer knows them."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import viser

from splat.datasets.capture import Capture
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.viewer.draw.client_view import ClientView
from splat.viewer.draw.render_loop import Drawable, RenderLoop
from splat.viewer.slots import SceneSlot


class ViewerContext(Drawable, Protocol):
    """What panels may use of the viewer, besides what is drawn of it."""

    capture: Capture | None  # whose cameras and photos can be looked at
    run: Path | None  # folder of the run that is shown
    background: tuple[int, int, int]  # of pictures at first, 0 to 255
    lock: threading.RLock  # held while slots are changed
    loop: RenderLoop

    def replace(self, slot: SceneSlot, gaussians: Gaussians) -> None:
        """Show other Gaussians in a slot, to all browsers."""

    def refresh(self) -> None:
        """Draw again for all browsers: something in a slot has changed."""

    def score(self, client: viser.ClientHandle) -> None:
        """Find out what each Gaussian of the first scene does for the photos."""

    def guarded(self, callback: Callable[..., object]) -> Callable[..., None]:
        """A callback of a control whose errors become messages in the browser that caused them."""


class Used(Protocol):
    """What viser tells of a control or a command that was used."""

    @property
    def client(self) -> viser.ClientHandle | None:
        """The browser that it was used in; None where the program itself has set it."""


def browser_of(event: Used) -> viser.ClientHandle:
    """The browser in which a control was used.

    Raises:
        InputError: in none.
    """
    if event.client is None:
        raise InputError("No browser asked for this.")
    return event.client


class Panel(Protocol):
    """A tab of controls. One is made per viewer; its controls are shared by all browsers.

    A control's callbacks run in threads of viser; an event says which browser caused it (`event.client`). They change
    slots under `viewer.lock` and then call `viewer.refresh()`. `viewer.guarded` makes an error in one a message.
    """

    title: str
    edits: bool  # whether it changes scenes; left out while one trains

    def __init__(self, viewer: ViewerContext) -> None: ...

    def build(self, gui: viser.GuiApi) -> None:
        """Add the controls. Called once, inside the panel's tab."""


class ClientPanel(Protocol):
    """A tab of controls that every browser has for itself. One is made per browser."""

    title: str

    def __init__(self, viewer: ViewerContext, view: ClientView) -> None: ...

    def build(self, gui: viser.GuiApi) -> None:
        """Add the controls. Called once, inside the panel's tab."""
