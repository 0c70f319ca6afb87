"""The pages of the verbs, docs/verbs/VERB.md: usage and every option, from the dataclasses that the verbs take.

    python docs/generate_verbs.py train      print the page of a verb

splat/options/flags.py lists the flags of a verb, as for the command line. Here they become tables: one for each dataclass
in the verb's own, one for each alternative of a choice, and one for the names of a flag that takes NAME=VALUE.
docs/site_hooks.py adds the pages to the site.
"""

import argparse
import dataclasses
import inspect
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import docstring_parser

from splat.cli.verbs import VERBS
from splat.options.flags import Flag, fields_of, flags, is_primitive, members, with_flags
from splat.options.markers import OneOf, metadata
from splat.options.parse import COMMON
from splat.plugins import find

ALWAYS = ("--help", "-h", "--help-all")
"""Flags that every verb has besides its own."""


@dataclass(frozen=True)
class Option:
    """One line of a table: a flag, a positional argument, or a name that a flag takes."""

    names: tuple[str, ...]  # --output, -o; of a positional argument, what stands for it: CAPTURE
    value: str  # what follows the flag, empty for a switch
    default: str
    help: str
    positional: bool = False
    common: bool = False  # whether `--help` shows it, where it does not show all


@dataclass
class Group:
    """A titled table of options."""

    title: str
    text: str = ""
    options: list[Option] = field(default_factory=list)
    of_pairs: bool = False  # its options are names of NAME=VALUE pairs and no flags


def options_type(verb: str) -> type:
    """The dataclass that a verb's function takes."""
    return next(iter(typing.get_type_hints(find(VERBS[verb].target)).values()))


def flags_of(verb: str) -> set[str]:
    """Every spelling of every flag of a verb, `--help` included."""
    known = [flag for flag in flags(options_type(verb)) if not flag.is_positional]
    return {name for flag in known for name in option(flag, options_type(verb)).names} | set(ALWAYS)


def groups_of(options: type) -> list[Group]:
    """All options of a verb, by group, those of the verb itself first."""
    found: dict[tuple[tuple[str, ...], str | None], Group] = {((), None): Group("Options")}
    pairs: list[Group] = []
    for flag in flags(options):
        path = flag.path[:-1] if flag.one_of else flag.path  # the flag that chooses stands with those around it
        while path and flag.owner is None and holds_groups(class_at(options, path, None)):
            path = path[:-1]
        key = (path, flag.owner)
        if key not in found:
            text = summary(class_at(options, path, flag.owner)).removeprefix(f"{flag.owner}: ")
            found[key] = Group(title_of(options, path, flag.owner), linked(text[0].upper() + text[1:], options))
        found[key].options.append(option(flag, options))
        if flag.is_named_values:
            kind = metadata(flag.annotation)[0]
            pairs.append(Group(f"Names of `{flag.name}`", "", names_in(kind, options), of_pairs=True))
    return [group for group in found.values() if group.options] + pairs


def holds_groups(kind: type) -> bool:
    """Whether a dataclass is there for the dataclasses in it; its own flags are then those of the verb."""
    return any(
        not is_primitive(said) and dataclasses.is_dataclass(own) for own, said in map(metadata, annotations(kind))
    )


def annotations(kind: type) -> list[Any]:
    return [annotation for _, annotation, _ in fields_of(kind)]


def class_at(options: type, path: tuple[str, ...], owner: str | None) -> type:
    """The dataclass that a path of fields leads to; of a choice, the alternative of this name."""
    kind = options
    for name in path:
        annotation = next(annotation for item, annotation, _ in fields_of(kind) if item.name == name)
        own, said = metadata(annotation)
        one_of = next((it for it in said if isinstance(it, OneOf)), None)
        kind = own if one_of is None or owner is None else one_of.kinds[owner]
    return kind


def title_of(options: type, path: tuple[str, ...], owner: str | None) -> str:
    """The heading of a group: data -> Data, run -> Run; of an alternative, what chooses it."""
    if owner is not None:
        choice = next(flag for flag in flags(options) if flag.one_of and owner in flag.one_of.kinds)
        return f"With `{choice.name} {owner}`"
    name = path[-1].replace("_", " ")
    return name[0].upper() + name[1:]


def option(flag: Flag, options: type) -> Option:
    """A flag as a line of a table."""
    kind, said = metadata(flag.annotation)
    common = flag.field in getattr(options, COMMON, ())
    metavar = next((mark.metavar for mark in said if getattr(mark, "metavar", None)), None)
    shown, text = default_text(flag.default), linked(flag.help, options)
    if flag.is_positional:
        name = flag.name + (" ..." if "..." in value_text(kind) else "")
        return Option((name,), "", shown, text, positional=True, common=common)
    names = (flag.name, *flag.aliases)
    if flag.one_of is not None:
        return Option(names, "|".join(flag.one_of.kinds), shown, text, common=common)
    if flag.is_named_values:
        text = linked(flag.help.removesuffix(members(kind)).strip(), options)
        return Option(names, "NAME=VALUE ...", "", text, common=common)
    if flag.is_switch:
        names = ("--no-" + flag.name.removeprefix("--"), *flag.aliases) if flag.default else names
        return Option(names, "", "on" if flag.default else "off", text, common=common)
    return Option(names, metavar or value_text(kind), shown, text, common=common)


def names_in(kind: type, options: type) -> list[Option]:
    """The names that a flag of NAME=VALUE pairs takes."""
    return [
        Option((item.name,), "", default_text(item.default), linked(text, options)) for item, _, text in fields_of(kind)
    ]


def linked(text: str, options: type) -> str:
    """A help text with the flags of the verb where it names parameters in backquotes."""

    def flag(found: re.Match[str]) -> str:
        renamed = with_flags(found[0], options)
        return found[0] if renamed == found[0] else f"`{renamed}`"

    return re.sub(r"`[^`]+`", flag, text)


def default_text(value: Any) -> str:
    """A default as one types it; nothing for None, which the help explains."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None or dataclasses.is_dataclass(value):
        return ""
    if isinstance(value, tuple | list):
        return " ".join(default_text(one) for one in value)
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:g}".partition("e")
        return f"`{mantissa}e{int(exponent)}`" if exponent else f"`{mantissa}`"
    return f"`{value}`" if str(value) else '`""`'


def value_text(kind: Any) -> str:
    """What one types for a value of this type: INT, PATH, a|b."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return "|".join(value_text(metadata(one)[0]) for one in arguments if one is not type(None))
    if origin in (tuple, list):
        if origin is list or arguments[-1] is ...:
            return f"{value_text(arguments[0])} ..."
        return " ".join(value_text(one) for one in arguments)
    return {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH", bool: "BOOL"}.get(kind, "VALUE")


def summary(kind: type) -> str:
    """The first sentences of a class's docstring."""
    return " ".join((docstring_parser.parse(inspect.getdoc(kind) or "").short_description or "").split())


def usage(verb: str) -> str:
    """One line: the verb and its positional arguments."""
    places = []
    for flag in flags(options_type(verb)):
        if flag.is_positional:
            one = option(flag, options_type(verb))
            places.append(one.names[0] if one.default == "required" else f"[{one.names[0]}]")
    return " ".join(["splat", verb, *places, "[options]"])


def page(verb: str) -> str:
    """A verb's page in Markdown."""
    options = options_type(verb)
    about = docstring_parser.parse(inspect.getdoc(find(VERBS[verb].target)) or "")
    said = [linked(text, options) for text in (about.short_description, about.long_description) if text]
    help_line = f"{VERBS[verb].help[0].upper()}{VERBS[verb].help[1:]}"
    if not (said and said[0].startswith(help_line)):
        said.insert(0, f"{help_line}.")
    if hasattr(options, COMMON):
        said.append(f"`splat {verb} --help` shows the options in bold, `splat {verb} --help-all` all of them.")
    lines = [f"# splat {verb}", "", "```sh", usage(verb), "```", "", "\n\n".join(said)]
    anchors: set[str] = set()
    for group in groups_of(options):
        lines += ["", f"## {group.title}", ""]
        if group.text:
            lines += [group.text, ""]
        lines += table(group, anchors)
    return "\n".join(lines) + "\n"


def table(group: Group, anchors: set[str]) -> list[str]:
    """A group's options as a Markdown table. `anchors` are those of the page so far: the first row of a flag has its name,
    so that `train.md#budget` leads to `--budget`."""
    heads = ["name", "default", "meaning"] if group.of_pairs else ["option", "value", "default", "meaning"]
    rows = [heads, ["---"] * len(heads)]
    for one in group.options:
        names = ", ".join(f"**`{name}`**" if one.common else f"`{name}`" for name in one.names)
        anchor = one.names[0].lstrip("-").split()[0].lower()
        if not group.of_pairs and anchor not in anchors:
            anchors.add(anchor)
            names = f'<a id="{anchor}"></a>{names}'
        value = [] if group.of_pairs else [", ".join(f"`{choice}`" for choice in one.value.split("|") if choice)]
        rows.append([names, *value, one.default, one.help])
    return ["| " + " | ".join(map(cell, row)) + " |" for row in rows]


def cell(text: str) -> str:
    """A text whose bars do not end a cell; those in code spans do not anyway."""
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in re.split(r"(`[^`]*`)", text))


def index() -> str:
    """The page that lists the verbs."""
    lines = [
        "# Verbs",
        "",
        "`splat VERB --help` shows the options that people change; `splat VERB --help-all` and these pages show all of them.",
        "",
        "| verb | what it does |",
        "|---|---|",
        *(f"| [`splat {verb}`]({verb}.md) | {about.help} |" for verb, about in VERBS.items()),
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Name of every page in docs/ -> its Markdown."""
    return {"verbs/index.md": index(), **{f"verbs/{verb}.md": page(verb) for verb in VERBS}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the page of a verb.")
    parser.add_argument("verb", choices=list(VERBS))
    print(page(parser.parse_args().verb))
