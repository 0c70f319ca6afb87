"""`splat verify`: check a scene's file of any format."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from splat.compression.commands.format_flags import FormatFlags, format_options


@dataclass(frozen=True)
class VerifyOptions:
    """Options of `splat verify`."""

    file: tyro.conf.Positional[Path]
    """A scene of any format, or the folder of a run."""

    formats: FormatFlags = field(default_factory=FormatFlags)

    json: bool = False
    """Print JSON, for programs."""

    COMMON: ClassVar[tuple[str, ...]] = ("file", "json")


def verify(options: VerifyOptions) -> None:
    """Check a scene's file: values in their ranges, positions finer than the Gaussians, and that writing and reading it again
    gives the same scene, but for rounding. Exit status 1 where there is a problem."""
    from splat.compression.formats.verify import verify as examine
    from splat.io.facts import as_json, as_text

    facts = examine(options.file, format_options(options.formats, antialiased=False))
    problems = facts["problems"]
    print(as_json(facts) if options.json else as_text({**facts, "problems": problems or "none"}))
    if problems:
        sys.exit(1)
