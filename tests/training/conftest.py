"""A capture and a run on it that several tests look at, and the command line as a function."""

from collections.abc import Callable
from pathlib import Path

import pytest
from captures import write_capture

from splat import cli


def _run(*arguments: object) -> int:
    try:
        cli.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="session")
def run_splat() -> Callable[..., int]:
    """Exit status of `splat ...`."""
    return _run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A capture of 16 photos, and a finished run on it with held-out views."""
    folder = tmp_path_factory.mktemp("small")
    write_capture(folder / "capture", photos=16)
    flags = ("--iterations", 300, "--eval", "--sh-degree", 1)
    assert _run("train", folder / "capture", "-o", folder / "run", *flags) == 0
    return folder / "capture", folder / "run"
