"""The house rules: who may import whom, and what a folder may hold. test_architecture.py holds the repository to them.

Each rule is a function that gives what breaks it, one line a case. docs/imports.py finds the imports.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from imports import FOLDERS, TABLES, Import, Module, folder_of, place_of

MAY_IMPORT = {
    "cuda_rasterizer": set(),
    "splat": {"cuda_rasterizer"},
    "datasets": {"cuda_rasterizer", "splat"},
    "compression": {"cuda_rasterizer", "splat"},
    "training": {"cuda_rasterizer", "splat", "datasets", "compression"},
    "viewer": {"cuda_rasterizer", "splat", "datasets", "compression"},
}
"""Folder -> folders that it may import besides itself."""

BELOW = "cuda_rasterizer splat datasets compression"
"""What every module of training and viewer may import."""

ROOMS = {
    "cuda_rasterizer/*": "cuda_rasterizer/ops",
    "cuda_rasterizer/ops": "cuda_rasterizer/checks cuda_rasterizer/native",
    "splat/*": "cuda_rasterizer splat/geometry splat/io",
    "splat/geometry": "splat/*",
    "splat/io": "splat/* splat/geometry",
    "splat/reference": "splat/* splat/geometry",
    "splat/options": "splat/*",
    "splat/cli": "cuda_rasterizer splat",
    "datasets/*": "cuda_rasterizer splat datasets/images datasets/readers",
    "datasets/images": "splat",
    "datasets/readers": "splat datasets/images datasets/readers/programs",
    "datasets/readers/programs": "splat datasets/images datasets/readers/*",
    "datasets/sfm": "splat datasets/images datasets/readers",
    "datasets/sample": "splat",
    "datasets/commands": "cuda_rasterizer splat datasets",
    "compression/*": "cuda_rasterizer splat",
    "compression/coding": "cuda_rasterizer splat",
    "compression/formats": "splat compression/coding compression/formats",
    "compression/formats/gltf": "splat compression/coding compression/formats/*",
    "compression/formats/sog": "splat compression/coding compression/formats/*",
    "compression/formats/splatz": "splat compression/coding compression/formats/* compression/formats/splatz/optional",
    "compression/formats/splatz/optional": "splat compression/coding compression/formats/* compression/formats/splatz/*",
    "compression/simplify": "splat",
    "compression/commands": "cuda_rasterizer splat compression",
    "training/*": f"{BELOW} training/densify training/evaluate training/init training/losses training/per_image",
    "training/init": f"{BELOW} training/config training/schedules",
    "training/densify": f"{BELOW} training/optimizer training/schedules",
    "training/losses": f"{BELOW} training/config training/densify training/schedules",
    "training/per_image": f"{BELOW} training/config",
    "training/evaluate": f"{BELOW} training/config training/losses training/per_image",
    "training/compress": f"{BELOW} training/* training/densify training/evaluate training/init training/losses "
    "training/per_image",
    "training/commands": f"{BELOW} training",
    "viewer/*": f"{BELOW} viewer/draw viewer/edit viewer/panels viewer/path",
    "viewer/draw": "cuda_rasterizer splat datasets viewer/slots",
    "viewer/panels": f"{BELOW} viewer/context viewer/draw viewer/opening viewer/saving viewer/slots",
    "viewer/edit": f"{BELOW} viewer/context viewer/draw viewer/saving viewer/slots",
    "viewer/path": f"{BELOW} viewer/context viewer/draw viewer/saving viewer/slots",
    "viewer/share": "splat datasets compression",
    "viewer/commands": f"{BELOW} viewer",
}
"""Room -> what it may import besides itself: a folder or room with everything in it, a module, or FOLDER/*, the modules
that lie in a folder and in none of its rooms. What the docstring of each room's package says, for a program to read.
"""

MOST_MODULES = 15
MOST_LINES = 400
LANGUAGES = {".py", ".cpp", ".cu", ".h", ".cuh", ".hpp", ".js", ".mjs", ".css"}
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def against_direction(imports: Iterable[Import]) -> list[str]:
    """A folder imports only folders below it, and always under the name splat; a table's strings may name any."""
    wrong = []
    for one in imports:
        folder, target = folder_of(one.source), folder_of(one.target)
        if one.target.partition(".")[0] != "splat":
            wrong.append(f"{one}; write splat.{one.target}")
        elif target not in {folder, *MAY_IMPORT[folder]} and not (one.by_string and one.source in TABLES):
            wrong.append(f"{one}, but {folder} must not import {target}")
    return wrong


def is_face(name: str) -> bool:
    """Whether a module belongs to the public face, which sits on top of everything: splat itself and its command line."""
    return name in ("splat", "splat.__main__", "splat.cli") or name.startswith("splat.cli.")


def against_face(imports: Iterable[Import]) -> list[str]:
    """Only the public face imports the public face."""
    return [f"{one}; import the module behind it" for one in imports if is_face(one.target) and not is_face(one.source)]


def room_of(module: Module) -> str:
    """The room that a module is in: the folder of its file, or FOLDER/* for what lies in a top-level folder itself."""
    folder = module.path.rpartition("/")[0]
    return folder if "/" in folder else f"{folder}/*"


def lies_in(place: str, room: str) -> bool:
    """Whether a module is in a room, as ROOMS writes rooms."""
    if room.endswith("/*"):
        return place.rpartition("/")[0] == room[:-2] or place == room[:-2]
    return place == room or place.startswith(room + "/")


def against_rooms(modules: Mapping[str, Module], imports: Iterable[Import]) -> list[str]:
    """A room imports what its row in ROOMS says. The face and the strings of the tables are free; directions of folders are
    another rule's matter."""
    wrong = []
    for one in imports:
        room = room_of(modules[one.source])
        free = (is_face(one.source) and room == "splat/*") or (one.by_string and one.source in TABLES)
        if free or room not in ROOMS or against_direction([one]):
            continue
        own = f"{room.removesuffix('/*')}/*"
        if not any(lies_in(place_of(one.target), allowed) for allowed in [own, *ROOMS[room].split()]):
            wrong.append(f"{one}, but {room} may import only {ROOMS[room] or 'itself'}")
    return wrong


def unknown_rooms(modules: Mapping[str, Module]) -> list[str]:
    """Rooms without a row in ROOMS, and what ROOMS names that is not there."""
    rooms = {room_of(module) for module in modules.values()}
    places = {place_of(name) for name in modules}
    named = sorted({entry for row in ROOMS.values() for entry in row.split()} | set(ROOMS))
    return [f"{room}: no row in ROOMS" for room in sorted(rooms - set(ROOMS))] + [
        f"{entry}: in ROOMS, but there is none" for entry in named if entry.removesuffix("/*") not in places
    ]


def crowded(paths: Iterable[str]) -> list[str]:
    """Folders with too many modules on one level."""
    level = Counter(path.rpartition("/")[0] for path in paths if not path.endswith(("/__init__.py", "/__main__.py")))
    return [
        f"{folder}: {count} modules, at most {MOST_MODULES}" for folder, count in level.items() if count > MOST_MODULES
    ]


def too_long(sources: Mapping[str, str]) -> list[str]:
    """Files with too many lines."""
    counts = {path: len(source.splitlines()) for path, source in sources.items()}
    return [f"{path}: {count} lines, at most {MOST_LINES}" for path, count in counts.items() if count > MOST_LINES]


def without_docstring(paths: Iterable[str], modules: Mapping[str, Module]) -> list[str]:
    """Folders with modules whose __init__.py does not say what is in them and what they may import."""
    sources = {module.path: module.source for module in modules.values()}
    wrong = []
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        text = ast.get_docstring(ast.parse(sources.get(f"{folder}/__init__.py", ""))) or ""
        prose = " ".join(line for line in text.splitlines() if not line.startswith((">>>", "...")))
        if len(re.findall(r"\w[\w`)]*[.!?](?=\s|$)", prose)) < 2:
            wrong.append(f"{folder}/__init__.py: expected a docstring of two sentences or more, got {text!r}")
        elif not re.search(r"\b([Mm]ay import|[Ii]mports)\b", prose):
            wrong.append(f"{folder}/__init__.py: the docstring does not say what the folder may import")
    return wrong


def that_say_nothing(paths: Iterable[str]) -> list[str]:
    """Files and folders with names that would fit anything."""
    return [path for path in paths if SAY_NOTHING & {part.partition(".")[0].strip("_") for part in path.split("/")}]


def strange_test_folders(folders: set[str], top_level: set[str]) -> list[str]:
    """Folders of tests that are named after nothing, and folders that have no tests."""
    return [f"tests/{name}: no folder {name} at the top" for name in sorted(folders - top_level)] + [
        f"{name}: no tests/{name}" for name in sorted(set(FOLDERS) - folders)
    ]
