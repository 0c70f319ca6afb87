"""Scales and rotations in a `.splatz`, as whole numbers: in steps, or as labels into codebooks (residual_codebooks.py)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.compression.formats.splatz.optional.residual_codebooks import ResidualCodebooks, fit
from splat.compression.formats.splatz.steps import Steps, coarser, whole

LARGEST_TURN = 0.5
"""Step of rotations that hardly show."""


@dataclass(frozen=True)
class ShapeCodebooks:
    """Of S codebooks each."""

    scales: ResidualCodebooks  # logarithms
    rotations: ResidualCodebooks  # Rodrigues vectors


def shape_codes(
    rodrigues: Tensor, log_scales: Tensor, shifts: Tensor, steps: Steps, books: ShapeCodebooks | None
) -> tuple[Tensor, Tensor]:
    """The whole numbers nearest to shapes [N, 3], [N, 3]: scales and rotations, [N, 3] each, or [N, S] with codebooks."""
    if books is None:
        scales = whole(log_scales / (steps.scale * coarser(shifts)))
        return scales, whole(rodrigues / rotation_steps(scales, shifts, steps))
    prices = bit_prices(shifts)
    labels = books.scales.labels(log_scales, scale_weights(log_scales, steps), prices)
    shown = rotation_weights(books.scales.vectors(labels), steps)
    return labels, books.rotations.labels(rodrigues, shown, prices)


def shape_values(
    scales: Tensor, rotations: Tensor, shifts: Tensor, steps: Steps, books: ShapeCodebooks | None
) -> tuple[Tensor, Tensor]:  # [N, 3], [N, 3]
    """Rodrigues vectors and logarithms of scales from whole numbers."""
    if books is None:
        return rotations * rotation_steps(scales, shifts, steps), scales * (steps.scale * coarser(shifts))
    return books.rotations.vectors(rotations), books.scales.vectors(scales)


def fit_shapes(
    rodrigues: Tensor, log_scales: Tensor, shifts: Tensor, steps: Steps, stages: int, codes: int, seed: int
) -> ShapeCodebooks:
    """Codebooks that spend bits as the steps would."""
    even, prices = scale_weights(log_scales, steps), bit_prices(shifts)
    scales = fit(log_scales, even, prices, stages, codes, seed)
    shown = rotation_weights(scales.vectors(scales.labels(log_scales, even, prices)), steps)
    return ShapeCodebooks(scales, fit(rodrigues, shown, prices, stages, codes, seed))


def differences(scales: Tensor) -> Tensor:  # [N, 3]
    """For each axis, by how much the scales [N, 3] of the other two differ, in steps or logarithms."""
    return (scales[:, [1, 2, 0]] - scales[:, [2, 0, 1]]).abs()


def rotation_steps(scales: Tensor, shifts: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """Step of each component of a Rodrigues vector, which is about half the angle of a turn about that axis."""
    larger = coarser(shifts)
    return _turns(differences(scales) * (steps.scale * larger), steps.rotation * larger, steps)


def scale_weights(log_scales: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """How much squared errors of logarithms of scales count: 1 for an error of a step of class 0."""
    return torch.full_like(log_scales, steps.scale**-2)


def rotation_weights(log_scales: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """How much squared errors of Rodrigues vectors count: 1 for an error of a step of class 0."""
    one = torch.ones_like(log_scales[:, :1])
    return _turns(differences(log_scales), steps.rotation * one, steps) ** -2


def bit_prices(shifts: Tensor) -> Tensor:  # [N] float32
    """What a bit may save at least of such errors. Steps of 2^k make a mean square of 4^k / 12, a bit more makes it a quarter:
    its derivative by bits."""
    return math.log(2) / 6 * 4.0**shifts


def _turns(apart: Tensor, step: Tensor, steps: Steps) -> Tensor:
    shown = 2 * torch.sinh(apart.clamp(max=20)).clamp_min(1e-6)
    return (step / shown).clamp(min=min(0.003, steps.rotation), max=LARGEST_TURN)
