"""The panels at the side of the picture, in the order of their tabs."""

from typing import TYPE_CHECKING, Protocol

import viser

from splat.viewer.draw.client_view import ClientView

if TYPE_CHECKING:
    from splat.viewer.app import Viewer


class Panel(Protocol):
    """A tab of controls. One is made per viewer; its controls are shared by all browsers.

    A control's callbacks run in threads of viser; an event says which browser caused it (`event.client`). They change
    slots under `viewer.lock` and then call `viewer.refresh()`. `viewer.guarded` makes an error in one a message.
    """

    title: str
    edits: bool  # whether it changes scenes; left out while one trains

    def __init__(self, viewer: "Viewer") -> None: ...

    def build(self, gui: viser.GuiApi) -> None:
        """Add the controls. Called once, inside the panel's tab."""


class ClientPanel(Protocol):
    """A tab of controls that every browser has for itself. One is made per browser."""

    title: str

    def __init__(self, viewer: "Viewer", view: ClientView) -> None: ...

    def build(self, gui: viser.GuiApi) -> None:
        """Add the controls. Called once, inside the panel's tab."""
