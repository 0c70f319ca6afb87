"""`splat info`: what a scene, a run or a capture contains."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.io.facts import as_json, as_text
from splat.io.images import write_image
from splat.plugins import CheckUp, check_up, is_scene, load_with_facts
from splat.run import SOG_FILES, Run

QUANTILES = (0.05, 0.5, 0.95)
CAPTURE_SUFFIXES = (".json", ".xml", ".csv", ".out", ".xmp", ".zip", ".r3d")
"""Files of models of captures, as far as they are not scenes."""


@dataclass(frozen=True)
class InfoOptions:
    """Options of `splat info`."""

    path: tyro.conf.Positional[Path]
    """A scene of any format, the output folder of `splat train`, or a capture (a folder with photos and a COLMAP model)."""

    picture: Path | None = None
    """Of a capture: draw cameras, points and frustums from above and from the side into this PNG or JPEG."""

    images: Annotated[str, tyro.conf.arg(aliases=["-i"])] = "images"
    """Of a capture: folder of the photos in it."""

    json: bool = False
    """Print JSON, for programs."""


def info(options: InfoOptions) -> None:
    """Say what a scene or a run contains, or check a capture: what will be done with it, and what is likely to go wrong.

    Raises:
        InputError: the path does not exist or is none of these, or a picture is asked for of something else than a capture.
    """
    path = options.path
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path.")
    if is_capture(path):
        show_capture(path, options)
        return
    if options.picture is not None:
        raise InputError(f"{path}: --picture draws captures; `splat render` draws scenes and runs")
    facts = describe_run(Run(path)) if path.is_dir() and (path / "point_cloud").is_dir() else describe_scene(path)
    print(as_json(facts) if options.json else as_text(facts))


def is_capture(path: Path) -> bool:
    """Whether a path means a capture: a folder without a scene in it, or the file of a model."""
    if path.is_dir():
        return not (path / "point_cloud").is_dir() and not any((path / name).is_file() for name in SOG_FILES)
    if path.suffix.lower() not in CAPTURE_SUFFIXES or path.name.lower() in SOG_FILES:
        return False
    return not is_scene(path)


def show_capture(path: Path, options: InfoOptions) -> None:
    """Print the check-up of a capture: a table, what was ignored or guessed, and warnings."""
    found = check_up(path, options.images, progress=True)
    if options.picture is not None:
        write_image(options.picture, torch.from_numpy(np.array(found.picture())))
    if options.json:
        facts = found.facts | {"notes": list(found.notes), "warnings": list(found.warnings)}
        print(as_json(facts))
    else:
        _print_check_up(found)
        if options.picture is not None:
            print(f"picture: {options.picture}")
    if not found.facts["photos"]:
        raise InputError(f"{path}: not one of its photos can be used")


def _print_check_up(found: CheckUp) -> None:
    print(as_text({name: value for name, value in found.facts.items() if value not in ("", [], {})}))
    for note in found.notes:
        print(f"note: {note}")
    for warning in found.warnings:
        print(f"warning: {warning}")


def describe_scene(path: Path) -> dict[str, Any]:
    """Count, bounds and distributions of a scene's file of any format."""
    loaded = load_with_facts(path)
    scene = loaded.gaussians
    facts: dict[str, Any] = {
        "kind": "scene",
        "file": str(path),
        "bytes": loaded.size,
        "gaussians": len(scene) + loaded.left_out,
        "not drawn": loaded.left_out,
        "SH degree": scene.sh_degree,
    }
    if len(scene):
        low, high = scene.means.amin(0), scene.means.amax(0)
        scales = scene.scales.sort(dim=1).values
        facts |= {
            "bounds": [rounded(low), rounded(high)],
            "opacity": quantiles(scene.opacities),
            "longest axis": quantiles(scales[:, 2]),
            "shortest axis": quantiles(scales[:, 0]),
        }
    return facts


def describe_run(run: Run) -> dict[str, Any]:
    """Saved scenes, checkpoints and scores of an output folder, and the newest scene."""
    saved = run.scenes()
    if not saved:
        raise InputError(
            f"{run.path}: expected point_cloud/iteration_*/point_cloud.ply in this run, found none. Train longer."
        )
    files = [file for file in run.path.rglob("*") if file.is_file()]
    return {
        "kind": "run",
        "folder": str(run.path),
        "bytes": sum(file.stat().st_size for file in files),
        "saved iterations": list(saved),
        "checkpoints": [file.name for file in run.saved_checkpoints().values()],
        "scores": run.scores(),
        "newest scene": describe_scene(saved[max(saved)]),
    }


def quantiles(values: Tensor) -> dict[str, float]:
    """5 %, median and 95 %. A sorted look-up, because torch.quantile refuses more than 16 million values."""
    ordered = values.sort().values
    picks = {f"{round(q * 100)} %": ordered[round(q * (len(ordered) - 1))] for q in QUANTILES}
    return {name: float(f"{value.item():.4g}") for name, value in picks.items()}


def rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
