"""The verbs of the core: `splat info` and `splat doctor`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class InfoOptions:
    """Options of `splat info`."""

    path: tyro.conf.Positional[Path]
    """A scene of any format, the output folder of `splat train`, or a capture (a folder with photos and a COLMAP model)."""

    json: bool = False
    """Print JSON, for programs."""


@dataclass(frozen=True)
class DoctorOptions:
    """Options of `splat doctor`."""

    json: bool = False
    """Print JSON, for programs."""


def info(options: InfoOptions) -> None:
    """Say what a scene, a run or a capture contains."""
    from splat.cli.describe import as_text, describe

    facts = describe(options.path)
    print(json.dumps(facts, indent=2) if options.json else as_text(facts))


def doctor(options: DoctorOptions) -> None:
    """Say what this installation can do, what it lacks and how to get it. Exit status 1 when it cannot render."""
    from splat.cli.examine import as_text, examine

    report = examine()
    print(json.dumps(report, indent=2) if options.json else as_text(report))
    if not report["works"]:
        sys.exit(1)
