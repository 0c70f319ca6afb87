"""Which flags a dataclass of options has: their names, what they take, what they mean, and the group they belong to."""

import contextlib
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import docstring_parser
import tyro

from splat.options.markers import OneOf, metadata

(POSITIONAL,) = metadata(tyro.conf.Positional[int])[1]
"""What `Positional[...]` adds to an annotation."""


@dataclass(frozen=True)
class Flag:
    """One option of a verb."""

    field: str  # name in its dataclass
    path: tuple[str, ...]  # of the groups it is in
    annotation: Any
    default: Any  # dataclasses.MISSING for what must be given
    help: str
    one_of: OneOf | None = None  # for the flag that chooses between alternatives
    owner: str | None = None  # the alternative that has it

    @property
    def name(self) -> str:
        """`--as-typed`; of a positional argument its name in capitals."""
        if self.is_positional:
            return self.field.upper()
        given = [item.name for item in metadata(self.annotation)[1] if hasattr(item, "aliases") and item.name]
        return "--" + (given[0] if given else self.field).replace("_", "-")

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other spellings."""
        return tuple(
            alias for item in metadata(self.annotation)[1] if hasattr(item, "aliases") for alias in item.aliases or ()
        )

    @property
    def is_positional(self) -> bool:
        return POSITIONAL in metadata(self.annotation)[1]

    @property
    def is_switch(self) -> bool:
        """Whether it stands alone, without a value."""
        return metadata(self.annotation)[0] is bool

    @property
    def is_named_values(self) -> bool:
        """Whether it takes NAME=VALUE."""
        return self.one_of is None and dataclasses.is_dataclass(metadata(self.annotation)[0])


def flags(options: type, chosen: Mapping[str, type] | None = None) -> list[Flag]:
    """All flags of a dataclass, groups and alternatives included, in the order of the source.

    Args:
        chosen: for choices between alternatives, by field: only the flags of this one; of all that there are unless given.
    """
    return list(_walk(options, (), chosen))


def _walk(
    kind: type, path: tuple[str, ...], chosen: Mapping[str, type] | None, owner: str | None = None
) -> Iterator[Flag]:
    for item, annotation, help_text in fields_of(kind):
        own, extras = metadata(annotation)
        one_of = next((it for it in extras if isinstance(it, OneOf)), None)
        default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        if one_of is not None:
            name = one_of.name_of(type(default))
            yield Flag(item.name, (*path, item.name), annotation, name, help_text, one_of)
            for its_name, alternative in one_of.kinds.items():
                if chosen is None or chosen.get(item.name, type(default)) is alternative:
                    yield from _walk(alternative, (*path, item.name), chosen, its_name)
        elif dataclasses.is_dataclass(own) and not is_primitive(extras):
            yield from _walk(typing.cast(type, own), (*path, item.name), chosen, owner)
        elif dataclasses.is_dataclass(own):
            yield Flag(item.name, path, annotation, default, f"{help_text} {members(typing.cast(type, own))}")
        else:
            yield Flag(item.name, path, annotation, default, help_text, None, owner)


def members(kind: type) -> str:
    """The names of a group of numbers, with their defaults and meanings."""
    return "; ".join(f"{item.name} ({item.default:g}): {text}" for item, _, text in fields_of(kind)) + "."


def is_primitive(extras: tuple[Any, ...]) -> bool:
    """Whether a dataclass is one flag (`named_values`)."""
    return any(isinstance(item, tyro.constructors.PrimitiveConstructorSpec) for item in extras)


def fields_of(kind: type) -> list[tuple[dataclasses.Field[Any], Any, str]]:
    """Every field that is an option, its annotation, and what its docstring says, without line breaks."""
    hints = typing.get_type_hints(kind, include_extras=True)
    texts = docstrings(kind)
    return [(item, hints[item.name], texts.get(item.name, "")) for item in dataclasses.fields(kind) if item.init]


@cache
def docstrings(kind: type) -> Mapping[str, str]:
    """Field -> the docstring that follows it, also of inherited fields."""
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(kind)):
        if dataclasses.is_dataclass(base):
            with contextlib.suppress(OSError, TypeError):  # what was typed into a console has no source to read
                for item in docstring_parser.parse_from_object(base).params:
                    found[item.arg_name] = " ".join((item.description or "").split())
    return found


def with_flags(message: str, options: type) -> str:
    """An error of the library, which names parameters in backquotes, with the flags of a verb for those that it has.

    `` `loss.ssim` `` becomes `--loss ssim`; what is no parameter of the verb stays as it is.
    """
    if "`" not in message:
        return message
    names = {flag.field: flag.name for flag in flags(options) if not flag.is_positional}

    def flag(found: re.Match[str]) -> str:
        group, _, member = found[1].partition(".")
        if group not in names:
            return found[0]
        return f"{names[group]} {member}" if member else names[group]

    return re.sub(r"`([a-z_]+(?:\.[a-z_0-9]+)?)`", flag, message)
