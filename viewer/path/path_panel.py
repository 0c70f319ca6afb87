"""PathPanel: keyframes of a camera path, its preview, its file, and the video along it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import viser

from splat.errors import InputError
from splat.geometry.camera_path import FOV_RANGE, MAX_KEYFRAMES, MAX_SECONDS, MIN_SECONDS, CameraPath, Keyframe
from splat.io.camera_path_file import MAX_BYTES, from_json, load_path, save_path, to_json
from splat.viewer.context import Used, ViewerContext, browser_of
from splat.viewer.path.flight import PathFlight, go_to, looking
from splat.viewer.path.video_controls import PathVideo
from splat.viewer.saving import allowed_file, given_folders

NEW_SECONDS = 2.0
NONE_SAVED = "none yet"
EMPTY = "Look somewhere and add a keyframe, then elsewhere and add another: the camera flies from one to the next."


class PathPanel:
    """One path, shared by all browsers; each can fly along it by itself."""

    title = "Path"
    edits = False

    def __init__(self, viewer: ViewerContext) -> None:
        self.viewer = viewer
        self.keyframes: list[Keyframe] = []
        self.current = 0
        self.lock = threading.RLock()  # held while keyframes change
        self.flight = PathFlight(viewer, self.choose)
        folders = given_folders(viewer.run, viewer.scenes)
        self.folder = folders[0] / "paths" if folders else None
        self.video = PathVideo(viewer, self.path, self.folder)

    def build(self, gui: viser.GuiApi) -> None:
        guarded = self.viewer.guarded
        self.status = gui.add_markdown("")
        add = gui.add_button("Add keyframe", hint="From where you look now, after the current one. Key K.")
        add.on_click(guarded(self.add))
        gui.add_command("Add keyframe to the path", hotkey="K").on_trigger(guarded(self.add))
        with gui.add_folder("Keyframe") as self.one:
            self.number = gui.add_dropdown("Number", ("1",))
            view = gui.add_button_group("View", ("Go there", "Take this"), hint="Take this: look from here instead.")
            order = gui.add_button_group("Order", ("Earlier", "Later", "Remove"))
            self.seconds = gui.add_number(
                "Seconds",
                NEW_SECONDS,
                min=MIN_SECONDS,
                max=MAX_SECONDS,
                step=0.1,
                hint="From the one before to this one.",
            )
            self.fov = gui.add_number(
                "View angle", 60.0, min=FOV_RANGE[0], max=FOV_RANGE[1], step=0.5, hint="Degrees, top to bottom."
            )
            self.ease = gui.add_checkbox("Rest here", False, hint="Slow down to a stop, and start gently.")
        with gui.add_folder("Flight"):
            self.duration = gui.add_number("Duration", 0.0, min=0.0, max=MAX_SECONDS, step=0.5, hint="Seconds in all.")
            self.loop = gui.add_checkbox("Loop", False, hint="From the last keyframe to the first again.")
            self.even = gui.add_checkbox("Even speed", False, hint="Time divided by the length of the way.")
            self.tension = gui.add_slider("Tension", 0.0, 1.0, 0.05, 0.0, hint="0: round curves; 1: straight lines.")
            self.shown = gui.add_checkbox("Show in the scene", True)
            self.time = gui.add_slider("Time", 0.0, 1.0, 0.002, 0.0, hint="Look along the path.")
            play = gui.add_button_group("Preview", ("Play", "Stop"))
        with gui.add_folder("Video", expand_by_default=False):
            self.video.build(gui)
        with gui.add_folder("File", expand_by_default=False):
            self._build_file(gui)
        self.number.on_update(self.when_used(lambda: self.choose(int(self.number.value) - 1)))
        view.on_click(guarded(self.look))
        order.on_click(guarded(lambda event: self.rearrange(event.target.value)))
        control: Any
        for control in (self.seconds, self.fov, self.ease):
            control.on_update(self.when_used(self.change_one))
        self.duration.on_update(self.when_used(self.change_duration))
        for control in (self.loop, self.even, self.tension, self.shown):
            control.on_update(self.when_used(self.tell))
        self.time.on_update(guarded(self.scrub))
        play.on_click(guarded(self.play))
        self.tell()

    def _build_file(self, gui: viser.GuiApi) -> None:
        guarded = self.viewer.guarded
        self.name = gui.add_text(
            "Name", "path", hint=f"Saved in {self.folder}." if self.folder else "For the download."
        )
        self.overwrite = gui.add_checkbox("Overwrite", False, visible=self.folder is not None)
        if self.folder is not None:
            gui.add_button("Save").on_click(guarded(self.save))
            self.saved = gui.add_dropdown("Saved", self.list_saved())
            gui.add_button("Load").on_click(guarded(self.load))
        gui.add_button("Download").on_click(guarded(self.download))
        gui.add_upload_button("Upload", mime_type="application/json").on_upload(guarded(self.upload))

    def path(self) -> CameraPath:
        """The path as the controls say.

        Raises:
            InputError: it has no keyframe.
        """
        with self.lock:
            if not self.keyframes:
                raise InputError("The path has no keyframes yet. Look somewhere and press Add keyframe.")
            return CameraPath(
                tuple(self.keyframes), bool(self.loop.value), float(self.tension.value), bool(self.even.value)
            )

    def when_used(self, act: Callable[[], None]) -> Callable[..., None]:
        """A callback for when a person uses a control, not when this panel sets it."""
        return self.viewer.guarded(lambda event: act() if event.client is not None else None)

    def add(self, event: Used) -> None:
        """A keyframe from where the browser looks, after the current one."""
        with self.lock:
            if len(self.keyframes) >= MAX_KEYFRAMES:
                raise InputError(f"A path has at most {MAX_KEYFRAMES} keyframes.")
            self.current = min(self.current + 1, len(self.keyframes))
            self.keyframes.insert(self.current, looked(browser_of(event), NEW_SECONDS))
            self.tell()

    def choose(self, index: int) -> None:
        """Make another keyframe the current one."""
        with self.lock:
            self.current = min(max(index, 0), max(0, len(self.keyframes) - 1))
            self.tell()

    def look(self, event: viser.GuiEvent[viser.GuiButtonGroupHandle]) -> None:
        """A button: look from the current keyframe, or make it look from here."""
        with self.lock:
            if not self.keyframes:
                raise InputError("The path has no keyframes yet.")
            keyframe = self.keyframes[self.current]
            if event.target.value == "Take this":
                self.keyframes[self.current] = looked(browser_of(event), keyframe.seconds, keyframe.ease)
                self.tell()
                return
        client = browser_of(event)
        self.flight.stop(client)
        go_to(client, keyframe)

    def rearrange(self, what: str) -> None:
        """A button: move the current keyframe in the order, or take it out."""
        with self.lock:
            if not self.keyframes:
                raise InputError("The path has no keyframes yet.")
            keyframe = self.keyframes.pop(self.current)
            if what != "Remove":
                self.current = min(max(self.current + (1 if what == "Later" else -1), 0), len(self.keyframes))
                self.keyframes.insert(self.current, keyframe)
            self.current = min(self.current, max(0, len(self.keyframes) - 1))
            self.tell()

    def change_one(self) -> None:
        """The controls of the current keyframe."""
        with self.lock:
            if not self.keyframes:
                return
            try:
                changed = replace(
                    self.keyframes[self.current],
                    seconds=float(self.seconds.value),
                    fov=float(self.fov.value),
                    ease=bool(self.ease.value),
                )
            except ValueError as error:
                raise InputError(str(error)) from None
            self.keyframes[self.current] = changed
            self.tell()

    def change_duration(self) -> None:
        """Fly the whole path faster or slower."""
        with self.lock:
            if len(self.keyframes) < 2 or not float(self.duration.value) > 0:
                return
            path = self.path()
            self.keyframes = list(path.at_speed(path.duration / float(self.duration.value)).keyframes)
            self.tell()

    def scrub(self, event: Used) -> None:
        """Look from somewhere along the path."""
        if event.client is not None and self.keyframes:
            path = self.path()
            self.flight.stop(event.client)
            fraction = min(float(self.time.value), 1 - 1e-9)
            go_to(event.client, path.keyframe_at(fraction * path.duration)[0])

    def play(self, event: viser.GuiEvent[viser.GuiButtonGroupHandle]) -> None:
        """A button: fly this browser along the path, or stop."""
        client = browser_of(event)
        self.flight.stop(client)
        if event.target.value == "Play":
            path = self.path()
            if not path.duration:
                raise InputError("One keyframe is no flight; add another.")
            fraction = float(self.time.value)
            self.flight.play(client, path, fraction * path.duration if fraction < 0.99 else 0.0)

    def save(self, event: Used) -> None:
        assert self.folder is not None
        name = self.name.value.strip()
        if not name.lower().endswith(".json"):
            name += ".json"
        file = allowed_file(name, [self.folder], overwrite=bool(self.overwrite.value))
        save_path(self.path(), file)
        self.saved.options = self.list_saved()
        self.viewer.notify("Saved", f"{file}, which splat render --path draws.", client=event.client)

    def load(self, event: object) -> None:
        assert self.folder is not None
        if self.saved.value == NONE_SAVED:
            raise InputError("No path has been saved yet.")
        self.use(load_path(allowed_file(self.saved.value, [self.folder], overwrite=True)))
        self.name.value = Path(self.saved.value).stem

    def download(self, event: Used) -> None:
        name = Path(self.name.value.strip() or "path").name.removesuffix(".json")
        browser_of(event).send_file_download(f"{name}.json", to_json(self.path()).encode(), save_immediately=True)

    def upload(self, event: viser.GuiEvent[viser.GuiUploadButtonHandle]) -> None:
        """A path from the browser's machine."""
        uploaded = event.target.value
        try:
            if len(uploaded.content) > MAX_BYTES:
                raise ValueError("is too large for a camera path")
            self.use(from_json(uploaded.content.decode("utf-8")))
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(f"{uploaded.name[:100]}: {error}") from None

    def use(self, path: CameraPath) -> None:
        """Go on with another path."""
        with self.lock:
            self.keyframes, self.current = list(path.keyframes), 0
            self.loop.value, self.even.value, self.tension.value = path.loop, path.constant_speed, path.tension
            self.tell()

    def list_saved(self) -> tuple[str, ...]:
        """Names of the files in the folder."""
        found: list[str] = []
        with suppress(OSError):
            if self.folder is not None and self.folder.is_dir():
                found = sorted(file.name for file in self.folder.glob("*.json") if file.is_file())
        return tuple(found[:200]) or (NONE_SAVED,)

    def tell(self) -> None:
        """Let the controls and the scene show the path."""
        with self.lock:
            count = len(self.keyframes)
            path = self.path() if count else None
            self.one.visible = count > 0
            if path is None:
                self.status.content = EMPTY
            else:
                self.status.content = f"**{count}** keyframe{'s' * (count != 1)}, {path.duration:.1f} s"
                keyframe = self.keyframes[self.current]
                self.number.options = tuple(str(index + 1) for index in range(count))
                self.number.value = str(self.current + 1)
                self.seconds.value = keyframe.seconds
                self.fov.value = round(keyframe.fov, 2)
                self.ease.value = keyframe.ease
            self.duration.value = 0.0 if path is None else round(path.duration, 3)
            shown = path if self.shown.value else None
            self.flight.draw(shown, self.current)


def looked(client: viser.ClientHandle, seconds: float, ease: bool = False) -> Keyframe:
    """Where a browser looks from.

    Raises:
        InputError: from somewhere that is no camera.
    """
    try:
        return looking(client, seconds, ease)
    except ValueError as error:
        raise InputError(str(error)) from None
