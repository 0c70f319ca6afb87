"""What a scene or the output folder of a training contains, as facts for `splat info`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splat.cli.main import find
from splat.errors import InputError
from splat.gaussians import Gaussians

QUANTILES = (0.05, 0.5, 0.95)


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
        return describe_run(path)
    capture: dict[str, Any] = find("splat.datasets.describe:describe_capture")(path)
    return capture


def describe_scene(path: Path) -> dict[str, Any]:
    """Count, bounds and distributions of a scene's file of any format."""
    load: Callable[[Path], Gaussians] = find("splat.compression.formats.registry:load")
    scene = load(path)
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


def describe_run(path: Path) -> dict[str, Any]:
    """Saved scenes, checkpoints and scores of an output folder, and the newest scene."""
    saved = sorted(
        (int(file.parent.name.removeprefix("iteration_")), file)
        for file in path.glob("point_cloud/iteration_*/point_cloud.ply")
        if file.parent.name.removeprefix("iteration_").isdigit()
    )
    if not saved:
        raise InputError(
            f"{path}: expected point_cloud/iteration_*/point_cloud.ply in this run, found none. Train longer."
        )
    files = [file for file in path.rglob("*") if file.is_file()]
    return {
        "kind": "run",
        "folder": str(path),
        "bytes": sum(file.stat().st_size for file in files),
        "saved iterations": [iteration for iteration, _ in saved],
        "checkpoints": sorted(file.name for file in (path / "ckpts").glob("*") if not file.name.startswith(".")),
        "scores": scores(path / "metrics.json"),
        "newest scene": describe_scene(saved[-1][1]),
    }


def scores(path: Path) -> dict[str, Any]:
    """The numbers at the top of metrics.json; empty where the run was not evaluated.

    Raises:
        InputError: the file is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}). Run `splat eval` again.") from None
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)} if metrics else {}


def quantiles(values: Tensor) -> dict[str, float]:
    """5 %, median and 95 %. A sorted look-up, because torch.quantile refuses more than 16 million values."""
    ordered = values.sort().values
    picks = {f"{round(q * 100)} %": ordered[round(q * (len(ordered) - 1))] for q in QUANTILES}
    return {name: float(f"{value.item():.4g}") for name, value in picks.items()}


def rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]


def as_text(facts: dict[str, Any], indent: str = "") -> str:
    """Facts for people, one a line."""
    lines = []
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict) and name in ("newest scene",):
            lines.append(f"{indent}{name}\n{as_text(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name:<{width}}  {as_words(name, value)}")
    return "\n".join(lines)


def as_words(name: str, value: Any) -> str:
    """One value in words."""
    if name == "bytes":
        return f"{value / 1e6:.2f} MB"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {as_words(key, item)}" for key, item in value.items()) or "none"
    if name in ("bounds", "most points within"):
        return " to ".join(str(corner) for corner in value)
    if isinstance(value, list):
        shown = [as_words("", item) for item in (value if len(value) <= 8 else [*value[:3], "...", *value[-3:]])]
        return ", ".join(shown) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
