"""`splat compare`: runs side by side in one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from splat.errors import InputError
from splat.training.evaluate.report import write_report


@dataclass(frozen=True)
class CompareOptions:
    """Options of `splat compare`."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Output folders of `splat train`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("compare.html")
    """Page to write."""


def compare(options: CompareOptions) -> None:
    """Put runs side by side in one page: views under a slider, scores, curves, and the settings that differ."""
    if len(options.runs) < 2:
        raise InputError("which runs? Give two output folders of `splat train` or more")
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{options.output}: the page must end in .html")
    write_report(options.runs, options.output)
    print(f"{len(options.runs)} runs -> {options.output}")
