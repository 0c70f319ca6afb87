"""Gaussians: the parameters of a scene, their shapes, units and activations.

The stored numbers are the ones that are optimized and written to disk (log scales, opacity logits), as in
Kerbl et al. 2023; `scales` and `opacities` are what they stand for.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic, 1 / (2 sqrt(pi)): color = SH_C0 * sh0 + 0.5."""


MOST_LOG_SCALE = 44.0
"""Logarithm of the largest scale whose square is finite in float32; a larger one has no covariance."""
BLOCK = 1 << 18
"""Gaussians that are looked at together."""
FLAT, OPAQUE = -30.0, 30.0
"""A logarithm of a scale and a logit that are drawn as minus and plus infinity are, in float32 as in float64."""


@dataclass
class Gaussians:
    """N anisotropic 3D Gaussians with view-dependent color.

    The color seen from a unit direction d is max(0, 0.5 + sum_k Y_k(d) sh_k), with sh_0 in `sh0` and the others in
    `sh_rest`, ordered by degree l and then by order m = -l..l.
    """

    means: Tensor  # [N, 3] world units
    quats: Tensor  # [N, 4] rotation (w, x, y, z) from the Gaussian's axes to the world; any length but zero
    log_scales: Tensor  # [N, 3] logarithm of the standard deviation along each axis, world units
    logit_opacities: Tensor  # [N] opacity = sigmoid(logit)
    sh0: Tensor  # [N, 3] constant color coefficient per channel
    sh_rest: Tensor  # [N, (degree + 1)^2 - 1, 3]

    def __post_init__(self) -> None:
        count = self.means.shape[0] if self.means.ndim else 0
        bases = self.sh_rest.shape[1] + 1 if self.sh_rest.ndim == 3 else 0
        expected = {
            "means": (count, 3),
            "quats": (count, 4),
            "log_scales": (count, 3),
            "logit_opacities": (count,),
            "sh0": (count, 3),
            "sh_rest": (count, bases - 1, 3),
        }
        for name, shape in expected.items():
            actual = tuple(getattr(self, name).shape)
            if actual != shape:
                raise ValueError(f"Gaussians: {name} must be {list(shape)} for {count} Gaussians, got {list(actual)}")
        if bases not in (1, 4, 9, 16, 25):
            raise ValueError(f"Gaussians: sh_rest must hold 0, 3, 8, 15 or 24 coefficients, got {bases - 1}")

    @staticmethod
    def empty(count: int, bases: int) -> "Gaussians":
        """Room for `count` Gaussians with `bases` harmonics besides the constant one, for parts of a file to fill; float32 on
        the CPU, its values arbitrary."""
        return Gaussians(
            means=torch.empty(count, 3),
            quats=torch.empty(count, 4),
            log_scales=torch.empty(count, 3),
            logit_opacities=torch.empty(count),
            sh0=torch.empty(count, 3),
            sh_rest=torch.empty(count, bases, 3),
        )

    @staticmethod
    def cat(scenes: "Iterable[Gaussians]") -> "Gaussians":
        """Several scenes as one, in their order. The result has the highest degree of harmonics among them; coefficients
        that a scene lacks are zero. A single scene is returned as it is, without a copy.

        Raises:
            ValueError: there is no scene, or they differ in device or dtype.
        """
        scenes = list(scenes)
        if not scenes:
            raise ValueError("Gaussians.cat: scenes must hold at least one, got none")
        if len(scenes) == 1:
            return scenes[0]
        first = scenes[0].means
        for index, scene in enumerate(scenes):
            if (scene.device, scene.means.dtype) != (first.device, first.dtype):
                raise ValueError(
                    f"Gaussians.cat: scenes must share a device and a dtype; scenes[0] has {first.device} and {first.dtype}, "
                    f"scenes[{index}] has {scene.device} and {scene.means.dtype}"
                )
        degree = max(scene.sh_degree for scene in scenes)
        parts = [scene.with_sh_degree(degree).tensors() for scene in scenes]
        return Gaussians(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:  # [N, 3]
        """Standard deviations along the Gaussian's axes, world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:  # [N]
        """Peak opacity, 0 to 1."""
        return self.logit_opacities.sigmoid()

    @property
    def sh_degree(self) -> int:
        """Highest degree of spherical harmonics stored."""
        return round((self.sh_rest.shape[1] + 1) ** 0.5) - 1

    def with_sh_degree(self, degree: int) -> "Gaussians":
        """The same Gaussians with harmonics up to `degree`: those above it are left out, those that are missing are zero.

        Raises:
            ValueError: the degree is not 0 to 4.
        """
        if not 0 <= degree <= 4:
            raise ValueError(f"with_sh_degree: degree must be 0 to 4, got {degree}")
        bases = (degree + 1) ** 2 - 1
        missing = bases - self.sh_rest.shape[1]
        if missing > 0:
            return replace(self, sh_rest=torch.nn.functional.pad(self.sh_rest, (0, 0, 0, missing)))
        return replace(self, sh_rest=self.sh_rest[:, :bases])

    @property
    def device(self) -> torch.device:
        return self.means.device

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name, in declaration order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def map(self, function: Callable[[Tensor], Tensor]) -> "Gaussians":
        """Apply a function to every parameter tensor."""
        return Gaussians(**{name: function(tensor) for name, tensor in self.tensors().items()})

    def __getitem__(self, index: Tensor | slice) -> "Gaussians":
        """Some of the Gaussians, by mask, index tensor or slice."""
        return self.map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Gaussians":
        return self.map(lambda tensor: tensor.to(device, dtype))

    def detach(self) -> "Gaussians":
        return self.map(torch.Tensor.detach)

    def requires_grad_(self, requires_grad: bool = True) -> "Gaussians":
        """Mark every parameter, in place, as one to differentiate with respect to."""
        for tensor in self.tensors().values():
            tensor.requires_grad_(requires_grad)
        return self


def defects(gaussians: Gaussians) -> Iterator[tuple[str, Tensor]]:  # (what is wrong, [N] bool)
    """For every reason why a Gaussian cannot be drawn, where it holds.

    An infinite logit is an opacity of 0 or 1, and a logarithm of a scale of minus infinity is a flat Gaussian: both can be
    drawn. The rotation of a row of zeros, with which some programs fill up a file, has length zero.
    """
    yield "position not finite", ~gaussians.means.isfinite().all(dim=1)
    yield "rotation not finite", ~gaussians.quats.isfinite().all(dim=1)
    yield "rotation of length zero", (gaussians.quats == 0).all(dim=1)
    yield "scale negative or not finite", ~(gaussians.log_scales <= MOST_LOG_SCALE).all(dim=1)
    yield "opacity not a number", gaussians.logit_opacities.isnan()
    color = gaussians.sh0.isfinite().all(dim=1)
    yield "color not finite", ~(color & gaussians.sh_rest.isfinite().flatten(1).all(dim=1))


def drawable(gaussians: Gaussians) -> Tensor:  # [N] bool
    """Which Gaussians can be drawn at all. The others are left out of everything that is computed from a scene."""
    fine = torch.ones(len(gaussians), dtype=torch.bool, device=gaussians.device)
    for first in range(0, len(gaussians), BLOCK):
        place = slice(first, first + BLOCK)
        for _, broken in defects(gaussians[place]):
            fine[place] &= ~broken
    return fine


def with_finite_values(gaussians: Gaussians) -> Gaussians:
    """The same picture without infinities: an infinite logit becomes plus or minus `OPAQUE`, and a logarithm of a scale of
    minus infinity becomes `FLAT`. Where there are none, the scene itself."""
    logits, log_scales = gaussians.logit_opacities, gaussians.log_scales
    if not (bool(logits.isinf().any()) or bool((log_scales == -torch.inf).any())):
        return gaussians
    return replace(
        gaussians,
        logit_opacities=torch.where(logits.isinf(), logits.sign() * OPAQUE, logits),
        log_scales=torch.where(log_scales == -torch.inf, FLAT, log_scales),
    )
