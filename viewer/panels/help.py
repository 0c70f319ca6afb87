"""Help: what the mouse and the keys do, and the commands behind the keys."""

import viser

from splat.viewer.context import ViewerContext

TEXT = """
**Mouse** — drag to turn, right drag to move, wheel to come closer. **Touch** — one finger turns, two move and zoom.

**Keys** — W A S D fly, Q and E go down and up, arrows turn.

| key | does |
|---|---|
| H | this help |
| R | back to the first view |
| N, B | next photo, photo before |
| T | photo on, photo off |
| 1 … 9 | color, depth, normals, alpha, overdraw, centers, ellipsoids, contribution, blame |
| X, V | delete, hide what is selected |
| Ctrl Z, Ctrl Shift Z | undo, redo |
| Shift N | select nothing |
| K | add a keyframe to the camera's path |
| Ctrl K | all commands |

The picture is coarse while the camera moves and exact once it rests.
"""


def add(viewer: ViewerContext) -> None:
    """Register the keys and a button for them."""
    gui = viewer.server.gui

    def show(event: viser.GuiEvent) -> None:
        if event.client is None:
            return
        modal = event.client.gui.add_modal("Help")
        with modal:
            event.client.gui.add_markdown(TEXT)
            close = event.client.gui.add_button("Close")
        close.on_click(lambda _: modal.close())

    gui.add_button("Keys and help", icon=viser.Icon.KEYBOARD).on_click(viewer.guarded(show))
    gui.add_command("Help", hotkey="H").on_trigger(viewer.guarded(show))
