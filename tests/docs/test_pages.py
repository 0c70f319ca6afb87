"""The pages of the documentation are true: links lead somewhere, commands and the code that they name exist."""

import re
from collections.abc import Callable
from pathlib import Path

import generate_reference
import generate_verbs
import pytest
from markdown_pages import DOCS, GENERATED, PAGES, ROOT, anchors, commands, links, name_of, unknown_flags

from splat.cli.verbs import VERBS


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def speaks_of_other_programs(page: Path) -> bool:
    """Whether flags in its text may be those of other programs, or of a benchmark."""
    return "coming-from" in page.parts or page.name in ("benchmarks.md", "CHANGELOG.md")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in links(text_of(page)):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        generated = path in GENERATED and DOCS in page.parents  # a page outside of the site cannot be sent there
        if not path.exists() and not generated:
            wrong.append(f"{link}: there is no {path}")
        elif anchor and path.suffix == ".md" and not generated and anchor not in anchors(text_of(path)):
            wrong.append(f"{link}: no such heading")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    wrong = [
        f"{' '.join(command)}: {unknown}" for command in commands(text_of(page)) if (unknown := unknown_flags(command))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [page for page in PAGES if not speaks_of_other_programs(page)], ids=name_of)
def test_flags_in_the_text_exist(page: Path) -> None:
    known = set().union(*map(generate_verbs.flags_of, VERBS))
    assert {flag for flag in re.findall(r"`(--[a-z][\w-]*)", text_of(page)) if flag not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_flag_beside_its_verb_is_one_of_that_verb(page: Path) -> None:
    """In code spans such as `splat train --eval`, also where a span goes on in the next line."""
    prose = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"(?<!`)`(splat [a-z][^`]*)`(?!`)", prose)
    used = [words for span in spans if (words := span.split())[1] in VERBS]  # others are messages of the program
    wrong = [f"{' '.join(words)}: {unknown}" for words in used if (unknown := unknown_flags(words))]
    assert not wrong, "\n".join(wrong)


def test_the_code_that_the_architecture_names_exists() -> None:
    """Written `name` in `file`, or `Class.name` in `file`."""
    named = re.findall(r"`([\w.]+)` in\s+`([\w/]+\.(?:py|h|cpp|cu))`", text_of(DOCS / "architecture.md"))
    assert len(named) > 30
    wrong = [
        f"{file}: {part}"
        for name, file in named
        for part in name.split(".")
        if not re.search(rf"\b(def|class|struct) {part}\b|\b{part}(\(|:| =)", text_of(ROOT / file))
    ]
    assert not wrong


def test_the_files_that_pages_name_exist() -> None:
    """In code spans, with a folder of this repository in front."""
    tops = "|".join((*generate_reference.FOLDERS, "tests", "benchmarks", "docs"))
    wrong = [
        f"{name_of(page)}: {file}"
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for file in re.findall(rf"`((?:{tops})/[\w/.-]+\.(?:py|h|cpp|cu|json|md|svg))`", text_of(page))
        if not (ROOT / file).exists()
        and ROOT / file not in GENERATED
        and not re.search("[A-Z]{3}", file)  # gpu-NAME.json
    ]
    assert not wrong, "\n".join(wrong)


# --- generated pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_with_all_its_options(verb: str) -> None:
    page = generate_verbs.pages()[f"verbs/{verb}.md"]
    assert page.startswith(f"# splat {verb}\n")
    assert f"({verb}.md)" in generate_verbs.index()
    for flag in generate_verbs.flags_of(verb) - set(generate_verbs.ALWAYS):
        assert f"`{flag}`" in page


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb: str) -> None:
    options = [
        (group.title, option)
        for group in generate_verbs.groups_of(generate_verbs.options_type(verb))
        for option in group.options
    ]
    assert options
    assert not [f"{title}: {option.names[0]}" for title, option in options if not option.help]


@pytest.mark.parametrize("verb", ["mesh", "sample", "share"])
def test_the_help_shows_no_other_options(verb: str, capsys: pytest.CaptureFixture[str], run_splat: Callable) -> None:
    """The pages and the command line are made by different programs."""
    assert run_splat(verb, "--help") == 0
    shown = re.findall(r"^\W*(?:-\w, *)?(--[a-z][a-z-]+)", capsys.readouterr().out, flags=re.MULTILINE)
    assert len(shown) > 3 and set(shown) <= generate_verbs.flags_of(verb)


@pytest.mark.parametrize("name", generate_reference.PAGES)
def test_the_modules_of_the_reference_exist(name: str) -> None:
    _, package, modules = generate_reference.PAGES[name]
    assert generate_reference.modules_of(name) == [f"{package}.{module}" for module in modules.split()]


def test_the_site_lists_every_page() -> None:
    config = text_of(ROOT / "mkdocs.yml")
    listed = set(re.findall(r"[\w/-]+\.md", config))
    written = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert written == listed


# --- what the tests look for, they find ----------------------------------------------------------------------------------


PAGE = """[a](b.md#c) ![d](e.jpg) `[f](g)`

# One, two: `three`
<a id="four"></a>

```sh
# splat sample x
A=1 splat train c \\
  --nope -r 2 && splat eval run
[h](i)
```
"""


def test_links_and_commands_are_found() -> None:
    assert links(PAGE) == ["b.md#c", "e.jpg"]
    assert anchors(PAGE) == {"one-two-three", "four"}
    train, evaluate = commands(PAGE)
    assert (train[:2], evaluate) == (["splat", "train"], ["splat", "eval", "run"])
    assert (unknown_flags(train), unknown_flags(evaluate)) == (["--nope"], [])
    assert unknown_flags(["splat", "fly"]) == ["fly"]
