"""What mkdocs runs while it builds the site: generated pages are added, and listed in the navigation.

In mkdocs.yml the entry `Verbs: verbs/` stands for the pages that generate_verbs.py makes, `API reference: reference/` for
those of generate_reference.py.
"""

from pathlib import Path
from typing import Any

import generate_reference
import generate_verbs
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

STAGED = generate_reference.ROOT / "build" / "reference"
"""Where mkdocstrings finds the sources; mkdocs.yml names the folder too."""


def on_startup(command: str, dirty: bool) -> None:
    """Lay out the sources, before mkdocstrings looks for the folder."""
    generate_reference.stage(STAGED)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the generated pages."""
    listed: dict[str, list[Any]] = {
        "verbs/": ["verbs/index.md", *({verb: f"verbs/{verb}.md"} for verb in generate_verbs.VERBS)],
        "reference/": [
            "reference/index.md",
            *({title: f"reference/{name}.md"} for name, (title, *_) in generate_reference.PAGES.items()),
        ],
    }
    for entry in config.nav or []:
        for title, target in entry.items():
            if isinstance(target, str) and target in listed:
                entry[title] = listed[target]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, which are written nowhere in the checkout."""
    for pages in (generate_verbs.pages(), generate_reference.pages()):
        for name, text in pages.items():
            files.append(File.generated(config, name, content=text))
    return files


def on_serve(server: Any, config: MkDocsConfig, builder: Any) -> Any:
    """Build again when a source changes, whose docstrings the site shows."""
    for folder in generate_reference.FOLDERS:
        server.watch(str(Path(config.docs_dir).parent / folder))
    return server
