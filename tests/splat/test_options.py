"""Options: dataclasses become flags, with two levels of help, alternatives and groups of NAME=VALUE."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import pytest
import tyro

from splat.cli.old_spellings import OLD, renewed
from splat.cli.verbs import VERBS
from splat.options.flags import flags, with_flags
from splat.options.markers import OneOf, named_values
from splat.options.parse import parse
from splat.plugins import find


@dataclass(frozen=True)
class Shape:
    size: float = 1.0
    """How large."""


@dataclass(frozen=True)
class Ball(Shape):
    bounce: int = 3
    """How often."""


@dataclass(frozen=True)
class Box(Shape):
    corners: int = 8
    """How many."""


@dataclass(frozen=True)
class Weights:
    red: float = 0.5
    """of red"""
    dark_blue: float = 0.25
    """of blue"""


@dataclass(frozen=True)
class Light:
    lamp: bool = False
    """Switch on, unless `color` is dark."""


@dataclass(frozen=True)
class Order:
    name: tyro.conf.Positional[str]
    """Whose order."""
    color: Annotated[str, tyro.conf.arg(aliases=["-c"])] = "white"
    """Of everything."""
    shape: Annotated[Shape, OneOf({"ball": Ball, "box": Box})] = field(default_factory=Ball)
    """What it is."""
    weights: Annotated[Weights, named_values(Weights)] = field(default_factory=Weights)
    """Of the colors."""
    light: Light = field(default_factory=Light)
    side: Literal["left", "right"] | None = None
    """From where."""

    COMMON: ClassVar[tuple[str, ...]] = ("name", "shape")


def order(*arguments: str) -> Order:
    return parse(Order, arguments, "order", "Order something.")


def test_defaults_groups_and_aliases() -> None:
    assert order("Ada") == Order("Ada")
    assert order("Ada", "-c", "red", "--lamp") == Order("Ada", "red", light=Light(True))


def test_a_choice_has_its_own_flags() -> None:
    assert order("Ada", "--shape", "box", "--corners", "4", "--size", "2") == Order("Ada", shape=Box(2.0, 4))
    assert order("Ada", "--shape=ball", "--bounce", "1") == Order("Ada", shape=Ball(1.0, 1))


def test_a_flag_of_another_choice_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        order("Ada", "--corners", "4")
    assert stopped.value.code == 2 and "--corners goes with --shape box only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--weights", "red=1", "dark_blue=2", "Ada"),
        ("--weights", "red=1", "Ada", "--weights", "dark-blue=2"),
        ("Ada", "--weights=red=1", "--weights=dark_blue=2"),
        ("--weights", "red=1 dark_blue=2", "--", "Ada"),
    ],
)
def test_named_values_take_only_what_is_theirs_and_add_up(arguments: tuple[str, ...]) -> None:
    assert order(*arguments) == Order("Ada", weights=Weights(1.0, 2.0))


def test_an_unknown_name_is_answered_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        order("Ada", "--weights", "green=1")
    assert stopped.value.code == 2 and "red, dark_blue" in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize("arguments", [("--weights", "Ada"), ("Ada", "--weights"), ("--weights", "0.5", "Ada")])
def test_named_values_without_a_value_are_an_error(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        order(*arguments)
    assert stopped.value.code == 2 and "--weights takes NAME=VALUE" in capsys.readouterr().err


def test_what_can_be_left_out_is_no_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert order("Ada").side is None and order("Ada", "--side", "left").side == "left"
    with pytest.raises(SystemExit) as stopped:
        order("Ada", "--side", "up")
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and "'left'" in said and "None" not in said
    with pytest.raises(SystemExit):
        order("--help-all")
    assert "{left,right}" in capsys.readouterr().out


def test_help_comes_before_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        order("--help", "--corners", "4")
    assert stopped.value.code == 0


def test_help_is_short_and_help_all_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        order("--help")
    short = capsys.readouterr().out
    assert stopped.value.code == 0 and "--shape" in short and "--color" not in short and "--help-all" in short
    with pytest.raises(SystemExit) as stopped:
        order("--help-all", "--shape", "box")
    whole = capsys.readouterr().out
    assert stopped.value.code == 0
    assert (
        all(flag in whole for flag in ("--shape", "--color", "--corners", "--lamp", "--weights"))
        and "--bounce" not in whole
    )
    assert "light options" in whole and "red (0.5): of red" in whole and "unless --color is dark" in whole


def test_errors_of_the_library_name_flags() -> None:
    assert with_flags("`weights.red` is too much, `lamp` too; not `other`", Order) == (
        "--weights red is too much, --lamp too; not `other`"
    )


def test_training_shows_few_options_and_has_fewer_than_before() -> None:
    from splat.training.commands.train import TrainOptions
    from splat.training.densify.choose import STRATEGIES

    assert len(TrainOptions.COMMON) == 15
    for kind in STRATEGIES.values():
        found = flags(TrainOptions, {"densify": kind})
        assert len(found) <= 61 and set(TrainOptions.COMMON) <= {flag.field for flag in found}
        assert len({flag.name for flag in found}) == len(found)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_every_verb_is_explained(verb: str) -> None:
    import typing

    options = next(iter(typing.get_type_hints(find(VERBS[verb].target)).values()))
    assert [flag.name for flag in flags(options) if not flag.help] == []


def test_old_spellings_are_understood_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    old = "capture --strategy mcmc --full-size --lr-means 1e-4 --normal-weight=0.05 --late-steps 2".split()
    new = "capture --densify mcmc --progressive off --lr means=1e-4 --loss normals=0.05 --accumulate 2".split()
    assert renewed("train", old) == new
    said = capsys.readouterr().err
    assert "--strategy is now `--densify mcmc`" in said and len(said.splitlines()) == 5
    assert renewed("train", ["--progressive", "on"]) == ["--progressive", "on"] == renewed("train", ["--progressive"])
    assert renewed("eval", old) == old
    for left in (["--late-steps", "-o", "x"], ["--progressive=bogus"], ["--", "--strategy", "mcmc"], ["--lr-means"]):
        assert renewed("train", left) == left
    assert renewed("train", ["--lr_means", "1e-4"]) == ["--lr", "means=1e-4"]


@pytest.mark.parametrize("verb", OLD)
def test_what_an_old_spelling_stands_for_exists(verb: str) -> None:
    import typing

    known = {flag.name for flag in flags(next(iter(typing.get_type_hints(find(VERBS[verb].target)).values())))}
    assert {rewrite("1")[0] for rewrite in OLD[verb].values()} <= known
