"""Camera paths as JSON files, which the viewer saves and `splat render --path` draws.

    {
      "format": "splat camera path",
      "version": 1,
      "loop": false,               go on from the last keyframe to the first
      "tension": 0.0,              0 round, 1 straight
      "constant_speed": false,     move evenly; `seconds` then only say how long it takes altogether
      "keyframes": [
        {
          "position": [x, y, z],           world units
          "quaternion": [w, x, y, z],      camera to world; camera axes are x right, y down, z forward
          "fov": 50.0,                     degrees, from the top to the bottom of the picture
          "seconds": 2.0,                  on the way from the keyframe before
          "ease": false                    come to a rest here
        }
      ]
    }

All but `format`, `version`, `keyframes`, `position` and `quaternion` may be left out.
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from splat.errors import InputError
from splat.geometry.camera_path import MAX_KEYFRAMES, CameraPath, Keyframe
from splat.io.atomic_file import replacing

FORMAT = "splat camera path"
VERSION = 1
MAX_BYTES = 1 << 20
"""Four times what a thousand keyframes need."""
PATH_FIELDS = ("loop", "tension", "constant_speed")
KEYFRAME_FIELDS = tuple(field.name for field in fields(Keyframe))


def save_path(path: CameraPath, file: str | Path) -> None:
    """Write a path, atomically.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    with replacing(file) as temporary:
        temporary.write_text(to_json(path), encoding="utf-8")


def load_path(file: str | Path) -> CameraPath:
    """Read a path.

    Raises:
        InputError: there is no such file, or it is not a camera path; the message says what is wrong where.
    """
    file = Path(file)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{file}: too large for a camera path ({MAX_BYTES >> 20} MB at most); is it the right file?"
            )
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{file}: no such file. Paths are saved by the viewer") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as a camera path ({error})") from None
    try:
        return from_json(text)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def to_json(path: CameraPath) -> str:
    """The text of a file."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    head |= {name: getattr(path, name) for name in PATH_FIELDS}
    lines = ",\n    ".join(json.dumps(asdict(keyframe)) for keyframe in path.keyframes)
    return json.dumps(head, indent=2).removesuffix("\n}") + f',\n  "keyframes": [\n    {lines}\n  ]\n}}\n'


def from_json(text: str) -> CameraPath:
    """The path that a text describes. Nothing in it is trusted.

    Raises:
        ValueError: it is not a camera path, or a value is missing, unknown, not finite or out of range.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({str(error)[:80]}); save the path again") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f'is not a camera path: expected an object with "format": "{FORMAT}"')
    version = values.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise ValueError(
            f"has version {str(version)[:20]} of the format; this program reads version {VERSION}; update it"
        )
    _only("the path", values, ("format", "version", "keyframes", *PATH_FIELDS))
    keyframes = values.get("keyframes")
    if not isinstance(keyframes, list) or not 1 <= len(keyframes) <= MAX_KEYFRAMES:
        raise ValueError(f"needs a list of 1 to {MAX_KEYFRAMES} keyframes")
    read = tuple(_keyframe(index, value) for index, value in enumerate(keyframes, start=1))
    return CameraPath(read, **{name: values[name] for name in PATH_FIELDS if name in values})


def _keyframe(number: int, values: Any) -> Keyframe:
    where = f"keyframe {number}"
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be an object, got {str(values)[:40]}")
    _only(where, values, KEYFRAME_FIELDS)
    for name in ("position", "quaternion"):
        if name not in values:
            raise ValueError(f"{where} has no {name}")
    try:
        return Keyframe(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _only(where: str, values: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where} has an unknown value {unknown[0][:40]!r}; known are {', '.join(known)}")
