"""Run: the output folder of a training, and the one place that knows where things are in it.

point_cloud/iteration_N/point_cloud.ply   the scene; SuperSplat, SIBR, Blender and Unity importers open it
input.ply                                 the sparse points it started from
cameras.json, cfg_args                    for SIBR's viewer
config.json                               every setting of the run
georeference.json                         where the scene's coordinates lie in the capture's, unless they are the same
metrics.jsonl                             progress: a line every 100 iterations
metrics.json                              PSNR and SSIM of every held-out view, and where the time went
renders/                                  photo, render and error of every held-out view, side by side
report.html                               all of it to look at, in one file
events/                                   for TensorBoard, where that was asked for
ckpts/                                    to resume from
capture/                                  cameras that `splat train` found for photos that had none
paths/                                    camera paths that the viewer saved

Opening what a person names, a scene of any format or a run, is `splat.opening.open_scene`.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splat.cameras import Camera
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.io.atomic_file import replacing
from splat.io.facts import as_json
from splat.io.georeference_file import read_georeference, write_georeference
from splat.io.ply import save
from splat.settings import RenderSettings

CONTENTS = (
    "point_cloud",
    "input.ply",
    "cameras.json",
    "cfg_args",
    "config.json",
    "georeference.json",
    "metrics.jsonl",
    "metrics.json",
    "renders",
    "report.html",
    "events",
    "ckpts",
)

SOG_FILES = ("meta.json", "lod-meta.json")
"""Descriptions of a SOG that is a folder, in one piece and streamed."""

BACKGROUNDS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}
"""Colors behind a scene that have a name."""


@dataclass(frozen=True)
class RunSettings:
    """What config.json says of a run, as far as every folder needs it. Training keeps the whole configuration."""

    capture: Path | None = None
    resolution: int = -1  # divisor of the photos' width and height; -1: at most 1600 pixels
    images: str = "images"  # folder of the photos inside the capture
    masks: str | None = "masks"
    antialiased: bool = False
    background: tuple[float, float, float] = BACKGROUNDS["black"]  # 0 to 1

    @property
    def background_bytes(self) -> tuple[int, int, int]:
        """The same as bytes, 0 to 255."""
        red, green, blue = (round(255 * value) for value in self.background)
        return red, green, blue

    @property
    def render(self) -> RenderSettings:
        """How the scene is drawn as it was trained."""
        return RenderSettings(antialiased=self.antialiased)


class Run:
    """Paths of one run's output, its readers and its writers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def georeference_file(self) -> Path:
        return self.path / "georeference.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.json"

    @property
    def progress_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def cameras_file(self) -> Path:
        return self.path / "cameras.json"

    @property
    def points_file(self) -> Path:
        return self.path / "input.ply"

    @property
    def arguments_file(self) -> Path:
        """Arguments as the published trainer leaves them, for programs that read its runs."""
        return self.path / "cfg_args"

    @property
    def found_capture(self) -> Path:
        """The capture made from photos whose cameras the run has found itself."""
        return self.path / "capture"

    @property
    def camera_paths(self) -> Path:
        """Camera paths saved in the viewer."""
        return self.path / "paths"

    @property
    def checkpoints(self) -> Path:
        return self.path / "ckpts"

    @property
    def renders(self) -> Path:
        return self.path / "renders"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def holds_a_run(self) -> bool:
        return any((self.path / name).exists() for name in CONTENTS)

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Whether a run may be started or resumed here. Changes nothing.

        Raises:
            InputError: it holds a run and neither was asked for, or there is nothing to resume.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file; choose another `output`")
        if resume and not self.config_file.is_file():
            raise InputError(f"{self.path}: no run to resume here; leave out `resume` to start one")
        if not resume and not overwrite and self.holds_a_run():
            raise InputError(
                f"{self.path}: already holds a run; continue it with `resume`, replace it with `overwrite`, or choose "
                "another `output`"
            )

    def clear(self) -> None:
        """Make room for a new run: delete what an earlier one left, and nothing else."""
        for name in CONTENTS:
            path = self.path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)

    def settings(self) -> RunSettings:
        """What config.json says; the defaults where it is missing or not understood."""
        try:
            values = json.loads(self.config_file.read_text(encoding="utf-8"))
            data, optimization = values["data"], values["optimization"]
            return RunSettings(
                Path(values["capture"]),
                int(data["resolution"]),
                str(data["images"]),
                str(data["masks"]) if data["masks"] else None,
                bool(optimization["antialiased"]),
                BACKGROUNDS.get(optimization["background"], BACKGROUNDS["black"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return RunSettings()

    def georeference(self) -> Georeference:
        """Where the coordinates of the scene, the cameras and the points lie in the capture's.

        Raises:
            InputError: the file is damaged.
        """
        return read_georeference(self.georeference_file)

    def write_georeference(self, georeference: Georeference) -> None:
        if not georeference.is_identity:
            write_georeference(georeference, self.georeference_file)

    # --- scenes -------------------------------------------------------------------------------------------------------

    def scene_file(self, iteration: int) -> Path:
        return self.path / "point_cloud" / f"iteration_{iteration}" / "point_cloud.ply"

    def checkpoint_file(self, iteration: int) -> Path:
        return self.checkpoints / f"ckpt_{iteration:06d}.pt"

    def scenes(self) -> dict[int, Path]:
        """Iteration -> PLY of the scene after it, oldest first."""
        named = (
            (re.fullmatch(r"iteration_(\d{1,9})", file.parent.name), file)
            for file in self.path.glob("point_cloud/iteration_*/point_cloud.ply")
        )
        return dict(sorted((int(match[1]), file) for match, file in named if match))

    def saved_checkpoints(self) -> dict[int, Path]:
        """Iteration -> checkpoint of it, oldest first."""
        named = ((re.fullmatch(r"ckpt_(\d{1,9})\.pt", file.name), file) for file in self.checkpoints.glob("ckpt_*.pt"))
        return dict(sorted((int(match[1]), file) for match, file in named if match))

    def snapshots(self) -> dict[int, Path]:
        """Iteration -> file that holds the scene after it, oldest first: scenes, and the checkpoints between them."""
        return dict(sorted({**self.saved_checkpoints(), **self.scenes()}.items()))

    def latest_scene(self) -> tuple[int, Path]:
        """The highest iteration that was saved, and its scene.

        Raises:
            InputError: there is none.
        """
        found = self.scenes()
        if not found:
            raise InputError(
                f"{self.path}: no point_cloud/iteration_N/point_cloud.ply here; train first, or finish with `resume`"
            )
        return max(found.items())

    def save_scene(self, gaussians: Gaussians, iteration: int) -> Path:
        path = self.scene_file(iteration)
        save(gaussians, path)
        return path

    # --- what was measured, and the cameras ---------------------------------------------------------------------------

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        with replacing(self.metrics_file) as temporary:
            temporary.write_text(as_json(metrics) + "\n")

    def scores(self) -> dict[str, Any]:
        """The numbers at the top of metrics.json; empty where the run was not evaluated.

        Raises:
            InputError: the file is not JSON.
        """
        return {name: value for name, value in self.metrics().items() if isinstance(value, int | float)}

    def metrics(self) -> dict[str, Any]:
        """Everything in metrics.json; empty where the run was not evaluated.

        Raises:
            InputError: the file is not JSON.
        """
        if not self.metrics_file.is_file():
            return {}
        try:
            metrics = json.loads(self.metrics_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{self.metrics_file}: not JSON ({error}). Run `splat eval` again.") from None
        return metrics if isinstance(metrics, dict) else {}

    def write_cameras(self, names: Sequence[str], cameras: Sequence[Camera]) -> None:
        """Write cameras.json as SIBR's viewer reads it: camera-to-world rotation and position."""
        entries = [
            {
                "id": index,
                "img_name": Path(name).stem,
                "width": camera.width,
                "height": camera.height,
                "position": camera.position.tolist(),
                "rotation": camera.viewmat[:3, :3].T.tolist(),
                "fy": float(camera.K[1, 1]),
                "fx": float(camera.K[0, 0]),
            }
            for index, (name, camera) in enumerate(zip(names, cameras, strict=True))
        ]
        with replacing(self.cameras_file) as temporary:
            temporary.write_text(as_json(entries, indent=1))

    def cameras(self) -> list[tuple[str, Camera]]:
        """Name and camera of every photo that the run was trained on; none where the folder does not say."""
        try:
            entries = json.loads(self.cameras_file.read_text(encoding="utf-8"))
            return [_camera_of(entry) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError):
            return []


def _camera_of(entry: dict[str, Any]) -> tuple[str, Camera]:
    """One entry of cameras.json, which has no principal point: it is taken to be the middle."""
    rotation = torch.tensor(entry["rotation"], dtype=torch.float64)
    position = torch.tensor(entry["position"], dtype=torch.float64)
    if rotation.shape != (3, 3) or position.shape != (3,):
        raise ValueError("not a camera")
    rotation = rotation.T  # from world to camera
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ position
    width, height = int(entry["width"]), int(entry["height"])
    K = torch.tensor([[entry["fx"], 0, width / 2], [0, entry["fy"], height / 2], [0, 0, 1]], dtype=torch.float64)
    if not (viewmat.isfinite().all() and K.isfinite().all() and (K.diagonal() > 0).all()):
        raise ValueError("not a camera")
    return str(entry["img_name"]), Camera(viewmat.float(), K.float(), width, height)


def find_run(path: Path) -> Run | None:
    """The run whose folder this is; None for a file and for a folder of anything else."""
    run = Run(path)
    return run if path.is_dir() and (run.config_file.is_file() or run.snapshots()) else None


def find_scene(path: Path) -> Path:
    """The file meant by a path: itself, or in a folder the latest scene of a run or the description of a SOG.

    Raises:
        InputError: the folder has neither.
    """
    if not path.is_dir():
        return path
    saved = Run(path).scenes()
    if saved:
        return saved[max(saved)]
    for name in SOG_FILES:
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path}: this folder holds no scene: expected point_cloud/iteration_*/point_cloud.ply or a meta.json"
    )
