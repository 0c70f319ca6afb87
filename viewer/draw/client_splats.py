"""ClientSplats: the scene as viser's own layer of splats, drawn by the browser's WebGL.

Smooth also where the server is slow or far away, but viser's layer has no harmonics, keeps covariances in half precision
and leaves out thin and small splats.
"""

from collections.abc import Sequence

import torch
import viser
from torch import Tensor

from splat.gaussians import SH_C0, Gaussians
from splat.geometry.quaternions import rotation_matrix
from splat.viewer.draw.look import Look
from splat.viewer.draw.prepared import PreparedCache
from splat.viewer.slots import SceneSlot

MOST = 1_500_000
"""Gaussians that a browser is sent, at most; the faintest and smallest are left out beyond."""
TARGET_SIGMA = 0.05
"""Scenes are enlarged until the median standard deviation is this, far above what half precision loses."""


class ClientSplats:
    """The splats that one browser has been sent."""

    def __init__(self, client: viser.ClientHandle) -> None:
        self.client = client
        self.handle: viser.GaussianSplatHandle | None = None
        self.shown: tuple[object, ...] = ()

    def show(self, slots: Sequence[SceneSlot], look: Look, cache: PreparedCache) -> None:
        """Send what the slots hold, unless the browser has it."""
        prepared = [cache.get(slot, look) for slot in slots]
        if len(prepared) == len(self.shown) and all(a is b for a, b in zip(prepared, self.shown, strict=True)):
            return
        self.remove()
        self.shown = tuple(prepared)
        centers, covariances, colors, opacities = splat_tensors([part.gaussians for part in prepared])
        if not len(centers):
            return
        sigma = float(covariances.diagonal(dim1=1, dim2=2).mean(1).sqrt().median())
        enlarged = max(1.0, TARGET_SIGMA / max(sigma, 1e-9))
        self.handle = self.client.scene.add_gaussian_splats(
            "/scene",
            centers=(centers * enlarged).numpy(),
            covariances=(covariances * enlarged**2).numpy(),
            rgbs=colors.numpy(),
            opacities=opacities.numpy(),
            scale=1 / enlarged,
        )

    def remove(self) -> None:
        """Take the splats away from the browser."""
        if self.handle is not None:
            self.handle.remove()
        self.handle, self.shown = None, ()


def splat_tensors(scenes: Sequence[Gaussians]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centers [N, 3], covariances [N, 3, 3], colors [N, 3] and opacities [N, 1] of what can be drawn, on the CPU."""
    parts = []
    for scene in scenes:
        scene = scene.to("cpu")
        finite = torch.stack([t.flatten(1).isfinite().all(1) for t in (scene.means, scene.quats, scene.log_scales)])
        keep = finite.all(0) & (scene.opacities > 1 / 255) & (scene.quats != 0).any(1)
        scene = scene[keep]
        if len(scene) > MOST:
            weight = scene.logit_opacities.sigmoid().log() + scene.log_scales.topk(2, dim=1).values.sum(1)
            scene = scene[weight.topk(MOST).indices]
        axes = rotation_matrix(scene.quats) * scene.scales[:, None, :]
        color = (scene.sh0 * SH_C0 + 0.5).clamp(0, 1)
        parts.append((scene.means, axes @ axes.transpose(1, 2), color, scene.opacities[:, None]))
    if not parts:
        return torch.zeros(0, 3), torch.zeros(0, 3, 3), torch.zeros(0, 3), torch.zeros(0, 1)
    centers, covariances, colors, opacities = (torch.cat(column) for column in zip(*parts, strict=True))
    return centers, covariances, colors, opacities
