"""Where a shared page starts to look from, and where else: cameras of the capture, with small pictures of their photos."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from splat.cameras import Camera
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.viewpoints import outside
from splat.opening import OpenedScene
from splat.run import Run

THUMB_HEIGHT = 96
"""Pixels."""
THUMBS = 9
"""At most, as many as there are number keys; they are spread evenly over the capture."""
VIEWS_MAX = 300
NAME_LIMIT = 80


@dataclass(frozen=True)
class View:
    """A camera with a name, and perhaps a picture as a data URL."""

    camera: Camera
    name: str = ""
    thumb: str | None = None
    distance: float | None = None
    """World units to what it looks at; the page finds out where it is not given."""
    spread: float | None = None
    """World units, the size of the capture."""

    def as_dict(self) -> dict[str, Any]:
        """As the page reads it, rounded to what a float holds."""
        rounded = [[float(f"{value:.7g}") for value in row] for row in self.camera.viewmat.tolist()]
        found = {
            "name": self.name[:NAME_LIMIT],
            "viewmat": rounded,
            "K": [[float(f"{value:.7g}") for value in row] for row in self.camera.K.tolist()],
            "width": self.camera.width,
            "height": self.camera.height,
            "thumb": self.thumb,
            "distance": self.distance,
            "spread": self.spread,
        }
        return {name: value for name, value in found.items() if value is not None}


def views_of_capture(path: Path, scene: OpenedScene) -> list[View]:
    """The capture's cameras: first those with pictures, which the number keys reach.

    Raises:
        InputError: there is no capture.
    """
    from splat.datasets.load import PhotoOptions, load_capture

    options = PhotoOptions(max_image_size=4 * THUMB_HEIGHT, allow_missing=True)
    means = scene.gaussians.means
    frames = load_capture(path, options, georeference=scene.georeference, scene=means, progress=True).frames
    shown = set(_evenly(len(frames), THUMBS))
    views = [
        View(frame.camera, Path(frame.name).stem, thumbnail(frame.image) if index in shown else None)
        for index, frame in enumerate(frames)
    ]
    views = [views[index] for index in sorted(shown | set(_evenly(len(views), VIEWS_MAX)))]
    return sorted(views, key=lambda view: view.thumb is None)


def views_of_run(folder: Path) -> list[View]:
    """The cameras that a run was trained from, without their photos; none where the folder does not say."""
    views = [View(camera, name) for name, camera in Run(folder).cameras()]
    return [views[index] for index in _evenly(len(views), VIEWS_MAX)]


def view_around(gaussians: Gaussians) -> View:
    """In front of a scene of which no camera is known.

    Raises:
        InputError: there is nothing to look at.
    """
    if not bool(gaussians.means.isfinite().all(dim=1).any()):
        raise InputError("the scene has no Gaussians that can be drawn")
    first = outside(gaussians.means)
    return View(first.camera(960, 720), distance=float((first.position - first.target).norm()))


def thumbnail(image: Tensor) -> str:
    """A photo [H, W, 3] of bytes as a small JPEG in a data URL."""
    picture = Image.fromarray(image.numpy())
    width = max(1, min(4 * THUMB_HEIGHT, round(picture.width * THUMB_HEIGHT / picture.height)))
    out = io.BytesIO()
    picture.resize((width, THUMB_HEIGHT), Image.Resampling.LANCZOS).save(out, "JPEG", quality=70, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _evenly(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]
