"""How a photo comes from the scene besides being a render of it: its corrected pose, the sky, its exposure or grid."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.capture import Frame
from splat.gaussians import Gaussians
from splat.result import RenderResult
from splat.settings import RenderSettings
from splat.training.config import TrainConfig
from splat.training.per_image.affine import change_colors
from splat.training.per_image.bilateral_grid import BilateralGrids
from splat.training.per_image.exposure import Exposures
from splat.training.per_image.parameters import PerPhoto
from splat.training.per_image.poses import PoseCorrections
from splat.training.per_image.sky import Sky


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
        # A grid learns what one matrix cannot say; it has too many numbers to learn the rest in a short run.
        self.exposures: Exposures | None = None
        if appearance.exposure or appearance.bilateral_grid:
            self.exposures = Exposures(count, visits, device)
        self.grids: BilateralGrids | None = None
        if appearance.bilateral_grid:
            self.grids = BilateralGrids(count, visits, config.loss.bilateral_tv, device)
        self.sky = Sky.around(frames, points, extent) if appearance.sky else None
        self.photo = 0
        self.leaves: dict[str, Tensor] = {}

    def next_round(self, cameras: Sequence[Camera], gaussians: Gaussians) -> None:
        """All photos have been used once more. What their corrections have in common becomes the scene's: where the cameras
        have wandered together it moves along, and it takes the colors of most photos."""
        scene = [gaussians] if self.sky is None else [gaussians, self.sky.gaussians]
        if self.poses is not None:
            motion = self.poses.recenter(cameras)
            for part in scene:
                motion.move(part)
        if self.exposures is not None:
            common = self.exposures.recenter()
            for part in scene:
                change_colors(part, common)

    def open(self, photo: int, camera: Camera) -> Camera:
        """Begin with a photo. Returns its camera as it is believed to be, differentiable where poses are learned."""
        self.photo, self.leaves = photo, {}
        for name, part in self._per_photo().items():
            self.leaves[name] = part.rows.leaf(photo)
        if self.sky is not None:
            self.leaves["sky"] = self.sky.leaf()
        return camera if self.poses is None else self.poses.apply(self.leaves["poses"], camera)

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
        if self.exposures is not None:
            rgb = self.exposures.apply(self.leaves["exposures"], rgb)
        if self.grids is not None:
            rgb = self.grids.apply(self.leaves["grids"], rgb)
        return rgb

    def scene_background(self, background: Tensor) -> Tensor:
        """What to draw the Gaussians over: black where a sky is put behind them."""
        return background if self.sky is None else torch.zeros_like(background)

    def regularization(self) -> Tensor | None:
        """Term of the loss of the open photo."""
        terms = [part.regularization(self.leaves[name]) for name, part in self._per_photo().items()]
        return torch.stack(terms).sum() if terms else None

    def step(self, progress: float) -> None:
        """Update what the open photo has learned."""
        for name, part in self._per_photo().items():
            part.rows.step(self.photo, self.leaves[name], progress)
        if self.sky is not None:
            self.sky.step(self.leaves["sky"])
        self.leaves = {}

    def whole_scene(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians with the sky's, as they are saved and evaluated."""
        return gaussians if self.sky is None else self.sky.with_scene(gaussians)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._states().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._states().items():
            part.load_state_dict(state[name])

    def _per_photo(self) -> dict[str, PoseCorrections | Exposures | BilateralGrids]:
        parts = {"poses": self.poses, "exposures": self.exposures, "grids": self.grids}
        return {name: part for name, part in parts.items() if part is not None}

    def _states(self) -> dict[str, PerPhoto | Sky]:
        states: dict[str, PerPhoto | Sky] = {name: part.rows for name, part in self._per_photo().items()}
        if self.sky is not None:
            states["sky"] = self.sky
        return states
