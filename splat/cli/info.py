"""`splat info`: what a scene, a run or a capture contains."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from splat.errors import InputError
from splat.io.facts import as_json, as_text
from splat.plugins import describe_capture, load_scene
from splat.run import Run

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class InfoOptions:
    """Options of `splat info`."""

    path: tyro.conf.Positional[Path]
    """A scene of any format, the output folder of `splat train`, or a capture (a folder with photos and a COLMAP model)."""

    json: bool = False
    """Print JSON, for programs."""


def info(options: InfoOptions) -> None:
    """Say what a scene, a run or a capture contains."""
    facts = describe(options.path)
    print(as_json(facts) if options.json else as_text(facts))


def describe(path: Path) -> dict[str, Any]:
    """Facts about a scene, a run folder or a capture, as JSON-able values; `kind` says which it is.

    Raises:
        InputError: the path does not exist, or is none of these.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder. Check the path.")
    if path.is_file():
        return describe_scene(path)
    if (path / "point_cloud").is_dir():
        return describe_run(Run(path))
    return describe_capture(path)


def describe_scene(path: Path) -> dict[str, Any]:
    """Count, bounds and distributions of a scene's file of any format."""
    scene = load_scene(path)
    size = path.stat().st_size
    drawable = torch.stack([tensor.flatten(1).isfinite().all(1) for tensor in rows(scene.tensors())]).all(0)
    drawable &= (scene.quats != 0).any(1)
    facts: dict[str, Any] = {
        "kind": "scene",
        "file": str(path),
        "bytes": size,
        "gaussians": len(scene),
        "not drawn": int((~drawable).sum()),
        "SH degree": scene.sh_degree,
    }
    scene = scene[drawable]
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


def rows(tensors: dict[str, Tensor]) -> list[Tensor]:
    """The parameters as [N, ...] with at least two dimensions."""
    return [tensor[:, None] if tensor.ndim == 1 else tensor for tensor in tensors.values()]


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
