"""What the generators of pages make of the dataclasses and sources that they read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from generate_reference import with_field_comments
from generate_verbs import Group, Option, groups, table


@dataclass(frozen=True)
class GrowConfig:
    """Grows."""

    budget: int | None = None
    """At most so many."""


@dataclass(frozen=True)
class StayConfig:
    """Stays."""


@dataclass(frozen=True)
class Rates:
    """Rates of Adam."""

    means_final: float = 1.6e-6
    """At the end."""


@dataclass(frozen=True)
class PhotoFlags:
    """Which photos."""

    size: tuple[int, int] = (8, 9)
    """Width and
    height."""
    cut: bool = True
    """Cut them."""
    mode: Literal["a", "b"] = "a"
    """Which | mode."""


@dataclass(frozen=True)
class Options:
    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where to."""
    lr: Rates = field(default_factory=Rates)
    """Learning rates."""
    grow: GrowConfig | StayConfig = field(default_factory=GrowConfig)
    """Which way."""
    photos: tyro.conf.OmitArgPrefixes[PhotoFlags] = field(default_factory=PhotoFlags)


def test_options_of_all_kinds() -> None:
    own, names, grow, photos = groups(Options, Group("Options"))
    assert own.options == [
        Option(("SCENES ...",), "", "required", "Scenes.", positional=True),
        Option(("--output", "-o"), "PATH", "", "Where to."),
        Option(("--lr",), "NAME=VALUE ...", "", "Learning rates. Rates of Adam."),
        Option(("--grow",), "grow|stay", "`grow`", "Which way."),
    ]
    assert names == Group(
        "Names of `--lr`", "", [Option(("means_final",), "", "`1.6e-6`", "At the end.")], of_pairs=True
    )
    assert grow == Group("With `--grow grow`", "Grows.", [Option(("--budget",), "INT", "", "At most so many.")])
    assert (photos.title, photos.text) == ("Photo", "Which photos.")
    assert photos.options == [
        Option(("--size",), "INT INT", "`8` `9`", "Width and height."),
        Option(("--no-cut",), "", "on", "Cut them."),
        Option(("--mode",), "a|b", "`a`", "Which | mode."),
    ]


def test_cells_keep_their_bars_and_anchors_are_given_once() -> None:
    group = Group("Photo", options=[Option(("--mode",), "a|b", "`a`", "x | y")])
    anchors: set[str] = set()
    assert table(group, anchors)[2] == '| <a id="mode"></a>`--mode` | `a\\|b` | `a` | x \\| y |'
    assert table(group, anchors)[2].startswith("| `--mode`")


def test_comments_behind_fields_become_docstrings() -> None:
    source = (
        'class A:\n    x: int = 1  # [N] "mm"\n    y: int\n    """Said."""\n    z: str = "#"\n\nw: int  # no field\n'
    )
    staged = with_field_comments(source)
    assert staged == source.replace('x: int = 1  # [N] "mm"', 'x: int = 1; """[N] \'mm\'"""')
