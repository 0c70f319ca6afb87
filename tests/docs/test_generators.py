"""What the generators of pages make of the dataclasses and sources that they read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro
from generate_reference import with_field_comments
from generate_verbs import Group, Option, groups_of, table

from splat.options.markers import OneOf, named_values


@dataclass(frozen=True)
class WayConfig:
    """How it goes."""

    budget: int | None = None
    """At most so many."""


@dataclass(frozen=True)
class GrowConfig(WayConfig):
    """grow: more and more."""

    speed: float = 5e5
    """With `budget`: how fast."""


@dataclass(frozen=True)
class StayConfig(WayConfig):
    """stay: no more."""


@dataclass(frozen=True)
class Rates:
    """Rates of Adam."""

    means_final: float = 1.6e-6
    """at the end"""


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
class WholeConfig:
    """All of it."""

    photos: PhotoFlags = field(default_factory=PhotoFlags)
    lr: Annotated[Rates, named_values(Rates)] = field(default_factory=Rates)
    """Learning rates."""
    way: Annotated[WayConfig, OneOf({"grow": GrowConfig, "stay": StayConfig})] = field(default_factory=GrowConfig)
    """Which way."""


@dataclass(frozen=True)
class Options:
    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where to."""
    whole: WholeConfig = field(default_factory=WholeConfig)

    COMMON: ClassVar[Sequence[str]] = ("output",)


BUDGET = Option(("--budget",), "INT", "", "At most so many.")


def test_options_of_all_kinds() -> None:
    own, photos, grow, stay, names = groups_of(Options)
    assert own == Group(
        "Options",
        "",
        [
            Option(("SCENES ...",), "", "required", "Scenes.", positional=True),
            Option(("--output", "-o"), "PATH", "", "Where to.", common=True),
            Option(("--lr",), "NAME=VALUE ...", "", "Learning rates."),
            Option(("--way",), "grow|stay", "`grow`", "Which way."),
        ],
    )
    assert photos == Group(
        "Photos",
        "Which photos.",
        [
            Option(("--size",), "INT INT", "`8` `9`", "Width and height."),
            Option(("--no-cut",), "", "on", "Cut them."),
            Option(("--mode",), "a|b", "`a`", "Which | mode."),
        ],
    )
    speed = Option(("--speed",), "FLOAT", "`500000`", "With `--budget`: how fast.")
    assert grow == Group("With `--way grow`", "More and more.", [BUDGET, speed])
    assert stay == Group("With `--way stay`", "No more.", [BUDGET])
    assert names == Group(
        "Names of `--lr`", "", [Option(("means_final",), "", "`1.6e-6`", "at the end")], of_pairs=True
    )


def test_cells_keep_their_bars_and_anchors_are_given_once() -> None:
    group = Group("Photo", options=[Option(("--mode",), "a|b", "`a`", "x | y, `c|d`")])
    anchors: set[str] = set()
    assert table(group, anchors)[2] == '| <a id="mode"></a>`--mode` | `a`, `b` | `a` | x \\| y, `c|d` |'
    assert table(group, anchors)[2].startswith("| `--mode`")


def test_comments_behind_fields_become_docstrings() -> None:
    source = (
        'class A:\n    x: int = 1  # [N] "mm"\n    y: int\n    """Said."""\n    z: str = "#"\n\nw: int  # no field\n'
    )
    staged = with_field_comments(source)
    assert staged == source.replace('x: int = 1  # [N] "mm"', 'x: int = 1; """[N] \'mm\'"""')
