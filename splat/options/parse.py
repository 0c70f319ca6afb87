"""A command line in, an instance of a verb's options out. tyro parses; this adds two levels of help, choices between
alternatives that have flags of their own, and groups of NAME=VALUE."""

import dataclasses
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from splat.options.flags import Flag, fields_of, flags, is_primitive, with_flags
from splat.options.markers import OneOf, metadata

Options = TypeVar("Options")

COMMON = "COMMON"
"""Name of the tuple in a class of options that says which fields `--help` shows; `--help-all` shows all."""
GIVEN = "given"
"""Name of the field in a class of options, not of its constructor, that learns which options the command line named."""


def parse(options: type[Options], arguments: Sequence[str], prog: str, description: str) -> Options:
    """Make the options that a command line asks for.

    Raises:
        SystemExit: after the help was printed (0), or when the command line was not understood (2).
    """
    chosen = choices(options, arguments)
    arguments = gather(flags(options, chosen), arguments)
    if not {"-h", "--help", "--help-all"} & set(arguments):
        check_owners(options, chosen, arguments)
    shown: Sequence[str] | None = getattr(options, COMMON, None)
    if "--help-all" in arguments:
        arguments, shown = ["--help"], None
    elif not {"-h", "--help"} & set(arguments):
        shown = None
    if shown is not None:
        count = len([flag for flag in flags(options, chosen) if flag.field not in shown])
        description += f"\n\nThe options that people change; `{prog} --help-all` also shows the other {count}."
    result: Options = tyro.cli(
        options,
        prog=prog,
        description=description,
        args=list(arguments),
        config=(
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.DisallowNone,
            tyro.conf.OmitArgPrefixes,
            tyro.conf.PositionalMetavarFromFieldName,
        ),
        registry=registry(options, chosen, shown),
    )
    if any(item.name == GIVEN and not item.init for item in dataclasses.fields(typing.cast(Any, options))):
        object.__setattr__(result, GIVEN, given(flags(options, chosen), arguments))
    return result


def given(known: Sequence[Flag], arguments: Sequence[str]) -> frozenset[str]:
    """Fields of the flags that a command line names, whatever their values; of NAME=VALUE as `field.name` each."""
    names = {name: flag for flag in known for name in (flag.name, *flag.aliases)}
    found, last = set(), None
    for word in arguments:
        name, sign, _ = word.partition("=")
        flag = names.get(name.replace("_", "-") if name.startswith("--") else name)
        if flag is not None:
            last = flag
            if not flag.is_named_values:
                found.add(flag.field)
        elif sign and last is not None and last.is_named_values:
            found.add(f"{last.field}.{name.replace('-', '_')}")
    return frozenset(found)


def choices(options: type, arguments: Sequence[str]) -> dict[str, type]:
    """Field -> the alternative that the command line chooses; what is not chosen is left out."""
    found = {}
    for flag in flags(options):
        if flag.one_of is not None:
            for index, word in enumerate(arguments):
                name, sign, value = word.partition("=")
                if name == flag.name:
                    value = value if sign else "".join(arguments[index + 1 : index + 2])
                    if value in flag.one_of.kinds:
                        found[flag.field] = flag.one_of.kinds[value]
    return found


def gather(known: Sequence[Flag], arguments: Sequence[str]) -> list[str]:
    """Each flag that takes NAME=VALUE once, with all that it is given, so that it takes nothing else.

    Raises:
        SystemExit: it is given nothing (2).
    """
    groups: dict[str, list[str]] = {flag.name: [] for flag in known if flag.is_named_values}
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, sign, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
            break
        if name not in groups:
            rest.append(word)
            continue
        found = value.split() if sign else []
        while words and all(re.fullmatch(r"[A-Za-z_][\w-]*=\S+", part) for part in words[0].split() or [""]):
            found += words.pop(0).split()
        if not found:
            print(f"error: {name} takes NAME=VALUE, one or more", file=sys.stderr)
            sys.exit(2)
        if not groups[name]:
            rest.append(name)
        groups[name] += found
    return [word for one in rest for word in (one, *groups.get(one, ()))]


def check_owners(options: type, chosen: Mapping[str, type], arguments: Sequence[str]) -> None:
    """Name the alternatives that a flag belongs to, where it is not of the one that is chosen.

    Raises:
        SystemExit: 2.
    """
    given = {name.replace("_", "-") for word in arguments if (name := word.partition("=")[0]).startswith("--")}
    known = {flag.name for flag in flags(options, chosen)}
    for flag in flags(options):
        if flag.name not in known and flag.name in given:
            owners = [its.owner for its in flags(options) if its.name == flag.name and its.owner]
            choice = next(its.name for its in flags(options) if its.one_of and flag.owner in its.one_of.kinds)
            print(f"error: {flag.name} goes with {choice} {' or '.join(owners)} only", file=sys.stderr)
            sys.exit(2)


def registry(options: type, chosen: Mapping[str, type], shown: Sequence[str] | None) -> ConstructorRegistry:
    """How tyro takes the options apart: flags of the verb itself, then a titled group for each dataclass inside.

    Args:
        chosen: see `choices`.
        shown: fields to be there at all, for a short help in one group; all unless given.
    """
    groups: dict[tuple[str, ...], list[Flag]] = {(): []}
    for flag in flags(options, chosen):
        if shown is None or flag.field in shown:
            groups.setdefault(flag.path if shown is None else (), []).append(flag)
    titles = {path: f"{path[-1]} {inside[-1].owner or ''}".strip() for path, inside in groups.items() if path}
    types: dict[type, tuple[str, ...]] = {type(title, (), {"__doc__": ""}): path for path, title in titles.items()}
    rules = ConstructorRegistry()

    @rules.struct_rule
    def take_apart(info: StructTypeInfo) -> StructConstructorSpec | None:
        if info.type is options:
            inner = [StructFieldSpec(titles[path], kind, tyro.MISSING_NONPROP, "") for kind, path in types.items()]
            return StructConstructorSpec(build_all, (*specs(groups[()]), *inner))
        if info.type in types:
            return StructConstructorSpec(dict, specs(groups[types[info.type]]))
        return None

    def specs(wanted: Sequence[Flag]) -> tuple[StructFieldSpec, ...]:
        return tuple(spec(flag, options) for flag in wanted)

    def build_all(**values: Any) -> Any:
        inner = {path: values.pop(title) for path, title in titles.items()}
        return build(options, (), {(): values} | inner, chosen)

    return rules


def spec(flag: Flag, options: type) -> StructFieldSpec:
    """A flag as tyro wants it; its help is made when it is shown."""
    kind = flag.annotation
    if flag.default is None or flag.default is False or flag.is_named_values:
        kind = Annotated[kind, tyro.conf.arg(help_behavior_hint="")]
    if flag.one_of is not None:
        kind = Literal[tuple(flag.one_of.kinds)]
    elif words := words_or_none(flag.annotation):
        kind = Annotated[kind, one_of(words)]
    default = tyro.MISSING_NONPROP if flag.default is dataclasses.MISSING else flag.default
    return StructFieldSpec(flag.field, kind, default, lambda: with_flags(flag.help, options))


def words_or_none(annotation: Any) -> tuple[str, ...]:
    """The words of a flag that takes one of some, or is left out; none of any other flag."""
    first, *rest = typing.get_args(metadata(annotation)[0]) or (None,)
    return typing.get_args(first) if rest == [type(None)] and typing.get_origin(first) is Literal else ()


def one_of(words: tuple[str, ...]) -> Any:
    """What tyro makes of a choice or None, without None among what a message says can be chosen."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join(words) + "}",
        choices=words,
        instance_from_str=lambda texts: texts[0],
        is_instance=lambda value: value is None or value in words,
        str_from_instance=lambda value: [str(value)],
    )


def build(
    kind: type, path: tuple[str, ...], values: Mapping[tuple[str, ...], Mapping[str, Any]], chosen: Mapping[str, type]
) -> Any:
    """An instance of a dataclass and of those inside it, from the values of each group's flags."""
    given = {}
    for item, annotation, _ in fields_of(kind):
        own, extras = metadata(annotation)
        if any(isinstance(it, OneOf) for it in extras):
            default = item.default_factory() if callable(item.default_factory) else item.default
            given[item.name] = build(chosen.get(item.name, type(default)), (*path, item.name), values, chosen)
        elif dataclasses.is_dataclass(own) and not is_primitive(extras):
            given[item.name] = build(typing.cast(type, own), (*path, item.name), values, chosen)
        elif item.name in values.get(path, {}):
            given[item.name] = values[path][item.name]
    return kind(**given)
