"""Camera: intrinsics and pose. THE place that states the conventions.

- Camera axes are OpenCV's: x right, y down, z forward. World axes are whatever the capture uses.
- `viewmat` is world-to-camera: `p_camera = viewmat[:3, :3] @ p_world + viewmat[:3, 3]`.
- `K` is the pinhole matrix in pixels: `u = fx x/z + cx`, `v = fy y/z + cy`. Skew is not supported and must be zero.
- Pixel (column i, row j) has its centre at (i + 0.5, j + 0.5); an image `width` wide spans u from 0 to width.
- cx and cy are always honoured; they need not be the image's middle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Vector3 = Sequence[float] | Tensor


@dataclass(frozen=True)
class Camera:
    """One pinhole camera, or several of the same size when the tensors have a leading dimension C."""

    viewmat: Tensor  # [4, 4] or [C, 4, 4] world to camera
    K: Tensor  # [3, 3] or [C, 3, 3] pixels
    width: int  # pixels
    height: int  # pixels

    def __post_init__(self) -> None:
        if self.viewmat.ndim not in (2, 3) or self.viewmat.shape[-2:] != (4, 4):
            raise ValueError(f"Camera: viewmat must be [4, 4] or [C, 4, 4], got {list(self.viewmat.shape)}")
        if self.K.shape != (*self.viewmat.shape[:-2], 3, 3):
            expected = [*self.viewmat.shape[:-2], 3, 3]
            raise ValueError(f"Camera: K must be {expected} to go with the viewmat, got {list(self.K.shape)}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Camera: the image must have at least one pixel, got {self.width} x {self.height}")

    @property
    def batched(self) -> bool:
        """Whether this holds several cameras."""
        return self.viewmat.ndim == 3

    @property
    def position(self) -> Tensor:  # [3] or [C, 3]
        """Centre of projection in world coordinates: -R^T t."""
        rotation, translation = self.viewmat[..., :3, :3], self.viewmat[..., :3, 3]
        return -(rotation.transpose(-1, -2) @ translation[..., None])[..., 0]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Camera":
        """The same camera on another device or in another precision."""
        return replace(self, viewmat=self.viewmat.to(device, dtype), K=self.K.to(device, dtype))

    def resized(self, width: int, height: int) -> "Camera":
        """The same view at another resolution: each row of K scales with its own axis."""
        scale = self.K.new_tensor([width / self.width, height / self.height, 1.0])
        return replace(self, K=self.K * scale[:, None], width=width, height=height)

    @staticmethod
    def stack(cameras: "Sequence[Camera]") -> "Camera":
        """Several single cameras of equal size as one batched camera."""
        if not cameras:
            raise ValueError("Camera.stack: expected at least one camera, got none")
        sizes = {(camera.width, camera.height) for camera in cameras}
        if len(sizes) > 1:
            raise ValueError(f"Camera.stack: cameras must have one size to be drawn together, got {sorted(sizes)}")
        return Camera(
            torch.stack([camera.viewmat for camera in cameras]),
            torch.stack([camera.K for camera in cameras]),
            cameras[0].width,
            cameras[0].height,
        )

    @staticmethod
    def look_at(
        eye: Vector3,
        target: Vector3,
        up: Vector3 = (0.0, -1.0, 0.0),
        *,
        width: int,
        height: int,
        fov_degrees: float = 60.0,
    ) -> "Camera":
        """A camera at `eye` that looks towards `target`.

        Args:
            eye, target: world coordinates, [3].
            up: world direction that points up in the image. The default suits COLMAP's y-down worlds.
            width, height: image size in pixels.
            fov_degrees: horizontal field of view.

        Raises:
            ValueError: eye and target coincide, `up` is parallel to the view, or the field of view is not in (0, 180).
        """
        if not 0.0 < fov_degrees < 180.0:
            raise ValueError(f"Camera.look_at: fov_degrees must be between 0 and 180, got {fov_degrees}")
        position, focus, upward = (torch.as_tensor(v, dtype=torch.float64) for v in (eye, target, up))
        forward = focus - position
        right = torch.linalg.cross(forward, upward)
        if right.norm() <= 1e-9 * forward.norm() * upward.norm():
            raise ValueError("Camera.look_at: eye and target must differ, and up must not be parallel to the view")
        forward, right = forward / forward.norm(), right / right.norm()
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
        viewmat = torch.eye(4, dtype=torch.float64)
        viewmat[:3, :3] = rotation
        viewmat[:3, 3] = -rotation @ position
        focal = 0.5 * width / math.tan(math.radians(fov_degrees) / 2)
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
        return Camera(viewmat.float(), K.float(), width, height)
