"""Who imports whom: every import between the modules of this repository, read from their sources without running them.

An import counts wherever it stands: at the top of a module, inside a function, under `if TYPE_CHECKING`, relative, or as
a string that names a module, as in `find("splat.viewer.live:LiveTraining")` or `import_module("splat.viewer.live")`.
tests/test_architecture.py holds the house rules over these imports; draw_architecture.py draws them.
"""

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("cuda_rasterizer", "splat", "datasets", "compression", "training", "viewer")
"""The top-level folders with modules, from the bottom to the top. All but splat are installed as splat.FOLDER."""

TABLES = frozenset({"splat.cli.verbs", "splat.plugins"})
"""The modules whose strings may name modules of upper folders: the verbs, and what upper folders offer to lower ones."""

DOTTED = re.compile(r"splat(\.\w+)+")
WITH_NAME = re.compile(r"(splat(?:\.\w+)+):\w+(?:\.\w+)*")


@dataclass(frozen=True)
class Module:
    """A Python file of one of the folders."""

    name: str  # splat.datasets.load; of an __init__.py, the package: splat.datasets
    path: str  # datasets/load.py
    source: str

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    @property
    def package(self) -> str:
        """The package that the module's relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Import:
    """One module names another."""

    source: str
    target: str  # a module that exists, or the name as it was written where there is none
    line: int
    by_string: bool = False

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}: {'names' if self.by_string else 'imports'} {self.target}"


def read_modules(root: Path) -> dict[str, Module]:
    """Every module in the folders under `root`, by name."""
    paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return modules_from({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})


def modules_from(sources: Mapping[str, str]) -> dict[str, Module]:
    """Modules by name, from their sources by path."""
    modules = (Module(module_name(path), path, source) for path, source in sources.items())
    return {module.name: module for module in modules}


def module_name(path: str) -> str:
    """The name that a file is imported under: viewer/draw/look.py is splat.viewer.draw.look."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts if parts[0] == "splat" else ["splat", *parts])


def folder_of(name: str) -> str:
    """The folder that a module of this name is, or would be, in."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else parts[0]


def place_of(name: str) -> str:
    """Where a module is: splat.viewer.draw.look is viewer/draw/look, splat.io.ply is splat/io/ply."""
    parts = name.split(".")
    return "/".join(parts if folder_of(name) == parts[0] else parts[1:])


def is_inside(name: str, package: str) -> bool:
    """Whether a module is the package itself or anything in it."""
    return name == package or name.startswith(package + ".")


def imports_of(modules: Mapping[str, Module]) -> list[Import]:
    """Every import between the modules, in the order of modules and lines; none of other distributions."""
    return [found for module in modules.values() for found in imports_in(module, modules)]


def imports_in(module: Module, modules: Mapping[str, Module]) -> list[Import]:
    """What one module imports of the repository. A line that names a module twice counts once."""
    found = set()
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {Import(module.name, target, node.lineno) for target in statement_targets(node, module, modules)}
        elif isinstance(node, ast.Constant | ast.Call):
            target = string_target(node, module, modules)
            found |= {Import(module.name, target, node.lineno, by_string=True)} if target else set()
    return sorted((one for one in found if one.target != module.name), key=lambda one: (one.line, one.target))


def statement_targets(
    node: ast.Import | ast.ImportFrom, module: Module, modules: Mapping[str, Module]
) -> Iterator[str]:
    """The modules that an import statement names. `import splat.a` also binds the name splat, so it imports both."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if is_ours(alias.name):
                yield alias.name
                if alias.asname is None and alias.name.startswith("splat."):
                    yield "splat"
        return
    base = node.module or ""
    if node.level:
        base = absolute(node.level, base, module)
    if is_ours(base):
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            yield submodule if submodule in modules else base


def string_target(node: ast.Constant | ast.Call, module: Module, modules: Mapping[str, Module]) -> str | None:
    """The module that a string names: splat.a.b:name, splat.a.b, splat.a.b.attribute; else None.

    Of an f-string, its beginning counts. `import_module` is also read where its string is relative or just "splat".
    """
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        if called not in ("import_module", "__import__") or not isinstance(first, ast.Constant):
            return None
        name = str(first.value)
        if name.startswith("."):
            return absolute(len(name) - len(name.lstrip(".")), name.lstrip("."), module)
        return name if (name.partition(".")[0] in FOLDERS and name not in modules) or name == "splat" else None
    if not isinstance(node.value, str):
        return None
    if with_name := WITH_NAME.fullmatch(node.value):
        return with_name[1]
    name = node.value.removesuffix(".")
    while DOTTED.fullmatch(name) and name not in modules:
        name = name.rpartition(".")[0]
    return name if DOTTED.fullmatch(name) else None


def absolute(level: int, name: str, module: Module) -> str:
    """The full name of a relative import."""
    parts = module.package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name])])


def is_ours(name: str) -> bool:
    """Whether a name belongs to the repository, be it under splat or, wrongly, under a folder's bare name."""
    return name.partition(".")[0] in FOLDERS


def circles(modules: Mapping[str, Module], imports: list[Import]) -> list[list[Import]]:
    """Modules that import each other in a circle: shortest circles first, no import in two of them.

    Importing a module runs the __init__.py of every package around it first, which is an import too, except of packages
    that the importing module is in. The strings of the tables do not count: they are looked up when all is imported.
    """
    graph: dict[str, dict[str, Import]] = {name: {} for name in modules}
    for one in imports:
        if one.source in TABLES and one.by_string:
            continue
        parts = one.target.split(".")
        around = [".".join(parts[:end]) for end in range(1, len(parts))]
        for target in [one.target, *(package for package in around if not is_inside(one.source, package))]:
            if target in modules:
                graph[one.source].setdefault(target, one)
    found = []
    while best := min(filter(None, (shortest_circle(graph, name) for name in graph)), key=len, default=None):
        found.append([graph[source].pop(target) for source, target in best])
    return found


def shortest_circle(graph: Mapping[str, Mapping[str, Import]], start: str) -> list[tuple[str, str]] | None:
    """The shortest way from a module back to itself, as pairs of importing and imported; None where there is none."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for target in graph[name]:
            if target == start:
                way = [(name, start)]
                while name != start:
                    way.insert(0, (came_from[name], name))
                    name = came_from[name]
                return way
            if target not in came_from:
                came_from[target] = name
                queue.append(target)
    return None
