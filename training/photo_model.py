"""How a photo comes from the scene besides being a render of it: its corrected pose, the sky, its exposure or grid."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.scene import Frame
from splat.gaussians import Gaussians
from splat.result import RenderResult
from splat.settings import RenderSettings
from splat.training.appearance.bilateral_grid import BilateralGrids
from splat.training.appearance.exposure import Exposures
from splat.training.appearance.sky import Sky
from splat.training.config import TrainConfig
from splat.training.poses import PoseCorrections


class PhotoModel:
    """Everything that is learned beside the Gaussians. One photo is open at a time: `open`, `finish`, `step`.

    Args:
        points: [P, 3] sparse points, for the size of the sky.
        extent: of the scene, world units.
    """

    def __init__(
        self, config: TrainConfig, frames: Sequence[Frame], points: Tensor, extent: float, device: torch.device
    ) -> None:
        geometry, appearance = config.geometry, config.appearance
        count = len(frames)
        visits = config.optimization.iterations / count
        self.poses: PoseCorrections | None = None
        if geometry.refine_poses:
            angle = torch.pi / 180 * geometry.pose_limit_degrees
            self.poses = PoseCorrections(count, visits, angle, geometry.pose_limit * extent, device)
        self.appearance: BilateralGrids | Exposures | None = None
        if appearance.bilateral_grid:
            self.appearance = BilateralGrids(count, visits, appearance.grid_tv_weight, device)
        elif appearance.exposure:
            self.appearance = Exposures(count, visits, device)
        self.sky = Sky.around(frames, points, extent) if appearance.sky else None
        self.photo = 0
        self.leaves: dict[str, Tensor] = {}

    def next_round(self, cameras: Sequence[Camera], gaussians: Gaussians) -> None:
        """All photos have been used once more. Moves the scene with the cameras where those have wandered together."""
        if self.poses is not None:
            motion = self.poses.recentre(cameras)
            for part in (gaussians, *([self.sky.gaussians] if self.sky is not None else [])):
                motion.move(part)

    def open(self, photo: int, camera: Camera) -> Camera:
        """Begin with a photo. Returns its camera as it is believed to be, differentiable where poses are learned."""
        self.photo, self.leaves = photo, {}
        if self.appearance is not None:
            self.leaves["appearance"] = self.appearance.rows.leaf(photo)
        if self.sky is not None:
            self.leaves["sky"] = self.sky.leaf()
        if self.poses is None:
            return camera
        self.leaves["pose"] = self.poses.rows.leaf(photo)
        return self.poses.apply(self.leaves["pose"], camera)

    def finish(
        self, result: RenderResult, camera: Camera, background: Tensor, settings: RenderSettings
    ) -> Tensor:  # [H, W, 3]
        """The render as the photo's camera would have recorded it.

        Args:
            result: of the Gaussians, over `scene_background`.
            background: [3] behind the scene, or behind the sky where there is one.
        """
        rgb = result.rgb
        if self.sky is not None:
            rgb = self.sky.behind(self.leaves["sky"], rgb, result.alpha, camera, background, settings)
        if self.appearance is not None:
            rgb = self.appearance.apply(self.leaves["appearance"], rgb)
        return rgb

    def scene_background(self, background: Tensor) -> Tensor:
        """What to draw the Gaussians over: black where a sky is put behind them."""
        return background if self.sky is None else torch.zeros_like(background)

    def regularization(self) -> Tensor | None:
        """Term of the loss of the open photo."""
        return None if self.appearance is None else self.appearance.regularization(self.leaves["appearance"])

    def step(self, progress: float) -> None:
        """Update what the open photo has learned."""
        if self.appearance is not None:
            self.appearance.rows.step(self.photo, self.leaves["appearance"], progress)
        if self.poses is not None:
            self.poses.rows.step(self.photo, self.leaves["pose"], progress)
        if self.sky is not None:
            self.sky.step(self.leaves["sky"])
        self.leaves = {}

    def whole_scene(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians with the sky's, as they are saved and evaluated."""
        return gaussians if self.sky is None else self.sky.with_scene(gaussians)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {
            "poses": self.poses and self.poses.rows,
            "appearance": self.appearance and self.appearance.rows,
            "sky": self.sky,
        }
        return {name: part for name, part in parts.items() if part is not None}
