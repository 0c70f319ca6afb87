"""The pages of the verbs, docs/verbs/VERB.md: usage and every option, from the dataclasses that the verbs take.

    python docs/generate_verbs.py train      print the page of a verb

An option is a field: its name is the flag, its default the default, the string below it the help. A dataclass in a
dataclass is a titled group of options. A union of dataclasses is an option that chooses between groups. A dataclass that
is one flag (`--lr NAME=VALUE ...`) is an option, and a table of the names. docs/site_hooks.py adds the pages to the site.
"""

import argparse
import ast
import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import docstring_parser
import tyro

from splat.cli.verbs import VERBS
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


def groups_of(verb: str) -> list[Group]:
    """All options of a verb, by group."""
    return list(groups(options_type(verb), Group("Options")))


def flags_of(verb: str) -> set[str]:
    """Every spelling of every flag of a verb, `--help` included."""
    flags = {
        name
        for group in groups_of(verb)
        if not group.of_pairs
        for option in group.options
        if not option.positional
        for name in option.names
    }
    return flags | set(ALWAYS)


def groups(kind: type, own: Group) -> Iterator[Group]:
    """The options of a dataclass, and those of the dataclasses in it. Groups without options are left out."""
    hints = typing.get_type_hints(kind, include_extras=True)
    texts = field_texts(kind)
    inner: list[Group] = []
    for item in dataclasses.fields(kind):
        bare, marks = unwrapped(hints[item.name])
        text = texts.get(item.name, "")
        flag = "--" + item.name.replace("_", "-")
        members = [member for member in typing.get_args(bare) if dataclasses.is_dataclass(member)]
        if dataclasses.is_dataclass(bare) and tyro.conf.OmitArgPrefixes in marks:
            inner += groups(bare, Group(title_of(bare.__name__), summary(bare)))
        elif dataclasses.is_dataclass(bare):
            names = aliases(flag, marks)
            own.options.append(Option(names, "NAME=VALUE ...", "", f"{text} {summary(bare)}".strip()))
            inner.append(Group(f"Names of `{flag}`", "", list(pairs(bare)), of_pairs=True))
        elif members:
            names = [choice_of(member) for member in members]
            default = choice_of(type(default_of(item)))
            own.options.append(Option(aliases(flag, marks), "|".join(names), f"`{default}`", text))
            for member, name in zip(members, names, strict=True):
                inner += groups(member, Group(f"With `{flag} {name}`", summary(member)))
        else:
            own.options.append(option(item, bare, marks, text))
    if own.options:
        yield own
    yield from inner


def option(item: "dataclasses.Field[Any]", bare: Any, marks: tuple[Any, ...], text: str) -> Option:
    """One field as an option."""
    default = default_of(item)
    shown = default_text(default)
    flag = "--" + item.name.replace("_", "-")
    metavar = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), None)
    if tyro.conf.Positional in marks:
        name = item.name.upper() + (" ..." if "..." in value_text(bare) else "")
        return Option((name,), "", shown, text, positional=True)
    if bare is bool:
        names = aliases("--no-" + item.name.replace("_", "-") if default else flag, marks)
        return Option(names, "", "on" if default else "off", text)
    return Option(aliases(flag, marks), metavar or value_text(bare), shown, text)


def pairs(kind: type) -> Iterator[Option]:
    """The names that a flag of NAME=VALUE pairs takes."""
    texts = field_texts(kind)
    for item in dataclasses.fields(kind):
        yield Option((item.name,), "", default_text(default_of(item)), texts.get(item.name, ""))


def unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without `Annotated`, and what was annotated."""
    if typing.get_origin(hint) is typing.Annotated:
        bare, marks = unwrapped(hint.__origin__)
        return bare, (*hint.__metadata__, *marks)
    return hint, ()


def aliases(flag: str, marks: tuple[Any, ...]) -> tuple[str, ...]:
    """A flag and its other spellings."""
    name = next((mark.name for mark in marks if getattr(mark, "name", None)), None)
    others = [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]
    return (f"--{name.replace('_', '-')}" if name else flag, *others)


def default_of(item: "dataclasses.Field[Any]") -> Any:
    """The default of a field; MISSING where it has none."""
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default


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


def value_text(bare: Any) -> str:
    """What one types for a value of this type: INT, PATH, a|b."""
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        return "|".join(value_text(unwrapped(one)[0]) for one in arguments if one is not type(None))
    if origin in (tuple, list):
        if origin is list or arguments[-1] is ...:
            return f"{value_text(arguments[0])} ..."
        return " ".join(value_text(one) for one in arguments)
    return {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH", bool: "BOOL"}.get(bare, "VALUE")


def field_texts(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass, as one line; of inherited fields too."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for line, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str() as text)):
                        texts[line.target.id] = " ".join(text.split())
    return texts


def summary(kind: type) -> str:
    """The first sentences of a class's docstring."""
    return " ".join((docstring_parser.parse_from_object(kind).short_description or "").split())


def title_of(name: str) -> str:
    """A group's heading from the name of its class: DataConfig -> Data, FormatFlags -> Format."""
    words = re.findall(r"[A-Z][a-z]*", re.sub(r"(Config|Flags|Options)$", "", name)) or [name]
    return " ".join([words[0], *map(str.lower, words[1:])])


def choice_of(kind: type) -> str:
    """What chooses a member of a union: BudgetConfig -> budget."""
    return re.sub(r"Config$", "", kind.__name__).lower()


def usage(verb: str) -> str:
    """One line: the verb and its positional arguments."""
    places = []
    for group in groups_of(verb):
        for one in group.options:
            if one.positional:
                places.append(one.names[0] if one.default == "required" else f"[{one.names[0]}]")
    return " ".join(["splat", verb, *places, "[options]"])


def page(verb: str) -> str:
    """A verb's page in Markdown."""
    about = docstring_parser.parse(inspect.getdoc(find(VERBS[verb].target)) or "")
    said = [text for text in (about.short_description, about.long_description) if text]
    help_line = f"{VERBS[verb].help[0].upper()}{VERBS[verb].help[1:]}"
    if not (said and said[0].startswith(help_line)):
        said.insert(0, f"{help_line}.")
    lines = [f"# splat {verb}", "", "```sh", usage(verb), "```", "", "\n\n".join(said)]
    anchors: set[str] = set()
    for group in groups_of(verb):
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
        names = ", ".join(f"`{name}`" for name in one.names)
        anchor = one.names[0].lstrip("-").split()[0].lower()
        if not group.of_pairs and anchor not in anchors:
            anchors.add(anchor)
            names = f'<a id="{anchor}"></a>{names}'
        value = [] if group.of_pairs else [f"`{one.value}`" if one.value else ""]
        rows.append([names, *value, one.default, one.help])
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


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
