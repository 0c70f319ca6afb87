"""The verb `splat share`."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from splat.errors import InputError
from splat.io.parsing import parse_bytes

if TYPE_CHECKING:
    from splat.opening import OpenedScene
    from splat.viewer.share.views import View

COLORS = {"black": "000000", "white": "ffffff"}


@dataclass(frozen=True)
class ShareOptions:
    """Options of `splat share`."""

    scene: tyro.conf.Positional[Path]
    """A scene of any format, or the folder of a run."""

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The page to write, NAME.html; beside the scene unless given."""

    title: str | None = None
    """Heading of the page; the name of the scene unless given."""

    capture: Path | None = None
    """Folder of the capture: its cameras become start views, with small pictures of up to nine of its photos in the page. The
    folder of a run knows the cameras by itself; the photos are put in only when they are asked for like this."""

    max_bytes: Annotated[str | None, tyro.conf.arg(metavar="8MB")] = None
    """Largest size of the page. A smaller palette of harmonics, fewer degrees, and then fewer Gaussians make it fit."""

    sh_degree: Annotated[int | None, tyro.conf.arg(metavar="0-3")] = None
    """Keep harmonics up to this degree only."""

    background: Annotated[str, tyro.conf.arg(metavar="black|white|#RRGGBB")] = "black"
    """Color behind the scene."""

    antialiased: bool = False
    """The scene was trained with --antialiased. Known by itself for the folder of a run and for files that say so."""

    overwrite: bool = False
    """Replace a page that exists."""


def share(options: ShareOptions) -> None:
    """Put a scene and a viewer into one HTML file that works offline, on a phone, by mail or on any web server."""
    from splat.compression.formats.sog.reader import says_antialiased
    from splat.io.atomic_file import replacing
    from splat.io.progress import Counter
    from splat.opening import open_scene
    from splat.viewer.share import text_encoding
    from splat.viewer.share.fit import fit
    from splat.viewer.share.page import PageOptions, page
    from splat.viewer.share.payload import encode, encode_sog, sog_meta

    began = time.monotonic()
    output = options.output or default_output(options.scene)
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: the page must end in .html")
    if output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; choose another name with -o, or say --overwrite")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 3:
        raise InputError(f"--sh-degree must be 0 to 3, got {options.sh_degree}")
    background, limit = parse_color(options.background), parse_size(options.max_bytes)
    opened = open_scene(options.scene)
    scene, source = opened.gaussians, opened.file
    degree = min(scene.sh_degree, 3 if options.sh_degree is None else options.sh_degree)
    meta = sog_meta(source)
    marked = meta is not None and says_antialiased(meta)
    antialiased = options.antialiased or opened.render.antialiased
    views, home, up = start_views(options, opened)
    page_options = PageOptions(
        title=options.title or options.scene.resolve().stem,
        home=home,
        up=up,
        near=opened.render.near,
        views=views,
        background=background,
    )
    around = len(page(b"", page_options))
    given_up: tuple[str, ...] = ()
    as_is = meta is not None and degree == scene.sh_degree and antialiased == bool(marked)
    with Counter("share", countable=False):
        payload = encode_sog(source) if as_is else b""
        if limit is not None and (not as_is or around + len(text_encoding.encode(payload)) > limit):
            fitted = fit(scene.with_sh_degree(degree), limit - around, antialiased)
            payload, given_up = fitted.payload, fitted.given_up
        elif not as_is:
            payload = encode(scene.with_sh_degree(degree), antialiased)
    content = page(payload, page_options)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    for note in given_up:
        print(f"to fit into {options.max_bytes}: {note}")
    print(
        f"{output}: {len(content) / 1e6:.2f} MB, of which {len(payload) / 1e6:.2f} MB are the scene and "
        f"{len(page(b'', page_options)) / 1e3:.0f} kB the viewer with its start views; "
        f"{time.monotonic() - began:.1f} s"
    )


def default_output(scene: Path) -> Path:
    """scene.html in the folder of a run, else beside the file."""
    return scene / "scene.html" if scene.is_dir() else scene.with_name(scene.name.split(".")[0] + ".html")


def start_views(options: ShareOptions, opened: "OpenedScene") -> "tuple[list[View], View, tuple[float, float, float]]":
    """Cameras of the capture, if any is known; where to look from first, the central one or in front; and which way is up."""
    from dataclasses import replace

    from splat.geometry.alignment import UP
    from splat.geometry.viewpoints import central, spread, up_of
    from splat.viewer.share.views import view_around, views_of_capture, views_of_run

    views = views_of_capture(options.capture, opened) if options.capture else views_of_run(options.scene)
    if not views:
        return [], view_around(opened.gaussians), UP
    cameras = [view.camera for view in views]
    x, y, z = up_of(cameras).tolist()
    return views, replace(views[central(cameras)], thumb=None, spread=spread(cameras)), (x, y, z)


def parse_color(text: str) -> tuple[float, float, float]:
    """black, white or #RRGGBB as 0 to 1.

    Raises:
        InputError: it is none of these.
    """
    digits = COLORS.get(text.lower(), text.removeprefix("#"))
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise InputError(f"--background must be black, white or a color such as #203040, got {text!r}")
    red, green, blue = (value / 255 for value in bytes.fromhex(digits))
    return red, green, blue


def parse_size(text: str | None) -> int | None:
    """8MB, 500kB or 8MiB as bytes.

    Raises:
        InputError: it is none of these, or too small for the viewer.
    """
    if text is None:
        return None
    size = parse_bytes("--max-bytes", text, "8MB")
    if size < 200_000:
        raise InputError(f"--max-bytes must be 200kB or more, for the viewer takes a part of it; got {text!r}")
    return size
