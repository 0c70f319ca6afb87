"""How good a compressed scene is: against the photos that training has not seen, or, where there are none, against the
renders of the scene as it was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from splat.cameras import Camera
from splat.compression.simplify.prune import Fidelity
from splat.datasets.capture import Frame
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.orbit import orbit_around
from splat.image_metrics import ssim
from splat.io.images import side_by_side, write_image
from splat.render import render
from splat.settings import RenderSettings
from splat.training.config import TrainConfig, evaluation_background
from splat.training.evaluate.views import evaluate, picture_names

ORBIT_VIEWS = 8
ORBIT_SIZE = (640, 360)


@dataclass(frozen=True)
class Score:
    """Means over the views."""

    psnr: float  # dB
    ssim: float


class Judge(Protocol):
    """Measures scenes. `against` says what with; `cameras` are those that importance is summed up over."""

    against: str
    settings: RenderSettings  # how scenes are drawn

    @property
    def cameras(self) -> Sequence[Camera]: ...

    def __call__(self, gaussians: Gaussians) -> Score: ...

    def pictures(self, before: Gaussians, after: Gaussians, folder: Path) -> list[tuple[str, Path]]:
        """A picture per view for the report, as names and files: what is right, before, after, side by side."""
        ...


class PhotoJudge:
    """By photos.

    Args:
        frames: to measure with.
        seen: cameras of the photos that the scene was trained on; no held-out photo says what may be left out.
        held_out: whether training has not seen them; None where that is not known.
        device: that draws.
        settings: how the scene is drawn; as its run does unless given.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        seen: Sequence[Camera],
        config: TrainConfig,
        held_out: bool | None,
        device: torch.device | str = "cpu",
        settings: RenderSettings | None = None,
    ) -> None:
        self.frames, self.config = [frame.to(device) for frame in frames], config
        self.cameras = [camera.to(device) for camera in seen]
        photos = f"{len(frames)} {'held-out ' if held_out else ''}photo{'' if len(frames) == 1 else 's'}"
        self.against = photos + {True: "", False: " that it was trained on", None: " of the capture"}[held_out]
        self.background = evaluation_background(config).to(device)
        self.settings = settings or RenderSettings(antialiased=config.optimization.antialiased)

    def __call__(self, gaussians: Gaussians) -> Score:
        found = evaluate(
            gaussians,
            self.frames,
            background=self.background,
            settings=self.settings,
            mask_mode=self.config.data.mask_mode,
        )
        if math.isnan(found.psnr):
            raise InputError(
                f"masks hide everything in all of {self.against}: nothing can be measured; see `invert_masks`"
            )
        return Score(found.psnr, found.ssim)

    @torch.no_grad()
    def pictures(self, before: Gaussians, after: Gaussians, folder: Path) -> list[tuple[str, Path]]:
        made, names = [], picture_names([frame.name for frame in self.frames])
        for frame in self.frames:
            images = [
                render(scene, frame.camera, background=self.background, settings=self.settings).rgb.clamp(0, 1).cpu()
                for scene in (before, after)
            ]
            path = folder / f"{names[frame.name]}.png"
            write_image(path, side_by_side(frame.photo.over(self.background.cpu()).float() / 255, *images))
            made.append((frame.name, path))
        return made


class RenderJudge:
    """By renders of the scene as it was, from all around it."""

    def __init__(self, gaussians: Gaussians, settings: RenderSettings | None = None) -> None:
        around = orbit_around(gaussians.means.cpu(), ORBIT_VIEWS, *ORBIT_SIZE)
        self.cameras = [camera.to(gaussians.device) for camera in around]
        self.against = f"{ORBIT_VIEWS} renders of the scene as it was"
        self.settings = settings or RenderSettings()
        self.fidelity = Fidelity(gaussians, self.cameras, settings=self.settings)

    @torch.no_grad()
    def __call__(self, gaussians: Gaussians) -> Score:
        images = (render(gaussians, camera, settings=self.settings).rgb.clamp(0, 1) for camera in self.cameras)
        likeness = [ssim(image, target) for image, target in zip(images, self.fidelity.images, strict=True)]
        return Score(self.fidelity(gaussians), sum(likeness) / len(likeness))

    @torch.no_grad()
    def pictures(self, before: Gaussians, after: Gaussians, folder: Path) -> list[tuple[str, Path]]:
        made = []
        for index, (camera, target) in enumerate(zip(self.cameras, self.fidelity.images, strict=True)):
            path = folder / f"{index:02d}.png"
            image = render(after, camera, settings=self.settings).rgb.clamp(0, 1).cpu()
            write_image(path, side_by_side(target.cpu(), target.cpu(), image))
            made.append((f"view {index}", path))
        return made
