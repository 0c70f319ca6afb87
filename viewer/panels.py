"""The panels at the side of the picture, in the order of their tabs."""

from typing import TYPE_CHECKING, Protocol

import viser

if TYPE_CHECKING:
    from splat.viewer.app import Viewer


class Panel(Protocol):
    """A tab of controls. One is made per viewer; its controls are shared by all clients.

    A control's callbacks run in threads of viser; an event says which client caused it (`event.client`). They change slots
    under `viewer.lock` and then call `viewer.refresh()`. `viewer.guarded` makes an error in one a message.
    """

    title: str

    def __init__(self, viewer: "Viewer") -> None: ...

    def build(self, gui: viser.GuiApi) -> None:
        """Add the controls. Called once, inside the panel's tab."""


PANELS: list[type[Panel]] = []
"""Every panel."""
