"""What tests of the viewer share: scenes, viewers on free ports, and a real browser."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captures import write_capture

from splat.datasets.capture import Capture
from splat.datasets.load import load_capture
from splat.viewer.app import Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parent))  # for `from wire import ...`
import chromium
from viewing import viewers


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium without a screen and without a GPU. Where tests must run it, CI=true makes absence an error."""
    path = chromium.program()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        message = "no Chromium: install Playwright for Python and the system's package chromium, or set CHROMIUM"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """Twelve photos of 96 x 64 pixels around `subject`."""
    folder = tmp_path_factory.mktemp("viewed")
    write_capture(folder, photos=12, width=96, height=64)
    return load_capture(folder)


@pytest.fixture
def viewer_of() -> Iterator[Callable[..., Viewer]]:
    """Makes viewers that are closed after the test."""
    with viewers() as make:
        yield make


@pytest.fixture(scope="module")
def viewer() -> Iterator[Viewer]:
    """One for all tests of a file."""
    with viewers() as make:
        yield make()
