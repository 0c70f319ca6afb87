"""Where a browser looks from at first: the middle photo of the capture, or from outside where none is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.capture import Scene
from splat.gaussians import Gaussians
from splat.viewer.draw.palette import percentile


@dataclass(frozen=True)
class StartView:
    """A first view, and the size of the scene."""

    position: Tensor  # [3] world
    target: Tensor  # [3] world; what the mouse turns around
    up: Tensor  # [3] world, unit
    extent: float  # world units; distances are judged by it


def start_view(gaussians: Gaussians, capture: Scene | None) -> StartView:
    """From the photo whose axis passes nearest to what all photos look at; else from outside, y down."""
    means = gaussians.means[gaussians.means.isfinite().all(dim=1)]
    means = means[:: max(1, len(means) // 100_000)]
    if capture is not None and len(capture):
        cameras = [frame.camera for frame in capture.frames]
        up = -torch.stack([camera.viewmat[1, :3] for camera in cameras]).mean(0)
        up = up if float(up.norm()) > 1e-3 else torch.tensor([0.0, -1.0, 0.0])
        camera = cameras[central(cameras)]
        return StartView(
            camera.position, ahead(camera, means), torch.nn.functional.normalize(up, dim=0), capture.extent
        )
    up = torch.tensor([0.0, -1.0, 0.0])
    if not len(means):
        return StartView(torch.tensor([0.0, 0.0, -4.0]), torch.zeros(3), up, 1.0)
    centre = means.median(0).values
    radius = max(percentile((means - centre).norm(dim=1), 0.5), 1e-3)
    return StartView(centre + 2.5 * radius * torch.tensor([0.3, -0.35, -0.9]), centre, up, 2 * radius)


def central(cameras: list[Camera]) -> int:
    """The camera nearest to the middle of all that looks about the way that they do on average."""
    positions = torch.stack([camera.position for camera in cameras])
    forwards = torch.stack([camera.viewmat[2, :3] for camera in cameras])
    distance = (positions - positions.mean(0)).norm(dim=1)
    turned = 1 - forwards @ torch.nn.functional.normalize(forwards.mean(0), dim=0)
    return int((distance / distance.mean().clamp_min(1e-6) + turned).argmin())


def ahead(camera: Camera, points: Tensor) -> Tensor:  # [3]
    """The point on a camera's axis as far away as what it sees, by the median."""
    local = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    x, y = local[:, 0] * camera.K[0, 0] / local[:, 2], local[:, 1] * camera.K[1, 1] / local[:, 2]
    seen = (local[:, 2] > 0.01) & (x.abs() < camera.width / 4) & (y.abs() < camera.height / 4)
    depth = percentile(local[seen, 2], 0.5) if bool(seen.any()) else 1.0
    return camera.position + max(depth, 1e-3) * camera.viewmat[2, :3]
