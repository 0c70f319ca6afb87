"""The output folder of a run, laid out as other tools expect it.

point_cloud/iteration_N/point_cloud.ply   the scene; SuperSplat, SIBR, Blender and Unity importers open it
input.ply                                 the sparse points it started from
cameras.json, cfg_args                    for SIBR's viewer
config.json                               every setting of the run
metrics.jsonl                             progress: a line every 100 iterations
metrics.json                              PSNR and SSIM of every held-out view, and where the time went
renders/                                  photo, render and error of every held-out view, side by side
report.html                               all of it to look at, in one file
events/                                   for TensorBoard, where that was asked for
ckpts/                                    to resume from
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from splat.datasets.capture import Frame, Scene
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.atomic_file import replacing
from splat.io.ply import save, save_points
from splat.training.config import TrainConfig, save_config

CONTENTS = (
    "point_cloud",
    "input.ply",
    "cameras.json",
    "cfg_args",
    "config.json",
    "metrics.jsonl",
    "metrics.json",
    "renders",
    "report.html",
    "events",
    "ckpts",
)


class RunFolder:
    """Paths and writers of one run's output."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "ckpts"

    @property
    def renders(self) -> Path:
        return self.path / "renders"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def holds_a_run(self) -> bool:
        return any((self.path / name).exists() for name in CONTENTS)

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Whether a run may be started or resumed here. Changes nothing.

        Raises:
            InputError: it holds a run and neither flag was given, or there is nothing to resume.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file; choose another output folder with -o")
        if resume and not self.config.is_file():
            raise InputError(f"{self.path}: no run to resume here; leave out --resume to start one")
        if not resume and not overwrite and self.holds_a_run():
            raise InputError(
                f"{self.path}: already holds a run; continue it with --resume, replace it with --overwrite, or choose "
                "another folder with -o"
            )

    def clear(self) -> None:
        """Make room for a new run: delete what an earlier one left, and nothing else."""
        for name in CONTENTS:
            path = self.path / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)

    def write_start(self, config: TrainConfig, scene: Scene) -> None:
        """What is known before the first iteration."""
        save_config(config, scene.path, self.config)
        if len(scene.points):
            save_points(self.path / "input.ply", scene.points, scene.colors)
        with replacing(self.path / "cameras.json") as temporary:
            temporary.write_text(json.dumps(cameras_json(scene.frames), indent=1))
        with replacing(self.path / "cfg_args") as temporary:
            temporary.write_text(
                f"Namespace(sh_degree={config.optimization.sh_degree}, source_path={str(scene.path.resolve())!r}, "
                f"model_path={str(self.path.resolve())!r}, images={config.data.images!r}, "
                f"resolution={config.data.resolution}, white_background={config.optimization.background == 'white'}, "
                f"data_device='cpu', eval={config.data.eval})"
            )

    def save_scene(self, gaussians: Gaussians, iteration: int) -> Path:
        path = self.path / "point_cloud" / f"iteration_{iteration}" / "point_cloud.ply"
        save(gaussians, path)
        return path

    def latest_scene(self) -> Path:
        """The point cloud of the highest iteration.

        Raises:
            InputError: there is none.
        """
        found = [
            (int(path.parent.name.removeprefix("iteration_")), path)
            for path in self.path.glob("point_cloud/iteration_*/point_cloud.ply")
            if path.parent.name.removeprefix("iteration_").isdigit()
        ]
        if not found:
            raise InputError(
                f"{self.path}: no point_cloud/iteration_N/point_cloud.ply here; train first, or finish with --resume"
            )
        return max(found)[1]

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        with replacing(self.path / "metrics.json") as temporary:
            temporary.write_text(json.dumps(metrics, indent=2) + "\n")


def cameras_json(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Cameras as SIBR's viewer reads them: camera-to-world rotation and position."""
    return [
        {
            "id": index,
            "img_name": Path(frame.name).stem,
            "width": frame.camera.width,
            "height": frame.camera.height,
            "position": frame.camera.position.tolist(),
            "rotation": frame.camera.viewmat[:3, :3].T.tolist(),
            "fy": float(frame.camera.K[1, 1]),
            "fx": float(frame.camera.K[0, 0]),
        }
        for index, frame in enumerate(frames)
    ]
