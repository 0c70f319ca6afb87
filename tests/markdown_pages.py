"""The Markdown pages of the repository, and what the tests look for in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import generate_reference
import generate_verbs

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]

GENERATED = {DOCS / name for name in (*generate_verbs.pages(), *generate_reference.pages())}
"""Pages that are made while the site is built, and lie in no checkout."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """The text outside of code blocks and code spans."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def links(text: str) -> list[str]:
    """The targets of all links and pictures that are not addresses of the web."""
    found = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", without_code(text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """What may follow # in a link to a page: its headings as the site writes them, and ids in the text."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?)(?: *\{.*\})?$", prose, flags=re.MULTILINE)
    slugs = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
    return slugs | set(re.findall(r'\bid="([^"]+)"', prose)) | set(re.findall(r"\{ *#([\w-]+)", prose))


def commands(text: str) -> Iterator[list[str]]:
    """The words of every `splat ...` in the shell blocks of a page, a command each."""
    for block in re.findall(r"^ *```(?:sh|bash|shell|console)\b.*?\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            except ValueError:  # a placeholder with a quote in it
                words = line.split()
            command: list[str] = []
            for word in (*words, ";"):
                if word in ("&&", "||", "|", ";", "&"):
                    while command and "=" in command[0]:  # a variable of the environment
                        del command[0]
                    if command[:1] == ["splat"]:
                        yield command
                    command = []
                else:
                    command.append(word)


def unknown_flags(command: list[str]) -> list[str]:
    """The flags of a command that its verb does not have; the verb itself where there is none."""
    if len(command) < 2 or command[1] in ("--help", "-h", "--version", "VERB"):
        return []
    verb = command[1]
    if verb not in generate_verbs.VERBS:
        return [verb]
    flags = [word.split("=")[0] for word in command[2:] if word.startswith("-") and not word[1:2].isdigit()]
    return [flag for flag in flags if flag not in generate_verbs.flags_of(verb)]
