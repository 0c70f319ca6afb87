"""The whole numbers of a `.splatz`, and the Gaussians that they stand for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from splat.compression.formats.splatz.canonical import quaternions
from splat.compression.formats.splatz.optional.midpoints import with_midpoints
from splat.compression.formats.splatz.optional.shape_codebooks import ShapeCodebooks
from splat.compression.formats.splatz.shapes import shape_values
from splat.compression.formats.splatz.steps import Steps, coarser, row
from splat.gaussians import Gaussians

REACH = 80.0
"""Of asinh: beyond, numbers leave the range of a float."""
NEAREST_OPACITY = 1e-4
"""To 0 and to 1."""
LUMA = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])
"""From red, green, blue to the mean and the differences to green."""


@dataclass
class Codes:
    """Gaussians as whole numbers, of 32 or 64 bits."""

    cells: Tensor  # [N, 3]
    shifts: Tensor  # [N] importance: steps are 2^shift times as large
    scales: Tensor  # [N, 3] steps; [N, S] labels where there are codebooks of shapes
    rotations: Tensor  # the same
    opacities: Tensor  # [N]
    colors: Tensor  # [N, 3]
    labels: Tensor  # [N]
    book: Tensor  # [K, D] entries of the codebook by principal components; D = 0 without harmonics
    exact: Tensor  # [M] which Gaussians have harmonics of their own besides
    rests: Tensor  # [M, D] what these differ from the codebook
    shapes: ShapeCodebooks | None = None
    between: tuple[Tensor, Tensor] | None = None  # [M], [M]: midpoints of these with those


def values(codes: Codes, steps: Steps, basis: Tensor) -> Gaussians:
    """Gaussians from whole numbers: what every reader gets."""
    gaussians = shared_values(codes, steps, codes.book.float() * steps.sh @ basis)
    own = own_harmonics(codes.rests, codes.shifts[codes.exact], steps, basis)
    gaussians.sh_rest.flatten(1).index_add_(0, codes.exact, own)
    return with_midpoints(gaussians, codes.between)


def shared_values(codes: Codes, steps: Steps, entries: Tensor) -> Gaussians:
    """Gaussians with the harmonics of the codebook [K, D] only."""
    place = codes.cells.double() * steps.cell + row(steps.low, codes.cells.device)
    means = place.clamp(-REACH, REACH).sinh() * steps.radius + row(steps.center, codes.cells.device)
    colors = codes.colors * (steps.color * coarser(codes.shifts))
    opacities = (codes.opacities + 0.5) * steps.opacity
    if codes.shapes is None:
        rodrigues, log_scales = shape_values(codes.scales, codes.rotations, codes.shifts, steps)
    else:
        rodrigues, log_scales = codes.shapes.values(codes.scales, codes.rotations)
    return Gaussians(
        means=means.float(),
        quats=quaternions(rodrigues),
        log_scales=log_scales,
        logit_opacities=opacities.clamp(NEAREST_OPACITY, 1 - NEAREST_OPACITY).logit(),
        sh0=colors @ torch.linalg.inv(LUMA).to(colors).T,
        sh_rest=entries.index_select(0, codes.labels).reshape(len(codes.shifts), -1, 3),
    )


def own_harmonics(rests: Tensor, shifts: Tensor, steps: Steps, basis: Tensor) -> Tensor:  # [M, D]
    """What Gaussians of classes [M] differ from their entries of the codebook."""
    return rests * (steps.sh * coarser(shifts)) @ basis
