"""georeference.json: where the coordinates of a run, or of a single scene's file, lie in those of the capture."""

import json
from dataclasses import asdict
from pathlib import Path

from splat.errors import InputError
from splat.geometry.georeference import IDENTITY, Georeference
from splat.io.atomic_file import replacing

SIDECAR = ".georeference.json"
"""What the name of the georeference of a single scene's file ends in: scene.spz has scene.spz.georeference.json."""


def write_georeference(georeference: Georeference, path: Path) -> None:
    """Write as JSON, atomically.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    values = asdict(georeference) | {"meaning": "capture = unit * local + offset"}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_georeference(path: Path) -> Georeference:
    """Read georeference.json; the identity where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return IDENTITY
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        x, y, z = (float(value) for value in values["offset"])
        return Georeference((x, y, z), float(values["unit"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise InputError(
            f'{path}: not a georeference: expected {{"offset": [x, y, z], "unit": 1.0}} with finite numbers and a positive '
            "unit; copy it again, or remove it to take the scene's coordinates as they are"
        ) from None


def beside(scene: Path) -> Path:
    """Where the georeference of a scene's file is kept that does not lie in a run."""
    return scene.with_name(scene.name + SIDECAR)


def note_beside(scene: Path, georeference: Georeference | None) -> bool:
    """Keep where a scene's file lies beside it, if it does not lie in its capture's coordinates; else leave no false trail.

    Returns:
        Whether there was anything to note.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    if georeference is None or georeference.is_identity:
        beside(scene).unlink(missing_ok=True)
        return False
    write_georeference(georeference, beside(scene))
    return True


def georeference_beside(scene: Path) -> Georeference | None:
    """What the file beside a scene's file says of it; None where there is no such file.

    Raises:
        InputError: that file is damaged.
    """
    return read_georeference(beside(scene)) if beside(scene).is_file() else None
