"""The house rule: a folder imports only folders below it, and always under the name splat."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "cuda_rasterizer": set(),
    "splat": {"cuda_rasterizer"},
    "datasets": {"cuda_rasterizer", "splat"},
    "compression": {"cuda_rasterizer", "splat"},
    "training": {"cuda_rasterizer", "splat", "datasets", "compression"},
    "viewer": {"cuda_rasterizer", "splat", "datasets", "compression"},
}
"""Folder -> folders that it may import besides itself."""

FILES = sorted(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.py"))


def imported_modules(source: str, package: str) -> list[tuple[int, str]]:
    """Line and full name of every module that a file imports, also inside functions; relative ones resolved."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *filter(None, [base])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def violations(source: str, folder: str, package: str) -> list[str]:
    """What a file in `folder` imports against the rule."""
    wrong = []
    for line, name in imported_modules(source, package):
        first, _, rest = name.partition(".")
        if first in MAY_IMPORT and first != "splat":
            wrong.append(f"line {line}: write splat.{name}, not {name}")
        elif first == "splat":
            second = rest.partition(".")[0]
            target = second if second in MAY_IMPORT else "splat"
            if target != folder and target not in MAY_IMPORT[folder]:
                wrong.append(f"line {line}: {folder} must not import {target} ({name})")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_only_down(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    parents = path.relative_to(ROOT).parent.parts
    package = ".".join(parents if folder == "splat" else ("splat", *parents))
    assert violations(path.read_text(encoding="utf-8"), folder, package) == []


def test_every_folder_is_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} >= {"cuda_rasterizer", "splat", "datasets", "training"}


@pytest.mark.parametrize(
    ("folder", "line", "allowed"),
    [
        ("splat", "from splat.cuda_rasterizer.ops import x", True),
        ("splat", "from splat.training import trainer", False),
        ("splat", "def f():\n    import splat.datasets.load", False),
        ("cuda_rasterizer", "from splat.gaussians import Gaussians", False),
        ("cuda_rasterizer", "import splat", False),
        ("training", "from splat.viewer.server import x", False),
        ("viewer", "from splat import training", False),
        ("training", "from splat import Gaussians", True),
        ("training", "import datasets", False),
        ("training", "from datasets.load import x", False),
        ("training", "from . import losses", True),
        ("training", "from .. import viewer", False),
        ("training", "import torch, numpy", True),
    ],
)
def test_the_rule_itself(folder: str, line: str, allowed: bool) -> None:
    package = folder if folder == "splat" else f"splat.{folder}"
    assert (violations(line, folder, package) == []) == allowed
