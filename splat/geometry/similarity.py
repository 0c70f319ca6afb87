"""Similarity: move, turn and scale a scene and its cameras, so that every picture stays the same.

Color turns with the scene: coefficients of spherical harmonics change too, each degree among itself.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from splat.cameras import Camera, Vector3
from splat.gaussians import Gaussians
from splat.geometry.quaternions import from_rotation_matrix, product
from splat.spherical_harmonics import basis

MAX_SCALE = 1e15
"""Scales beyond this, or below its inverse, are mistakes: float32 could not hold the scene."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map p -> scale * rotation @ p + translation, in float64 on the CPU.

    Raises:
        ValueError: a value is not finite, `rotation` is not a rotation, or `scale` is not positive.
    """

    rotation: Tensor  # [3, 3]
    translation: Tensor  # [3] world units
    scale: float = 1.0

    def __post_init__(self) -> None:
        rotation = torch.as_tensor(self.rotation).detach().to("cpu", torch.float64)
        translation = torch.as_tensor(self.translation).detach().to("cpu", torch.float64)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise ValueError(
                f"Similarity: rotation must be [3, 3] and translation [3], got {list(rotation.shape)} and "
                f"{list(translation.shape)}"
            )
        if not (rotation.isfinite().all() and translation.isfinite().all()):
            raise ValueError("Similarity: rotation and translation must be finite")
        error = float((rotation @ rotation.T - torch.eye(3, dtype=torch.float64)).abs().max())
        if error > 1e-5 or float(torch.linalg.det(rotation)) < 0:
            raise ValueError("Similarity: rotation must be a rotation matrix, without scale or mirror")
        if not 1 / MAX_SCALE <= self.scale <= MAX_SCALE:
            raise ValueError(f"Similarity: scale must be from {1 / MAX_SCALE:g} to {MAX_SCALE:g}, got {self.scale:g}")
        u, _, v = torch.linalg.svd(rotation)  # the nearest rotation, so that errors do not pile up over many edits
        object.__setattr__(self, "rotation", u @ v)
        object.__setattr__(self, "translation", translation)
        object.__setattr__(self, "scale", float(self.scale))

    @staticmethod
    def identity() -> "Similarity":
        return Similarity(torch.eye(3), torch.zeros(3))

    @staticmethod
    def from_euler(
        degrees: Vector3 = (0.0, 0.0, 0.0), translation: Vector3 = (0.0, 0.0, 0.0), scale: float = 1.0
    ) -> "Similarity":
        """Turns about the world's x, then y, then z axis, by degrees; then scaled; then moved."""
        rotation = torch.eye(3, dtype=torch.float64)
        for axis, angle in enumerate(torch.as_tensor(degrees, dtype=torch.float64).tolist()):
            c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            turn = torch.eye(3, dtype=torch.float64)
            j, k = (axis + 1) % 3, (axis + 2) % 3
            turn[j, j], turn[j, k], turn[k, j], turn[k, k] = c, -s, s, c
            rotation = turn @ rotation
        return Similarity(rotation, torch.as_tensor(translation, dtype=torch.float64), scale)

    @property
    def is_identity(self) -> bool:
        return self.scale == 1 and not bool(self.translation.any()) and bool((self.rotation == torch.eye(3)).all())

    def about(self, center: Vector3) -> "Similarity":
        """The same turn and scale around a point instead of the origin."""
        center = torch.as_tensor(center, dtype=torch.float64)
        translation = self.translation + center - self.scale * self.rotation @ center
        return Similarity(self.rotation, translation, self.scale)

    def __matmul__(self, first: "Similarity") -> "Similarity":
        """`first`, then this."""
        translation = self.scale * self.rotation @ first.translation + self.translation
        return Similarity(self.rotation @ first.rotation, translation, self.scale * first.scale)

    def inverse(self) -> "Similarity":
        return Similarity(self.rotation.T, -self.rotation.T @ self.translation / self.scale, 1 / self.scale)

    def points(self, points: Tensor) -> Tensor:  # [..., 3]
        """Positions; calculated in float64, returned as they came."""
        rotation, translation = self.rotation.to(points.device), self.translation.to(points.device)
        return (self.scale * points.double() @ rotation.T + translation).to(points.dtype)

    def gaussians(self, gaussians: Gaussians) -> Gaussians:
        """The scene, moved. Values that are not finite stay so."""
        if self.is_identity:
            return gaussians
        quats, rest = gaussians.quats, gaussians.sh_rest
        if not torch.equal(self.rotation, torch.eye(3, dtype=torch.float64)):
            quats = product(from_rotation_matrix(self.rotation).to(quats), quats)
            if rest.shape[1]:
                matrix = harmonics_rotation(gaussians.sh_degree, self.rotation)[1:, 1:]
                # One large product for all channels is four times as fast as many small ones.
                channels = torch.kron(matrix.T.contiguous(), torch.eye(3, dtype=torch.float64)).to(rest)
                rest = (rest.flatten(1) @ channels).view_as(rest)
        return Gaussians(
            means=self.points(gaussians.means),
            quats=quats,
            log_scales=gaussians.log_scales + math.log(self.scale),
            logit_opacities=gaussians.logit_opacities,
            sh0=gaussians.sh0,
            sh_rest=rest,
        )

    def camera(self, camera: Camera) -> Camera:
        """The camera that sees the moved scene as the given one sees the scene. Depths are `scale` times as large."""
        viewmat = camera.viewmat.double()
        rotation, translation = self.rotation.to(viewmat.device), self.translation.to(viewmat.device)
        moved = viewmat.clone()
        moved[..., :3, :3] = viewmat[..., :3, :3] @ rotation.T
        moved[..., :3, 3] = self.scale * viewmat[..., :3, 3] - (moved[..., :3, :3] @ translation[:, None])[..., 0]
        return Camera(moved.to(camera.viewmat.dtype), camera.K, camera.width, camera.height)


def harmonics_rotation(degree: int, rotation: Tensor) -> Tensor:  # [(degree + 1)^2, (degree + 1)^2] float64
    """The matrix M that turns coefficients with the scene: the color M @ sh seen from `rotation @ d` is that of sh from d.

    Turning maps each degree onto itself, so M has a block per degree (Wigner's matrices of the real basis). A block is
    solved for from the values of its functions in directions before and after, to rounding error: the basis alone says
    what its order and signs are.

    Args:
        degree: 0 to 4.
        rotation: [3, 3].
    """
    directions = sampled_directions()
    before, after = basis(degree, directions @ rotation.to(torch.float64)), basis(degree, directions)  # R^T d, and d
    matrix = torch.zeros((degree + 1) ** 2, (degree + 1) ** 2, dtype=torch.float64)
    for each in range(degree + 1):
        block = slice(each**2, (each + 1) ** 2)
        matrix[block, block] = torch.linalg.lstsq(after[:, block], before[:, block]).solution
    return matrix


@lru_cache(maxsize=1)
def sampled_directions() -> Tensor:  # [64, 3] float64
    """Directions spread evenly over the sphere (a Fibonacci lattice), many more than the 9 functions of degree 4."""
    count = 64
    index = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * index + 1) / count
    angle = math.pi * (3 - math.sqrt(5)) * index
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=1)
