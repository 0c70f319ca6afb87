"""Camera: intrinsics and pose. THE place that states the conventions.

- Camera axes are OpenCV's: x right, y down, z forward. World axes are whatever the capture uses.
- `viewmat` is world-to-camera: `p_camera = viewmat[:3, :3] @ p_world + viewmat[:3, 3]`.
- `K` is the pinhole matrix in pixels: `u = fx x/z + cx`, `v = fy y/z + cy`. Skew is not supported and must be zero.
- Pixel (column i, row j) has its center at (i + 0.5, j + 0.5); an image `width` wide spans u from 0 to width.
- cx and cy are always honored; they need not be the image's middle.
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
        """Center of projection in world coordinates: -R^T t."""
        rotation, translation = self.viewmat[..., :3, :3], self.viewmat[..., :3, 3]
        return -(rotation.transpose(-1, -2) @ translation[..., None])[..., 0]

    @property
    def forward(self) -> Tensor:  # [3] or [C, 3]
        """World direction that the camera looks in, of unit length: its z axis, the third row of the rotation."""
        return self.viewmat[..., 2, :3]

    @property
    def up(self) -> Tensor:  # [3] or [C, 3]
        """World direction that points up in the image, of unit length: against its y axis."""
        return -self.viewmat[..., 1, :3]

    def to_camera(self, points: Tensor) -> Tensor:  # [..., 3]
        """World points in the coordinates of this camera: x right, y down, z forward.

        Args:
            points: [..., 3] world coordinates; the result has their dtype and device.

        Raises:
            ValueError: this holds several cameras, or the points are of another shape or not floating point.
        """
        camera = self._beside("to_camera", points, 3)
        return points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:  # [..., 2] and [...]
        """Where the image shows world points, and how deep they lie.

        Args:
            points: [..., 3] world coordinates; the results have their dtype and device.

        Returns:
            Pixels, also outside of the image, and the depth along the viewing axis in world units. Where the depth is not
            positive, a point is behind the camera and its pixels mean nothing.

        Raises:
            ValueError: this holds several cameras, or the points are of another shape or not floating point.
        """
        camera = self._beside("project", points, 3)
        x, y, depth = camera.to_camera(points).unbind(-1)
        divisor = torch.where(depth > 0, depth, torch.ones_like(depth))
        flat = torch.stack([x / divisor, y / divisor], dim=-1)
        return flat * camera.K.diagonal()[:2] + camera.K[:2, 2], depth

    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:  # [..., 3]
        """The world points that the image shows at pixels, where their depth is known. Takes back `project`.

        Args:
            pixels: [..., 2] as `project` returns them; the result has their dtype and device.
            depth: [...] along the viewing axis, world units.

        Raises:
            ValueError: this holds several cameras, or the pixels are of another shape or not floating point.
        """
        camera = self._beside("unproject", pixels, 2)
        depth = depth.to(pixels)
        x, y = ((pixels - camera.K[:2, 2]) / camera.K.diagonal()[:2]).unbind(-1)
        points = torch.stack(torch.broadcast_tensors(x * depth, y * depth, depth), dim=-1)
        return (points - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]

    def _beside(self, method: str, points: Tensor, size: int) -> "Camera":
        """This camera in the dtype and on the device of points, once they are known to fit."""
        if self.batched:
            raise ValueError(f"Camera.{method}: expected one camera, got {len(self.viewmat)}")
        if points.ndim < 1 or points.shape[-1] != size or not points.is_floating_point():
            raise ValueError(
                f"Camera.{method}: expected floating point values [..., {size}], got {points.dtype} {list(points.shape)}"
            )
        return self.to(points.device, points.dtype)

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
        """A camera at `eye` that looks toward `target`.

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
