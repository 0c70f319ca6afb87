"""A scene as one HTML file: the viewer of web/ with the scene inside. It asks for nothing from anywhere.

The viewer is plain JavaScript, put together here without tools. Making it smaller is left to what cannot go wrong: comments
on lines of their own, indentation and empty lines are dropped.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from splat.geometry.scene_size import NEAR
from splat.version import __version__
from splat.viewer.share import text_encoding
from splat.viewer.share.views import View

PAGE = Path(__file__).with_name("web")
BESIDE = ("decode.js", "sort.js", "worker.js")
"""Runs in a worker."""
SCRIPTS = ("pose.js", "shaders.js", "renderer.js", "controls.js", "chrome.js", "main.js")
"""Runs in the page."""


@dataclass(frozen=True)
class PageOptions:
    """What surrounds the scene."""

    title: str
    home: View
    """Where one looks from at first."""
    up: tuple[float, float, float]
    """World direction that points up, of unit length."""
    views: Sequence[View] = ()
    """The capture's cameras."""
    background: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    """Color behind the scene, 0 to 1."""
    near: float = NEAR
    """Nothing nearer than this is drawn, world units."""


def page(payload: bytes, options: PageOptions) -> bytes:
    """The file. Titles and names are text in it, whatever they contain.

    Args:
        payload: from `splat.viewer.share.payload.encode`.
    """
    settings: dict[str, Any] = {
        "bytes": len(payload),
        "background": options.background,
        "up": options.up,
        "near": options.near,
        "home": options.home.as_dict(),
        "views": [view.as_dict() for view in options.views],
    }
    color = "#" + "".join(f"{round(255 * value):02x}" for value in options.background)
    text = Template((PAGE / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(options.title),
        generator=f"splat {__version__}",
        style=Template(smaller((PAGE / "page.css").read_text(encoding="utf-8"))).substitute(background=color),
        script=script(),
        settings=as_script_text(settings),
        scene="\0",
    )
    before, _, after = text.partition("\0")
    return before.encode() + text_encoding.encode(payload) + after.encode()


@cache
def script() -> str:
    """The viewer's code. What runs in a worker is a function, so that the page can run it itself where it must."""
    beside, files = (
        "\n".join(smaller((PAGE / name).read_text(encoding="utf-8")) for name in names) for names in (BESIDE, SCRIPTS)
    )
    return f"function sceneCode(port) {{\n{beside}\nserve(port);\n}}\n{files}"


def smaller(source: str) -> str:
    """Code without comments that stand alone, indentation and empty lines."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def as_script_text(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
