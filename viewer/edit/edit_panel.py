"""EditPanel: selecting, deleting, hiding, moving, measuring and saving, with undo."""

import threading

import viser

from splat.compression.formats.registry import FormatOptions
from splat.errors import InputError
from splat.io.georeference_file import note_beside
from splat.viewer.context import Used, ViewerContext
from splat.viewer.edit.measure_tools import MeasureTools
from splat.viewer.edit.move_tools import MoveTools
from splat.viewer.edit.select_tools import SelectTools
from splat.viewer.edit.session import EditSession
from splat.viewer.saving import allowed_file, given_folders


class EditPanel:
    """The edits of every scene that is open. All browsers share them."""

    title = "Edit"
    edits = True

    def __init__(self, viewer: ViewerContext) -> None:
        self.viewer = viewer
        self.sessions = {slot.name: EditSession(viewer, slot) for slot in viewer.scenes}
        self.select = SelectTools(viewer, self.session, self.tell)
        self.move = MoveTools(viewer, self.session, self.tell)
        self.measure = MeasureTools(viewer, self.session, self.tell)
        self.folders = given_folders(viewer.run, viewer.scenes)
        self.saving = threading.Lock()

    def session(self) -> EditSession:
        """Of the scene that is edited now."""
        return self.sessions[self.scene.value]

    def build(self, gui: viser.GuiApi) -> None:
        guarded, names = self.viewer.guarded, tuple(self.sessions)
        self.scene = gui.add_dropdown("Scene", names, visible=len(names) > 1, hint="Which one is edited.")
        self.scene.on_update(guarded(lambda _: self.tell()))
        self.status = gui.add_markdown("")
        change = gui.add_button_group("Selected", ("Delete", "Hide", "Isolate"), hint="Keys X and V delete and hide.")
        change.on_click(guarded(lambda event: self.change(event.target.value)))
        self.back = gui.add_button_group("Steps", ("Undo", "Redo", "Show all"), hint="Ctrl Z, Ctrl Shift Z.")
        self.back.on_click(guarded(self.go))
        with gui.add_folder("Select"):
            self.select.build(gui)
        with gui.add_folder("Move", expand_by_default=False):
            self.move.build(gui)
        with gui.add_folder("Measure", expand_by_default=False):
            self.measure.build(gui)
        with gui.add_folder("Save", expand_by_default=False):
            self._build_save(gui)
        for label, key, modifier, act in (
            ("Undo edit", "Z", "cmd/ctrl", self.go_back),
            ("Redo edit", "Z", "cmd/ctrl+shift", self.go_forth),
            ("Delete selection", "X", None, lambda: self.change("Delete")),
            ("Hide selection", "V", None, lambda: self.change("Hide")),
            ("Select nothing", "N", "shift", self.clear),
        ):
            command = gui.add_command(label, hotkey=key, modifier=modifier)  # type: ignore[arg-type]
            command.on_trigger(guarded(lambda _, act=act: act()))
        self.tell()

    def _build_save(self, gui: viser.GuiApi) -> None:
        if not self.folders:
            gui.add_markdown("This scene was not read from a file, so there is no folder to save into.")
            return
        gui.add_markdown(
            f"Into `{self.folders[0]}`. The ending chooses the format: .ply .splatz .spz .sog .compressed.ply .splat .glb"
        )
        self.name = gui.add_text("Name", "edited.ply")
        self.overwrite = gui.add_checkbox("Overwrite", False)
        self.save_button = gui.add_button("Save")
        self.save_button.on_click(self.viewer.guarded(self.save))

    def change(self, what: str) -> None:
        """A button: take a step with the selection.

        Raises:
            InputError: there is nothing that it would do.
        """
        session = self.session()
        if what == "Show all":
            done = session.step(lambda history: history.show_all())
        else:
            chosen = session.selected
            done = session.step(lambda history: getattr(history, what.lower())(chosen))
        self.tell()
        if not done:
            raise InputError(
                "Nothing is hidden." if what == "Show all" else f"Select something to {what.lower()} first."
            )

    def go(self, event: viser.GuiEvent[viser.GuiButtonGroupHandle]) -> None:
        """A button: back, forth, or show all."""
        match event.target.value:
            case "Undo":
                self.go_back()
            case "Redo":
                self.go_forth()
            case what:
                self.change(what)

    def clear(self) -> None:
        """Select nothing."""
        self.session().select(None)
        self.tell()

    def go_back(self) -> None:
        self.session().step(lambda history: history.undo())
        self.tell()

    def go_forth(self) -> None:
        self.session().step(lambda history: history.redo())
        self.tell()

    def save(self, event: Used) -> None:
        """Write the edited scene, in the thread of this callback; one at a time."""
        file = allowed_file(self.name.value, self.folders, overwrite=bool(self.overwrite.value))
        if not self.saving.acquire(blocking=False):
            raise InputError("A scene is being saved; wait for it.")
        try:
            self.save_button.disabled = True
            session = self.session()
            count = session.history.save(file, FormatOptions(antialiased=session.slot.settings.antialiased))
            known = session.slot.georeference
            georeference = known and session.history.state.georeference(known)
            note_beside(file, georeference)
        finally:
            self.save_button.disabled = False
            self.saving.release()
        size = file.stat().st_size / 1e6
        lost = known is not None and not known.is_identity and georeference is None
        said = (
            ". The scene was turned or a part of it moved, so where it lies in its capture is not kept" if lost else ""
        )
        self.viewer.notify("Saved", f"{count:,} Gaussians, {size:.1f} MB: {file}{said}", client=event.client)

    def tell(self) -> None:
        """Say what is selected, and what undo would take back."""
        session = self.session()
        self.measure.forget_if_moved()
        lines = [session.describe()]
        names = ("undo", session.history.undo_name), ("redo", session.history.redo_name)
        steps = [f"{way}: {name}" for way, name in names if name is not None]
        self.status.content = "  \n".join([*lines, *([f"*{', '.join(steps)}*"] if steps else [])])
